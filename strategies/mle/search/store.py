"""Keep a search in a folder so that a kill at any moment loses one part at most, and read it back.

``manifest.json`` says what is searched, written first; ``trials/part-00000.parquet`` and its rows of ``daily.npy`` hold
a part's results; a part exists when its Parquet file is in place, which happens last. Nothing depends on when or how
often the search was interrupted, so that the finished folder has the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from strategies.mle.kernels.batch import O_DRAWDOWN, O_NET, O_TRADES, O_WINS
from strategies.mle.search.batches import Block
from strategies.mle.search.files import cannot_write, sync_folder, write_text, write_whole
from strategies.mle.search.plan import Plan
from strategies.mle.search.space import Axis, Hasher, SearchInputError, Space

FORM: Final = 1
MANIFEST: Final = "manifest.json"
SPACE: Final = "space.json"
DAILY: Final = "daily.npy"
TRIALS: Final = "trials"
_META: Final = b"pj_search"
_DIFFERS: Final = {
    "space": "the space",
    "tape_sha256": "the bars (or --from, --to, --front, --snap, --symbol)",
    "code": "the program",
    "part_rows": "the size of a part",
    "form": "the folder's format",
}


class Store:
    """Write the parts of one search into a folder; ``days`` are its trade dates (ordinals)."""

    def __init__(self, folder: Path, space: Space, plan: Plan, days: npt.NDArray[np.int32]) -> None:
        self.folder, self.space, self.plan, self.days = folder, space, plan, days
        self.keeps_daily = plan.rows * len(days) <= space.keep_daily_cells
        self._hasher = Hasher(space)
        self._head = _npy_head(plan.rows, len(days))

    def open(self, facts: Mapping[str, Any], *, resume: bool) -> set[int]:
        """Begin the folder, or with ``resume`` go on with it; return the parts that are already there.

        ``facts`` identify the search: ``tape_sha256``, ``code`` and where the bars came from. Raises SearchInputError
        for a folder that holds something else.
        """
        manifest = {
            "form": FORM,
            **facts,
            "space": hashlib.sha256(_json(self.space.to_dict()).encode()).hexdigest(),
            "part_rows": self.plan.part_rows,
            "parts": len(self.plan),
            "trials": self.plan.rows,
            "combinations": self.space.total,
            "dropped": self.plan.dropped,
            "keeps_daily": self.keeps_daily,
            "days": self.days.tolist(),
        }
        self._identity = _identity(manifest)
        path = self.folder / MANIFEST
        if not resume and _occupied(self.folder):
            raise SearchInputError(f"{self.folder} is not empty; give --resume to go on with it, or another folder")
        if path.is_file():
            _refuse_other(path, manifest)
        elif resume and _occupied(self.folder):
            raise SearchInputError(f"{self.folder} holds no search; give another folder")
        write_text(path, _json(manifest))
        write_text(self.folder / SPACE, _json(self.space.to_dict()))
        self._clear_leftovers()
        self._make_daily()
        return {part for part in range(len(self.plan)) if self._is_whole(part)}

    def write(self, part: int, block: Block) -> None:
        """Keep a part: its days first, then its Parquet file, synced.

        The days are synced by ``settle`` only: should a power cut take them, their hash in the part's file tells, and
        ``open`` has the part computed again.
        """
        told = hashlib.sha256(block.daily.tobytes()).hexdigest()
        if self.keeps_daily:
            path = self.folder / DAILY
            try:
                with path.open("rb+") as stream:
                    stream.seek(self._daily_at(part))
                    stream.write(block.daily.astype("<i4", copy=False).tobytes())
            except OSError as error:
                raise cannot_write(path, error) from error
        meta = {"part": part, "identity": self._identity, "daily_sha256": told}
        table = self._table(block).replace_schema_metadata({_META: _json(meta).encode()})
        write_whole(
            self._part(part),
            lambda temporary: pq.write_table(table, temporary, compression="zstd", row_group_size=len(table) or 1),
        )

    def settle(self) -> None:
        """Have all that was written on disk."""
        try:
            if self.keeps_daily:
                with (self.folder / DAILY).open("rb+") as stream:
                    os.fsync(stream.fileno())
            for folder in (self.folder / TRIALS, self.folder):
                sync_folder(folder)
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def outputs(self) -> list[str]:
        """Return the names of all files of the finished search."""
        names = [self._part(part).relative_to(self.folder).as_posix() for part in range(len(self.plan))]
        return [MANIFEST, SPACE, *([DAILY] if self.keeps_daily else []), *names]

    def _table(self, block: Block) -> pa.Table:
        columns: dict[str, Any] = {"trial": block.trials}
        for place, axis in enumerate(self.space.axes):
            columns[axis.name] = _values(axis, block.places[:, place])
        columns |= {
            "params_sha256": self._hasher.hashes(block.places),
            "trades": block.totals[:, O_TRADES],
            "wins": block.totals[:, O_WINS],
            "net_cents": block.totals[:, O_NET],
            "max_drawdown_cents": block.totals[:, O_DRAWDOWN],
            "sharpe": block.sharpe,
            "sum": block.sums[:, 0],
            "sum2": block.sums[:, 1],
            "sum3": block.high_sums[:, 0],
            "sum4": block.high_sums[:, 1],
        }
        return pa.table(columns)

    def _part(self, part: int) -> Path:
        return self.folder / TRIALS / f"part-{part:05d}.parquet"

    def _daily_at(self, part: int) -> int:
        return len(self._head) + 4 * self.plan.offset(part) * len(self.days)

    def _is_whole(self, part: int) -> bool:
        """Tell whether a part is in place and its days are what it says; another one is computed again."""
        path = self._part(part)
        if not path.is_file():
            return False
        try:
            with pq.ParquetFile(path) as file:
                meta = json.loads((file.schema_arrow.metadata or {}).get(_META, b"{}"))
        except (pa.ArrowException, OSError, ValueError):
            return False
        rows = self.plan.offset(part + 1) - self.plan.offset(part)
        if meta.get("identity") != self._identity or meta.get("part") != part:
            return False
        if not self.keeps_daily:
            return True
        with (self.folder / DAILY).open("rb") as stream:
            stream.seek(self._daily_at(part))
            held = stream.read(4 * rows * len(self.days))
        return hashlib.sha256(held).hexdigest() == str(meta["daily_sha256"])

    def _make_daily(self) -> None:
        path = self.folder / DAILY
        size = len(self._head) + 4 * self.plan.rows * len(self.days)
        if not self.keeps_daily or (path.is_file() and path.stat().st_size == size):
            return

        def fill(temporary: Path) -> None:
            with temporary.open("wb") as stream:
                stream.write(self._head)
                stream.truncate(size)

        write_whole(path, fill)

    def _clear_leftovers(self) -> None:
        """Remove the hidden files that a killed process was writing."""
        (self.folder / TRIALS).mkdir(exist_ok=True)
        for folder in (self.folder, self.folder / TRIALS):
            for name in (MANIFEST, SPACE, DAILY, "part-"):
                for path in folder.glob(f".{name}*"):
                    path.unlink()


def _occupied(folder: Path) -> bool:
    """Tell whether anything but hidden leftovers is in ``folder``; raise SearchInputError when it is no folder."""
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise SearchInputError(f"{folder} is not a folder; give another --out")
    return any(not path.name.startswith(".") for path in folder.iterdir())


def _refuse_other(path: Path, manifest: Mapping[str, Any]) -> None:
    try:
        held = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SearchInputError(f"{path} cannot be read ({error}); begin anew in another folder") from error
    for name, words in _DIFFERS.items():
        if held.get(name) != manifest[name]:
            raise SearchInputError(
                f"{path.parent} was begun with another search: {words} differs; begin anew in another folder"
            )


def _identity(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json({name: manifest[name] for name in _DIFFERS}).encode()).hexdigest()


def _values(axis: Axis, places: npt.NDArray[np.int64]) -> pa.Array:
    """Return whole numbers as such, text as it is, lists as JSON."""
    plain = [json.loads(text) for text in axis.texts]
    if all(isinstance(value, int) for value in plain):
        return pa.array(np.asarray(plain, np.int64)[places])
    words = [value if isinstance(value, str) else text for value, text in zip(plain, axis.texts, strict=True)]
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), pa.array(words))


def _npy_head(rows: int, days: int) -> bytes:
    """Return the head of a .npy file of so many rows of 32-bit days."""
    from io import BytesIO

    stream = BytesIO()
    form: Any = {"descr": "<i4", "fortran_order": False, "shape": (rows, days)}
    np.lib.format.write_array_header_1_0(stream, form)
    return stream.getvalue()


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, indent=1) + "\n"


def part_paths(folder: Path, parts: int) -> Iterator[Path]:
    """Yield the Parquet files of a finished search, in order."""
    for part in range(parts):
        yield folder / TRIALS / f"part-{part:05d}.parquet"
