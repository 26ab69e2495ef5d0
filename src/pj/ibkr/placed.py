"""Remember durably what was placed at the gateway: ``state/placed.jsonl``, synced before a byte leaves (docs/adr/0008).

From it come the three things a restarted bridge must know: which entries it may never place again, which orders at the
gateway are ours and what for, and the highest order id ever used, because a gateway may roll its own counter back.
Lines: PLACED (an order with the ids of its legs), ANSWER (what the engine was told), HIGH (ids used by older lines that
were dropped). Old lines go at the start of a process, never while it runs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from live.events import Leg
from live.market import NS_PER_S
from pj.channels.appender import AppendFile
from pj.channels.files import WriteFailed, open_append_fd, open_shared, replace_atomic, write_all
from pj.channels.jsonl import sealed, sealed_lines, unsealed
from pj.channels.orders import Answered, Asked
from pj.channels.rundir import RunDir

KEPT_NS: Final = 8 * 24 * 3600 * NS_PER_S
LOCK_WAIT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class PlacedLeg:
    """Name one order at the gateway: its id there, what it is for, and how it hangs together with others."""

    order_id: int
    leg: Leg
    parent_id: int = 0
    oca: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """Hold one placing; ``client_id`` owns the ids, ``day`` and ``seq`` name the row of orders.jsonl it answers."""

    key: str
    order: Asked
    contract: str
    client_id: int
    legs: tuple[PlacedLeg, ...]
    day: str
    seq: int
    ts_ns: int

    def leg(self, kind: Leg) -> PlacedLeg | None:
        """Return the leg of that kind."""
        return next((leg for leg in self.legs if leg.leg is kind), None)


@dataclass(slots=True)
class _Known:
    high: int = 0
    bad: list[int] = field(default_factory=list)
    cursor: tuple[str, int] = ("", 0)
    placed: list[Placed] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)


class PlacedLedger:
    """Hold the file open under its lock; ``damaged`` says why no entry may be placed on its word.

    Raises Locked when another bridge holds it, WriteFailed.
    """

    def __init__(self, run_dir: RunDir, now_ns: int) -> None:
        path = run_dir.state_folder / "placed.jsonl"
        known = _drop_old(path, now_ns)
        self.high = known.high
        self.cursor = known.cursor
        self.damaged = f"{path}, line {known.bad[0]}: damaged; see RUNBOOK" if known.bad else ""
        self._answers = known.answers
        self._entries = {placed.key: placed for placed in known.placed if placed.order is Asked.ENTRY}
        self._legs = {(one.client_id, leg.order_id): (one, leg) for one in known.placed for leg in one.legs}
        self._file = AppendFile(path, lock_wait_s=LOCK_WAIT_S)

    def entry(self, key: str) -> Placed | None:
        """Return the entry of that key if it was ever placed."""
        return self._entries.get(key)

    def answer(self, key: str) -> str:
        """Return the last answer given for ``key``, empty when there was none."""
        return self._answers.get(key, "")

    def unanswered(self) -> list[Placed]:
        """Return the entries that were placed and whose fate nobody was told yet."""
        return [placed for key, placed in self._entries.items() if key not in self._answers]

    def of(self, client_id: int, order_id: int) -> tuple[Placed, PlacedLeg] | None:
        """Return the placing that an order at the gateway belongs to, None when it is not ours."""
        return self._legs.get((client_id, order_id))

    def record(self, placed: Placed) -> None:
        """Put a placing on the disk itself; nothing may leave before this returns. Raises WriteFailed."""
        legs = [[leg.order_id, leg.leg.value, leg.parent_id, leg.oca] for leg in placed.legs]
        row = {
            "kind": "PLACED",
            "key": placed.key,
            "order": placed.order.value,
            "contract": placed.contract,
            "client_id": placed.client_id,
            "legs": legs,
            "day": placed.day,
            "seq": placed.seq,
            "ts_ns": placed.ts_ns,
        }
        self._file.append(sealed(row))
        self._file.sync()
        self.high = max([self.high, *(leg.order_id for leg in placed.legs)])
        if placed.order is Asked.ENTRY:
            self._entries[placed.key] = placed
        self._legs |= {(placed.client_id, leg.order_id): (placed, leg) for leg in placed.legs}

    def note_answer(self, key: str, answer: Answered, at: tuple[str, int], ts_ns: int) -> None:
        """Remember an answer; not synced, since a lost one is only given again. Raises WriteFailed."""
        self._answers[key] = answer.value
        row = {"kind": "ANSWER", "key": key, "answer": answer.value, "day": at[0], "seq": at[1], "ts_ns": ts_ns}
        self._file.append(sealed(row))

    def saw_id(self, order_id: int) -> None:
        """Keep above an id of ours that the gateway shows, should this file have been lost."""
        self.high = max(self.high, order_id)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def _read(lines: list[bytes]) -> _Known:
    known = _Known()
    for number, line in enumerate(lines, 1):
        try:
            row = unsealed(line)
            if row["kind"] == "HIGH":
                known.high = max(known.high, int(row["id"]))
                continue
            at = (str(row["day"]), int(row["seq"]))
            known.cursor = max(known.cursor, at)
            if row["kind"] == "ANSWER":
                known.answers[row["key"]] = Answered(row["answer"]).value
                continue
            legs = tuple(PlacedLeg(int(one[0]), Leg(one[1]), int(one[2]), str(one[3])) for one in row["legs"])
            head = (str(row["key"]), Asked(row["order"]), str(row["contract"]), int(row["client_id"]))
            known.placed.append(Placed(*head, legs, *at, int(row["ts_ns"])))
            known.high = max([known.high, *(leg.order_id for leg in legs)])
        except (ValueError, KeyError, TypeError, IndexError):
            known.bad.append(number)
    return known


def _drop_old(path: Path, now_ns: int) -> _Known:
    """Read the file and drop lines older than KEPT_NS, whose ids a HIGH line then stands for.

    No lock is held: our caller holds the tape's, so no other bridge writes (and Windows replaces no open file).
    """
    try:
        with open_shared(path) as file:
            data = file.read()
    except FileNotFoundError:
        return _Known()
    lines = sealed_lines(data)
    known = _read(lines)
    kept = [line for line in lines if not _older(line, now_ns - KEPT_NS)]
    if known.bad and not data.endswith(b"\n"):
        _keep_as_line(path)  # else it would be cut as unfinished, and the damage with it
    if len(kept) + 1 < len(lines) and not known.bad:
        body = b"".join(line + b"\n" for line in [sealed({"kind": "HIGH", "id": known.high}).rstrip(), *kept])
        replace_atomic(path, body, durable=True)
    return known


def _keep_as_line(path: Path) -> None:
    fd = open_append_fd(path)
    try:
        write_all(fd, b"\n")
    except OSError as error:
        raise WriteFailed(path, error) from error
    finally:
        os.close(fd)


def _older(line: bytes, limit_ns: int) -> bool:
    try:
        row = unsealed(line)
        return row["kind"] == "HIGH" or int(row["ts_ns"]) < limit_ns
    except (ValueError, KeyError, TypeError):
        return False
