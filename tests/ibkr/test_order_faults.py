"""What goes wrong with orders at a real gateway, planted one by one: the answer is a fact, or it says that none is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flatten_world import MNQ
from order_world import Desk


@pytest.fixture
def desk(run_dir: Path, library: str) -> Iterator[Desk]:
    made = Desk(run_dir, library)
    try:
        made.start_bridge()
        yield made
    finally:
        made.end()


def fills(desk: Desk) -> list[tuple[str, str]]:
    return [(row["side"], row["qty"]) for row in desk.rows("EXECUTION")]


def test_a_false_cancel_ends_nothing(desk: Desk) -> None:
    """10349 makes both libraries call a live order cancelled (tws.md section 1)."""
    desk.world.control("tif_note", count=3)
    desk.answered(desk.enter(1, qty=2), "TAKEN", "REFUSED", "UNKNOWN")
    assert desk.answers() == ["TAKEN"]
    desk.wait("the fill", lambda: desk.held() == 2)
    assert desk.answered(desk.exits(1, 1, 21_000, 230_000), "TAKEN") == "TAKEN", "a leg thought dead can be amended"
    assert desk.orders() == [(-1, "LMT", "1"), (-1, "STP", "1")]
    desk.answered(desk.close(1), "TAKEN")
    desk.wait("flat", lambda: desk.held() == 0)
    assert desk.orders() == []


def test_a_refusal_is_told_with_its_code(desk: Desk) -> None:
    desk.world.control("reject", count=3)
    assert desk.answered(desk.enter(1), "TAKEN", "REFUSED", "UNKNOWN") == "REFUSED:201"
    assert (desk.held(), desk.orders()) == (0, [])
    assert desk.answered(desk.enter(2), "TAKEN") == "TAKEN"


def test_a_reject_after_acceptance_is_told_too(desk: Desk) -> None:
    desk.world.control("late_reject")
    entry = desk.enter(1)
    assert desk.answered(entry, "REFUSED") == "REFUSED:201"
    assert (desk.held(), desk.orders()) == (0, [])


def test_an_order_that_never_arrived_is_unknown_and_not_sent_again(desk: Desk) -> None:
    desk.world.control("lose_order")
    entry = desk.enter(1)
    assert desk.answered(entry, "TAKEN", "REFUSED", "UNKNOWN") == "UNKNOWN:NOT_FOUND"
    time.sleep(0.5)
    assert desk.entries() == []


def test_an_order_whose_answer_was_lost_is_found_again(desk: Desk) -> None:
    desk.world.control("drop_on_order")
    entry = desk.enter(1, qty=2)
    assert desk.answered(entry, "TAKEN", "REFUSED", "UNKNOWN") == "TAKEN"
    desk.wait("the fill", lambda: fills(desk) == [("BUY", "2")])
    assert (desk.held(), len(desk.entries())) == (2, 1)


def test_a_break_during_the_fill_loses_no_fill(desk: Desk) -> None:
    desk.world.control("drop_on_fill")
    desk.answered(desk.enter(1, qty=2), "TAKEN")
    desk.wait("the fill", lambda: fills(desk) == [("BUY", "2")])
    desk.wait("the position", lambda: [row["position"] for row in desk.rows("POSITION")][-1:] == ["2"])
    assert len(desk.orders()) == 2


def test_an_execution_told_twice_is_one(desk: Desk) -> None:
    desk.world.control("repeat_fills", count=2)
    desk.answered(desk.enter(1), "TAKEN")
    desk.wait("the fill", lambda: desk.held() == 1)
    desk.answered(desk.close(1), "TAKEN")
    desk.wait("both fills", lambda: len(fills(desk)) >= 2)
    time.sleep(0.3)
    assert fills(desk) == [("BUY", "1"), ("SELL", "1")]
    assert desk.held() == 0


def test_slow_states_change_nothing(desk: Desk) -> None:
    desk.world.control("slow_status", ms=600)
    desk.answered(desk.enter(1, qty=2), "TAKEN")
    desk.answered(desk.exits(1, 1, 21_000, 230_000), "TAKEN")
    desk.world.control("slow_status", ms=0)
    assert desk.orders() == [(-1, "LMT", "1"), (-1, "STP", "1")]
    desk.world.control("slow_status", ms=600)
    desk.answered(desk.close(1), "TAKEN")
    desk.wait("flat", lambda: desk.held() == 0)
    desk.world.control("slow_status", ms=0)
    assert desk.orders() == [] and len(fills(desk)) == 2


def test_parts_are_told_and_closed_as_they_are(desk: Desk) -> None:
    desk.world.control("partial", size=1)
    desk.answered(desk.enter(1, qty=4), "TAKEN")
    desk.wait("a part", lambda: desk.held() >= 1)
    desk.world.control("partial", size=0)
    desk.answered(desk.close(1), "TAKEN")
    desk.wait("flat", lambda: desk.held() == 0)

    def total(of: str) -> int:
        return sum(int(qty) for side, qty in fills(desk) if side == of)

    desk.wait("all fills", lambda: total("BUY") == total("SELL"))
    assert 1 <= total("BUY") <= 4
    assert desk.orders() == []


def test_a_leg_that_fills_while_it_is_cancelled_is_not_closed_again(desk: Desk) -> None:
    desk.answered(desk.enter(1, qty=2), "TAKEN")
    desk.wait("the fill", lambda: desk.held() == 2)
    desk.world.control("fill_on_cancel")
    answer = desk.answered(desk.close(1), "TAKEN", "UNKNOWN")
    assert answer == "TAKEN:FLAT"
    time.sleep(0.3)
    assert (desk.held(), desk.orders()) == (0, [])
    assert fills(desk) == [("BUY", "2"), ("SELL", "2")]


def test_an_old_position_report_closes_nothing_twice(desk: Desk) -> None:
    desk.answered(desk.enter(1, qty=2), "TAKEN")
    desk.wait("the position", lambda: [row["position"] for row in desk.rows("POSITION")][-1:] == ["2"])
    desk.world.control("stale")
    desk.answered(desk.close(1), "TAKEN")
    desk.wait("flat", lambda: desk.held() == 0)
    second = desk.close(1, "EXIT2")
    assert desk.answered(second, "TAKEN", "UNKNOWN", "REFUSED") == "UNKNOWN:POSITION_LAGS"
    desk.kill_bridge()
    desk.start_bridge()
    third = desk.close(1, "EXIT3")
    assert desk.answered(third, "TAKEN", "UNKNOWN", "REFUSED") == "UNKNOWN:POSITION_LAGS", "nor after a restart"
    assert desk.held() == 0
    desk.world.control("stale", on=False)
    assert desk.answered(desk.close(1, "EXIT4"), "TAKEN") == "TAKEN:FLAT"
    assert desk.held() == 0 and len(fills(desk)) == 2


def test_a_gateway_cut_off_from_ib_takes_no_entry(desk: Desk) -> None:
    desk.world.control("error", code=1100, text="Connectivity between IB and TWS has been lost")
    desk.wait("the loss", lambda: [row["status"] for row in desk.rows("STATUS")][-1:] == ["disconnected"])
    assert desk.answered(desk.enter(1), "REFUSED") == "REFUSED:NOT_CONNECTED"
    desk.reconnected_at_ib()
    assert desk.answered(desk.enter(2, contract=MNQ), "TAKEN") == "TAKEN"
