"""Search on many machines through a Dask scheduler: one task per part, each computed again if its worker dies.

Workers need this very package installed; each task is refused by a worker whose program differs. Dask sends pickled
code and data unencrypted unless its own TLS is set up: use it on a network you trust.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Generator, Mapping
from concurrent.futures import CancelledError
from io import BytesIO
from typing import Any, Final

import distributed as distributed_
import numpy as np

from strategies.mle.registry import code_version
from strategies.mle.search.batches import Block, Searcher
from strategies.mle.search.plan import Plan
from strategies.mle.search.space import SearchInputError, Space
from strategies.mle.search.unavailable import SearchUnavailable
from strategies.mle.tape import Tape

distributed: Final[Any] = distributed_
_WAIT_S: Final = 10
_ARRAYS: Final = ("ts_s", "open", "high", "low", "close", "minute", "ordinal", "contract")
_ADDRESS: Final = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
_open: dict[str, tuple[Plan, Searcher]] = {}
_lock = threading.Lock()


class ClusterBackend:
    """Compute parts on the workers of a Dask scheduler; ``address`` is HOST:PORT."""

    def __init__(self, address: str, space: Space, tape: Tape) -> None:
        self.name = f"dask://{address}"
        self._space, self._tape = space, tape
        self._client = _connected(address)

    def close(self) -> None:
        """Leave the scheduler; tasks under way are dropped."""
        self._client.close()

    def blocks(self, plan: Plan, parts: list[int]) -> Generator[tuple[int, Block], None, None]:
        """Yield each part with its results, as they come; raises SearchUnavailable when the cluster goes away."""
        client = self._client
        code = code_version()["sources_sha256"]
        task = {"space": self._space.to_dict(), "part_rows": plan.part_rows, "code": code, "key": self._tape.sha256}
        left = iter(parts)
        try:
            # A task of its own and no scattered data: Dask can make it again when the worker that holds it dies.
            tape = client.submit(bytes, _packed(self._tape), key=f"pj-tape-{self._tape.sha256}")

            def submit(part: int) -> Any:
                return client.submit(compute_part, tape, task, part, pure=False)

            ahead = 2 * sum(client.nthreads().values()) + 1
            first = [submit(part) for _, part in zip(range(ahead), left, strict=False)]
            running = distributed.as_completed(first, loop=client.loop)
            for future in running:
                part, block = future.result()
                future.release()
                following = next(left, None)
                if following is not None:
                    running.add(submit(following))
                yield part, block
        except (distributed.KilledWorker, CancelledError, OSError, TimeoutError) as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SearchUnavailable(
                f"{self.name} went away ({why}); what is stored stays, go on with it by --resume"
            ) from error


def compute_part(packed: bytes, task: Mapping[str, Any], part: int) -> tuple[int, Block]:
    """Compute one part on a worker; the opened tape is kept for the next one. Raises SearchInputError."""
    own = code_version()["sources_sha256"]
    if own != task["code"]:
        raise SearchInputError(
            f"a worker runs another version of the program ({own[:12]}, here {task['code'][:12]}); install the same"
        )
    key = f"{task['key']} {task['part_rows']} {task['space']}"
    with _lock:
        if key not in _open:
            _open.clear()
            space = Space.from_dict(task["space"])
            # The worker's own threads are the parallelism: one part keeps one of them busy.
            _open[key] = (Plan(space, task["part_rows"]), Searcher(space, _unpacked(packed), threads=1))
        plan, searcher = _open[key]
    return part, searcher.block(plan.trials(part))


def _connected(address: str) -> Any:
    for name in ["distributed", *logging.root.manager.loggerDict]:
        if name.partition(".")[0] == "distributed":  # some of them have a level of their own, so that none is inherited
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if not _ADDRESS.fullmatch(address):
        raise SearchInputError(f"dask://{address} is not an address; give dask://HOST:PORT, e.g. dask://127.0.0.1:8786")
    try:
        client = distributed.Client(f"tcp://{address}", timeout=_WAIT_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise SearchUnavailable(
            f"no Dask scheduler answers at {address} within {_WAIT_S} s; start one with dask scheduler, or correct it"
        ) from error
    try:
        client.wait_for_workers(1, timeout=_WAIT_S)
    except (OSError, TimeoutError) as error:
        client.close()
        raise SearchUnavailable(
            f"the Dask scheduler at {address} has no worker; start one with dask worker {address}"
        ) from error
    return client


def _packed(tape: Tape) -> bytes:
    stream = BytesIO()
    np.savez_compressed(stream, names=np.asarray(tape.names, np.str_), **{n: getattr(tape, n) for n in _ARRAYS})
    return stream.getvalue()


def _unpacked(packed: bytes) -> Tape:
    with np.load(BytesIO(packed)) as arrays:
        columns: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
        return Tape(**columns, names=tuple(arrays["names"].tolist()))
