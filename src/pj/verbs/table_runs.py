"""List the verbs over what experiments left behind."""

from __future__ import annotations

from typing import Final

from pj.verbs.arguments import JSON
from pj.verbs.schema import Argument, Verb, object_output

_TRUTH: Final = {"type": "boolean"}
_TEXT: Final = {"type": "string"}
_OBJECT: Final = {"type": "object"}
_ROWS: Final = {"type": "array", "items": _OBJECT}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_ROOT: Final = Argument("--root", "folder below which the runs lie", "path", default="runs", metavar="DIR")
_PARTS: Final = dict.fromkeys(("inputs", "params", "code", "environment", "results", "outputs"), _OBJECT)

RUN_VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "runs list",
        "List the runs below a folder: what was run, on what, how it ended.",
        "pj.verbs.research_runs:list_runs",
        (_ROOT, JSON),
        object_output("the runs found", runs=_ROWS, unreadable=_TEXTS),
        codes=(0, 1, 2),
    ),
    Verb(
        "runs show",
        "Show one run and hold its outputs to their recorded hashes.",
        "pj.verbs.research_runs:show_run",
        (Argument("run", "run folder, or its name below the root", required=True), _ROOT, JSON),
        object_output(
            "the run's record", **_PARTS, kind=_TEXT, inputs_sha256=_TEXT, folder=_TEXT, changed_outputs=_OBJECT
        ),
        codes=(0, 1, 2),
    ),
    Verb(
        "runs compare",
        "Compare runs: parameters, inputs, code, results, bytes of the outputs.",
        "pj.verbs.research_runs:compare_runs",
        (
            Argument("run", "two or more run folders, or their names below the root", required=True, repeat=True),
            _ROOT,
            JSON,
        ),
        object_output(
            "what differs, one value per run; broken = equal inputs gave other bytes",
            **_PARTS,
            folders=_TEXTS,
            changed_outputs=_OBJECT,
            same_inputs=_TRUTH,
            same_outputs=_TRUTH,
            broken=_TRUTH,
        ),
        codes=(0, 1, 2),
        detail="Exit code 1: an output on disk is no longer what was recorded, or equal inputs gave other bytes.",
    ),
)
