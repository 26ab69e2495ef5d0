"""Choose where a search computes: this machine's processors, its GPU, or a Dask cluster; the results are the same."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Final, Protocol

import numpy as np

from strategies.mle.search.batches import Block, Searcher, rows_of
from strategies.mle.search.plan import Plan
from strategies.mle.search.space import SearchInputError, Space
from strategies.mle.tape import Tape

DASK: Final = "dask://"


class Backend(Protocol):
    """Compute parts somewhere; ``name`` says where, as run.json shows it."""

    name: str

    def blocks(self, plan: Plan, parts: list[int]) -> Generator[tuple[int, Block], None, None]:
        """Yield each part with its results, in any order."""


class LocalBackend:
    """Compute on this machine, one part ahead, so that storing does not hold up computing."""

    def __init__(self, searcher: Searcher, name: str) -> None:
        self.name = name
        self._searcher = searcher

    def blocks(self, plan: Plan, parts: list[int]) -> Generator[tuple[int, Block], None, None]:
        """Yield each part with its results, in order."""
        many = self._searcher.parts_at_once(plan.part_rows)
        groups = [parts[place : place + many] for place in range(0, len(parts), many)]
        with ThreadPoolExecutor(1) as ahead:
            waiting = [ahead.submit(self._together, plan, group) for group in groups[:1]]
            for place in range(len(groups)):
                found = waiting.pop().result()
                if place + 1 < len(groups):
                    waiting.append(ahead.submit(self._together, plan, groups[place + 1]))
                yield from found

    def _together(self, plan: Plan, parts: list[int]) -> list[tuple[int, Block]]:
        trials = [plan.trials(part) for part in parts]
        block = self._searcher.block(np.concatenate(trials))
        ends = np.cumsum([0, *map(len, trials)]).tolist()
        return [(part, rows_of(block, begin, end)) for part, (begin, end) in zip(parts, pairwise(ends), strict=True)]


@contextmanager
def chosen_backend(
    text: str, space: Space, tape: Tape, threads: int | None, say: Callable[[str], object]
) -> Iterator[Backend]:
    """Give the backend named cpu, cuda or dask://HOST:PORT; without a GPU cuda says so and is cpu.

    Raises SearchInputError for any other name, SearchUnavailable when no scheduler answers.
    """
    if text == "cpu":
        yield LocalBackend(Searcher(space, tape, threads), "cpu")
    elif text == "cuda":
        yield _gpu(space, tape, threads, say)
    elif text.startswith(DASK):
        from strategies.mle.search.cluster import ClusterBackend

        cluster = ClusterBackend(text.removeprefix(DASK), space, tape)
        try:
            yield cluster
        finally:
            cluster.close()
    else:
        raise SearchInputError(f"unknown backend {text!r}; give cpu, cuda or {DASK}HOST:PORT")


def _gpu(space: Space, tape: Tape, threads: int | None, say: Callable[[str], object]) -> Backend:
    from strategies.mle.search import cuda

    if not cuda.is_available():
        say("no CUDA GPU here (numba finds no driver or device): the search runs on the processors, with equal results")
        return LocalBackend(Searcher(space, tape, threads), "cpu")
    say(f"GPU: {cuda.device_name()}")
    return LocalBackend(cuda.CudaSearcher(space, tape, threads), "cuda")
