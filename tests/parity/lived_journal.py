"""Live through a tape with the engine process's own recording, then step its journal again: the third engine (issue 5).

``live_through`` drives the real ``Core`` and ``DayBook`` as the shell does on the paper route: day by day, each bar
written to bars.csv before it is decided on, every decision in the hash-chained journal, synced when it must be.
``stepped_again`` reads those files back and replays them into a fresh engine, as a recovery does. Rows are compared
as the text that the journal, trades.csv and events.csv hold.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from live.broker_watch import DeskRules
from live.commands import Command, RecordEvent, RecordTrade, Trade
from live.engine import Engine, Route
from live.events import Mode
from live.market import INSTRUMENTS, NS_PER_MIN, Bar, Instrument
from live.params import Params
from live.records import EVENT_COLUMNS, TRADE_COLUMNS, event_row, trade_row
from live.trading_day import trade_date
from pj.channels.formats import PriceText
from pj.channels.journal import read_journal, verify_run
from pj.channels.logs import EventLog
from pj.channels.rundir import RunDir
from pj.config import ENV_CONFIG, load_settings
from pj.processes.engine.book import DayBook
from pj.processes.engine.core import Core
from pj.processes.engine.recorded import read_day, replay
from pj.processes.engine.recovery import Recovery
from pj.processes.engine.rows import OUTPUT_TYPES
from pj.processes.engine.startup import Context, begin_day, note_start

MNQ = INSTRUMENTS["MNQ"]
Row = tuple[str, ...]


class BarClock:
    """Tell the time of the bar that has just closed."""

    speed = 1.0

    def __init__(self) -> None:
        self.at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def real_s_until(self, run_ns: int) -> float:
        return max(0, run_ns - self.at_ns) / 1e9


class Life:
    """Live through bars with the engine process's own parts; ``restart`` is a stop and a recovery from the files."""

    route = Route.SIMULATED
    route_name = "paper"

    def __init__(self, root: Path, params: Params, instrument: Instrument, first_ns: int) -> None:
        root.mkdir(parents=True, exist_ok=True)
        config = root / "config.yaml"
        config.write_text("profile: sim\n")
        wishes = {"run_dir": str(root / "run"), "symbol": instrument.symbol, "execution.route": self.route_name}
        settings = load_settings({ENV_CONFIG: str(config)}, wishes)
        self.clock, self.run_dir = BarClock(), RunDir(root / "run", instrument).create()
        self.params, self.instrument = params, instrument
        log = EventLog(logging.getLogger("lived"))
        self.context = Context(settings, self.run_dir, self.clock, log, self.route, "parity")
        self.clock.at_ns = first_ns + NS_PER_MIN
        book = DayBook(self.run_dir, self.run_dir.day_at(first_ns), instrument, self.clock)
        book.end_replay()
        self._begin(Core(self._engine(), book, self.issue), [])

    def _engine(self) -> Engine:
        return Engine(self.params, self.instrument, self.route, DeskRules())

    def issue(self, orders: list[Any]) -> None:
        """Take the orders that the core asks to send: on the paper route there are none."""
        raise AssertionError(f"the paper route sends nothing, and now {orders}")

    def _begin(self, core: Core, faults: list[str]) -> None:
        self.core = core
        note_start(core, self.context, faults)
        core.book.bars_first = True
        core.set_mode(Mode.LIVE)

    def take(self, bar: Bar) -> None:
        """Write one bar down and decide on it, in a new book when its trade date is new."""
        self.clock.at_ns = bar.ts_ns + NS_PER_MIN
        if trade_date(bar.ts_ns) != self.core.book.day.trade_date:
            self.core.book.anchor()
            begin_day(self.core, self.context, bar)
        self.core.book.add_bar(bar)
        self.core.take_bar(bar)

    def restart(self) -> list[str]:
        """End, rebuild a fresh engine from the files, go on with it; return what the recovery could not explain."""
        self.core.book.close()
        recovery = Recovery(self.run_dir, self.instrument, self.clock, self._engine(), self.route_name)
        found = recovery.run(lambda _orders: None, lambda: None)  # they were sent when they were decided
        found.core.issue = self.issue
        self._begin(found.core, found.faults)
        return found.faults


def live_through(root: Path, bars: list[Bar], params: Params, instrument: Instrument = MNQ) -> tuple[RunDir, Engine]:
    """Record ``bars`` into a run folder below ``root`` and return it with the engine that lived through them."""
    life = Life(root, params, instrument, bars[0].ts_ns)
    try:
        for bar in bars:
            life.take(bar)
    finally:
        life.core.book.close()
    return life.run_dir, life.core.engine


def written(run_dir: RunDir) -> list[Row]:
    """Return the decisions that the journals of all days hold, their chain verified."""
    verify_run(run_dir)
    lines = [line for day in run_dir.days() for line in read_journal(run_dir.day(day).journal)]
    assert not [line for line in lines if line.type == "ALARM"]
    return [
        (line.type, *(str(line.data[name]) for name in (TRADE_COLUMNS if line.type == "TRADE" else EVENT_COLUMNS)))
        for line in lines
        if line.type in OUTPUT_TYPES
    ]


def stepped_again(run_dir: RunDir, params: Params, instrument: Instrument = MNQ) -> tuple[list[Command], Engine]:
    """Return what a fresh engine says when every recorded day is replayed, and that engine."""
    engine = Engine(params, instrument, Route.SIMULATED, DeskRules())
    said: list[Command] = []
    for date in run_dir.days():
        day = read_day(run_dir, date, PriceText(instrument))
        replay(engine, day, lambda commands, _count: said.extend(commands))
        assert day.faults == []
    return said, engine


def rows_of(commands: Iterable[Command], instrument: Instrument) -> list[Row]:
    """Return commands as the journal's rows."""
    rows: list[Row] = []
    for command in commands:
        if isinstance(command, RecordTrade):
            rows.append(_trade(command.trade, instrument))
        else:
            assert isinstance(command, RecordEvent), command
            rows.append(_event(command))
    return rows


def rows_apart(events: Iterable[RecordEvent], trades: Iterable[Trade], instrument: Instrument) -> tuple[list[Row], ...]:
    """Return events and trades, each in their own order, as the journal's rows."""
    return [_event(one) for one in events], [_trade(one, instrument) for one in trades]


def apart(rows: list[Row]) -> tuple[list[Row], ...]:
    """Return the rows of events.csv and those of trades.csv."""
    return [row for row in rows if row[0] != "TRADE"], [row for row in rows if row[0] == "TRADE"]


def _event(event: RecordEvent) -> Row:
    row = event_row(event)
    return (event.event, *(row[name] for name in EVENT_COLUMNS))


def _trade(trade: Trade, instrument: Instrument) -> Row:
    row = trade_row(trade, instrument)
    return ("TRADE", *(row[name] for name in TRADE_COLUMNS))
