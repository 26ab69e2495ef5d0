"""Be time: a heap of things to come, a clock that may step and drift, and the sender's thread under a baton.

The engine runs in the main thread; whenever it waits, the world goes on inside that wait. The dispatcher's thread is a
real thread of which only one, it or the main one, ever runs: it gets the baton at a moment of the heap and gives it
back where the product would block. So the product's own sending code runs unchanged and every run is the same run.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from sim_disk import Crash

S = 1_000_000_000


class Scheduler:
    """Hold true time in ns and what happens when; ``now`` never goes back."""

    def __init__(self, start_ns: int) -> None:
        self.now = start_ns
        self.steps = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when_ns: int, act: Callable[[], None]) -> None:
        """Let ``act`` happen at ``when_ns`` (now, when that is past)."""
        self._count += 1
        heapq.heappush(self._heap, (max(when_ns, self.now), self._count, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Let ``act`` happen after so many seconds."""
        self.at(self.now + int(seconds * S), act)

    def next_ns(self) -> int | None:
        """Return when the next thing happens."""
        return self._heap[0][0] if self._heap else None

    def run(self, until_ns: int, stop: Callable[[], bool]) -> None:
        """Let everything up to ``until_ns`` happen, or until ``stop()`` holds after something did."""
        heap = self._heap
        while heap and heap[0][0] <= until_ns:
            when_ns, _, act = heapq.heappop(heap)
            self.now = max(self.now, when_ns)
            self.steps += 1
            act()
            if stop():
                return
        self.now = max(self.now, until_ns)


class SimClock:
    """Be the product's clock port: true time, plus what steps and drift did to the machine's clock."""

    speed = 1.0

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._offset_ns = 0
        self._drift_ppm = 0
        self._since_ns = scheduler.now

    def now_ns(self) -> int:
        """Return the machine's wall clock."""
        true = self._scheduler.now
        return true + self._offset_ns + (true - self._since_ns) * self._drift_ppm // 1_000_000

    def monotonic_ns(self) -> int:
        """Return true time."""
        return self._scheduler.now

    def real_s_until(self, run_ns: int) -> float:
        """Return the seconds until the wall clock shows ``run_ns``."""
        return max(0, run_ns - self.now_ns()) / 1e9

    def step(self, seconds: float) -> None:
        """Let somebody set the clock."""
        self._offset_ns += int(seconds * S)

    def drift(self, ppm: int) -> None:
        """Let the clock run faster or slower from now on."""
        self._offset_ns = self.now_ns() - self._scheduler.now
        self._since_ns, self._drift_ppm = self._scheduler.now, ppm


class SimTime:
    """Answer for the ``time`` module in the product's modules."""

    def __init__(self, scheduler: Scheduler, clock: SimClock, sleep: Callable[[float], None]) -> None:
        self._scheduler, self._clock = scheduler, clock
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def monotonic(self) -> float:
        return self._scheduler.now / 1e9

    def monotonic_ns(self) -> int:
        return self._scheduler.now

    def time_ns(self) -> int:
        return self._clock.now_ns()

    def time(self) -> float:
        return self._clock.now_ns() / 1e9


class Batons:
    """Make the stand-ins for ``threading`` and ``queue`` of one engine process, and run its threads by turns."""

    def __init__(self, scheduler: Scheduler, owner: str, acting: Callable[[str], Any]) -> None:
        self.scheduler, self.owner, self.acting = scheduler, owner, acting
        self.threads: list[SimThread] = []
        self.crashed = False
        self.fault: BaseException | None = None

    def thread(self, target: Callable[[], None], name: str = "", daemon: bool = True) -> SimThread:
        """Stand for ``threading.Thread``."""
        made = SimThread(self, target)
        self.threads.append(made)
        return made

    def current(self) -> SimThread | None:
        """Return the thread that holds the baton, None for the main one."""
        ident = threading.get_ident()
        return next((thread for thread in self.threads if thread.ident == ident), None)

    def kill(self) -> None:
        """End all threads: each gets the baton once more and finds itself dead."""
        self.crashed = True
        for thread in self.threads:
            thread.end()

    @property
    def threading(self) -> Any:
        """Return the stand-in for the threading module."""
        batons = self

        class Module:
            Thread = staticmethod(batons.thread)

            @staticmethod
            def Event() -> SimEvent:
                return SimEvent(batons)

        return Module

    @property
    def queue(self) -> Any:
        """Return the stand-in for the queue module."""
        batons = self

        class SimpleQueue:
            """Stand for ``queue.SimpleQueue``; ``get`` gives the baton back until there is something."""

            def __init__(self) -> None:
                self._items: deque[Any] = deque()

            def __class_getitem__(cls, _item: Any) -> Any:
                return cls

            def put(self, item: Any) -> None:
                self._items.append(item)
                for thread in batons.threads:
                    thread.nudge()

            def get(self) -> Any:
                while not self._items:
                    batons.block(None)
                return self._items.popleft()

        class Module:
            Empty = queue.Empty

        Module.SimpleQueue = SimpleQueue  # type: ignore[attr-defined]
        return Module

    def block(self, until_ns: int | None) -> None:
        """Give the baton back until ``until_ns``, or until nudged when None; only a thread of ours may call it."""
        thread = self.current()
        if thread is None:
            raise RuntimeError("the main thread of the engine would block for ever")
        thread.pause(until_ns)


class SimEvent:
    """Stand for ``threading.Event`` in a process whose threads run by turns."""

    def __init__(self, batons: Batons) -> None:
        self._batons = batons
        self._set = False

    def set(self) -> None:
        self._set = True
        for thread in self._batons.threads:
            thread.nudge()

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        scheduler = self._batons.scheduler
        until = None if timeout is None else scheduler.now + int(timeout * S)
        while not self._set and (until is None or scheduler.now < until):
            self._batons.block(until)
        return self._set


class SimThread:
    """Run one function in a real thread that moves only while it holds the baton."""

    def __init__(self, batons: Batons, target: Callable[[], None]) -> None:
        self._batons = batons
        self._target = target
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._real = threading.Thread(target=self._main, daemon=True)
        self._started = self._done = False
        self._turn = 0
        self.ident = 0

    def start(self) -> None:
        """Let it begin at the next moment."""
        self._started = True
        self._real.start()
        self.nudge()

    def is_alive(self) -> bool:
        return self._started and not self._done

    def join(self, timeout: float | None = None) -> None:
        """Let the world go on until the thread is done or the time is over."""
        scheduler = self._batons.scheduler
        until = scheduler.now + int((timeout or 0) * S)
        while self.is_alive() and scheduler.now < until:
            ahead = scheduler.next_ns()
            if ahead is None:
                break
            scheduler.run(min(until, ahead), lambda: self._done or self._batons.crashed)
            if self._batons.crashed:
                raise Crash(self._batons.owner)

    def nudge(self, until_ns: int | None = None) -> None:
        """Give it the baton at ``until_ns`` (at once when None), unless it has run since."""
        turn = self._turn
        scheduler = self._batons.scheduler
        scheduler.at(scheduler.now if until_ns is None else until_ns, lambda: self._resume(turn))

    def end(self) -> None:
        """Give it the baton for the last time; ``crashed`` is set, so it raises Crash where it stands."""
        if self.is_alive():
            self._hand_over()

    def pause(self, until_ns: int | None) -> None:
        """Give the baton back and return when it comes again."""
        self._turn += 1
        if until_ns is not None:
            self.nudge(until_ns)
        self._back.release()
        self._go.acquire()
        if self._batons.crashed:
            raise Crash(self._batons.owner)

    def _resume(self, turn: int) -> None:
        if turn == self._turn and self.is_alive() and not self._batons.crashed:
            self._hand_over()

    def _hand_over(self) -> None:
        with self._batons.acting(self._batons.owner):
            self._go.release()
            self._back.acquire()

    def _main(self) -> None:
        self.ident = threading.get_ident()
        self._go.acquire()
        try:
            if not self._batons.crashed:
                self._target()
        except Crash:
            self._batons.crashed = True
        except BaseException as error:  # a thread of the product died: the run must know
            self._batons.fault = error
        finally:
            self._done = True
            self._back.release()
