"""Prove the rotation: by size and by trade date, no line lost or torn, a reader always follows, old files go."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from live.trading_day import at_minute_ns
from pj.channels.files import open_shared
from pj.channels.log_files import RETRY_BYTES, LogFile, archives, log_paths
from pj.channels.log_text import event_text, parse_line, stamp_text
from pj.channels.logs import open_log

NIGHT = at_minute_ns(dt.date(2026, 11, 20), 0)  # Thursday the 19th, 18:00 ET
HOUR = 3600 * 10**9


def line(ns: int, n: int) -> str:
    return f"{stamp_text(ns / 1e9)} INFO {event_text('LINE', {'n': n})}"


def numbers(path: Path) -> list[int]:
    return [int(parse_line(text)[3]["n"]) for file in log_paths(path) for text in file.read_text().splitlines()]


class Writer:
    def __init__(self, path: Path, ns: int, **options: int) -> None:
        self.ns, self.n = ns, 0
        self.file = LogFile(path, now_ns=lambda: self.ns, **options)  # type: ignore[arg-type]

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            self.n += 1
            self.file.write(line(self.ns, self.n))


def test_a_night_stands_in_one_file_and_the_next_day_begins_another(tmp_path: Path) -> None:
    path = tmp_path / "sentinel.log"
    writer = Writer(path, NIGHT)
    for _ in range(24):  # 18:00 to 17:00, over midnight in New York and in London
        writer.write()
        writer.ns += HOUR
    assert archives(path) == []
    writer.write()
    assert [old.name for _, _, old in archives(path)] == ["sentinel.2026-11-20.001.log"]
    assert len((tmp_path / "sentinel.2026-11-20.001.log").read_text().splitlines()) == 24
    assert numbers(path)[-2:] == [24, 25] and path.read_text().count("\n") == 1
    writer.file.close()


def test_a_file_of_yesterday_is_put_away_by_the_process_of_today(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    first = Writer(path, NIGHT)
    first.write(3)
    first.file.close()
    os.utime(path)  # a copy or a backup program touched it: the first line tells its date, not the clock of the disk
    second = Writer(path, NIGHT + 30 * HOUR)
    second.n = 3
    second.write(2)
    second.file.close()
    assert [old.name for old in log_paths(path)] == ["engine.2026-11-20.001.log", "engine.log"]
    assert numbers(path) == [1, 2, 3, 4, 5]


def test_a_clock_that_steps_back_rotates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    writer = Writer(path, NIGHT + HOUR)
    writer.write()
    writer.ns -= 30 * HOUR
    writer.write(2)
    assert archives(path) == [] and numbers(path) == [1, 2, 3]
    writer.file.close()


def test_old_files_go_by_count_and_by_age(tmp_path: Path) -> None:
    path = tmp_path / "bridge.log"
    other = tmp_path / "bridge.notes.log"
    other.write_text("mine\n")
    writer = Writer(path, NIGHT, max_bytes=200, keep=3, keep_days=5)
    writer.write(60)
    kept = [old.name for _, _, old in archives(path)]
    assert len(kept) == 3 and kept[0] > "bridge.2026-11-20.003.log"
    for _, _, old in archives(path)[:2]:
        os.utime(old, ns=(NIGHT, NIGHT))
    writer.ns += 6 * 24 * HOUR
    writer.write()  # another date: it rotates, and what is older than five days goes
    left = [old.name for _, _, old in archives(path)]
    assert left[0] == kept[2] and len(left) == 2
    assert numbers(path)[-1] == 61 and other.read_text() == "mine\n"
    writer.file.close()


def test_more_than_a_thousand_files_of_a_day_stay_in_order(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    for number in (999, 1000, 2):
        (tmp_path / f"x.2026-11-20.{number:03d}.log").write_text("")
    assert [number for _, number, _ in archives(path)] == [2, 999, 1000]


def test_a_rename_that_is_refused_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "three.log"
    writer, refused = Writer(path, NIGHT, max_bytes=200), []
    real = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        refused.append(target)
        raise PermissionError(32, "a reader holds it", str(self))

    monkeypatch.setattr(Path, "replace", refuse)
    writer.write(20)
    assert len(refused) == 1 and numbers(path) == list(range(1, 21))
    monkeypatch.setattr(Path, "replace", real)
    while not archives(path):
        writer.write()
        assert path.stat().st_size < 2 * RETRY_BYTES
    assert numbers(path) == list(range(1, writer.n + 1))
    writer.file.close()


def test_half_a_line_of_a_dead_writer_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "torn.log"
    path.write_text(line(NIGHT, 1) + "\n" + line(NIGHT, 2)[:40])
    writer = Writer(path, NIGHT)
    writer.n = 2
    writer.write()
    writer.file.close()
    lines = path.read_text().splitlines()
    assert [parse_line(text)[3]["n"] for text in (lines[0], lines[2])] == ["1", "3"] and len(lines) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk to write to")
def test_a_full_disk_sends_the_line_to_stderr(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    code = "import sys; from pathlib import Path; from pj.channels import log_files, logs\n"
    code += "log_files.open_append_fd = lambda _: __import__('os').open('/dev/full', 1)\n"
    code += "log = logs.open_log(Path(sys.argv[1]), 'full'); log.event('SAID', n=1); log.event('SAID', n=2)\n"
    done = subprocess.run([sys.executable, "-P", "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and all("LOG_UNWRITTEN" in text and "No space left" in text for text in lines)


WRITE = """
import sys
from pathlib import Path
from pj.channels.logs import open_log
log = open_log(Path(sys.argv[1]), "busy", max_bytes=3000, keep=10_000)
for n in range(int(sys.argv[2]), int(sys.argv[3])):
    log.event("LINE", n=n, text="x" * (n % 97), quote='"= \\n')
"""


class Follower(threading.Thread):
    """Follow a log as ``tail -F`` does: the open file to its end, then the files that came after it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.done = path, threading.Event()
        self.lines: list[str] = []

    def run(self) -> None:
        seen: dict[int, int] = {}
        while True:
            last = self.done.is_set()
            for file in [*(old for _, _, old in archives(self.path)), self.path]:
                self.read(file, seen)
            if last:
                return

    def read(self, file: Path, seen: dict[int, int]) -> None:
        try:
            opened = open_shared(file)
        except FileNotFoundError:
            return
        with opened:
            inode = os.fstat(opened.fileno()).st_ino
            opened.seek(seen.get(inode, 0))
            data = opened.read()
        assert data[-1:] in {b"", b"\n"}, f"half a line is seen in {file.name}: {data[-80:]!r}"
        seen[inode] = seen.get(inode, 0) + len(data)
        self.lines += data.decode().splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="follows files by their inode")
def test_a_reader_beside_many_rotations_sees_every_line_once(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "logs" / "busy.log")
    (tmp_path / "logs").mkdir()
    follower.start()
    begun = time.monotonic()
    for first in (0, 2000):  # the second process goes on with the file of the first
        command = [sys.executable, "-P", "-c", WRITE, str(tmp_path), str(first), str(first + 2000)]
        subprocess.run(command, check=True, timeout=60)
    follower.done.set()
    follower.join(30)
    assert not follower.is_alive() and time.monotonic() - begun < 60
    seen = [int(parse_line(text)[3]["n"]) for text in follower.lines]
    assert sorted(seen) == list(range(4000))
    assert len(archives(follower.path)) > 100
    assert numbers(follower.path) == list(range(4000))


def test_two_writers_of_one_log_lose_nothing(tmp_path: Path) -> None:
    """A second process that is about to be refused may write a line while the first one rotates."""
    one = open_log(tmp_path, "both", libraries=False, max_bytes=2000, keep=1000)
    commands = [[sys.executable, "-P", "-c", WRITE.replace('"busy"', '"both"'), str(tmp_path), "0", "300"]]
    other = subprocess.Popen(commands[0])
    for n in range(300, 600):
        one.event("LINE", n=n)
        time.sleep(0.001)
    assert other.wait(60) == 0
    one.close()
    assert sorted(numbers(tmp_path / "logs" / "both.log")) == list(range(600))
