"""Cut a space into parts: which trials are tried, in what order they are stored, and where each part's rows begin.

Rows stand in ascending trial number. The cut depends on the space, the number of trade dates and the size of a part
alone, so that an interrupted search goes on with the same parts.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from strategies.mle.search.space import Space

Ints = npt.NDArray[np.int64]

PART_ROWS: Final = 8192
_PART_CELLS: Final = 16_000_000
_LEAST_ROWS: Final = 64


def rows_of_part(days: int, most: int = PART_ROWS) -> int:
    """Return how many trials one part may hold so that its daily cells stay bounded."""
    return max(1, min(most, max(_LEAST_ROWS, _PART_CELLS // max(1, days))))


class Plan:
    """Hold the parts of a search; ``part_rows`` is the number of trial numbers that one part covers at most."""

    def __init__(self, space: Space, part_rows: int) -> None:
        self.space = space
        self.part_rows = part_rows
        self._sample = _drawn(space) if space.sample is not None and space.sample < space.valid else None
        self._covered = space.total if self._sample is None else len(self._sample)

    def __len__(self) -> int:
        return (self._covered + self.part_rows - 1) // self.part_rows

    @property
    def rows(self) -> int:
        """Return the number of trials of the whole search."""
        return int(self._offsets[-1])

    @property
    def dropped(self) -> int:
        """Return how many combinations of the product a constraint dropped."""
        return self.space.total - self.space.valid

    def trials(self, part: int) -> Ints:
        """Return the trial numbers of a part, ascending."""
        begin, end = part * self.part_rows, min((part + 1) * self.part_rows, self._covered)
        if self._sample is not None:
            return self._sample[begin:end]
        trials = np.arange(begin, end, dtype=np.int64)
        if self.space.valid == self.space.total:
            return trials
        return trials[self.space.allowed(self.space.places(trials))]

    def offset(self, part: int) -> int:
        """Return the row at which a part begins."""
        return int(self._offsets[part])

    @cached_property
    def _offsets(self) -> Ints:
        if self._sample is not None or self.space.valid == self.space.total:
            return np.minimum(np.arange(len(self) + 1, dtype=np.int64) * self.part_rows, self._covered)
        counts = [len(self.trials(part)) for part in range(len(self))]
        return np.cumsum([0, *counts], dtype=np.int64)


def _drawn(space: Space) -> Ints:
    """Return ``sample`` different allowed trial numbers, ascending, from the seed alone (SHA-256 as the die)."""
    wanted = space.sample or 0
    kept: set[int] = set()
    tried = 0
    while len(kept) < wanted:
        numbers = np.asarray([_throw(space, tried + step) for step in range(wanted)], np.int64)
        tried += wanted
        for trial in numbers[space.allowed(space.places(numbers))].tolist():
            if len(kept) < wanted:
                kept.add(trial)
    return np.asarray(sorted(kept), np.int64)


def _throw(space: Space, step: int) -> int:
    digest = hashlib.sha256(f"{space.seed}:{step}".encode()).digest()
    return int.from_bytes(digest[:16], "big") % space.total
