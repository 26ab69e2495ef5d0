"""Judge what the broker shows against what the desk believes: the verdict table of pj1 S8, as data.

A belief, a class of position and a class of working orders name one cell; every cell has one ruling, found by the first
row of RULES that covers it. A ruling says what it means, what to do, how many identical observations in a row it takes
(positions lag fills, so what cannot be undone takes two) and how long it must last. Nothing is done here:
``live.broker_verdicts`` carries rulings out.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Belief(StrEnum):
    """Name what the desk believes: nothing, an entry on its way, part of it filled, all of it open, being closed."""

    FLAT = "FLAT"
    PENDING = "PENDING"
    FILLING = "FILLING"
    OPEN = "OPEN"
    EXITING = "EXITING"


class Held(StrEnum):
    """Class the account's position against the belief.

    DARK: the source is lost. UNSEEN: not reported since the last fill. LAGS: what was right before a recent fill.
    WHOLE: as expected; of a pending entry, all of it. PART: less. GROWN: more, but no more than the entry ordered.
    OVER: more than that, or anything while nothing is expected. OPPOSITE: the other sign.
    """

    DARK = "DARK"
    UNSEEN = "UNSEEN"
    LAGS = "LAGS"
    ZERO = "ZERO"
    PART = "PART"
    WHOLE = "WHOLE"
    GROWN = "GROWN"
    OVER = "OVER"
    OPPOSITE = "OPPOSITE"


class Working(StrEnum):
    """Class our working orders at the broker.

    UNTOLD: the source does not tell. NONE: no order of ours. ENTRY: an entry works, a stop stands; ENTRY_BARE: an entry
    works, no stop stands. BRACKET: stop and target cover exactly what is held at the planned prices. NO_STOP: something
    works, but no stop. DRIFT: a stop stands, and something about the exits is wrong.
    """

    UNTOLD = "UNTOLD"
    NONE = "NONE"
    ENTRY = "ENTRY"
    ENTRY_BARE = "ENTRY_BARE"
    BRACKET = "BRACKET"
    NO_STOP = "NO_STOP"
    DRIFT = "DRIFT"


class Verdict(StrEnum):
    """Name what a cell means; every name but OK, WAIT and FILLED (only noted) is an alarm's code too."""

    OK = "OK"
    WAIT = "WAIT"
    UNKNOWN = "UNKNOWN"
    ORPHAN_ORDERS = "ORPHAN_ORDERS"
    UNKNOWN_POSITION = "UNKNOWN_POSITION"
    ENTRY_LOST = "ENTRY_LOST"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    NAKED = "NAKED"
    BRACKET_DRIFT = "BRACKET_DRIFT"
    PARTIAL_EXIT = "PARTIAL_EXIT"
    PHANTOM = "PHANTOM"
    PHANTOM_ORPHANS = "PHANTOM_ORPHANS"
    OVERFILL = "OVERFILL"
    REVERSED = "REVERSED"
    EXIT_STUCK = "EXIT_STUCK"


class Action(StrEnum):
    """Name what a ruling asks of the desk; the value says it in words for the documents."""

    NOTHING = "nothing"
    FREEZE = "no entries; leave the bracket alone"
    CANCEL = "cancel our orders; no entries until they are gone"
    EXPLAIN = (
        "adopt if an unconfirmed entry of ours explains it, and protect it; else KILL (flatten only if configured)"
    )
    CONSUME = "cancel, consume the pool, never resend"
    ADOPT = "open with what the account holds, estimated until its executions are seen"
    SETTLE = "cancel the rest, cover exactly what is held"
    PROTECT = "stop at the planned price at once; market exit where price is beyond it"
    AMEND = "amend the exits"
    BOOK_PART = "book the part (its executions, else stop less slippage ESTIMATED), shrink the exits"
    BOOK = "book the exit (its executions, else stop less slippage ESTIMATED)"
    CANCEL_FIRST = "cancel our orders; book when they are gone"
    FLATTEN = "to flat at market, KILL"
    CLOSE_AGAIN = "close to flat again, 3 tries, then protect, KILL"


@dataclass(frozen=True, slots=True)
class Ruling:
    """Say what a cell means and what follows.

    ``needs`` counts identical observations in a row, ``after_s`` the seconds (run time at speed 1) since it was first
    seen; of a pending entry since its signal, of an exit since it was sent.
    """

    verdict: Verdict
    action: Action
    needs: int = 1
    after_s: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Cover cells with one ruling; an empty set covers every class."""

    beliefs: frozenset[Belief]
    held: frozenset[Held]
    working: frozenset[Working]
    ruling: Ruling

    def covers(self, belief: Belief, held: Held, working: Working) -> bool:
        """Tell whether the cell is this rule's."""
        return (
            (not self.beliefs or belief in self.beliefs)
            and (not self.held or held in self.held)
            and (not self.working or working in self.working)
        )


def _rule(
    beliefs: set[Belief],
    held: set[Held],
    working: set[Working],
    verdict: Verdict,
    action: Action,
    needs: int = 1,
    s: int = 0,
) -> Rule:
    return Rule(frozenset(beliefs), frozenset(held), frozenset(working), Ruling(verdict, action, needs, s))


_B, _H, _W, _V, _A = Belief, Held, Working, Verdict, Action
_ANY: Final[set[Working]] = set()
_IN: Final = {_B.FILLING, _B.OPEN}
_BARE: Final = {_W.NONE, _W.NO_STOP, _W.ENTRY_BARE}
_GONE: Final = {_W.UNTOLD, _W.NONE}
RULES: Final[tuple[Rule, ...]] = (
    _rule(set(), {_H.DARK}, _ANY, _V.UNKNOWN, _A.FREEZE),
    _rule({_B.EXITING}, {_H.OPPOSITE}, _ANY, _V.REVERSED, _A.FLATTEN),
    _rule({_B.EXITING}, {_H.ZERO}, _GONE, _V.PHANTOM, _A.BOOK, 2, 10),
    _rule({_B.EXITING}, {_H.ZERO}, _ANY, _V.PHANTOM_ORPHANS, _A.CANCEL_FIRST, 2, 10),
    _rule({_B.EXITING}, set(), _ANY, _V.EXIT_STUCK, _A.CLOSE_AGAIN, 1, 10),
    _rule({_B.FLAT}, {_H.LAGS}, _ANY, _V.WAIT, _A.NOTHING),
    _rule({_B.FLAT}, {_H.UNSEEN, _H.ZERO}, _GONE, _V.OK, _A.NOTHING),
    _rule({_B.FLAT}, {_H.UNSEEN}, _ANY, _V.WAIT, _A.NOTHING),
    _rule({_B.FLAT}, {_H.ZERO}, _ANY, _V.ORPHAN_ORDERS, _A.CANCEL, 2),
    _rule({_B.FLAT}, set(), _ANY, _V.UNKNOWN_POSITION, _A.EXPLAIN, 2, 10),
    _rule({_B.PENDING}, {_H.UNSEEN, _H.LAGS}, _ANY, _V.WAIT, _A.NOTHING),
    _rule({_B.PENDING}, {_H.ZERO}, _ANY, _V.ENTRY_LOST, _A.CONSUME, 2, 10),
    _rule({_B.PENDING}, {_H.PART}, _ANY, _V.PARTIAL, _A.ADOPT),
    _rule({_B.PENDING}, {_H.WHOLE, _H.GROWN}, _ANY, _V.FILLED, _A.ADOPT),
    _rule({_B.PENDING}, {_H.OVER}, _ANY, _V.OVERFILL, _A.FLATTEN),
    _rule({_B.PENDING}, {_H.OPPOSITE}, _ANY, _V.UNKNOWN_POSITION, _A.EXPLAIN, 2, 10),
    _rule(_IN, {_H.OVER}, _ANY, _V.OVERFILL, _A.FLATTEN),
    _rule(_IN, {_H.OPPOSITE}, _ANY, _V.REVERSED, _A.FLATTEN),
    _rule(_IN, {_H.LAGS}, _ANY, _V.WAIT, _A.NOTHING),
    _rule(_IN, {_H.ZERO}, _GONE, _V.PHANTOM, _A.BOOK, 2, 10),
    _rule(_IN, {_H.ZERO}, _ANY, _V.PHANTOM_ORPHANS, _A.CANCEL_FIRST, 2, 10),
    _rule(_IN, {_H.PART}, _ANY, _V.PARTIAL_EXIT, _A.BOOK_PART, 2, 10),
    _rule({_B.FILLING}, {_H.GROWN}, _ANY, _V.FILLED, _A.ADOPT),
    _rule({_B.OPEN}, {_H.GROWN}, _ANY, _V.FILLED, _A.ADOPT, 2),
    _rule(_IN, {_H.WHOLE}, _BARE, _V.NAKED, _A.PROTECT),
    _rule({_B.FILLING}, {_H.WHOLE, _H.UNSEEN}, _ANY, _V.PARTIAL, _A.SETTLE, 1, 5),
    _rule({_B.OPEN}, {_H.UNSEEN}, _ANY, _V.WAIT, _A.NOTHING),
    _rule({_B.OPEN}, {_H.WHOLE}, {_W.ENTRY}, _V.ORPHAN_ORDERS, _A.SETTLE, 2, 5),
    _rule({_B.OPEN}, {_H.WHOLE}, {_W.DRIFT}, _V.BRACKET_DRIFT, _A.AMEND, 2),
    _rule({_B.OPEN}, {_H.WHOLE}, {_W.UNTOLD, _W.BRACKET}, _V.OK, _A.NOTHING),
)
"""The rows of pj1 S8 in the order they are asked; the first that covers a cell rules it."""


def _table() -> dict[tuple[Belief, Held, Working], Ruling]:
    cells = itertools.product(Belief, Held, Working)
    return {cell: rule.ruling for cell in cells for rule in (_first(*cell),) if rule is not None}


def _first(belief: Belief, held: Held, working: Working) -> Rule | None:
    return next((rule for rule in RULES if rule.covers(belief, held, working)), None)


TABLE: Final = _table()
"""Every cell's ruling; a test proves that none is missing."""
QUIET: Final = frozenset({Verdict.OK, Verdict.WAIT})
NOTED: Final = frozenset({Verdict.FILLED.value})
"""Verdicts that are written down and alarm nobody: a position may well be told before its executions."""


def judge(belief: Belief, held: Held, working: Working) -> Ruling:
    """Return the ruling of one cell; total over all classes."""
    return TABLE[belief, held, working]


def table_markdown() -> str:
    """Return RULES as the Markdown table shown in docs/."""
    lines = ["| belief | position | our orders | verdict | seen | after | action |", "|---|---|---|---|---|---|---|"]
    for rule in RULES:
        ruling = rule.ruling
        names = [_names(Belief, rule.beliefs), _names(Held, rule.held), _names(Working, rule.working)]
        after = f"{ruling.after_s} s" if ruling.after_s else ""
        lines.append(f"| {' | '.join(names)} | {ruling.verdict} | {ruling.needs} | {after} | {ruling.action} |")
    return "\n".join([*lines, ""])


def _names(kind: type[StrEnum], covered: frozenset[Belief] | frozenset[Held] | frozenset[Working]) -> str:
    return " ".join(one for one in kind if one in covered) or "any"
