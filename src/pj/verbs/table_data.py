"""List the verbs that keep and judge market data."""

from __future__ import annotations

from typing import Final

from pj.verbs.arguments import JSON
from pj.verbs.schema import Argument, Verb, object_output

_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer"}
_NUMBER: Final = {"type": "number"}
_TRUTH: Final = {"type": "boolean"}
_OBJECT: Final = {"type": "object"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_ROWS: Final = {"type": "array", "items": _OBJECT}
_SYMBOL: Final = Argument("--symbol", "what is traded", choices=("NQ", "MNQ", "ES", "MES"), default="MNQ")
_GOLDEN: Final = Argument("--golden", "folder of the archive", "path", default="data/GOLDEN_DATA", metavar="DIR")
_SPAN: Final = (Argument("--from", "first trade date", "date"), Argument("--to", "last trade date", "date"))
_ARCHIVE: Final = (_SYMBOL, _GOLDEN)

DATA_VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "data import",
        "Take 1-minute bars (Parquet, CSV, or a run folder's bars.csv) into the archive, all or nothing.",
        "pj.verbs.research_data:import_data",
        (
            Argument("file", "Parquet or CSV files: ts, open, high, low, close, volume, contract", "path", repeat=True),
            Argument("--run", "run folder, or one day of it: import the daemon's own bars", "path", metavar="DIR"),
            *_ARCHIVE,
            Argument("--contract", "contract of rows that name none, e.g. MNQM2026", metavar="NAME"),
            Argument(
                "--conflicts",
                "a row that differs from the one held for its minute",
                choices=("refuse", "keep", "replace"),
                default="refuse",
            ),
            JSON,
        ),
        object_output(
            "what became of the rows",
            **dict.fromkeys(("rows", "added", "equal", "mended", "kept", "replaced", "quarantined"), _WHOLE),
            units=_TEXTS,
            quarantine=_TEXTS,
            faults=_OBJECT,
            archive=_TEXT,
        ),
        codes=(0, 1, 2, 3),
        detail="The same import twice changes nothing. Exit code 1: rows went into quarantine, the others are in.",
    ),
    Verb(
        "data compact",
        "Merge the day files of finished months, verified before the old ones go.",
        "pj.verbs.research_data:compact_data",
        (*_ARCHIVE, JSON),
        object_output("rows per month merged", archive=_TEXT, months=_OBJECT),
        codes=(0, 2, 3),
    ),
    Verb(
        "data gaps",
        "Name the session minutes that the archive lacks, by the exchange calendar.",
        "pj.verbs.research_data:gaps_data",
        (*_ARCHIVE, *_SPAN, JSON),
        object_output(
            "what is missing and why",
            archive=_TEXT,
            gaps=_ROWS,
            explained=_ROWS,
            **dict.fromkeys(("session_minutes", "present_minutes", "thin_minutes", "lost_minutes"), _WHOLE),
            coverage_pct=_NUMBER,
            rule=_TEXT,
        ),
        codes=(0, 1, 2),
        detail="Of overlapping contracts the one with more volume counts. Exit code 1: unexplained gaps.",
    ),
    Verb(
        "data verify",
        "Hold every file of the archive to its hash, its rows to order, grid and shape.",
        "pj.verbs.research_data:verify_data",
        (*_ARCHIVE, JSON),
        object_output("what is wrong", archive=_TEXT, files=_WHOLE, rows=_WHOLE, wrong=_TEXTS),
        codes=(0, 1, 2),
    ),
    Verb(
        "data quality",
        "Report on files of bars: coverage, gaps, strays, contracts, duplicates, faults, odd moves.",
        "pj.verbs.research_data:quality_data",
        (
            Argument("file", "Parquet or CSV files, or folders of Parquet files", "path", required=True, repeat=True),
            _SYMBOL,
            JSON,
        ),
        object_output(
            "the report",
            **dict.fromkeys(("source", "symbol", "first", "last", "rule"), _TEXT),
            **dict.fromkeys(
                ("rows", "used", "strays", "heartbeats", "degraded", "duplicates", "conflicts", "unordered"), _WHOLE
            ),
            **dict.fromkeys(
                ("trade_dates", "session_minutes", "present_minutes", "thin_minutes", "lost_minutes"), _WHOLE
            ),
            **dict.fromkeys(("outside_sessions", "unverified_dates"), _WHOLE),
            **dict.fromkeys(("contracts", "rolls", "moves", "gaps", "explained"), _ROWS),
            **dict.fromkeys(("conflict_rows", "faulty_rows"), _TEXTS),
            coverage_pct=_NUMBER,
            faults=_OBJECT,
            material=_TRUTH,
        ),
        codes=(0, 1, 2),
        detail="Exit code 1: faulty or contradictory rows, or material gaps.",
    ),
    Verb(
        "data export",
        "Write bars of the archive into one Parquet file that a backtest reads.",
        "pj.verbs.research_data:export_data",
        (
            *_ARCHIVE,
            *_SPAN,
            Argument("--front", "of overlapping contracts keep the one with more volume per trade date", "flag"),
            Argument("--out", "the file to write", "path", required=True),
            JSON,
        ),
        object_output("what was written", out=_TEXT, rows=_WHOLE, contracts=_TEXTS, overlapping=_TRUTH),
        codes=(0, 2, 3),
    ),
)
