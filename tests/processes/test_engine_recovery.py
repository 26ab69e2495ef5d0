"""Recovery without processes: a day recorded, cut anywhere, rebuilt; equal to never having stopped."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from live.engine import Engine, Route
from live.events import (
    BarClosed,
    EntriesJudged,
    ExecutionReported,
    KillSwitched,
    Leg,
    Mode,
    ModeChanged,
    OrdersReported,
    PositionReported,
    TruthChanged,
    WorkingOrder,
)
from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S, Bar, TickKind
from live.params import Params
from live.trading_day import at_minute_ns
from pj.channels.csvlog import CsvLog, read_rows, write_rows
from pj.channels.formats import BAR_COLUMNS, BROKER_EVENT_COLUMNS, HISTORY_COLUMNS, PriceText, history_row
from pj.channels.journal import read_journal
from pj.channels.rundir import RunDir
from pj.channels.tape import BadRow, TapeWriter
from pj.processes.engine.book import DayBook
from pj.processes.engine.broker_feed import BrokerFeed
from pj.processes.engine.core import Core
from pj.processes.engine.feed import TapeFeed, offset_of
from pj.processes.engine.latency import Latency
from pj.processes.engine.marks import MarkFilter
from pj.processes.engine.outbox import NOT_SENT, Outbox
from pj.processes.engine.recovery import Recovery, warm_up
from pj.processes.engine.rows import OUTPUT_TYPES, Order, input_event, input_row

MNQ = INSTRUMENTS["MNQ"]
DAY = date(2026, 4, 15)
SEED = 0


@dataclass
class StandingClock:
    """Tell one time until it is moved."""

    ns: int
    speed: float = 1.0

    def now_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    def real_s_until(self, run_ns: int) -> float:
        return max(0, run_ns - self.ns) / 1e9


def walk(count: int, start_minute: int, seed: int = SEED) -> list[Bar]:
    """Return a nervous random walk that sweeps and reclaims a lot."""
    dice = random.Random(seed)
    bars, price = [], 100_000
    begin = at_minute_ns(DAY, start_minute)
    for number in range(count):
        open_ = price
        close = open_ + dice.randint(-30, 30)
        high = max(open_, close) + dice.randint(0, 10)
        low = min(open_, close) - dice.randint(0, 10)
        bars.append(Bar(begin + number * NS_PER_MIN, open_, high, low, close, dice.randint(4, 900), "MNQM6"))
        price = close
    return bars


HISTORY = walk(420, 480)
LIVED = [
    bar for bar in walk(900, 480) if bar.ts_ns > HISTORY[-1].ts_ns
]  # the same walk goes on: 15:00 and later, i.e. minutes 900 to 1379


def no_orders(orders: list[Order]) -> None:
    assert not orders


def record_a_day(root: Path) -> tuple[RunDir, list[dict[str, Any]]]:
    """Record a paper day bar by bar with switches thrown; return the snapshots after each bar."""
    run_dir = RunDir(root, MNQ).create()
    day = run_dir.day(DAY).create()
    prices = PriceText(MNQ)
    write_rows(day.history, HISTORY_COLUMNS, (history_row(bar, prices) for bar in HISTORY))
    clock = StandingClock(LIVED[0].ts_ns)
    core = Core(Engine(Params(), MNQ, Route.SIMULATED), DayBook(run_dir, day, MNQ, clock), no_orders)
    core.book.note("START", {"route": "paper", "symbol": "MNQ"})
    warm_up(core, HISTORY, Mode.REHEARSED, lambda: None)
    core.take(ModeChanged(Mode.LIVE))
    snapshots = [core.engine.snapshot()]
    for number, bar in enumerate(LIVED, 1):
        clock.ns = bar.ts_ns + NS_PER_MIN
        if number % 50 == 0:
            core.take(EntriesJudged("STALE" if number % 100 else ""))
        if number % 70 == 0:
            core.take(KillSwitched(on=number % 140 == 0, reason="drill"))
        core.book.add_bar(bar)
        core.take_bar(bar)
        snapshots.append(core.engine.snapshot())
    core.book.close()
    return run_dir, snapshots


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, list[dict[str, Any]]]:
    return record_a_day(tmp_path_factory.mktemp("recorded"))


def outputs(run_dir: RunDir) -> list[tuple[str, Any]]:
    lines = read_journal(run_dir.day(DAY).journal)
    return [
        (line.type, {k: v for k, v in line.data.items() if k != "gates"}) for line in lines if line.type in OUTPUT_TYPES
    ]


def recover(run_dir: RunDir) -> tuple[Core, list[str]]:
    clock = StandingClock(LIVED[-1].ts_ns)
    engine = Engine(Params(), MNQ, Route.SIMULATED)
    found = Recovery(run_dir, MNQ, clock, engine, "paper").run(no_orders, lambda: None)
    found.core.book.close()
    return found.core, found.faults


def test_the_recorded_day_is_worth_cutting(recorded: tuple[RunDir, list[dict[str, Any]]]) -> None:
    kinds = [kind for kind, _ in outputs(recorded[0])]
    assert kinds.count("TRADE") >= 3, kinds
    assert kinds.count("SIGNAL") >= 3
    assert kinds.count("REJECT") >= 6


def test_a_whole_day_comes_back_equal(recorded: tuple[RunDir, list[dict[str, Any]]], tmp_path: Path) -> None:
    run_dir, snapshots = recorded
    shutil.copytree(run_dir.root, tmp_path / "run")
    core, faults = recover(RunDir(tmp_path / "run", MNQ))
    assert faults == []
    assert core.engine.snapshot() == snapshots[-1]


@pytest.mark.parametrize("case", range(25))
def test_a_day_cut_anywhere_comes_back_as_if_never_stopped(
    recorded: tuple[RunDir, list[dict[str, Any]]], tmp_path: Path, case: int
) -> None:
    run_dir, snapshots = recorded
    shutil.copytree(run_dir.root, tmp_path / "run")
    copy = RunDir(tmp_path / "run", MNQ)
    day = copy.day(DAY)
    dice = random.Random(1000 + case)
    journal = day.journal.read_bytes()
    every = read_journal(day.journal)
    cut = dice.randrange(len(journal))
    day.journal.write_bytes(journal[:cut])
    left = every[: journal[:cut].count(b"\n")]
    # A bar stands in bars.csv before what it decided is journaled, and after the inputs before it.
    known = max((line.data["after_bar"] for line in left), default=0)
    following = every[len(left)]
    ahead = input_event(following.type, following.data) is None and following.data["after_bar"] == known + 1
    keep = known + (dice.randint(0, 1) if ahead else 0)
    rows = day.bars.read_bytes().split(b"\n")
    torn = rows[keep + 1][: dice.randrange(1, 12)] if keep < len(LIVED) else b""
    day.bars.write_bytes(b"\n".join(rows[: keep + 1]) + b"\n" + torn)

    core, faults = recover(copy)
    assert faults == []
    if not any(line.type == "MODE" for line in left):
        assert outputs(copy) == []
        return
    whole = [row for row in outputs(run_dir) if row[1]["after_bar"] <= keep]
    assert outputs(copy) == whole, "what was cut off is written again, and nothing else"
    ignored = {"mode", "outside", "killed"}
    reference = snapshots[keep]
    mine = core.engine.snapshot()
    assert {k: v for k, v in mine.items() if k not in ignored} == {
        k: v for k, v in reference.items() if k not in ignored
    }


def test_a_journal_that_tells_another_story_is_reported(
    recorded: tuple[RunDir, list[dict[str, Any]]], tmp_path: Path
) -> None:
    shutil.copytree(recorded[0].root, tmp_path / "run")
    copy = RunDir(tmp_path / "run", MNQ)
    rows = read_rows(copy.day(DAY).bars, BAR_COLUMNS)
    rows[40] |= {"low": "20000"}
    copy.day(DAY).bars.unlink()
    with CsvLog(copy.day(DAY).bars, BAR_COLUMNS) as log:
        log.append(*rows)
    _, faults = recover(copy)
    assert faults
    assert "journal line" in faults[0]


# -- orders after a restart ----------------------------------------------------------------------------


def test_orders_cut_off_by_a_crash_are_settled_never_resent(tmp_path: Path) -> None:
    from live.commands import ClosePosition, PlaceBracket

    run_dir = RunDir(tmp_path, MNQ).create()
    clock = StandingClock(LIVED[0].ts_ns)
    book = DayBook(run_dir, run_dir.day(DAY), MNQ, clock)

    def entry(key: str) -> PlaceBracket:
        return PlaceBracket(key, "MNQM6", 1, 1, 1, 0, 2, clock.ns, "p")

    never, silent, known = entry("never@1:ENTRY"), entry("silent@1:ENTRY"), entry("known@1:ENTRY")
    lost_exit = ClosePosition("x@1:EXIT", "MNQM6", 1, "TIME", clock.ns)
    for order in (silent, known, lost_exit):
        book.intent(order)
    book.note("ACKED", {"key": known.key, "broker_id": "b", "at_ns": clock.ns})
    book.note("UNKNOWN", {"key": lost_exit.key, "why": "time-out", "at_ns": clock.ns})
    outbox = Outbox(None, lambda: book, clock)
    outbox.issue([never, silent, known, lost_exit])
    events = outbox.go_live(read_journal(run_dir.day(DAY).journal))
    assert [(type(event).__name__, event.key) for event in events] == [
        ("OrderRefused", never.key),
        ("OrderUnknown", silent.key),
    ]
    assert events[0].code == NOT_SENT
    with pytest.raises(RuntimeError, match="no route"):
        outbox.resend()  # the exit, and only the exit, would leave again
    book.close()


@pytest.mark.parametrize(
    "event",
    [
        ModeChanged(Mode.MISSED),
        EntriesJudged("STALE"),
        KillSwitched(on=True, reason="drill"),
        ExecutionReported("e1", -1, 2, 100_001, 5, "ref"),
        PositionReported(-2, 7),
        PositionReported(-2, 7, "MNQM6 MNQU6"),
        OrdersReported((), 8),
        OrdersReported((WorkingOrder("k", Leg.STOP, -1, 2, 99, "7"), WorkingOrder("", Leg.FOREIGN, 1, 1, 0, "8")), 8),
        TruthChanged(connected=False, ts_ns=9),
    ],
)
def test_inputs_survive_the_journal(event: Any) -> None:
    kind, data = input_row(event)
    assert input_event(kind, json.loads(json.dumps(data))) == event


# -- the tape ------------------------------------------------------------------------------------------


def quarantine(row: BadRow) -> None:
    raise AssertionError(f"{row.reason}: {row.text}")


def write_tape(run_dir: RunDir, minutes: int) -> None:
    start = at_minute_ns(DAY, 900)
    writer = TapeWriter(run_dir.day(DAY).create().market, MNQ)
    for second in range(minutes * 60):
        stamp = start + second * NS_PER_S
        writer.cross_edges(stamp)
        writer.add(stamp, TickKind.TRADE, f"{25_000 + second % 9}.25", 1, source="TBT", contract="MNQM6")
    writer.cross_edges(start + minutes * NS_PER_MIN)
    writer.close()


def test_reading_resumes_at_the_last_bar(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path, MNQ).create()
    write_tape(run_dir, 90)
    path = run_dir.day(DAY).market
    data = path.read_bytes()
    for minute in (0, 1, 44, 89):
        stamp = at_minute_ns(DAY, 900 + minute)
        offset = offset_of(path, stamp)
        assert offset == 0 or data[offset - 1 : offset] == b"\n"
        skipped = data[:offset].split(b"\n")[1:-1]
        assert all(int(row.split(b",")[1]) < stamp for row in skipped)
        assert len(data[offset:].split(b"\n", 100)) > 1
        rest = [int(row.split(b",")[1]) for row in data[offset:].split(b"\n")[:-1] if row[:1].isdigit()]
        assert sum(at < stamp for at in rest) < 100, "at most a block too early"

    whole = TapeFeed(run_dir, MNQ, 1.0, DAY, quarantine)
    bars = read_all(whole)
    whole.close()
    assert len(bars) == 90
    again = TapeFeed(run_dir, MNQ, 1.0, DAY, quarantine)
    again.resume(bars[:57], DAY)
    rest = read_all(again)
    again.close()
    assert [bar.ts_ns for bar in rest] == [bar.ts_ns for bar in bars[57:]]
    assert [(b.open_ticks, b.close_ticks, b.volume) for b in rest] == [
        (b.open_ticks, b.close_ticks, b.volume) for b in bars[57:]
    ]


def test_late_ticks_get_one_row_however_often_they_are_met(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path, MNQ).create()
    write_tape(run_dir, 2)
    start = at_minute_ns(DAY, 900)
    bars = []
    for _ in range(2):
        feed = TapeFeed(run_dir, MNQ, 1.0, DAY, quarantine)
        recorded_bar = Bar(start, 1, 1, 1, 1, 50, "MNQM6", seq=1, ticks=50)
        feed.resume([recorded_bar], DAY)
        bars = read_all(feed)
        feed.close()
    assert [bar.ts_ns for bar in bars] == [start + NS_PER_MIN]
    rows = run_dir.day(DAY).late_ticks.read_text().splitlines()[1:]
    assert len(rows) == 10, "sixty trades, fifty in the recorded bar"


def read_all(feed: TapeFeed) -> list[Bar]:
    bars, more = [], True
    while more:
        found, more = feed.poll()
        bars += found
    return bars


# -- the account ---------------------------------------------------------------------------------------


def account_rows(run_dir: RunDir, *rows: dict[str, str]) -> None:
    with CsvLog(run_dir.day(DAY).create().broker_events, BROKER_EVENT_COLUMNS) as log:
        log.append(*({"recv_ns": "5", **row} for row in rows))


def fill(
    exec_id: str, side: str = "BUY", price: str = "25000.25", ref: str = "k", contract: str = "MNQM6"
) -> dict[str, str]:
    cells = {"exec_id": exec_id, "side": side, "qty": "2", "price": price, "order_ref": ref}
    return {"kind": "EXECUTION", "contract": contract, **cells}


def test_account_rows_become_events(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path, MNQ).create()
    feed = BrokerFeed(run_dir, MNQ, StandingClock(9), DAY)
    account_rows(
        run_dir,
        {"kind": "POSITION", "contract": "MNQM6", "position": "2"},
        {"kind": "STATUS", "status": "connected"},
        {"kind": "POSITION", "contract": "MNQU6", "position": "-1"},
        {"kind": "POSITION", "contract": "NQM6", "position": "7"},
        fill("a"),
        fill("b", "SELL", "25000.3333"),
        fill("c", "BUY", "25000.3333"),
        fill("d", contract="ESM6"),
        fill("e", side="?"),
        {"kind": "ORDER", "contract": "MNQM6", "status": "Filled"},
    )
    events = [*feed.poll(), *feed.heartbeat(alive=True)]
    assert [event.qty for event in events if isinstance(event, PositionReported)] == [
        2,
        3,
        3,
    ]  # a spread is two positions
    months = [event.contract for event in events if isinstance(event, PositionReported)]
    assert months == ["MNQM6", "MNQM6 MNQU6", "MNQM6 MNQU6"]
    assert [event.connected for event in events if isinstance(event, TruthChanged)] == [True]
    fills = [(e.exec_id, e.side, e.price_ticks) for e in events if isinstance(e, ExecutionReported)]
    assert fills == [("a", 1, 100_001), ("b", -1, 100_001), ("c", 1, 100_002)]
    assert feed.bad_rows == 1
    assert feed.known
    account_rows(run_dir, {"kind": "STATUS", "status": "disconnected"})
    assert feed.poll() == [TruthChanged(False, 9)]
    assert not feed.known
    feed.close()


def test_a_start_takes_only_our_new_fills_and_the_position(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path, MNQ).create()
    account_rows(
        run_dir,
        fill("seen"),
        fill("new"),
        fill("someone else's", ref="manual"),
        {"kind": "POSITION", "contract": "MNQM6", "position": "2"},
        {"kind": "STATUS", "status": "connected"},
    )
    feed = BrokerFeed(run_dir, MNQ, StandingClock(9), DAY)
    events = feed.begin({"k"}, {"seen"})
    assert events == [ExecutionReported("new", 1, 2, 100_001, 5, "k", "MNQM6")]
    assert not feed.known, "the file's last word may be a dead bridge's"
    assert feed.heartbeat(alive=False) == []
    assert feed.heartbeat(alive=True) == [TruthChanged(True, 9), PositionReported(2, 9, "MNQM6")]
    assert feed.known
    feed.close()


def test_rereads_that_tell_nothing_new_do_not_put_off_the_look_at_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop vanishes while the bridge re-reads every five seconds: the position is told after it in six."""
    now_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    run_dir = RunDir(tmp_path, MNQ).create()
    target = {"kind": "WORKING", "contract": "MNQM6", "side": "SELL", "remaining": "1", "order_ref": "k:ENTRY"}
    legs = [{**target, "status": leg, "price": "25000", "order_id": leg} for leg in ("TARGET", "STOP")]
    account_rows(
        run_dir,
        {"kind": "POSITION", "contract": "MNQM6", "position": "1"},
        {"kind": "STATUS", "status": "connected"},
        *legs,
        {"kind": "ORDERS_END"},
    )
    feed = BrokerFeed(run_dir, MNQ, StandingClock(9), DAY)
    feed.poll(), feed.heartbeat(alive=True)
    assert feed.repeat() == []
    now_s += 100
    account_rows(run_dir, legs[0], {"kind": "ORDERS_END"})
    assert [type(event) for event in feed.poll()] == [OrdersReported]
    assert feed.repeat() == [], "in the middle of news nothing is still so"
    seen = []
    for _ in range(12):
        now_s += 0.5
        account_rows(run_dir, {"kind": "ORDER", "contract": "MNQM6", "status": "Submitted"})
        account_rows(run_dir, legs[0], {"kind": "ORDERS_END", "status": "REREAD"})
        seen += [*feed.poll(), *feed.repeat()]
    told = [event for event in seen if isinstance(event, PositionReported)]
    assert told == [PositionReported(1, 9, "MNQM6")]
    before = seen[seen.index(told[0]) - 1]
    assert isinstance(before, OrdersReported) and [one.leg for one in before.orders] == [Leg.TARGET]
    account_rows(run_dir, legs[0])
    feed.poll()
    now_s += 100
    assert feed.repeat() == [], "a list that is not whole yet"
    feed.close()


def test_only_new_extremes_mark_a_position() -> None:
    from live.market import Tick

    marks = MarkFilter()
    trades = [Tick(n, n, TickKind.TRADE, price, 1) for n, price in enumerate((10, 11, 10, 9, 11, 12, 8))]
    assert [mark.price_ticks for mark in marks.pick(trades)] == [10, 11, 9, 12, 8]
    marks.reset()
    assert [mark.price_ticks for mark in marks.pick(trades[:1])] == [10]


def test_latency_tells_percentiles() -> None:
    latency = Latency()
    assert latency.gauge() == {}
    for value in range(1, 101):
        latency.add(float(value))
    assert latency.gauge() == {"p50": 51.0, "p95": 96.0, "max": 100.0, "n": 100}


def test_without_a_position_source_receipts_carry_a_trade_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from live.commands import ClosePosition, PlaceBracket, RecordTrade
    from live.events import OrderAcked
    from pj.processes.engine import assumed as module

    monkeypatch.setattr(module, "REPEAT_S", 0.0)
    clock = StandingClock(0)
    engine = Engine(Params(), MNQ, Route.BROKER)
    engine.step(ModeChanged(Mode.LIVE))
    assumed = module.AssumedPosition(clock)
    trades: list[RecordTrade] = []
    exits: list[ClosePosition] = []
    for bar in walk(900, 480):
        clock.ns = bar.ts_ns + NS_PER_MIN
        commands = engine.step(BarClosed(bar))
        report = assumed.repeat()
        commands += engine.step(report) if report is not None else []
        for command in commands:
            if isinstance(command, PlaceBracket | ClosePosition):
                taken = OrderAcked(command.key, "b", clock.ns)
                assumed.note(taken, engine)
                assert assumed.due_exits() == []
                engine.step(taken)
                exits += [command] if isinstance(command, ClosePosition) else []
            elif isinstance(command, RecordTrade):
                trades.append(command)
        if trades:
            break
    assert exits[0].reason in {"TIME", "FLAT"}
    assert trades[0].trade.exit_reason == exits[0].reason
    assert engine.position is None
    assert not assumed.doubted


def test_no_line_is_written_before_the_bar_it_counts_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps what was synced; the system writes the rest back in any order it likes."""
    run_dir = RunDir(tmp_path, MNQ).create()
    book = DayBook(run_dir, run_dir.day(DAY), MNQ, StandingClock(LIVED[0].ts_ns))
    deeds: list[str] = []
    sync, append = CsvLog.sync, type(book.journal).append
    monkeypatch.setattr(CsvLog, "sync", lambda log: (deeds.append(f"sync {log.path.name}"), sync(log))[1])
    monkeypatch.setattr(
        type(book.journal), "append", lambda *words, **more: (deeds.append("line"), append(*words, **more))[1]
    )
    book.add_bar(LIVED[0])
    book.note("ALARM", {"code": "CATCHING_UP", "text": "x", "at_ns": 1})
    assert deeds == ["line"], "catching up does not wait for the disk each minute"
    book.bars_first = True
    book.note("ALARM", {"code": "LIVE", "text": "x", "at_ns": 1})
    book.note("ALARM", {"code": "LIVE", "text": "y", "at_ns": 1})
    book.add_bar(LIVED[1])
    book.note("ALARM", {"code": "LIVE", "text": "z", "at_ns": 1})
    assert deeds == ["line", "sync bars.csv", "line", "line", "sync bars.csv", "line"]
    book.close()
