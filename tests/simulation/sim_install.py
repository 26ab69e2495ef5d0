"""Put the simulated clock, disk, wire and threads under the product's modules for the time of one run.

Only names inside the product's modules are exchanged, never the interpreter's own ``time`` or ``os``; everything is put
back when the run ends.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import requests
from sim_bridge import OrdersNotifier
from sim_disk import SimOs, SimPath
from sim_time import SimTime
from sim_webhook import Session

from pj.brokers import dispatcher as dispatcher_module
from pj.brokers import traderspost as traderspost_module
from pj.brokers.secret_url import SecretUrl
from pj.channels import files as files_module
from pj.channels import wake as wake_module
from pj.ibkr import order_inbox
from pj.ibkr.position_truth import PositionTruth
from pj.processes import run_live_engine
from pj.processes.engine import shell as shell_module
from pj.processes.engine.assumed import AssumedPosition
from pj.processes.engine.handed import HandedOver
from pj.processes.engine.manual import ManualPosition

if TYPE_CHECKING:
    from sim_time import Batons
    from sim_world import World

PATCHED_OS = ("pj.channels", "pj.processes", "pj.ibkr.account", "pj.ibkr.placed")
ABSENT = object()
LOGGERS = ("pj", "pj.bridge", "pj.bridge.orders")
BEAT_NS = 30_000_000_000
REAL_TIME, REAL_OS = sys.modules["time"], sys.modules["os"]
REAL_MONOTONIC = time.monotonic


class Wake:
    """Stand for the wake-up of file notifications; the world goes on while the engine waits."""

    def __init__(self, world: World) -> None:
        self._world = world

    def wait(self, timeout: float) -> bool:
        return self._world.wait(timeout)

    def set(self) -> None:
        self._world.woken = True

    def close(self) -> None:
        return None


class Notifier:
    """Stand for the notifier of one engine process."""

    world: World

    def wake(self, _names: object = None) -> Wake:
        return Wake(self.world)

    def watch(self, _folder: object) -> bool:
        return True

    def close(self) -> None:
        return None


class Log:
    """Take the engine's log lines into the run's own."""

    def __init__(self, world: World) -> None:
        self._world = world

    def event(self, event: str, /, **fields: object) -> None:
        self._world.log(f"engine {event} " + " ".join(f"{name}={value}" for name, value in fields.items()))

    warning = error = event

    def close(self) -> None:
        return None


class Installation:
    """Exchange the names while the ``with`` block lasts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._undo: list[tuple[Any, str, Any]] = []
        self.wishes: list[Callable[[Callable[..., None]], None]] = []

    def patch(self, owner: ModuleType | type | object, name: str, value: object) -> None:
        """Exchange one name until the end of the run."""
        self._undo.append((owner, name, getattr(owner, name, ABSENT)))
        setattr(owner, name, value)

    def threads(self, batons: Batons) -> None:
        """Give the dispatcher of the next engine process its threads and queues."""
        self.patch(dispatcher_module, "queue", batons.queue)
        self.patch(dispatcher_module, "threading", batons.threading)

    def __enter__(self) -> Self:
        world = self._world
        sim_os = SimOs(world.disk, Environment(world))
        sim_time = SimTime(world.scheduler, world.clock, world.sleep)
        Notifier.world = world
        for name in LOGGERS:
            logging.getLogger(name).disabled = True
        for module in [module for name, module in sorted(sys.modules.items()) if name.startswith("pj.")]:
            if getattr(module, "time", None) is REAL_TIME:
                self.patch(module, "time", sim_time)
            if getattr(module, "os", None) is REAL_OS and module.__name__.startswith(PATCHED_OS):
                self.patch(module, "os", sim_os)
            if getattr(module, "monotonic", None) is REAL_MONOTONIC:
                self.patch(module, "monotonic", sim_time.monotonic)
            for name, stand_in in (("fsync_file", world.disk.sync), ("fsync_dir", self._sync_folder)):
                if hasattr(module, name):
                    self.patch(module, name, stand_in)
        self.patch(files_module, "_try_lock", sim_os.try_lock)
        self.patch(files_module, "_unlock", sim_os.unlock)
        self.patch(shell_module, "Notifier", Notifier)
        self.patch(run_live_engine, "Shell", partial(shell_of, world))
        self.patch(run_live_engine, "_stop_on_signals", lambda _shell: None)
        self.patch(run_live_engine, "sys", Quiet())
        for timed in (AssumedPosition, ManualPosition, HandedOver, PositionTruth):
            self.patch(timed.__init__, "__defaults__", (sim_time.monotonic,))
        self.patch(wake_module, "Notifier", OrdersNotifier)
        self.patch(order_inbox, "POLL_S", 10.0)  # it is told of each change; the poll is only the fallback
        self.patch(SecretUrl, "guard_logs", lambda _self: None)
        self.patch(traderspost_module, "requests", Requests(world))
        self.patch(traderspost_module, "stamped_adapter", lambda outgoing: setattr(world, "outgoing", outgoing))
        for plant in self.wishes:
            plant(self.patch)
        return self

    def __exit__(self, *_exc: object) -> None:
        for owner, name, value in reversed(self._undo):
            if value is ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
        for name in LOGGERS:
            logging.getLogger(name).disabled = False

    def _sync_folder(self, folder: SimPath) -> None:
        self._world.disk.sync_folder(str(folder))


class Quiet:
    """Stand for ``sys`` where a process says why it ends."""

    stderr = io.StringIO()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


def shell_of(world: World, *args: Any) -> shell_module.Shell:
    made = shell_module.Shell(*args)
    world.shell = made
    made.stats._every_ns = BEAT_NS  # nobody reads it here, and a beat costs more than a turn
    if world.stopping:
        made.request_stop()
    return made


class Environment(dict[str, str]):
    """Give each engine process the instance it was granted the fence for."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def get(self, name: str, default: Any = None) -> Any:
        return self._world.instance if name == "PJ_INSTANCE" else default


class Requests:
    """Stand for the HTTP library in the adapter's module."""

    RequestException = requests.RequestException
    Timeout, ConnectTimeout, ConnectionError = requests.Timeout, requests.ConnectTimeout, requests.ConnectionError
    exceptions = requests.exceptions
    Response = requests.Response

    def __init__(self, world: World) -> None:
        self._world = world

    def Session(self) -> Session:
        world = self._world
        wire = (world.webhook, world.scheduler, world.sleep, world.instance, world.point)
        return Session(*wire, lambda: world.outgoing)
