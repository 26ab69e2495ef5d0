"""Read a finished search: its trials column by column, its daily matrix, the parameters of a trial."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from live.params import Params
from strategies.mle.registry import RUN_FILE
from strategies.mle.search.space import SearchInputError, Space
from strategies.mle.search.store import DAILY, MANIFEST, SPACE, part_paths

__all__ = ["SearchResult", "TrialColumns", "open_search", "read_search"]


class TrialColumns(Mapping[str, "npt.NDArray[Any]"]):
    """Give the columns of all trials, read when asked for; text columns are arrays of str."""

    def __init__(self, paths: list[Path], names: list[str]) -> None:
        self._paths, self._names = paths, names
        self._read: dict[str, npt.NDArray[Any]] = {}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            parts = [pq.read_table(path, columns=[name]).column(0) for path in self._paths]
            plain = [pa.concat_arrays(part.chunks) if part.num_chunks != 1 else part.chunk(0) for part in parts]
            self._read[name] = np.concatenate([_numpy(part) for part in plain])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class SearchResult:
    """Hold a finished search; row j of every column and column j of ``daily`` belong to the same trial."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest

    @cached_property
    def space(self) -> Space:
        """Return the space that was searched."""
        return Space.from_dict(_read(self.folder / SPACE))

    @cached_property
    def trials(self) -> TrialColumns:
        """Return the trials' columns: trial, searched parameters, params_sha256, trades, wins, net_cents and so on."""
        paths = list(part_paths(self.folder, int(self.manifest["parts"])))
        return TrialColumns(paths, pq.read_schema(paths[0]).names)

    def each_part(self, *names: str) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
        """Yield the named columns part by part, for searches larger than memory."""
        for path in part_paths(self.folder, int(self.manifest["parts"])):
            yield TrialColumns([path], list(names))

    def __len__(self) -> int:
        return int(self.manifest["trials"])

    @property
    def days(self) -> npt.NDArray[np.int32]:
        """Return the trade dates (ordinals), one per row of ``daily``."""
        return np.asarray(self.manifest["days"], np.int32)

    def daily(self) -> npt.NDArray[np.int32] | None:
        """Return net cents per trade date (rows) and trial (columns), mapped from disk; None when not kept."""
        if not self.manifest["keeps_daily"]:
            return None
        mapped: npt.NDArray[np.int32] = np.load(self.folder / DAILY, mmap_mode="r")
        return mapped.T

    @property
    def tape_path(self) -> Path:
        """Return the file of bars as it was given."""
        return Path(self.manifest["bars"]["path"])

    @property
    def tape_sha256(self) -> str:
        """Return the hash of the tape (``strategies.mle.tape.Tape.sha256``)."""
        return str(self.manifest["tape_sha256"])

    @property
    def bars(self) -> Mapping[str, Any]:
        """Return how the tape was read: path, symbol, from, to, front, snap."""
        found: Mapping[str, Any] = self.manifest["bars"]
        return found

    def params_of(self, trial: int) -> Params:
        """Return the parameters of a trial number; raise SearchInputError for one that was not tried."""
        return self.space.params_of(trial)

    def best(self, by: Literal["sharpe", "net"] = "sharpe") -> int:
        """Return the trial with the largest value, the lowest number of equals."""
        values = self.trials[{"sharpe": "sharpe", "net": "net_cents"}[by]]
        if np.isnan(values).all():
            raise SearchInputError(f"{self.folder}: no trial has a {by}")
        return int(self.trials["trial"][int(np.nanargmax(values))])


def open_search(folder: Path) -> SearchResult:
    """Return a finished search; raise SearchInputError when ``folder`` holds none or an unfinished one."""
    found = read_search(folder)
    if not (Path(folder) / RUN_FILE).is_file():
        raise SearchInputError(f"the search in {folder} is not finished; go on with it: pj search ... --resume")
    return found


def read_search(folder: Path) -> SearchResult:
    """Return a search all of whose parts are stored, registered or not; raise SearchInputError."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise SearchInputError(f"{folder} holds no search ({MANIFEST} is missing); name the --out folder of pj search")
    return SearchResult(Path(folder), _read(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SearchInputError(f"{path} cannot be read ({error}); search again") from error
    return found


def _numpy(array: pa.Array) -> npt.NDArray[Any]:
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return np.asarray(array.to_numpy(zero_copy_only=False))
