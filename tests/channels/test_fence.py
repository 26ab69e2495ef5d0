"""The fence: epochs only rise, one holder at a time, and a sending is never cut in two by a grant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from live.market import INSTRUMENTS
from pj.channels import fence as module
from pj.channels.fence import Fence, FenceLost, GrantFailed, fence_path, grant, read_fence
from pj.channels.rundir import RunDir

GRANTER = """
import sys
from pathlib import Path
from live.market import INSTRUMENTS
from pj.channels.fence import Fence, grant
from pj.channels.rundir import RunDir
folder = RunDir(Path(sys.argv[1]), INSTRUMENTS["MNQ"])
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    print(grant(folder, "engine", f"{sys.argv[2]}.{number}"), flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run", INSTRUMENTS["MNQ"]).create()


def record_of(folder: RunDir) -> Path:
    return fence_path(folder, "engine").with_suffix(".epochs")


def test_a_grant_takes_the_fence_from_everyone_before(folder: RunDir) -> None:
    assert grant(folder, "engine", "a") == 1
    first = Fence(folder, "engine", "a")
    assert first.valid()
    assert grant(folder, "engine", "b") == 2
    assert not first.valid()
    with first.sending() as may:
        assert not may
    with pytest.raises(FenceLost, match=r"instance b holds it \(epoch 2\)"):
        first.check()
    with pytest.raises(FenceLost, match="no valid fence"):
        Fence(folder, "engine", "a")
    second = Fence(folder, "engine", "b")
    with second.sending() as may:
        assert may


def test_the_same_token_granted_again_does_not_revive_its_first_holder(folder: RunDir) -> None:
    grant(folder, "engine", "a")
    first = Fence(folder, "engine", "a")
    grant(folder, "engine", "a")
    assert not first.valid()
    assert Fence(folder, "engine", "a").epoch == 2


def test_names_have_fences_of_their_own(folder: RunDir) -> None:
    grant(folder, "engine", "a")
    assert grant(folder, "bridge", "b") == 1
    assert Fence(folder, "engine", "a").valid()


@pytest.mark.parametrize("instance", ["", "a b", "a\n", "x" * 101])
def test_a_token_that_could_break_the_record_is_refused(folder: RunDir, instance: str) -> None:
    with pytest.raises(ValueError, match="is no token"):
        grant(folder, "engine", instance)
    assert read_fence(folder, "engine") is None


@pytest.mark.parametrize("damage", [None, b"", b'{"epoch":3,"inst', b"[]", b'{"epoch":"3"}', b"\xff\xfe"])
def test_a_missing_or_torn_fence_is_valid_for_nobody_and_the_epoch_goes_on(
    folder: RunDir, damage: bytes | None
) -> None:
    for number in range(3):
        grant(folder, "engine", f"i{number}")
    holder = Fence(folder, "engine", "i2")
    path = fence_path(folder, "engine")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert not holder.valid()
    with pytest.raises(FenceLost, match="nobody holds it"):
        holder.check()
    assert grant(folder, "engine", "next") == 4
    assert not holder.valid()


def test_a_record_lost_or_cut_is_continued_from_the_fence(folder: RunDir) -> None:
    for number in range(3):
        grant(folder, "engine", f"i{number}")
    record = record_of(folder)
    record.write_bytes(record.read_bytes()[:-7])  # the death of a granter in mid-write
    assert grant(folder, "engine", "a") == 4
    record.unlink()
    assert grant(folder, "engine", "b") == 5
    assert [line.split()[0] for line in record.read_text().splitlines()] == ["5"]


def test_a_death_between_record_and_fence_loses_a_number_and_nothing_else(folder: RunDir) -> None:
    grant(folder, "engine", "a")
    holder = Fence(folder, "engine", "a")
    with record_of(folder).open("a") as record:
        record.write("2 0 1 never\n")
    assert holder.valid(), "the grant never returned, so nobody was started"
    assert grant(folder, "engine", "b") == 3


def test_without_any_readable_epoch_nothing_is_granted(folder: RunDir) -> None:
    fence_path(folder, "engine").write_bytes(b"torn")
    with pytest.raises(GrantFailed, match="the last epoch is unknown; see that no engine"):
        grant(folder, "engine", "a")
    assert isinstance(GrantFailed(), OSError), "a spawner that meets OSError does not start the process"


def test_a_folder_emptied_by_hand_brings_no_old_holder_back(folder: RunDir) -> None:
    grant(folder, "engine", "a")
    old = Fence(folder, "engine", "a")
    fence_path(folder, "engine").unlink()
    record_of(folder).unlink()
    assert grant(folder, "engine", "b") == old.epoch == 1
    assert not old.valid()


def test_no_grant_is_made_in_the_middle_of_a_sending(folder: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRANT_WAIT_S", 0.05)
    grant(folder, "engine", "a")
    holder = Fence(folder, "engine", "a")
    with holder.sending() as may:
        assert may
        with pytest.raises(GrantFailed, match="in the middle of sending"):
            grant(folder, "engine", "b")
        assert holder.valid()
    assert grant(folder, "engine", "b") == 2


def test_a_sender_that_meets_a_grant_may_not_send(folder: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_WAIT_S", 0.02)
    grant(folder, "engine", "a")
    holder = Fence(folder, "engine", "a")
    with module.lock_file(record_of(folder)), holder.sending() as may:
        assert not may
    with holder.sending() as may:
        assert may


def test_epochs_rise_under_grants_of_several_processes(folder: RunDir) -> None:
    count, each = 5, 20
    command = [sys.executable, "-P", "-c", GRANTER, str(folder.root)]
    granters = [
        subprocess.Popen([*command, f"p{number}", str(each)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(count)
    ]
    for granter in granters:
        assert granter.stdin is not None
        granter.stdin.write("go\n")
        granter.stdin.flush()
    told = [[int(word) for word in granter.communicate(timeout=60)[0].split()] for granter in granters]
    assert all(granter.returncode == 0 for granter in granters)
    assert all(mine == sorted(mine) and len(mine) == each for mine in told), "each process sees its own epochs rise"
    assert sorted(epoch for mine in told for epoch in mine) == list(range(1, count * each + 1)), (
        "and no number was given twice or left out"
    )
    rows = [line.split() for line in record_of(folder).read_text().splitlines()]
    assert [int(row[0]) for row in rows] == list(range(1, count * each + 1))
    last = read_fence(folder, "engine")
    assert last is not None
    assert (last.epoch, last.instance) == (count * each, rows[-1][3])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["grant", "tear fence", "drop fence", "tear record"]), max_size=12))
def test_whatever_is_torn_epochs_never_go_back(tmp_path_factory: pytest.TempPathFactory, acts: list[str]) -> None:
    folder = RunDir(tmp_path_factory.mktemp("run"), INSTRUMENTS["MNQ"]).create()
    fence, record = fence_path(folder, "engine"), record_of(folder)
    highest = grant(folder, "engine", "first")
    holders = [Fence(folder, "engine", "first")]
    for number, act in enumerate(acts):
        if act == "grant":
            readable = read_fence(folder, "engine") is not None or record.read_bytes() != b""
            try:
                epoch = grant(folder, "engine", f"i{number}")
            except GrantFailed:
                assert not readable, "refused only where no number is known"
                return
            assert epoch > highest
            assert not any(holder.valid() for holder in holders)
            highest = epoch
            holders.append(Fence(folder, "engine", f"i{number}"))
        elif act == "tear fence" and fence.exists():
            fence.write_bytes(fence.read_bytes()[:-3])
        elif act == "drop fence":
            fence.unlink(missing_ok=True)
        elif act == "tear record" and record.read_bytes().endswith(b"\n"):
            record.write_bytes(record.read_bytes()[:-2])
    assert sum(holder.valid() for holder in holders) <= 1
