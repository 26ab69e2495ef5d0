"""See that the order campaign's checks fail when they should, and that a kill's landing is read right."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from order_checks import check_account, check_exits, check_placed, check_trades, check_unknown
from order_scene import Life, leg_of, stem_of
from order_steps import AIMS, landing

STEM = "739938:SWH:1795011300@1795015560"
POOL = "739938:SWH:1795011300"
ENTRY, EXIT = f"{STEM}:ENTRY", f"{STEM}:EXIT"

Books = dict[str, Any]


def line(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": data}


def fill(number: int, side: int, ref: str) -> dict[str, Any]:
    return {"exec_id": f"x{number}", "order_ref": ref, "side": side, "qty": 1, "price": 10.0, "perm_id": number}


def whole() -> Books:
    """Return the books of one order: its answer was lost, it was filled, and an exit closed it."""
    fills = [fill(1, -1, ENTRY), fill(2, 1, EXIT)]
    journal = [
        line("INTENT", key=ENTRY, side=-1, qty=1),
        line("UNKNOWN", key=ENTRY),
        line("EXECUTION", **fills[0]),
        line("INTENT", key=EXIT, qty=1),
        line("ACKED", key=EXIT),
        line("EXECUTION", **fills[1]),
        line("TRADE", pool_id=POOL, mode="LIVE"),
    ]
    trades = [{"pool_id": POOL, "qty": "1"}]
    truth = {"executions": fills, "positions": {}, "orders": []}
    return {"journal": journal, "trades": trades, "truth": truth, "requests": [ENTRY, EXIT]}


def check(books: Books) -> dict[str, Any]:
    journal, truth = books["journal"], books["truth"]
    found = check_unknown(journal) | check_account(journal, truth)
    return found | check_trades(journal, books["trades"], truth) | check_exits(journal, books["requests"])


def without(kind: str) -> Callable[[Books], None]:
    def change(books: Books) -> None:
        books["journal"] = [row for row in books["journal"] if row["type"] != kind]

    return change


def lost_and_forgotten(books: Books) -> None:
    books["journal"] = books["journal"][:2]
    books["truth"]["executions"] = []
    books["trades"] = []


def filled_twice(books: Books) -> None:
    books["truth"]["executions"] += [fill(3, -1, ENTRY), fill(4, 1, EXIT)]
    books["journal"] += [line("EXECUTION", **row) for row in books["truth"]["executions"][2:]]


def exit_never_sent(books: Books) -> None:
    books["requests"].remove(EXIT)
    without("TRADE")(books)


def booked_twice(books: Books) -> None:
    books["trades"] *= 2
    books["journal"].append(books["journal"][-1])


CHANGES: dict[str, Callable[[Books], None]] = {
    "what became of": lost_and_forgotten,
    "lacks executions": lambda books: books["journal"].pop(2),
    "never were": lambda books: books["truth"]["executions"].pop(),
    "stand twice in the journal": lambda books: books["journal"].append(books["journal"][2]),
    "gateway": lambda books: books["truth"]["positions"].update(MNQZ6=1),
    "orders still work": lambda books: books["truth"]["orders"].append([ENTRY, "BUY", "STP", "Submitted"]),
    "bought": filled_twice,
    "trades.csv and the journal differ": lambda books: books["trades"].clear(),
    "trades stand twice": booked_twice,
    "nobody answered": exit_never_sent,
}


def test_whole_books_are_no_finding() -> None:
    found = check(whole())
    assert (found["unknown"], found["adopted"], found["executions"], found["trades"], found["exits"]) == (1, 1, 2, 1, 1)


@pytest.mark.parametrize("words", CHANGES)
def test_a_fault_in_the_books_is_found(words: str) -> None:
    books = deepcopy(whole())
    CHANGES[words](books)
    if words == "nobody answered":
        with pytest.raises(AssertionError, match=words):
            check_exits(books["journal"], books["requests"])
        return
    with pytest.raises(AssertionError, match=words):
        check(books)


def test_a_booked_trade_that_was_never_filled_is_found() -> None:
    books = whole()
    books["truth"]["executions"] = []
    with pytest.raises(AssertionError, match="never filled"):
        check_trades(books["journal"], books["trades"], books["truth"])


@pytest.mark.parametrize(
    ("handed", "orders", "words"),
    [
        ([ENTRY, ENTRY], [ENTRY], "handed over twice"),
        ([ENTRY, f"{POOL}@1:ENTRY"], [ENTRY], "no intent"),
        ([ENTRY], [ENTRY, ENTRY], "two orders"),
        ([], [ENTRY], "nobody handed over"),
        ([ENTRY], [ENTRY], ""),
    ],
)
def test_an_entry_placed_twice_is_found(handed: list[str], orders: list[str], words: str) -> None:
    rows = [{"key": key, "order": "ENTRY"} for key in handed]
    truth = {"orders": [], "completed": [[key, "SELL", "MKT", "Filled"] for key in orders]}
    if words:
        with pytest.raises(AssertionError, match=words):
            check_placed(whole()["journal"], rows, truth)
    else:
        assert check_placed(whole()["journal"], rows, truth)["entries_placed"] == 1


def test_keys_are_read() -> None:
    assert (leg_of(f"{STEM}:EXIT2"), stem_of(EXIT)) == ("EXIT", STEM)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ((), "flat"),
        (("SIGNAL",), "SIGNAL, no INTENT"),
        (("SIGNAL", "INTENT ENTRY"), "INTENT, not sent"),
        (("INTENT ENTRY", "REQUEST ENTRY", "ANSWER ENTRY"), "sent, no answer"),
        (("REQUEST ENTRY", "ANSWER ENTRY", "ACCOUNT ENTRY FILL"), "sent, no answer; filled, unread"),
        (("ACKED ENTRY", "JOURNAL ENTRY FILL"), "open; entry ACKED"),
        (("ACKED ENTRY", "JOURNAL ENTRY FILL", "INTENT EXIT"), "exit INTENT, not sent"),
        (("JOURNAL EXIT FILL",), "exit EXECUTION, no TRADE"),
        (("JOURNAL EXIT FILL", "TRADE"), "TRADE line, not in trades.csv"),
        (("TRADE", "BOOKED"), "just booked"),
    ],
)
def test_where_a_kill_landed_is_read_from_the_facts(facts: tuple[str, ...], words: str) -> None:
    life = Life(STEM)
    for fact in facts:
        life.note(fact, 10 if fact.startswith("ANSWER") else 1)
    assert landing(life, 5) == words


def test_a_trade_booked_long_ago_is_flat() -> None:
    life = Life(STEM)
    life.note("BOOKED", 1)
    assert landing(life, 10**9) == "flat"


def test_every_aim_has_a_name_of_its_own_and_a_demo_it_fits() -> None:
    assert len({aim.name for aim in AIMS}) == len(AIMS)
    assert {aim.variant for aim in AIMS} <= {"", "bracket", "timed"}
