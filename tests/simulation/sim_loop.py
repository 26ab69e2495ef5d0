"""Be an asyncio event loop whose time is the simulation's: it runs what is ready, then asks to be called again."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import Callable
from typing import Any

from sim_time import S, Scheduler


class _NoSelector:
    def select(self, _timeout: float | None) -> list[Any]:
        return []


class SimLoop(asyncio.BaseEventLoop):
    """Run callbacks at the moments of the scheduler's heap; ``around`` wraps each run, ``after`` follows it."""

    def __init__(self, scheduler: Scheduler, around: Callable[[], Any], after: Callable[[], None]) -> None:
        super().__init__()
        self._selector = _NoSelector()
        self._scheduler, self._around, self._after = scheduler, around, after
        self._due_ns = 0
        self._begin_ns = scheduler.now  # small numbers: a double cannot hold the ns of an epoch
        self._clock_resolution = 1e-6
        self._over = False
        self.spawned: list[asyncio.Task[Any]] = []
        self.set_exception_handler(lambda _loop, _context: None)  # ``fault`` tells it

    def time(self) -> float:
        return (self._scheduler.now - self._begin_ns) / 1e9

    def _process_events(self, _event_list: object) -> None:
        return None

    def _write_to_self(self) -> None:
        return None

    def spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        """Start a task and let it run up to its first wait."""
        task = self.create_task(coroutine)
        self.spawned.append(task)
        self.pump()
        return task

    def call(self, deed: Callable[[], None]) -> None:
        """Do something inside the loop and let all that is ready run."""
        self.call_soon(deed)
        self.pump()

    def pump(self) -> None:
        """Run until nothing is ready, then be due when the next timer is."""
        if self._over or events._get_running_loop() is not None:
            return
        with self._around():
            self._spin()
        self._after()
        if self._scheduled and not self._over:
            when_ns = self._begin_ns + int(self._scheduled[0]._when * S) + 1
            self._due_ns = when_ns
            self._scheduler.at(when_ns, lambda: self._timer(when_ns))

    def fault(self) -> BaseException | None:
        """Return what ended one of the spawned tasks, None while all is well; a cancelled one is well."""
        done = [task for task in self.spawned if task.done() and not task.cancelled()]
        return next((error for task in done if (error := task.exception()) is not None), None)

    def _timer(self, when_ns: int) -> None:
        if when_ns == self._due_ns:
            self.pump()

    def _spin(self) -> None:
        events._set_running_loop(self)
        try:
            self._run_once()
            while self._ready:
                self._run_once()
        finally:
            events._set_running_loop(None)

    def end(self) -> None:
        """Cancel everything as the death of the process would: nothing is done any more, but nothing hangs either."""
        self._over = True
        with self._around():
            for _ in range(3):
                for task in asyncio.all_tasks(self):
                    task.cancel()
                self._spin()
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False
        self.close()
