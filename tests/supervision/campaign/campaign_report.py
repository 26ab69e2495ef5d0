"""Turn what a campaign measured into a table for people and a file for later."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-95 * len(ordered) // 100) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return count, median, p95 and maximum, rounded to a tenth."""
    return {
        "n": len(values),
        "median": round(statistics.median(values), 1),
        "p95": round(p95(values), 1),
        "max": round(max(values), 1),
    }


def table(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    """Return rows in columns."""
    lines = [[str(cell) for cell in row] for row in (head, *body)]
    widths = [max(len(row[at]) for row in lines) for at in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in lines)


def tell(folder: Path, name: str, figures: Mapping[str, Any], printed: str) -> None:
    """Print the table and write everything as ``campaign_<name>.json`` into the run folder."""
    path = folder / f"campaign_{name}.json"
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(f"\n{printed}\nfigures: {path}")
