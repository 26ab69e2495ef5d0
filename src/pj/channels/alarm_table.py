"""Say what each alarm asks of a person: the one table from code to severity.

An alarm's code is written by the engine into its journal, by the Sentinel into ``alerts.jsonl``; a code that is missing
here is taken for the gravest one. A test gathers every code that the sources can raise and holds the table to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """Name what is asked of a person: at once at the broker, a look soon, or nothing."""

    ACT = "ACT"
    LOOK = "LOOK"
    INFO = "INFO"


_ACT: Final = (
    # the account is not what it should be, or nobody knows what it is
    "NAKED", "OVERFILL", "REVERSED", "EXIT_STUCK", "UNKNOWN_POSITION", "PHANTOM", "PHANTOM_ORPHANS", "ORPHAN_ORDERS",
    "ORDER_UNKNOWN", "EXIT_UNKNOWN", "EXIT_REFUSED", "FOREIGN_EXECUTION",
    # entries stay forbidden, or a process stays down, until somebody does something
    "REPLAY_MISMATCH", "CRASH_LOOP", "MISCONFIGURED", "LEFT", "FLATTENED",
)  # fmt: skip
_LOOK: Final = (
    # the engine has dealt with it; the reason is worth a look
    "UNKNOWN", "ENTRY_LOST", "PARTIAL_EXIT", "BRACKET_DRIFT", "LATE_EXECUTION", "KEY_REUSED", "FENCED",
    # the input is not as good as it should be
    "CLOCK_SKEW", "LATE_TICKS", "BAD_BAR", "NO_HISTORY",
    # an alert or an alarm that can no longer be read
    "UNREADABLE",
)  # fmt: skip
_INFO: Final = ("PARTIAL", "CLOCK_JUMPED")
SEVERITY: Final[Mapping[str, Severity]] = {
    **dict.fromkeys(_ACT, Severity.ACT),
    **dict.fromkeys(_LOOK, Severity.LOOK),
    **dict.fromkeys(_INFO, Severity.INFO),
}


def severity_of(code: str) -> Severity:
    """Return what ``code`` asks of a person; ACT for one that nobody has judged yet."""
    return SEVERITY.get(code, Severity.ACT)
