"""List the verbs of the workbench: what the rules would have done, and whether that deserves money."""

from __future__ import annotations

from typing import Final

from pj.verbs.arguments import GAP_SWITCHES, JSON
from pj.verbs.schema import Argument, Verb, object_output

_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer"}
_OBJECT: Final = {"type": "object"}

RESEARCH_VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "backtest",
        "Run the engine's own decisions over Parquet files of 1-minute bars.",
        "pj.verbs.research:backtest",
        (
            Argument(
                "--bars",
                "Parquet file: ts, open, high, low, close, volume, optional contract; or a folder of such files",
                "path",
                required=True,
                metavar="FILE|DIR",
            ),
            Argument(
                "--out",
                "folder for trades.csv, events.csv, equity.csv, equity.svg, run.json; one folder per file of a folder",
                "path",
                required=True,
                metavar="DIR",
            ),
            Argument("--params", "JSON file of strategy parameters (spec S13)", "path"),
            Argument("--from", "first trade date", "date"),
            Argument("--to", "last trade date", "date"),
            Argument("--front", "of overlapping contracts keep the one with more volume per trade date", "flag"),
            Argument("--snap", "round prices to the grid instead of refusing the file", "flag"),
            Argument("--symbol", "what is traded", choices=("NQ", "MNQ", "ES", "MES"), default="MNQ"),
            Argument(
                "--engine",
                "compiled kernels, or the live engine bar by bar; both give the same rows",
                choices=("compiled", "exact"),
                default="compiled",
            ),
            Argument("--jobs", "files of a folder at a time (default: one per core)", "int"),
            *GAP_SWITCHES,
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
            equity_path=_TEXT,
            engine=_TEXT,
            figures=_OBJECT,
        ),
        codes=(0, 2),
        detail="A backtest shows what the rules would have done; it proves no edge.",
    ),
    Verb(
        "validate",
        "Judge a backtest or a search out of sample: PASS or FAIL, each criterion with number and threshold.",
        "pj.verbs.research_validate:validate",
        (
            Argument("--backtest", "folder that 'pj backtest --out' wrote", "path", metavar="DIR"),
            Argument("--search", "folder of 'pj search --out'; its best fitted trial is judged", "path", metavar="DIR"),
            Argument("--bars", "the Parquet file, where it is not where the run found it", "path"),
            Argument("--params", "JSON file of parameters, for a folder without run.json", "path"),
            Argument("--from", "first trade date, for a folder without run.json", "date"),
            Argument("--to", "last trade date, for a folder without run.json", "date"),
            Argument("--front", "as in pj backtest, for a folder without run.json", "flag"),
            Argument("--snap", "as in pj backtest, for a folder without run.json", "flag"),
            Argument("--symbol", "what is traded, for a folder without run.json", choices=("NQ", "MNQ", "ES", "MES")),
            Argument(
                "--out",
                "folder for verdict.json, report.html, run.json (default: DIR/validation)",
                "path",
                metavar="DIR",
            ),
            Argument("--ledger", "file that counts the looks at a holdout", "path", default="runs/looks.jsonl"),
            Argument("--seed", "seed of every draw", "int", default=1),
            Argument("--placebos", "runs with placebo levels", "int", default=200),
            Argument(
                "--floor", "a loss in USD whose chance is told, may be repeated (450, 1000, 2000)", "int", repeat=True
            ),
            *GAP_SWITCHES,
            JSON,
        ),
        object_output(
            "the verdict, each criterion, and what stands beside it",
            verdict={"type": "string", "enum": ["PASS", "FAIL"]},
            criteria={"type": "array", "items": _OBJECT},
            last_word=_TEXT,
            source=_OBJECT,
            split=_OBJECT,
            looks=_OBJECT,
            facts=_OBJECT,
            needed=_OBJECT,
            beside=_OBJECT,
            settings=_OBJECT,
        ),
        codes=(0, 1, 2),
        detail="Exit code 1: FAIL. The held-out 30 % is opened once per parameter set; the ledger counts every look."
        " 'pj validate lookahead' asks another question: does any reading depend on the future?",
    ),
    Verb(
        "validate lookahead",
        "Cut the bars at many places, invent other futures, report every reading they rewrite.",
        "pj.verbs.research_lookahead:validate_lookahead",
        (
            Argument(
                "--bars", "Parquet file: ts, open, high, low, close, volume, optional contract", "path", required=True
            ),
            Argument("--params", "JSON file of strategy parameters (spec S13)", "path"),
            Argument("--cuts", "places at which the future is taken away", "int", default=200),
            Argument("--seed", "seed of the cuts and the futures", "int", default=16),
            Argument("--front", "of overlapping contracts keep the one with more volume per trade date", "flag"),
            Argument("--snap", "round prices to the grid instead of refusing the file", "flag"),
            Argument("--symbol", "what is traded", choices=("NQ", "MNQ", "ES", "MES"), default="MNQ"),
            Argument("--engine", "which engine is tried", choices=("compiled", "exact"), default="compiled"),
            Argument("--out", "folder for lookahead.json and run.json", "path", metavar="DIR"),
            JSON,
        ),
        object_output(
            "what was tried and what was rewritten (must be 0)",
            bars=_WHOLE,
            seed=_WHOLE,
            cuts=_OBJECT,
            futures={"type": "array", "items": _TEXT},
            runs=_WHOLE,
            readings=_WHOLE,
            rewritten=_WHOLE,
            planted_found={"type": "boolean"},
            findings={"type": "array", "items": _OBJECT},
            clean={"type": "boolean"},
        ),
        codes=(0, 1, 2),
        detail="Exit code 1: a future rewrote the past, or the planted peek was not found: nothing is proved.",
    ),
    Verb(
        "search",
        "Try every combination of a space of strategy parameters and keep what each came to.",
        "pj.verbs.research_search:search",
        (
            Argument(
                "--bars", "Parquet file: ts, open, high, low, close, volume, optional contract", "path", required=True
            ),
            Argument("--space", "YAML file: parameter names (spec S13) and lists of values", "path", required=True),
            Argument("--out", "folder for the trials, their days and run.json", "path", required=True, metavar="DIR"),
            Argument("--backend", "cpu, cuda or dask://HOST:PORT; all give equal results", default="cpu"),
            Argument("--resume", "go on with a search that was stopped or killed", "flag"),
            Argument("--threads", "processor threads (default: one per processor)", "int"),
            Argument("--from", "first trade date", "date"),
            Argument("--to", "last trade date", "date"),
            Argument("--front", "of overlapping contracts keep the one with more volume per trade date", "flag"),
            Argument("--snap", "round prices to the grid instead of refusing the file", "flag"),
            Argument("--symbol", "what is traded", choices=("NQ", "MNQ", "ES", "MES"), default="MNQ"),
            *GAP_SWITCHES,
            JSON,
        ),
        object_output(
            "counts of the search; money and ratios of its trials stand in the folder",
            finished={"type": "boolean"},
            backend=_TEXT,
            bars=_WHOLE,
            days=_WHOLE,
            combinations=_WHOLE,
            dropped=_WHOLE,
            trials=_WHOLE,
            stored=_WHOLE,
            traded=_WHOLE,
            positive=_WHOLE,
            best_trial={"type": ["integer", "null"]},
            best_sharpe={"type": ["number", "null"]},
            daily_kept={"type": "boolean"},
        ),
        codes=(0, 2, 3),
        detail="The best of many tries looks good on noise too: weigh it with pj validate --search.",
    ),
)
