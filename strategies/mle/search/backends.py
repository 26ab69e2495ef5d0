"""Choose where a search computes: this machine's processors, its GPU, or a Dask cluster; the results are the same."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, Protocol

from strategies.mle.search.batches import Block, Searcher
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
        with ThreadPoolExecutor(1) as ahead:
            waiting = [ahead.submit(self._searcher.block, plan.trials(part)) for part in parts[:1]]
            for place, part in enumerate(parts):
                block = waiting.pop().result()
                if place + 1 < len(parts):
                    waiting.append(ahead.submit(self._searcher.block, plan.trials(parts[place + 1])))
                yield part, block


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
