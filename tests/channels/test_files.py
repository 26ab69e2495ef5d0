"""The seam to the operating system: replacement, locks, honest write errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pj.channels import files
from pj.channels.appender import AppendFile, FormatMismatch
from pj.channels.files import Locked, WriteFailed, is_locked, lock_file, open_shared, replace_atomic

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits and signals")


def python(code: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(code), *map(str, args)], stdout=subprocess.PIPE, text=True
    )


def test_replace_shows_the_old_or_the_new_whole(tmp_path):
    target = tmp_path / "a.json"
    replace_atomic(target, b"old")
    with open_shared(target) as reader:
        replace_atomic(target, b"new", durable=True)
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_replace_waits_for_a_reader_that_shuts_it_out(tmp_path, monkeypatch):
    target, refusals = tmp_path / "a.json", [PermissionError(13, "sharing violation")] * 3
    real = Path.replace

    def replace(self, to):
        if refusals:
            raise refusals.pop()
        return real(self, to)

    monkeypatch.setattr(Path, "replace", replace)
    replace_atomic(target, b"new")
    assert (target.read_bytes(), refusals) == (b"new", [])


def test_replace_gives_up_with_a_sentence_and_leaves_the_old_content(tmp_path, monkeypatch):
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    monkeypatch.setattr(files, "REPLACE_RETRY_S", 0.02)

    def refuse(_self, _to):
        raise PermissionError(13, "sharing violation")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(WriteFailed, match=r"cannot write .*a\.json: sharing violation; free the disk"):
        replace_atomic(target, b"new")
    assert (target.read_bytes(), len(list(tmp_path.iterdir()))) == (b"old", 1)


def test_a_lock_keeps_out_a_second_writer_of_the_same_process(tmp_path):
    path = tmp_path / "t.csv"
    with lock_file(path) as lock:
        assert lock.held
        assert is_locked(path)
        with pytest.raises(Locked, match="held by another writer"):
            lock_file(path, wait_s=0.02)
    assert not is_locked(path)
    lock.release()


def test_a_lock_of_another_process_ends_with_its_death(tmp_path):
    path = tmp_path / "t.csv"
    holder = python(
        """
        import sys, time, pathlib
        from pj.channels.files import lock_file
        lock = lock_file(pathlib.Path(sys.argv[1]))
        print("held", flush=True)
        time.sleep(60)
        """,
        path,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Locked):
            AppendFile(path, lock_wait_s=0.0)
    finally:
        holder.kill()
        holder.communicate()
    AppendFile(path, lock_wait_s=1.0).close()


def test_append_cuts_a_torn_tail_and_keeps_its_bytes_for_the_record(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"head\nrow 1\nro")
    with AppendFile(path, b"head\n") as file:
        assert (file.torn, file.existed, file.tail()) == (b"ro", True, [b"head", b"row 1"])
        file.append(b"row 2\n")
    assert path.read_bytes() == b"head\nrow 1\nrow 2\n"


@pytest.mark.parametrize("torn_at", range(6))
def test_a_torn_header_is_written_anew(tmp_path, torn_at):
    path = tmp_path / "x"
    path.write_bytes(b"a,b,c\n"[:torn_at])
    with AppendFile(path, b"a,b,c\n") as file:
        assert not file.existed
    assert path.read_bytes() == b"a,b,c\n"


@pytest.mark.parametrize("found", [b"other\n1\n", b"other", b"a,b\n"])
def test_a_foreign_file_is_refused_and_untouched(tmp_path, found):
    path = tmp_path / "x"
    path.write_bytes(found)
    with pytest.raises(FormatMismatch, match="move the file away"):
        AppendFile(path, b"a,b,c\n")
    assert path.read_bytes() == found
    assert not is_locked(path)


@posix_only
def test_a_full_disk_is_told_and_leaves_no_part_of_a_row(tmp_path):
    """A real short write: the kernel takes what fits under the size limit, then says EFBIG."""
    path = tmp_path / "x"
    child = python(
        """
        import pathlib, resource, sys
        from pj.channels.appender import AppendFile
        from pj.channels.files import WriteFailed
        path = pathlib.Path(sys.argv[1])
        file = AppendFile(path, b"h\\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        file.append(b"x" * 899 + b"\\n")
        try:
            file.append(b"y" * 499 + b"\\n")
        except WriteFailed as error:
            print(error)
        print(path.stat().st_size)
        file.append(b"z" * 49 + b"\\n")
        print(path.stat().st_size)
        """,
        path,
    )
    lines = child.communicate(timeout=30)[0].splitlines()
    assert lines[0].startswith(f"cannot write {path}: File too large; free the disk")
    assert lines[1:] == ["902", "952"]


@posix_only
def test_a_full_device_is_told(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    link = tmp_path / "x"
    link.symlink_to("/dev/full")
    with pytest.raises(WriteFailed, match="No space left"):
        AppendFile(link, b"h\n")


@posix_only
def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OSError, match="file"):
        AppendFile(blocked / "x")


@posix_only
def test_an_interrupted_append_is_mended_by_the_next(tmp_path, monkeypatch):
    file = AppendFile(tmp_path / "x", b"h\n")

    def half(fd, data):
        os.write(fd, data[: len(data) // 2])
        raise KeyboardInterrupt(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("pj.channels.appender.write_all", half)
        with pytest.raises(KeyboardInterrupt):
            file.append(b"row one\n")
    file.append(b"row two\n")
    file.close()
    assert (tmp_path / "x").read_bytes() == b"h\nrow two\n"
