"""List the verbs of the workbench: what the rules would have done, and whether that deserves money."""

from __future__ import annotations

from typing import Final

from pj.verbs.arguments import JSON
from pj.verbs.schema import Argument, Verb, object_output

_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer"}
_OBJECT: Final = {"type": "object"}

RESEARCH_VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "backtest",
        "Run the engine's own decisions over a Parquet file of 1-minute bars.",
        "pj.verbs.research:backtest",
        (
            Argument(
                "--bars", "Parquet file: ts, open, high, low, close, volume, optional contract", "path", required=True
            ),
            Argument("--out", "folder for trades.csv and events.csv", "path", required=True, metavar="DIR"),
            Argument("--params", "JSON file of strategy parameters (spec S13)", "path"),
            Argument("--from", "first trade date", "date"),
            Argument("--to", "last trade date", "date"),
            Argument("--front", "of overlapping contracts keep the one with more volume per trade date", "flag"),
            Argument("--snap", "round prices to the grid instead of refusing the file", "flag"),
            Argument("--symbol", "what is traded", choices=("NQ", "MNQ", "ES", "MES"), default="MNQ"),
            JSON,
        ),
        object_output(
            "counts and money of the run",
            bars=_WHOLE,
            first_bar=_TEXT,
            last_bar=_TEXT,
            pools=_OBJECT,
            sweeps=_WHOLE,
            reclaims=_WHOLE,
            signals=_WHOLE,
            refusals=_OBJECT,
            cancels=_OBJECT,
            locks=_WHOLE,
            trades=_WHOLE,
            wins=_WHOLE,
            net_usd=_TEXT,
            trades_path=_TEXT,
            events_path=_TEXT,
        ),
        codes=(0, 2),
        detail="A backtest shows what the rules would have done; it proves no edge.",
    ),
)
