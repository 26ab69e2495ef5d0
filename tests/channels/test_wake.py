"""Waking readers: real notifications, and the poll that stands behind them."""

from __future__ import annotations

import asyncio
import os
import threading
import time

from pj.channels.files import replace_atomic
from pj.channels.wake import POLL_S, Notifier


def wait_long(wake) -> bool:
    """Wait up to five seconds for one notification."""
    return any(wake.wait() for _ in range(10))


def test_a_growing_file_wakes_its_reader_and_no_other(tmp_path):
    notifier = Notifier()
    assert notifier.watch(tmp_path)
    mine, other = notifier.wake({"t.csv"}), notifier.wake({"u.csv"})
    with (tmp_path / "t.csv").open("ab", buffering=0) as file:
        file.write(b"1\n")
        assert wait_long(mine)
        while mine.wait(0.05):
            pass
        file.write(b"2\n")
        assert wait_long(mine)
    assert not other.wait(0.0)
    assert notifier.working
    notifier.close()


def test_an_atomic_replacement_wakes_too(tmp_path):
    notifier = Notifier()
    notifier.watch(tmp_path)
    wake = notifier.wake({"a.json"})
    replace_atomic(tmp_path / "a.json", b"{}")
    assert wait_long(wake)
    notifier.close()


def test_without_any_notification_the_poll_still_delivers(tmp_path):
    """The library misses every event (the folder is not watched at all): wait ends by itself within the poll."""
    notifier = Notifier()
    wake = notifier.wake({"t.csv"})
    (tmp_path / "t.csv").write_bytes(b"1\n")
    started = time.monotonic()
    assert wake.wait(60.0) is False
    assert time.monotonic() - started < POLL_S + 2
    assert wake.wait(0.0) is False
    notifier.close()


def test_a_system_that_refuses_notifications_leaves_the_poll_and_says_why(tmp_path, monkeypatch):
    notifier = Notifier()

    def refuse(_name: str) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(notifier, "_schedule", refuse)
    assert notifier.watch(tmp_path)
    assert not notifier.working
    assert "inotify watch limit reached" in notifier.trouble
    assert notifier.wake().wait(0.01) is False
    notifier.close()


def test_a_folder_that_is_not_there_yet_is_watched_once_it_is(tmp_path):
    notifier = Notifier()
    folder = tmp_path / "2026-04-13"
    assert not notifier.watch(folder)
    folder.mkdir()
    assert notifier.watch(folder)
    assert notifier.watch(folder)
    wake = notifier.wake({"t.csv"})
    (folder / "t.csv").write_bytes(b"1\n")
    assert wait_long(wake)
    notifier.close()


def test_a_change_between_read_and_wait_is_not_lost(tmp_path):
    notifier = Notifier()
    wake = notifier.wake({"t.csv"})
    notifier.changed(os.fspath(tmp_path / "t.csv"))
    assert wake.wait(5.0)
    wake.close()
    notifier.changed(os.fspath(tmp_path / "t.csv"))
    assert not wake.wait(0.0)
    notifier.close()


def test_an_event_loop_is_woken_in_its_own_thread(tmp_path):
    async def main() -> str:
        notifier = Notifier()
        notifier.watch(tmp_path)
        grown = asyncio.Event()
        loop = asyncio.get_running_loop()
        notifier.subscribe(lambda: loop.call_soon_threadsafe(grown.set), {"t.csv"})
        (tmp_path / "t.csv").write_bytes(b"1\n")
        await asyncio.wait_for(grown.wait(), 5)
        notifier.close()
        return threading.current_thread().name

    assert asyncio.run(main()) == "MainThread"
