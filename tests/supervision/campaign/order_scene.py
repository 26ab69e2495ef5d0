"""Watch an order's life from outside: the files that engine, bridge and webhook write, row by row as they appear.

A request is what reached the webhook (route traderspost) or what was handed to the bridge in orders.jsonl (ibkr).

The engine can be let run in slices of a fraction of a millisecond (SIGSTOP, look at the files, SIGCONT), so that a
kill falls between two of its writes although the product offers no hook for that.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from live.execution_bridge import key_of_ref

SLICE_S: Final = 0.0001
STOPPED: Final = {"T", "t"}


class Tail:
    """Return the whole lines appended to a file since the last look; an absent file has none yet."""

    def __init__(self, path: Path, *, from_end: bool) -> None:
        """Begin at the first line, or at the end as it stands now."""
        self._path = path
        self._at = path.stat().st_size if from_end and path.exists() else 0

    def lines(self) -> list[str]:
        """Return the new lines, oldest first."""
        try:
            if self._path.stat().st_size <= self._at:
                return []
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self._at += end
        return data[:end].decode().splitlines()


def leg_of(key: str) -> str:
    """Return ENTRY, EXIT or CANCEL of an order's key (EXIT2 is an EXIT)."""
    return key.rpartition(":")[2].rstrip("0123456789")


def stem_of(key: str) -> str:
    """Return what all legs of one signal share: pool and signal time."""
    return key.rpartition(":")[0]


@dataclass(slots=True)
class Life:
    """Hold what is known of one order: the facts in the order in which they were seen, with their real time (ns)."""

    stem: str
    side: int = 0
    facts: dict[str, int] = field(default_factory=dict)
    held_s: float = 0.0

    def has(self, *facts: str) -> bool:
        """Tell whether all of these are facts."""
        return all(fact in self.facts for fact in facts)

    def lacks(self, *facts: str) -> bool:
        """Tell whether none of these is a fact."""
        return not any(fact in self.facts for fact in facts)

    def note(self, fact: str, at_ns: int) -> None:
        """Keep the first time of a fact."""
        self.facts.setdefault(fact, at_ns)


class Scene:
    """Follow one demo's orders from the moment it is made; ``look`` reads what is new."""

    def __init__(self, folder: Path, day: str) -> None:
        """Follow the run folder's files of ``day``, from their ends."""
        self.lives: dict[str, Life] = {}
        self.bars = 0
        self.starts = 0
        self._account_head: list[str] = []
        self._journal = Tail(folder / day / "journal.jsonl", from_end=True)
        self._webhook = Tail(folder / "simulators" / "traderspost.jsonl", from_end=True)
        self._handed = Tail(folder / day / "orders.jsonl", from_end=True)
        self._placed = Tail(folder / "state" / "placed.jsonl", from_end=True)
        self._account = Tail(folder / day / "broker_events.csv", from_end=False)  # its head names the columns
        self._bars = Tail(folder / day / "bars.csv", from_end=True)
        self._trades = Tail(folder / day / "trades.csv", from_end=True)

    @property
    def newest(self) -> Life | None:
        """Return the order whose life began last."""
        return next(reversed(self.lives.values()), None)

    def look(self) -> None:
        """Read what was appended since the last look."""
        now_ns = time.time_ns()
        for text in self._webhook.lines():
            self._request(json.loads(text))
        for text in self._handed.lines():
            self._note(json.loads(text)["key"], "REQUEST", now_ns)
        for text in self._placed.lines():
            row = json.loads(text)
            if row["kind"] == "PLACED":
                self._note(row["key"], "PLACED", now_ns)
        for row in self._account_rows():
            if row["kind"] == "EXECUTION":
                self._fill("ACCOUNT", key_of_ref(row["order_ref"]), row["side"] == "BUY", now_ns)
            elif row["kind"] == "ANSWER":
                self._note(row["order_ref"], "ANSWER", now_ns)
        self.bars += len(self._bars.lines())
        for text in self._journal.lines():
            self._line(json.loads(text), now_ns)
        for text in self._trades.lines():
            for life in self._of_pool(text.split(",")[2]):
                life.note("BOOKED", now_ns)

    def _note(self, key: str, fact: str, at_ns: int) -> None:
        self._life(stem_of(key)).note(f"{fact} {leg_of(key)}", at_ns)

    def _life(self, stem: str) -> Life:
        return self.lives.setdefault(stem, Life(stem))

    def _of_pool(self, pool_id: str) -> list[Life]:
        return [life for life in self.lives.values() if life.stem.rpartition("@")[0] == pool_id]

    def _request(self, row: dict[str, Any]) -> None:
        if row["kind"] != "REQUEST" or not isinstance(row["body"], dict):
            return
        key = row["body"]["extras"]["key"]
        life = self._life(stem_of(key))
        kind, _, argument = row["fault"].partition(":")
        life.held_s = float(argument) if kind == "slow" else 0.0
        life.note(f"REQUEST {leg_of(key)}", row["real_ns"])
        if not kind or kind == "slow":
            life.note(f"ANSWER {leg_of(key)}", row["real_ns"] + int(life.held_s * 1e9))

    def _account_rows(self) -> Iterator[dict[str, str]]:
        lines = self._account.lines()
        if lines and not self._account_head:
            self._account_head = next(csv.reader([lines.pop(0)]))
        for cells in csv.reader(lines):
            yield dict(zip(self._account_head, cells, strict=True))

    def _fill(self, where: str, order_ref: str, bought: bool, at_ns: int) -> None:
        life = self.lives.get(stem_of(order_ref))
        if life is not None:
            opens = life.side == (1 if bought else -1)
            life.note(f"{where} {'ENTRY' if opens else 'EXIT'} FILL", at_ns)

    def _line(self, line: dict[str, Any], at_ns: int) -> None:
        kind, data = line["type"], line["data"]
        match kind:
            case "START":
                self.starts += 1
            case "SIGNAL" if data["mode"] == "LIVE":
                self._life(f"{data['pool']}@{data['ts']}").note("SIGNAL", at_ns)
            case "INTENT" | "SENT" | "ACKED" | "UNKNOWN" | "REFUSED":
                life = self._life(stem_of(data["key"]))
                life.note(f"{kind} {leg_of(data['key'])}", at_ns)
                life.side = data.get("side", life.side) if kind == "INTENT" else life.side
            case "ENTRY_CANCEL":
                for life in self._of_pool(data["trade"]):
                    life.note("CANCELLED", at_ns)
            case "EXECUTION":
                self._fill("JOURNAL", data["order_ref"], data["side"] > 0, at_ns)
            case "TRADE":
                for life in self._of_pool(data["pool_id"]):
                    life.note("TRADE", at_ns)
            case _:
                pass


@dataclass(slots=True)
class Victim:
    """Hold the process that is to be killed; it can be held still and let creep."""

    pid: int
    still: bool = False

    def stop(self) -> None:
        """Hold the process still and return when it is (or is dead)."""
        os.kill(self.pid, signal.SIGSTOP)
        self.still = True
        while state_of(self.pid) not in STOPPED | {"Z", "X", ""}:
            time.sleep(0)

    def go(self) -> None:
        """Let it run."""
        if self.still:
            os.kill(self.pid, signal.SIGCONT)
            self.still = False

    def creep(self, scene: Scene, reached: Callable[[], object], limit_s: float, slice_s: float = SLICE_S) -> bool:
        """Run it in slices until ``reached`` is true while it stands still; tell whether that happened in time."""
        deadline = time.monotonic() + limit_s
        while True:
            self.stop()
            scene.look()
            if reached():
                return True
            self.go()
            if time.monotonic() > deadline:
                return False
            until = time.perf_counter() + slice_s
            while time.perf_counter() < until:
                pass


def state_of(pid: int) -> str:
    """Return the kernel's letter for a process's state, empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return "" if Path("/proc/self/stat").exists() else _state_elsewhere(pid)


def _state_elsewhere(pid: int) -> str:
    try:
        return {"stopped": "T", "zombie": "Z"}.get(psutil.Process(pid).status(), "R")
    except psutil.NoSuchProcess:
        return ""
