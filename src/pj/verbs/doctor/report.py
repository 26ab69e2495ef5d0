"""Print the results: an aligned table for people, one JSON object for programs."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pj.verbs.doctor.model import NEEDS_REMEDY, Result, Status

_WIDEST: Final = 140
_NARROWEST: Final = 60
_MANY: Final = 3


def as_tree(results: Sequence[Result], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON report; ``about`` comes first (version, profile, run folder, settings' trouble)."""
    counts = Counter(result.finding.status for result in results)
    return {
        "ok": not counts[Status.FAIL] and not about["trouble"],
        **about,
        "counts": {status.value: counts[status] for status in Status},
        "checks": [
            {
                "id": result.check.id,
                "title": result.check.title,
                "status": result.finding.status.value,
                "says": result.finding.says,
                "remedy": result.finding.remedy,
                "facts": dict(result.finding.facts),
                "took_ms": result.took_ms,
            }
            for result in results
        ],
    }


def as_text(tree: Mapping[str, Any]) -> str:
    """Return the report for a person: status, check, one sentence, and below it what to do."""
    width = min(_WIDEST, max(_NARROWEST, shutil.get_terminal_size((120, 24)).columns))
    titles = max(len(check["title"]) for check in tree["checks"])
    statuses = max(len(status) for status in Status)
    about = "settings unreadable" if tree["trouble"] else f"profile {tree['profile']}, run folder {tree['run_dir']}"
    lines = [f"pj {tree['version']}, {about}", ""]
    together = _skipped_together(tree["checks"])
    for check in tree["checks"]:
        if check["status"] == Status.SKIPPED and check["says"] in together:
            continue
        head = f"{check['status']:<{statuses}}  {check['title']:<{titles}}  "
        lines += _wrapped(check["says"], head, width)
        if check["remedy"] and check["status"] in {*NEEDS_REMEDY, Status.UNKNOWN}:
            lines += _wrapped(check["remedy"], " " * len(head) + "-> ", width)
    for reason, names in together.items():
        head = f"{Status.SKIPPED.value:<{statuses}}  {f'{len(names)} checks':<{titles}}  "
        lines += _wrapped(f"{reason}: {', '.join(names)}", head, width)
    return "\n".join([*lines, "", _verdict(tree)])


def _skipped_together(checks: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the reasons that many checks share for being left out, with the checks' titles: one line says them all."""
    shared: dict[str, list[str]] = {}
    for check in checks:
        if check["status"] == Status.SKIPPED:
            shared.setdefault(check["says"], []).append(check["title"])
    return {reason: names for reason, names in shared.items() if len(names) >= _MANY}


def _wrapped(text: str, head: str, width: int) -> list[str]:
    rest = " " * len(head)
    # Paths and addresses are copied from here: they are never cut.
    return textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _verdict(tree: Mapping[str, Any]) -> str:
    if tree["trouble"]:
        return "the settings cannot be read; the checks that need them were left out"
    counts = tree["counts"]
    others = ", ".join(f"{counts[status]} {status}" for status in (Status.WARN, Status.UNKNOWN) if counts[status])
    if counts[Status.FAIL]:
        return f"{counts[Status.FAIL]} FAIL{', ' + others if others else ''}: do what stands behind ->, then ask again"
    return f"nothing stands in the way{' (' + others + ')' if others else ''}"
