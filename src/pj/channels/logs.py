"""Write one log per process: one line per event, UTC, ``key=value``, rotated by size and age, without secrets.

``2026-11-20T14:31:00.123Z INFO RESTART name=engine reason="exit 1" old_pid=812 new_pid=840 ms=61``

Whatever else is logged in the process (vendor libraries, warnings, exceptions that nobody caught) becomes such a line.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from typing import TYPE_CHECKING, Final

from pj.channels.log_files import KEEP, KEEP_DAYS, MAX_BYTES, LogFile
from pj.channels.log_text import event_text, field_text, stamp_text
from pj.channels.redact import exception_text, learn_environment, print_uncaught

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

__all__ = ["KEEP", "KEEP_DAYS", "MAX_BYTES", "EventLog", "event_text", "field_text", "never_pause_console", "open_log"]

#: ``log.warning("STALL from_ns=%d text=%r", ...)``: an event written with the library's own means.
_TEMPLATE: Final = re.compile(r"[A-Z][A-Z0-9_]*(?: \w+=%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z])*", re.ASCII)
_PLACE: Final = re.compile(r" (\w+)=(%\S+)")


class _Event:
    """Carry an event through the logging library as it is; the text is made when the line is written."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, object]) -> None:
        self.name = name
        self.fields = fields

    def __str__(self) -> str:
        return event_text(self.name, self.fields)


def _event_of(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    """Return a record of any origin as event and fields; free text becomes ``LOG logger=... text=...``."""
    if isinstance(record.msg, _Event):
        return record.msg.name, dict(record.msg.fields)
    if isinstance(record.msg, str) and _TEMPLATE.fullmatch(record.msg) and isinstance(record.args, tuple):
        places = _PLACE.findall(record.msg)
        if len(places) == len(record.args):
            values = [arg if form == "%r" else form % arg for (_, form), arg in zip(places, record.args, strict=True)]
            return record.msg.split(" ", 1)[0], dict(zip((key for key, _ in places), values, strict=True))
    return "LOG", {"logger": record.name, "text": record.getMessage()}


class _Lines(logging.Formatter):
    """Make one line of every record."""

    def format(self, record: logging.LogRecord) -> str:
        event, fields = _event_of(record)
        if record.exc_info and record.exc_info[1] is not None:
            fields["traceback"] = exception_text(record.exc_info[1], record.exc_info[2])
        if record.stack_info:
            fields["stack"] = record.stack_info
        level = record.levelname.upper().replace(" ", "")
        return f"{stamp_text(record.created)} {level} {event_text(event, fields)}"


class _FileHandler(logging.Handler):
    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a library's record with wrong arguments must not end the process
            what = {"logger": record.name, "text": str(record.msg), "error": repr(error)}
            line = f"{stamp_text(record.created)} {record.levelname} {event_text('LOG_MALFORMED', what)}"
        try:
            self._file.write(line)
        except OSError as error:  # the disk is full: trading has its own guard for that; the line goes where it can
            if sys.stderr is not None:
                sys.stderr.write(f"{line} {event_text('LOG_UNWRITTEN', {'error': str(error)})}\n")

    def close(self) -> None:
        self._file.close()
        super().close()


class EventLog:
    """Write events of one process to its log file."""

    def __init__(self, logger: logging.Logger, restore: Callable[[], None] | None = None) -> None:
        """Wrap ``logger``, whose handlers are already set; ``restore`` undoes what was done to the process."""
        self._logger = logger
        self._restore = restore

    def event(self, event: str, /, **fields: object) -> None:
        """Write one INFO line ``EVENT key=value ...``."""
        self._logger.info(_Event(event, fields))

    def warning(self, event: str, /, **fields: object) -> None:
        """Write one WARNING line."""
        self._logger.warning(_Event(event, fields))

    def error(self, event: str, /, **fields: object) -> None:
        """Write one ERROR line."""
        self._logger.error(_Event(event, fields))

    def close(self) -> None:
        """Close the file; the log is not used after that."""
        for handler in list(self._logger.handlers):
            self._logger.removeHandler(handler)
            logging.getLogger().removeHandler(handler)
            handler.close()
        if self._restore is not None:
            self._restore()
            self._restore = None


def open_log(
    run_dir: Path,
    name: str,
    *,
    libraries: bool = True,
    max_bytes: int = MAX_BYTES,
    keep: int = KEEP,
    keep_days: int = KEEP_DAYS,
) -> EventLog:
    """Open ``run_dir/logs/<name>.log`` for appending and return its writer.

    On a console the lines are shown there too (a process window on Windows). With ``libraries`` the warnings of vendor
    libraries go to the same file, and so does the traceback of an exception that nobody caught. At most ``keep``
    rotated files stay, none older than ``keep_days``. Raises OSError.
    """
    learn_environment(os.environ)
    file = LogFile(run_dir / "logs" / f"{name}.log", max_bytes=max_bytes, keep=keep, keep_days=keep_days)
    handlers: list[logging.Handler] = [_FileHandler(file)]
    if sys.platform == "win32" and sys.stderr is not None and sys.stderr.isatty():
        never_pause_console()
        handlers.append(logging.StreamHandler())
    logger = logging.getLogger(f"pj.{name}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in handlers:
        handler.setFormatter(_Lines())
        logger.addHandler(handler)
    if not libraries:
        return EventLog(logger)
    logging.getLogger().addHandler(handlers[0])
    logging.captureWarnings(capture=True)
    return EventLog(logger, _log_uncaught(logger))


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


def _log_uncaught(logger: logging.Logger) -> Callable[[], None]:
    """Log what nobody caught: in the main thread, in others, and where Python can only mention it; print it too.

    Return what gives the process its former hooks back.
    """

    def crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None, **where: object) -> None:
        event = _Event("CRASH", {"error": repr(error), **where})
        logger.critical(event, exc_info=(kind, error, trace))
        print_uncaught(kind, error, trace)

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print_uncaught(kind, error, trace)
        else:
            crash(kind, error, trace)

    def thread_hook(found: threading.ExceptHookArgs) -> None:
        if found.exc_value is not None and not issubclass(found.exc_type, SystemExit):
            name = found.thread.name if found.thread is not None else None
            crash(found.exc_type, found.exc_value, found.exc_traceback, thread=name)

    def unraisable(found: sys.UnraisableHookArgs) -> None:
        if found.exc_value is not None:
            what = found.err_msg or "exception ignored"
            crash(found.exc_type, found.exc_value, found.exc_traceback, ignored=f"{what} {found.object!r}")

    former = sys.excepthook, threading.excepthook, sys.unraisablehook

    def restore() -> None:
        logging.captureWarnings(capture=False)
        sys.excepthook, threading.excepthook, sys.unraisablehook = former

    sys.excepthook, threading.excepthook, sys.unraisablehook = hook, thread_hook, unraisable
    return restore
