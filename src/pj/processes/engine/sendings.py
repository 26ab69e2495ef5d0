"""Count what earlier runs sent or may have sent, from their journals: the webhook's own limits count it too.

A kill between the sending and its SENT line loses that line, never the INTENT. So each order that was asked for and has
no final SENT counts once more for each run that ended with it open: at most one too many, never one too few.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pj.brokers.dispatcher import FENCED
from pj.brokers.port import Outcome
from pj.channels.journal import JournalLine

ENTRY_LEG: Final = ":ENTRY"
#: After these an order is not sent again; an entry is never sent twice, whatever the answer.
FINAL: Final = frozenset({Outcome.ACKED.value, Outcome.REFUSED.value, Outcome.HANDED.value})


@dataclass(slots=True)
class _Open:
    """Hold when an open order was last about to be sent (UTC ns), and whether the next run sends it again."""

    at_ns: int
    goes_on: bool


def possibly_sent(lines: Iterable[JournalLine]) -> list[tuple[int, bool]]:
    """Return (UTC ns, is an entry) of each request that left or may have left, oldest first."""
    found: list[tuple[int, bool]] = []
    open_: dict[str, _Open] = {}
    for line in lines:
        if line.type == "START":
            found += _may_have_left(open_)
            open_ = {key: _Open(line.ts_ns, goes_on=True) for key, order in open_.items() if order.goes_on}
        elif line.type == "INTENT":
            key = str(line.data["key"])
            if _is_entry(key):
                _stand_for(open_, len(open_))
            open_[key] = _Open(line.ts_ns, goes_on=not _is_entry(key))
        elif line.type == "SENT":
            key = str(line.data["key"])
            if line.data["left"]:
                found.append((line.ts_ns, _is_entry(key)))
            if _is_final(key, line):
                _stand_for(open_, list(open_).index(key) if key in open_ else 0)
                open_.pop(key, None)
            elif key in open_:
                open_[key].at_ns = line.ts_ns
    return sorted(found + _may_have_left(open_))


def _is_entry(key: str) -> bool:
    return key.endswith(ENTRY_LEG)


def _is_final(key: str, line: JournalLine) -> bool:
    """Tell whether the order is not sent again; an exit that the fence held back is sent by the successor."""
    return _is_entry(key) or (line.data["outcome"] in FINAL and line.data["code"] != FENCED)


def _stand_for(open_: dict[str, _Open], count: int) -> None:
    """Note that a later order stands for the first ``count``: the next run does not send them again (see Outbox)."""
    for order in list(open_.values())[:count]:
        order.goes_on = False


def _may_have_left(open_: dict[str, _Open]) -> list[tuple[int, bool]]:
    return [(order.at_ns, _is_entry(key)) for key, order in open_.items()]
