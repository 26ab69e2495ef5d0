"""Wake readers when a file they follow has grown, and at the latest every half second.

One observer per process (inotify on Linux, ReadDirectoryChangesW on Windows, through watchdog) watches whole folders;
a notification is a hint and nothing more: a reader reads after every ``wait``, notified or not, so a lost event, a
file system without notifications or a dead observer cost at most ``POLL_S``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from watchdog.events import FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileSystemEventHandler

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

POLL_S: Final = 0.5


class Wake:
    """Wait for a notification or the poll; made by ``Notifier.wake``. Usable from one thread at a time."""

    def __init__(self, event: threading.Event, close: Callable[[], None]) -> None:
        self._event = event
        self._close = close

    def set(self) -> None:
        """Wake the waiter; from any thread."""
        self._event.set()

    def wait(self, timeout_s: float = POLL_S) -> bool:
        """Return True when notified, False after min(``timeout_s``, POLL_S) real seconds; read the file either way."""
        notified = self._event.wait(min(max(0.0, timeout_s), POLL_S))
        self._event.clear()
        return notified

    def close(self) -> None:
        """Stop being notified."""
        self._close()


class Notifier:
    """Watch folders with one observer thread and tell subscribers which of their files changed.

    ``working`` is False when the operating system refused (inotify limit, network share): readers then live on the
    poll, and ``trouble`` says why.
    """

    def __init__(self) -> None:
        self.trouble = ""
        self.notified = 0
        self._lock = threading.Lock()
        self._watched: dict[str, int] = {}
        self._callbacks: dict[int, tuple[frozenset[str] | None, Callable[[], None]]] = {}
        self._next_key = 1
        self._observer: BaseObserver | None = None

    @property
    def working(self) -> bool:
        """Return whether notifications come."""
        return self._observer is not None and not self.trouble

    def watch(self, folder: Path) -> bool:
        """Watch ``folder`` (not its sub-folders); return False while it does not exist. Cheap when repeated.

        A folder that was removed and made again is watched anew.
        """
        try:
            inode = folder.stat().st_ino
        except FileNotFoundError:
            return False
        name = str(folder)
        with self._lock:
            if self.trouble or self._watched.get(name) == inode:
                return True
            try:
                self._schedule(name)
            except OSError as error:
                self.trouble = f"file notifications are off, polling every {POLL_S} s: {error.strerror or error}"
            else:
                self._watched[name] = inode
        return True

    def subscribe(self, callback: Callable[[], None], names: Collection[str] | None = None) -> int:
        """Call ``callback`` (in the observer's thread) when a file of one of these names changes; return a key.

        An asyncio caller passes ``lambda: loop.call_soon_threadsafe(event.set)``.
        """
        with self._lock:
            key = self._next_key
            self._next_key += 1
            self._callbacks[key] = (None if names is None else frozenset(names), callback)
        return key

    def wake(self, names: Collection[str] | None = None) -> Wake:
        """Return a Wake set by changes of files of these names (None = any) in any watched folder."""
        event = threading.Event()
        key = self.subscribe(event.set, names)
        return Wake(event, lambda: self.forget(key))

    def forget(self, key: int) -> None:
        """Drop a subscription; harmless when repeated."""
        with self._lock:
            self._callbacks.pop(key, None)

    def close(self) -> None:
        """Stop the observer thread."""
        with self._lock:
            observer, self._observer = self._observer, None
            self._callbacks.clear()
            self._watched.clear()
        if observer is not None:
            observer.stop()
            observer.join()

    def changed(self, path: str) -> None:
        """Tell the subscribers of ``path`` that it changed."""
        name = os.path.basename(path)  # noqa: PTH119 - runs for every event, Path is 20 times dearer
        with self._lock:
            callbacks = [call for names, call in self._callbacks.values() if names is None or name in names]
            self.notified += 1
        for call in callbacks:
            call()

    def _schedule(self, name: str) -> None:
        if self._observer is None:
            from watchdog.observers import Observer  # starts no thread, but loads the platform's library

            self._observer = Observer()
            self._observer.daemon = True
            self._observer.start()
        self._observer.schedule(
            _Handler(self), name, event_filter=[FileCreatedEvent, FileModifiedEvent, FileMovedEvent]
        )


class _Handler(FileSystemEventHandler):
    """Pass the path of an event on; a move counts for its destination (atomic replacement)."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Pass one event on."""
        self._notifier.changed(os.fsdecode(event.dest_path or event.src_path))
