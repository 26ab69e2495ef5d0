"""A simulated Sheets server over real HTTP and a run folder written by the real writers."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from live.market import INSTRUMENTS, Bar, TickKind
from pj.channels import formats
from pj.channels.csvlog import CsvLog
from pj.channels.logs import EventLog, open_log
from pj.channels.rundir import RunDir
from pj.channels.tape import TapeWriter
from pj.clock import ScaledClock
from pj.config import Sheets
from pj.sheets.client import SheetsApi
from pj.sheets.rows import cell_text
from pj.sheets.scribe import Scribe
from pj.simulators.sheets_auth import TokenDesk, make_credentials
from pj.simulators.sheets_book import Workbook
from pj.simulators.sheets_http import SheetsServer, serve_in_thread, stop
from pj.simulators.sheets_service import SheetsService

KEY = "AUDIT"
MNQ = INSTRUMENTS["MNQ"]
DAY = date(2026, 4, 15)
T0 = 1_776_254_400_000_000_000  # 2026-04-15 12:00 UTC


@dataclass
class Feed:
    """Write a run folder as bridge and engine do."""

    run_dir: RunDir
    seed: int = 7
    day: date = DAY
    ticks: list[tuple[str, str]] = field(default_factory=list)
    bars: int = 0
    events: int = 0
    now_ns: int = T0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self._tape: TapeWriter | None = None

    def trades(self, count: int, *, quotes: bool = True) -> None:
        if self._tape is None:
            self._tape = TapeWriter(self.run_dir.day(self.day).create().market, MNQ)
        for _ in range(count):
            self.now_ns += self.dice.randrange(1, 400_000_000)
            price = MNQ.to_points(100_000 + self.dice.randrange(-400, 400))
            size = self.dice.randrange(1, 30)
            if quotes and self.dice.random() < 0.5:
                self._tape.add(self.now_ns, TickKind.QUOTE, "", "", price, price, None, "MKT", "MNQM6")
            if self.dice.random() < 0.05:
                self._tape.cross_edges(self.now_ns, "TBT")
            self._tape.add(self.now_ns, TickKind.TRADE, price, size, price, "", self.now_ns, "TBT", "MNQM6")
            self.ticks.append((price, str(size)))
        self._tape.gap(self.now_ns, self.now_ns + 1, "FEED")
        self._tape.flush()

    def bar(self, count: int = 1) -> None:
        prices = formats.PriceText(MNQ)
        with CsvLog(self.run_dir.day(self.day).create().bars, formats.BAR_COLUMNS) as log:
            for _ in range(count):
                bar = Bar(T0 + self.bars * 60_000_000_000, 100_001, 100_009, 99_990, 100_002, 17, "MNQM6", ticks=4)
                log.append(formats.bar_row(bar, prices))
                self.bars += 1

    def event(self, kind: str, /, **data: Any) -> None:
        path = self.run_dir.day(self.day).create().journal
        self.events += 1
        line = {"seq": self.events, "ts_ns": T0 + self.events, "type": kind, "data": data, "prev": "0", "hash": "1"}
        with path.open("a") as out:
            out.write(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n")

    def turn(self, day: date) -> None:
        if self._tape is not None:
            self._tape.close()
        self._tape, self.day = None, day

    def close(self) -> None:
        if self._tape is not None:
            self._tape.close()


@dataclass
class Sim:
    """Hold the server; ``call`` reaches its doors for tests."""

    server: SheetsServer
    service: SheetsService
    credentials: Path

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.base + path, data=data), timeout=10) as answer:
            return json.loads(answer.read())

    def fault(self, kind: str, **more: Any) -> None:
        self.call("/_fault", {"kind": kind, **more})

    def tab(self, title: str) -> list[list[Any]]:
        sheet = self.service.book.by_title(title)
        return [] if sheet is None else [list(row) for row in sheet.rows]

    def ticks(self) -> list[tuple[str, str]]:
        return [(cell_text(row[3]), cell_text(row[4])) for row in self.tab("RawTicks")[1:]]


@pytest.fixture
def make_sim(tmp_path: Path) -> Iterator[Callable[..., Sim]]:
    made: list[Sim] = []

    def make(speed: float = 600.0, **options: Any) -> Sim:
        server = SheetsServer(0)
        credentials = tmp_path / "service_account.json"
        uri = f"http://127.0.0.1:{server.port}/token"
        desk = TokenDesk(make_credentials(credentials, uri), uri)
        clock = ScaledClock(T0, time.time_ns(), speed)
        server.service = SheetsService(Workbook(KEY, **options), desk, clock)
        serve_in_thread(server)
        made.append(Sim(server, server.service, credentials))
        return made[-1]

    yield make
    for sim in made:
        stop(sim.server)


@pytest.fixture
def sim(make_sim: Callable[..., Sim]) -> Sim:
    return make_sim()


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    made = Feed(RunDir(tmp_path / "run", MNQ).create())
    yield made
    made.close()


@dataclass
class Copying:
    """Run a Scribe in a thread, as its process does."""

    scribe: Scribe
    thread: threading.Thread
    errors: list[BaseException]
    log: EventLog

    def wait(self, what: Callable[[], bool], limit_s: float = 20.0) -> None:
        end = time.monotonic() + limit_s
        while not what():
            if self.errors:
                raise self.errors[0]
            assert time.monotonic() < end, self.scribe.gauges()
            time.sleep(0.01)

    def stop(self, within_s: float = 10.0) -> None:
        self.scribe.stop(within_s)
        self.thread.join(within_s + 5)
        assert not self.thread.is_alive()
        self.scribe.api.close()
        self.log.close()
        if self.errors:
            raise self.errors[0]

    def abandon(self) -> None:
        """End without draining, as a stop in the middle of an outage does."""
        self.stop(0.001)


@pytest.fixture
def copy(sim: Sim, feed: Feed) -> Iterator[Callable[..., Copying]]:
    made: list[Copying] = []

    def start(**options: Any) -> Copying:
        settings = Sheets(spreadsheet_id=KEY, min_flush_real_s=0.02, verify_s=60.0, **options)
        api = SheetsApi(sim.credentials, KEY, sim.base, (2.0, 1.0))
        log = open_log(feed.run_dir.root, "scribe", libraries=False)
        scribe = Scribe(api, feed.run_dir, settings, sim.service.clock, log)
        errors: list[BaseException] = []

        def work() -> None:
            try:
                scribe.run()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        made.append(Copying(scribe, thread, errors, log))
        return made[-1]

    yield start
    for copying in made:
        copying.scribe.stop(0.001)
        copying.thread.join(10)
        copying.scribe.api.close()
        copying.log.close()
