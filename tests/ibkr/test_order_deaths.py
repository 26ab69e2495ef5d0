"""The bridge dies at each step of an order's life: no entry twice, no id twice, every fate known or UNKNOWN."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from order_world import BRIDGE_ID, Desk

HERE = Path(__file__).resolve().parent
#: Step of death -> the answers that are right for the entry afterwards.
ENTRY_STEPS = {
    "row-read": {"TAKEN", "REFUSED"},  # not written down yet: young enough it is placed, else it never was
    "before-ledger": {"TAKEN", "REFUSED"},
    "after-ledger": {"UNKNOWN"},
    "after-parent": {"UNKNOWN"},
    "before-last-leg": {"UNKNOWN"},
    "after-last-leg": {"TAKEN"},
    "before-answer": {"TAKEN"},
    "after-answer-row": {"TAKEN"},
    "after-answer": {"TAKEN"},
}
CLOSE_STEPS = ("before-cancel", "close-ledger", "close-sent")


@pytest.fixture
def desk(run_dir: Path) -> Iterator[Desk]:
    made = Desk(run_dir)
    yield made
    made.end()


def die_at(desk: Desk, step: str) -> None:
    flag = desk.root / "died"
    desk.start_bridge(str(HERE / "dying_bridge.py"), DIE_AT=step, DIE_FLAG=str(flag))


def reborn(desk: Desk) -> None:
    desk.bridges[-1].wait(15)
    assert (desk.root / "died").exists(), "it died where it should"
    desk.start_bridge()


def ids(desk: Desk) -> list[int]:
    return [row[1] for row in desk.book() if row[0] == BRIDGE_ID]


@pytest.mark.slow
@pytest.mark.parametrize("step", ENTRY_STEPS)
def test_an_entry_is_never_placed_twice(desk: Desk, step: str) -> None:
    die_at(desk, step)
    entry = desk.enter(1, qty=2)
    reborn(desk)
    answer = desk.answered(entry, "TAKEN", "REFUSED", "UNKNOWN").partition(":")[0]
    assert answer in ENTRY_STEPS[step], desk.answers(entry)
    taken = [row for row in desk.entries(entry) if row[5]]
    assert len(taken) == (1 if answer == "TAKEN" else 0)
    assert desk.held() == (2 if answer == "TAKEN" else 0)
    assert len(desk.orders()) == (2 if answer == "TAKEN" else 0), "an entry nobody knows of leaves no order behind"
    follow = desk.enter(2)
    assert desk.answered(follow, "TAKEN") == "TAKEN"
    assert len(ids(desk)) == len(set(ids(desk)))
    assert desk.held() == (3 if answer == "TAKEN" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("step", CLOSE_STEPS)
def test_a_position_is_closed_once(desk: Desk, step: str) -> None:
    die_at(desk, step)
    desk.answered(desk.enter(1, qty=2), "TAKEN")
    desk.wait("the fill", lambda: desk.held() == 2)
    key = desk.close(1)
    reborn(desk)
    desk.close(1)  # as the engine does until it is known
    desk.wait("flat", lambda: desk.held() == 0)
    assert desk.answered(key, "TAKEN").startswith("TAKEN")
    assert desk.held() == 0 and desk.orders() == []
    assert len(ids(desk)) == len(set(ids(desk)))


@pytest.mark.slow
def test_ids_are_not_reused_when_the_gateway_rolls_its_counter_back(desk: Desk) -> None:
    desk.start_bridge()
    desk.answered(desk.enter(1), "TAKEN")
    desk.answered(desk.close(1), "TAKEN")
    for round_ in range(2, 5):
        desk.world.control("roll_ids", to=1)
        if round_ % 2:
            desk.kill_bridge()
            desk.start_bridge()
        else:
            desk.reconnected(lambda: desk.world.control("drop"))
        desk.answered(desk.enter(round_), "TAKEN")
        desk.wait("the fill", lambda: desk.held() == 1)
        desk.answered(desk.close(round_), "TAKEN")
        desk.wait("flat", lambda: desk.held() == 0)
    assert len(ids(desk)) == len(set(ids(desk))) == 16
    assert ids(desk) == sorted(ids(desk))
    assert not any(answer.startswith("REFUSED") for answer in desk.answers())
