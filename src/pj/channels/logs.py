"""Write one log file per process: one line per event, UTC, ``key=value``, rotated by size.

``2026-11-20T14:31:00.123Z INFO RESTART name=engine reason="exit 1" old_pid=812 new_pid=840 ms=61``
"""

from __future__ import annotations

import json
import logging
import sys
import time
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

MAX_BYTES: Final = 10_000_000
KEEP: Final = 5
_BARE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/+%,#@")


def field_text(value: object) -> str:
    """Return one value as log text: bare when it has no space or quote, else as a JSON string on one line."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value)
    return text if text and _BARE.issuperset(text) else json.dumps(text, ensure_ascii=False)


def event_text(event: str, fields: dict[str, object]) -> str:
    """Return ``EVENT key=value ...`` as one line; None values are left out."""
    return " ".join([event, *(f"{key}={field_text(value)}" for key, value in fields.items() if value is not None)])


class _Lines(logging.Formatter):
    """Stamp UTC milliseconds and keep every record on one line."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text} traceback={json.dumps(self.formatException(record.exc_info))}"
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{stamp}.{int(record.msecs):03d}Z {record.levelname} {text}".replace("\n", "\\n")


class _Rotating(RotatingFileHandler):
    """Rotate by size; where a reader's open handle forbids the rename (Windows), write on instead of losing lines."""

    def doRollover(self) -> None:  # noqa: N802 - the name is the library's
        try:
            super().doRollover()
        except OSError:
            if self.stream is None:
                self.stream = self._open()


class EventLog:
    """Write events of one process to its log file."""

    def __init__(self, logger: logging.Logger) -> None:
        """Wrap ``logger``, whose handlers are already set."""
        self._logger = logger

    def event(self, event: str, /, **fields: object) -> None:
        """Write one INFO line ``EVENT key=value ...``."""
        self._logger.info("%s", event_text(event, fields))

    def warning(self, event: str, /, **fields: object) -> None:
        """Write one WARNING line."""
        self._logger.warning("%s", event_text(event, fields))

    def error(self, event: str, /, **fields: object) -> None:
        """Write one ERROR line."""
        self._logger.error("%s", event_text(event, fields))

    def close(self) -> None:
        """Close the file; the log is not used after that."""
        for handler in list(self._logger.handlers):
            self._logger.removeHandler(handler)
            logging.getLogger().removeHandler(handler)
            handler.close()


def open_log(run_dir: Path, name: str, *, libraries: bool = True, max_bytes: int = MAX_BYTES) -> EventLog:
    """Open ``run_dir/logs/<name>.log`` for appending and return its writer.

    On a console the lines are shown there too (a process window on Windows). With ``libraries`` the warnings of vendor
    libraries go to the same file, and so does the traceback of an exception that nobody caught. Raises OSError.
    """
    path = run_dir / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [_Rotating(path, maxBytes=max_bytes, backupCount=KEEP, encoding="utf-8")]
    if sys.platform == "win32" and sys.stderr is not None and sys.stderr.isatty():
        never_pause_console()
        handlers.append(logging.StreamHandler())
    logger = logging.getLogger(f"pj.{name}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in handlers:
        handler.setFormatter(_Lines())
        logger.addHandler(handler)
    if libraries:
        logging.getLogger().addHandler(handlers[0])
        logging.captureWarnings(capture=True)
        _log_uncaught(logger)
    return EventLog(logger)


if sys.platform == "win32":

    def never_pause_console() -> None:
        """Switch off QuickEdit: a mouse click into the window would otherwise block the process at its next line."""
        import ctypes

        quick_edit, extended, standard_input = 0x0040, 0x0080, -10
        kernel32 = ctypes.WinDLL("kernel32")
        kernel32.GetStdHandle.restype = ctypes.c_void_p
        handle, mode = ctypes.c_void_p(kernel32.GetStdHandle(standard_input)), ctypes.c_ulong()
        if kernel32.GetConsoleMode(handle, ctypes.byref(mode)):
            kernel32.SetConsoleMode(handle, ctypes.c_ulong((mode.value & ~quick_edit) | extended))


def _log_uncaught(logger: logging.Logger) -> None:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            logger.critical("%s", event_text("CRASH", {"error": repr(error)}), exc_info=(kind, error, trace))
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = hook
