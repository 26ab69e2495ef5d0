"""Orders handed over to the bridge: answers are facts, an entry is never handed over again, exits are until known."""

from __future__ import annotations

from live.commands import CancelOrders, ClosePosition, PlaceBracket
from live.events import OrderAcked, OrderRefused, OrderUnknown
from pj.processes.engine.handed import EXIT_PATIENCE_S, HandedOver

ENTRY = PlaceBracket("p@1:ENTRY", "MNQZ6", 1, 1, 100_000, 99_900, 100_200, 1, "p")
EXIT = ClosePosition("p@1:EXIT", "MNQZ6", 1, "TIME", 1)
LATER = CancelOrders("p@1:CANCEL", "MNQZ6", "ORPHAN", 1)


class RunClock:
    speed = 1.0

    def now_ns(self) -> int:
        return 7

    def real_s_until(self, ns: int) -> float:
        return float(ns)


class Bench:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.handed = HandedOver(RunClock(), 6.0, lambda: self.now_s)


def test_an_entry_without_an_answer_becomes_unknown_once_and_stays_so() -> None:
    bench = Bench()
    bench.handed.add(ENTRY)
    bench.now_s += 5.9
    assert bench.handed.overdue() == ([], [])
    bench.now_s += 0.2
    events, again = bench.handed.overdue()
    assert [type(event) for event in events] == [OrderUnknown] and again == []
    bench.now_s += 100
    assert bench.handed.overdue() == ([], [])
    late = OrderAcked(ENTRY.key, "11", 9)
    assert bench.handed.hear(late) is late, "a fact that comes late still settles it"


def test_answers_end_the_waiting() -> None:
    for answer in (OrderAcked(ENTRY.key, "1", 2), OrderRefused(ENTRY.key, "201", 2), OrderUnknown(ENTRY.key, "x", 2)):
        bench = Bench()
        bench.handed.add(ENTRY)
        assert bench.handed.hear(answer) is answer
        assert bench.handed.waiting == 0


def test_exits_are_handed_over_until_known_and_doubted_once() -> None:
    bench = Bench()
    bench.handed.add(EXIT)
    told = []
    for _ in range(3):
        bench.now_s += EXIT_PATIENCE_S + 0.1
        events, again = bench.handed.overdue()
        told += events
        assert again == [EXIT]
        bench.handed.add(EXIT)
    assert [event.why for event in told if isinstance(event, OrderUnknown)] == [
        "the bridge has not answered within 3 s"
    ]
    assert bench.handed.hear(OrderUnknown(EXIT.key, "NOT_CONNECTED", 3)) is None
    bench.now_s += 0.6
    assert bench.handed.overdue()[1] == [EXIT], "an answer that knows nothing is asked again soon"
    taken = OrderAcked(EXIT.key, "", 4)
    assert bench.handed.hear(taken) is taken
    bench.now_s += 60
    assert bench.handed.overdue() == ([], [])


def test_a_row_of_an_older_engine_is_no_answer_to_ours() -> None:
    bench = Bench()
    bench.handed.add(EXIT)
    assert bench.handed.hear(OrderRefused(EXIT.key, "FENCED", 3)) is None
    bench.now_s += 0.6
    assert bench.handed.overdue()[1] == [EXIT]
    refused = OrderRefused(EXIT.key, "201", 3)
    assert bench.handed.hear(refused) is refused


def test_a_newer_order_stands_for_the_older_ones() -> None:
    bench = Bench()
    bench.handed.add(EXIT)
    bench.handed.add(LATER)
    bench.now_s += 10
    assert bench.handed.overdue()[1] == [LATER]
    bench.handed.add(ENTRY)
    bench.now_s += 5
    assert bench.handed.overdue()[1] == [], "what was asked before an entry must not hit the new position"
