"""Count every look at a holdout: one line of JSON per look, appended and synced before the holdout is opened.

A second look at the same held-out dates with other parameters is one more trial, whoever takes it; the same parameters
again are the look that was recorded. Looks count for a tape when they saw that tape (by its hash), or held-out dates
of the same symbol that overlap (a tape with one bar less is the same market).

Lines are chained by hash, so that an altered or missing line in the middle is named. A last line torn by a dead writer
is not a look: the holdout is opened only after the line is on the disk. The writers of several processes wait for each
other by the operating system's lock, which falls with its holder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from strategies.mle.bar_file import BacktestInputError

DEFAULT_LEDGER: Final = Path("runs") / "looks.jsonl"
_FIRST: Final = "0" * 64
_WAIT_S: Final = 30.0
_STEP_S: Final = 0.02

if sys.platform == "win32":
    import msvcrt

    _LOCK_OFFSET: Final = 0x7FFF_FFFF_FFFF_0000

    def _try_lock(fd: int) -> bool:
        os.lseek(fd, _LOCK_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(fd: int) -> None:
        os.lseek(fd, _LOCK_OFFSET, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


@dataclass(frozen=True, slots=True)
class Look:
    """Name one look at a holdout: hashes of parameters, tape and search, the symbol and the held-out dates.

    ``number`` counts the looks that this tape had with this one, ``params`` are the parameters in the names of pj1 S13
    (so that a later audit can rebuild the trial), ``trials`` how many the search behind it tried (1: a backtest).
    """

    params_sha256: str
    tape_sha256: str
    search_sha256: str
    symbol: str
    hold_from: str
    hold_to: str
    params: Mapping[str, Any] = field(default_factory=dict)
    trials: int = 1
    number: int = 0

    def counts_for(self, other: Look) -> bool:
        """Tell whether this look saw what ``other`` looks at."""
        overlap = self.hold_from <= other.hold_to and other.hold_from <= self.hold_to
        return self.tape_sha256 == other.tape_sha256 or (self.symbol == other.symbol and overlap)


@dataclass(frozen=True, slots=True)
class Opened:
    """Hold a recorded look, the looks of other parameters before it, and how many there are by now.

    ``behind`` are all lines before its own that count for it, also of the same parameters by way of another search.
    """

    look: Look
    repeated: bool
    earlier: tuple[Look, ...]
    total: int
    behind: tuple[Look, ...]

    @property
    def earlier_trials(self) -> int:
        """Return how many trials stand behind the earlier looks.

        A search counts with all its trials, once; the judged one not again; a backtest of other parameters is one.
        """
        searches = {one.search_sha256: one.trials for one in self.behind if one.search_sha256}
        searches.pop(self.look.search_sha256, None)
        alone = {one.params_sha256 for one in self.behind if not one.search_sha256} - {self.look.params_sha256}
        return len(alone) + sum(searches.values())


class Ledger:
    """Hold the looks of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def looks(self) -> list[Look]:
        """Return all recorded looks in order; raises BacktestInputError naming an altered line."""
        return [_look_of(row) for row in self._rows()]

    def record(self, wanted: Look) -> Opened:
        """Record ``wanted`` durably, or find it recorded, and return it with the earlier looks of other parameters.

        Raises BacktestInputError when the file cannot be written, is held by another writer for 30 s or was altered.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        except OSError as error:
            raise BacktestInputError(f"the ledger {self.path} cannot be written ({error.strerror})") from error
        try:
            with _locked(fd, self.path):
                return self._record(fd, wanted)
        except OSError as error:
            raise BacktestInputError(f"the ledger {self.path} cannot be written ({error.strerror})") from error
        finally:
            os.close(fd)

    def _record(self, fd: int, wanted: Look) -> Opened:
        rows = self._rows()
        looks = [_look_of(row) for row in rows]
        # The same parameters by way of another search are no new look, but their line tells of that search's trials.
        kin = [place for place, one in enumerate(looks) if _frozen(one) == _frozen(wanted)]
        own = [place for place in kin if looks[place].search_sha256 == wanted.search_sha256]
        earlier = _others(looks[: kin[0]] if kin else looks, wanted)
        total = 1 + len(_others(looks, wanted))
        if own:
            return Opened(looks[own[0]], True, earlier, total, _counting(looks[: own[0]], wanted))
        look = Look(**(_fields(wanted) | {"number": 1 + len(earlier)}))
        prev = str(rows[-1]["hash"]) if rows else _FIRST
        row = {**_fields(look), "prev": prev}
        text = _canonical({**row, "hash": _digest(row)}) + "\n"
        torn = self.path.stat().st_size > 0 and not self.path.read_bytes().endswith(b"\n")
        _write_all(fd, (("\n" if torn else "") + text).encode())
        os.fsync(fd)
        return Opened(look, bool(kin), earlier, total, _counting(looks, wanted))

    def _rows(self) -> list[dict[str, Any]]:
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BacktestInputError(f"the ledger {self.path} cannot be read ({error.strerror})") from error
        rows: list[dict[str, Any]] = []
        before = _FIRST
        for number, line in enumerate(raw.split(b"\n")[:-1], start=1):
            row = _parsed(line)
            if row is None:
                continue  # torn by a dead writer; whoever cut out a real line breaks the chain of the next
            body = {name: value for name, value in row.items() if name != "hash"}
            if row.get("prev") != before or row.get("hash") != _digest(body):
                raise BacktestInputError(
                    f"the ledger {self.path} was altered before or in line {number}; restore it from a copy"
                )
            before = str(row["hash"])
            rows.append(row)
        return rows


def _others(looks: list[Look], wanted: Look) -> tuple[Look, ...]:
    """Return the first look of every other parameter hash that counts for ``wanted``."""
    found = {one.params_sha256: one for one in reversed(looks) if one.counts_for(wanted)}
    found.pop(wanted.params_sha256, None)
    return tuple(sorted(found.values(), key=looks.index))


def _counting(looks: list[Look], wanted: Look) -> tuple[Look, ...]:
    return tuple(one for one in looks if one.counts_for(wanted))


def _frozen(look: Look) -> tuple[str, str]:
    return look.params_sha256, look.tape_sha256


def _fields(look: Look) -> dict[str, Any]:
    return asdict(look) | {"params": dict(look.params)}


def _look_of(row: Mapping[str, Any]) -> Look:
    return Look(**{name: value for name, value in row.items() if name not in {"prev", "hash"}})


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _canonical(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, separators=(",", ":"))


def _digest(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(row).encode()).hexdigest()


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@contextlib.contextmanager
def _locked(fd: int, path: Path) -> Iterator[None]:
    give_up = time.monotonic() + _WAIT_S
    while not _try_lock(fd):
        if time.monotonic() > give_up:
            raise BacktestInputError(f"the ledger {path} is held by another writer; wait for it and start again")
        time.sleep(_STEP_S)
    try:
        yield
    finally:
        _unlock(fd)
