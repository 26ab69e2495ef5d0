"""List the verbs that tell of decisions and state positions."""

from __future__ import annotations

from typing import Final

from pj.verbs.arguments import JSON, SETTINGS
from pj.verbs.schema import Argument, Verb, object_output

_TEXT: Final = {"type": "string"}
_LIST: Final = {"type": "array", "items": {"type": "object"}}
_STORY: Final = object_output(
    "one pool's story: what became of it, its life, the gates' answers, the order's life, the money",
    pool=_TEXT,
    title=_TEXT,
    verdict=_TEXT,
    taken={"type": ["boolean", "null"]},
    signal=_TEXT,
    life=_LIST,
    gates=_LIST,
    order=_LIST,
    money={"type": "array", "items": _TEXT},
)

_POSITION: Final = object_output(
    "what a human stated last, and what the engine believes; null = not known",
    source=_TEXT,
    stated={"type": ["object", "null"]},
    age_s={"type": ["number", "null"]},
    stale={"type": ["boolean", "null"]},
    believed={"type": ["integer", "null"]},
    account={"type": ["integer", "null"]},
    verified={"type": "boolean"},
    says=_TEXT,
)

ORDER_VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "explain",
        "Tell in plain words why a trade was or was not taken, from the journal.",
        "pj.verbs.explain:explain",
        (
            Argument(
                "signal",
                "pool id, signal time (09:46 ET, or ISO in UTC) or 'last'; none lists the day's",
                metavar="signal",
            ),
            *SETTINGS,
            Argument("--date", "trade date; the newest one when left out", "date"),
            JSON,
        ),
        _STORY,
        codes=(0, 1, 2),
        detail="It reads files only and works while the engine runs. taken is null when nobody can say.",
    ),
    Verb(
        "audit show",
        "Print the whole story of one closed trade with the journal's line numbers.",
        "pj.verbs.explain:show",
        (
            *SETTINGS,
            Argument("--trade", "the trade's number in trades.csv", "int", required=True),
            Argument("--date", "its trade date; the newest day that has such a trade when left out", "date"),
            JSON,
        ),
        _STORY,
        codes=(0, 1, 2),
    ),
    Verb(
        "position show",
        "Say what is known of the account's position, by whom, and how old that is.",
        "pj.verbs.position:show",
        (*SETTINGS, JSON),
        _POSITION,
        codes=(0, 1, 2),
        detail="1 when nobody can vouch for it (UNVERIFIED).",
    ),
    Verb(
        "position set",
        "State the account's position, for execution.position_source: manual.",
        "pj.verbs.position:state",
        (
            Argument("side", "flat, long or short", choices=("flat", "long", "short"), required=True),
            Argument("qty", "contracts, for long and short", "int", metavar="qty"),
            *SETTINGS,
            Argument("--by", "who has looked; the user of this machine when left out"),
            Argument("--reason", "why, for the journal"),
            JSON,
        ),
        _POSITION,
        codes=(0, 2, 3),
        detail=(
            "Look at the broker first: the engine acts on it. A statement resolves the doubts that are older than it"
            " and ends with the next order; what contradicts the engine is an alarm, as if a machine had told it."
        ),
    ),
)
