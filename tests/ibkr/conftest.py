"""Run the real simulated gateway and the real bridge as processes over a small tape of our own."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NS = 1_000_000_000
MIN_NS = 60 * NS
DAY = "2026-04-15"
START = datetime(2026, 4, 15, 12, 0, tzinfo=UTC)  # 08:00 ET
START_NS = int(START.timestamp()) * NS
CONTRACT = "MNQM6"
SEED = 20260415
Row = dict[str, str]


def rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ib_async_path() -> str:
    """Return the folder that holds ib_async (its own, since it and ib_insync share a module folder), or empty."""
    named = os.environ.get("PJ_IB_ASYNC_PATH", "")
    folder = Path(named) if named else ROOT / ".venv" / "ib_async"
    return str(folder) if (folder / "ib_async").is_dir() else ""


@pytest.fixture(params=["ib_insync", "ib_async"])
def library(request: pytest.FixtureRequest) -> str:
    """Return each library in turn; skip ib_async where it is not installed."""
    name = str(request.param)
    if name == "ib_async" and not ib_async_path():
        pytest.skip("ib_async is not installed: set PJ_IB_ASYNC_PATH or run scripts/pj.py, which fills .venv/ib_async")
    return name


@pytest.fixture(scope="session")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a tape of 1-minute bars: two evening hours of the day before, and 07:00 to 09:00 ET of the day."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    print(f"tape seed {SEED}")
    rng = random.Random(SEED)
    table: dict[str, list[Any]] = {name: [] for name in ("ts", "contract", "open", "high", "low", "close", "volume")}
    close = 100_000  # ticks
    for begin in (START - timedelta(hours=20), START - timedelta(hours=1)):
        for minute in range(120):
            prices = [close]
            for _ in range(6):
                prices.append(prices[-1] + rng.randint(-8, 8))
            close = prices[-1]
            cells = (prices[0], max(prices), min(prices), close)
            table["ts"].append(begin + timedelta(minutes=minute))
            table["contract"].append(CONTRACT)
            for name, ticks in zip(("open", "high", "low", "close"), cells, strict=True):
                table[name].append(ticks * 0.25)
            table["volume"].append(rng.randint(5, 400))
    path = tmp_path_factory.mktemp("tape") / "small.parquet"
    pq.write_table(pa.table(table), path)
    return path


def source_bars(tape: Path) -> list[Row]:
    """Return the tape's bars as history.csv writes them."""
    import pyarrow.parquet as pq

    bars = []
    for row in pq.read_table(tape).to_pylist():
        prices = {name: f"{row[name]:.2f}".rstrip("0").rstrip(".") for name in ("open", "high", "low", "close")}
        bars.append({"ts": row["ts"].strftime("%Y-%m-%dT%H:%M:%SZ"), **prices, "volume": str(row["volume"])})
    return bars


@dataclass
class Rig:
    """Start and stop the two processes of one run; ends whatever still lives."""

    run_dir: Path
    tape: Path
    port: int
    speed: float
    library: str = "ib_insync"
    begin_in_s: float = 4.0
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        start_ns = time.time_ns() + int(self.begin_in_s * NS)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PJ_")},
            "PJ_CLOCK_ORIGIN_NS": str(START_NS),
            "PJ_CLOCK_START_NS": str(start_ns),
            "PJ_CLOCK_SPEED": repr(self.speed),
            "PJ__IBKR__PORT": str(self.port),
            "PJ__IBKR__LIBRARY": self.library,
            "PJ__IBKR__PROBE_S": "0.5",
            "PJ__IBKR__PROBE_TIMEOUT_S": "0.5",
            "PJ__RUN_DIR": str(self.run_dir),
        }
        if self.library == "ib_async":
            self.env["PYTHONPATH"] = os.pathsep.join(filter(None, (ib_async_path(), os.environ.get("PYTHONPATH"))))

    def gateway(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "pj.simulators.gateway", "--port", str(self.port), "--tape"]
        command += [str(self.tape), "--date", DAY, "--from", "08:00", "--to", "08:59", "--run-dir", str(self.run_dir)]
        own = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        gateway = self._start([*command, *options], own, stdout=subprocess.PIPE)
        assert gateway.stdout is not None
        line = gateway.stdout.readline()
        assert line.startswith("READY gateway"), line
        return gateway

    def bridge(self, **env: str) -> subprocess.Popen[str]:
        return self._start([sys.executable, "-P", "-m", "pj.processes.ibkr_bridge"], env, stderr=subprocess.PIPE)

    def _start(self, command: list[str], env: dict[str, str], **pipes: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, env={**self.env, **env}, cwd=self.run_dir, text=True, **pipes)  # type: ignore[call-overload]
        self.processes.append(process)
        return process  # type: ignore[no-any-return]

    def stats(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.run_dir / "state" / "bridge.stats.json").read_text()))
        except FileNotFoundError:
            return {}

    def wait(self, what: str, done: Callable[[], bool], timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for {what}; stats {self.stats()}"
            time.sleep(0.05)

    def wait_gauge(self, name: str, value: object, timeout_s: float = 20.0) -> None:
        self.wait(f"{name} = {value}", lambda: self.stats().get(name) == value, timeout_s)

    def wait_virtual(self, minutes: float) -> None:
        """Return when the run's clock is so many minutes past the start."""
        start_ns = int(self.env["PJ_CLOCK_START_NS"])
        wall_ns = start_ns + int(minutes * MIN_NS / self.speed)
        time.sleep(max(0, wall_ns - time.time_ns()) / NS)

    def stop(self, process: subprocess.Popen[str]) -> int:
        process.send_signal(signal.SIGTERM if sys.platform != "win32" else signal.SIGINT)
        return process.wait(6)

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(5)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def day(self, name: str) -> list[Row]:
        return rows(self.run_dir / DAY / name)

    def ledger(self, kind: str) -> list[Row]:
        return [row for row in rows(self.run_dir / "simulators" / "gateway_ledger.csv") if row["kind"] == kind]


@pytest.fixture
def rig(run_dir: Path, tape: Path, free_port: int) -> Iterator[Callable[..., Rig]]:
    """Return a maker of rigs in one run folder, all ended at the end."""
    made: list[Rig] = []

    def make(speed: float = 60.0, **settings: Any) -> Rig:
        made.append(Rig(run_dir, tape, free_port, speed, **settings))
        return made[-1]

    yield make
    for each in made:
        each.end()
