"""Load the IB client library that the configuration names, and check the hook we lean on.

ib_insync and ib_async share one surface; they also share a module folder (``eventkit``), so an
environment holds one of them. The import happens inside a running event loop: ib_insync asks
for the current loop at import and Python 3.14 no longer makes one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from pj.ibkr.errors import LibraryUnusable

PREFERENCE: Final = ("ib_async", "ib_insync")
_HOOK_PROBE: Final = ["58", "1", "-77", "1"]


def choose_library(choice: str) -> str:
    """Return the module name for ``choice`` (auto|ib_insync|ib_async).

    ``auto`` prefers ib_async when it is installed. Raises LibraryUnusable when the chosen one is not there.
    """
    names = PREFERENCE if choice == "auto" else (choice,)
    for name in names:
        if importlib.util.find_spec(name) is not None:
            return name
    raise LibraryUnusable(
        f"ibkr.library is {choice} but {' and '.join(names)} cannot be imported; install it or change the key"
    )


def load_library(choice: str) -> Any:
    """Import and return the library module; call it inside a running loop.

    Its connection and error messages are not logged twice: the adapter hands them on as events and exceptions.
    """
    with _without_numpy():
        module = importlib.import_module(choose_library(choice))
    for part in ("client", "wrapper", "ib"):
        logging.getLogger(f"{module.__name__}.{part}").setLevel(logging.CRITICAL)
    return module


class _NumpyOnDemand(ModuleType):
    """Stand for numpy until somebody uses it: eventkit names it for array operators that the bridge has no use for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get("numpy") is self:
            del sys.modules["numpy"]
        return getattr(importlib.import_module("numpy"), name)


@contextlib.contextmanager
def _without_numpy() -> Iterator[None]:
    """Spare the bridge numpy, 13 MB and up to 100 ms of every start; whoever imports it later gets the real one."""
    if "numpy" in sys.modules:
        yield
        return
    stand_in = sys.modules["numpy"] = _NumpyOnDemand("numpy")
    try:
        yield
    finally:
        if sys.modules.get("numpy") is stand_in:
            del sys.modules["numpy"]


def library_version(module: Any) -> str:
    """Return ``name version`` as the module states it."""
    return f"{module.__name__} {getattr(module, '__version__', '?')}"


def check_decoder_hook(ib: Any, msg_ids: tuple[int, ...], name: str) -> None:
    """Prove that a wrapped decoder handler is called, so that capture cannot fail silently.

    ``client.decoder.handlers`` is private to the libraries (tws.md section 4): a version that
    moved it must stop the bridge at start, not lose ticks. Raises LibraryUnusable.
    """
    handlers = getattr(getattr(ib.client, "decoder", None), "handlers", None)
    if not isinstance(handlers, dict):
        raise LibraryUnusable(f"{name} has no decoder.handlers table; install ib_insync 0.9.86 or ib_async 2.1.0")
    missing = [msg_id for msg_id in msg_ids if not callable(handlers.get(msg_id))]
    if missing:
        raise LibraryUnusable(
            f"{name} has no decoder for messages {missing}; install ib_insync 0.9.86 or ib_async 2.1.0"
        )
    seen: list[list[str]] = []
    original = handlers[58]
    handlers[58] = seen.append
    try:
        ib.client.decoder.interpret(list(_HOOK_PROBE))
    finally:
        handlers[58] = original
    if seen != [_HOOK_PROBE]:
        raise LibraryUnusable(
            f"{name} does not call the decoder table it shows; install ib_insync 0.9.86 or ib_async 2.1.0"
        )
