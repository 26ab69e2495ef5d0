"""Positions lag fills: what is held is known only where the report and the executions agree."""

from __future__ import annotations

from pj.ibkr.position_truth import FORGET_S, LAG_S, PositionTruth

MNQ = "MNQZ6"


class Bench:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.truth = PositionTruth(lambda: self.now_s)

    def picture(self, **held: int) -> None:
        self.truth.listing_began()
        for name, qty in held.items():
            self.truth.reported(name, qty)
        self.truth.listing_ended()


def test_the_first_picture_holds_what_executed_before_it() -> None:
    bench = Bench()
    bench.truth.executed("a", MNQ, 2)
    bench.picture(MNQZ6=2)
    bench.truth.executed("a", MNQ, 2)
    assert (bench.truth.now(MNQ), bench.truth.now("MNQH7")) == (2, 0)


def test_report_and_execution_may_come_in_either_order() -> None:
    for report_first in (True, False):
        bench = Bench()
        bench.picture()
        steps = [lambda b=bench: b.truth.reported(MNQ, 1), lambda b=bench: b.truth.executed("a", MNQ, 1)]
        steps[not report_first]()
        assert bench.truth.now(MNQ) is None, "one of the two alone proves nothing"
        steps[report_first]()
        bench.truth.executed("a", MNQ, 1)
        assert bench.truth.now(MNQ) == 1


def test_a_report_without_our_own_fill_is_old_news_however_often_it_comes() -> None:
    bench = Bench()
    bench.picture(MNQZ6=2)
    bench.truth.executed("close", MNQ, -2)
    for _ in range(10):
        bench.now_s += LAG_S - 0.1
        bench.picture(MNQZ6=2)
        assert bench.truth.now(MNQ) is None
    bench.now_s += FORGET_S
    assert bench.truth.now(MNQ) == 2, "after a minute it is no lag any more"


def test_a_change_nobody_executed_is_believed_after_a_while() -> None:
    bench = Bench()
    bench.picture(MNQZ6=2)
    bench.picture(MNQZ6=5)
    assert bench.truth.now(MNQ) is None
    bench.now_s += LAG_S + 0.1
    assert bench.truth.now(MNQ) == 5
    bench.picture()
    bench.now_s += 0.1
    assert bench.truth.now(MNQ) is None
    bench.now_s += LAG_S
    assert bench.truth.now(MNQ) == 0, "a contract that a complete list lacks is flat"
