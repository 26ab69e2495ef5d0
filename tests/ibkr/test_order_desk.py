"""Orders through the real bridge at the real gateway simulator: placed once, answered by facts, exits as asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flatten_world import HUMAN, MNQ
from order_world import Desk, key

from live.commands import PlaceBracket


@pytest.fixture
def desk(run_dir: Path, library: str) -> Iterator[Desk]:
    made = Desk(run_dir, library)
    try:
        made.start_bridge()
        yield made
    finally:
        made.end()


@pytest.fixture
def insync(run_dir: Path) -> Iterator[Desk]:
    made = Desk(run_dir)
    try:
        made.start_bridge()
        yield made
    finally:
        made.end()


def test_a_bracket_is_taken_filled_and_closed(desk: Desk) -> None:
    entry = desk.enter(1, qty=2)
    assert desk.answered(entry, "TAKEN", "REFUSED", "UNKNOWN") == "TAKEN"
    desk.wait("the fill", lambda: desk.held() == 2)
    assert desk.orders() == [(-1, "LMT", "2"), (-1, "STP", "2")]
    [fill] = desk.rows("EXECUTION")
    assert (fill["order_ref"], fill["side"], fill["qty"]) == (entry, "BUY", "2")
    desk.wait("the commission", lambda: [row["exec_id"] for row in desk.rows("COMMISSION")] == [fill["exec_id"]])
    desk.wait("the legs in a snapshot", lambda: legs(desk) == {("STOP", entry), ("TARGET", entry)})
    assert desk.answered(desk.close(1), "TAKEN") == "TAKEN"
    desk.wait("flat", lambda: desk.held() == 0)
    assert desk.orders() == []
    desk.wait("an empty snapshot", lambda: legs(desk) == set())
    assert len(desk.entries()) == 1


def legs(desk: Desk) -> set[tuple[str, str]]:
    """Return leg and key of the last whole snapshot."""
    last: list[dict[str, str]] = []
    listing: list[dict[str, str]] = []
    for row in desk.rows("WORKING", "ORDERS_END"):
        if row["kind"] == "WORKING":
            listing.append(row)
        else:
            last, listing = listing, []
    return {(row["status"], row["order_ref"]) for row in last}


def test_exits_become_exactly_what_is_asked(desk: Desk) -> None:
    desk.answered(desk.enter(1, qty=3), "TAKEN")
    desk.wait("the fill", lambda: desk.held() == 3)
    assert desk.answered(desk.exits(1, 2, 21_000, 230_000, leg="EXITS"), "TAKEN") == "TAKEN"
    assert desk.orders() == [(-1, "LMT", "2"), (-1, "STP", "2")]
    assert desk.answered(desk.exits(1, 2, 22_000, 0, leg="EXITS2"), "TAKEN") == "TAKEN"
    assert desk.orders() == [(-1, "STP", "2")]
    assert desk.answered(desk.cancel(1), "TAKEN") == "TAKEN"
    assert desk.orders() == []
    assert desk.answered(desk.exits(1, 3, 21_500, 229_000, leg="EXITS3"), "TAKEN") == "TAKEN"
    assert desk.orders() == [(-1, "LMT", "3"), (-1, "STP", "3")]
    again = desk.exits(1, 3, 21_500, 229_000, leg="EXITS4")
    desk.answered(again, "TAKEN")
    assert desk.orders() == [(-1, "LMT", "3"), (-1, "STP", "3")], "asking twice changes nothing"
    made = [row for row in desk.book() if row[2] == "STP"]
    assert len(made) == 2, "the first stop was amended twice, the last made once"


def test_exits_are_never_placed_on_what_is_not_held(insync: Desk) -> None:
    desk = insync
    assert desk.answered(desk.exits(1, 1, 20_000, 240_000), "REFUSED", "TAKEN") == "REFUSED:POSITION"
    desk.answered(desk.enter(2), "TAKEN")
    desk.wait("the fill", lambda: desk.held() == 1)
    assert desk.answered(desk.exits(2, 2, 20_000, 240_000), "REFUSED", "TAKEN") == "REFUSED:POSITION"
    assert desk.answered(desk.exits(2, 1, 240_000, 0, side=-1, leg="EXITS2"), "REFUSED", "TAKEN") == "REFUSED:POSITION"
    assert desk.orders() == [(-1, "LMT", "1"), (-1, "STP", "1")]


def test_what_may_not_be_obeyed_is_refused(insync: Desk) -> None:
    desk = insync
    old = desk.clock.now_ns() - 6_000_000_000
    desk.ask(PlaceBracket(key(1), MNQ, 1, 1, 100_000, 20_000, 240_000, old, "p"))
    assert desk.answered(key(1), "REFUSED") == "REFUSED:STALE_SIGNAL"
    assert desk.answered(desk.enter(2, qty=6), "REFUSED") == "REFUSED:QUANTITY"
    assert desk.answered(desk.enter(3, contract="MNQH7"), "REFUSED") == "REFUSED:CONTRACT"
    desk.run.kill_switch.write_text("test")
    row = PlaceBracket(key(4), MNQ, 1, 1, 100_000, 20_000, 240_000, desk.clock.now_ns(), "p")
    desk.outbox.send(row, desk.clock.now_ns())  # past the guard, as if it was thrown a moment later
    assert desk.answered(key(4), "REFUSED") == "REFUSED:KILL_SWITCH"
    desk.run.kill_switch.unlink()
    stale = desk.outbox
    desk.outbox = type(stale)(desk.run, stale._fence, stale._limits)
    from pj.channels.fence import grant

    grant(desk.run, "engine", "engine-2")
    assert desk.answered(desk.enter(5), "REFUSED") == "REFUSED:FENCED"
    assert desk.answered(desk.close(5), "REFUSED") == "REFUSED:FENCED"
    assert desk.book() == []


def test_an_entry_is_handed_over_and_placed_once(insync: Desk) -> None:
    desk = insync
    entry = desk.enter(1)
    desk.answered(entry, "TAKEN")
    desk.enter(1)
    desk.new_engine("engine-2")
    desk.enter(1)
    assert desk.run.day_at(desk.clock.now_ns()).orders.read_bytes().count(b"\n") == 1
    desk.answered(desk.close(1), "TAKEN")
    assert len(desk.entries()) == 1


def test_a_humans_order_is_seen_as_foreign_and_left_alone(insync: Desk) -> None:
    desk = insync
    desk.world.leave(1, 1, client_id=HUMAN)
    desk.wait("his legs in a snapshot", lambda: legs(desk) == {("FOREIGN", "")})
    desk.answered(desk.enter(1, qty=2), "TAKEN")
    desk.wait("the fill", lambda: desk.held() == 3)
    desk.answered(desk.cancel(1), "TAKEN")
    assert [row[0] for row in desk.book() if row[6] in {"Submitted", "PreSubmitted"}] == [HUMAN, HUMAN]
    desk.wait("our legs gone", lambda: legs(desk) == {("FOREIGN", "")})
