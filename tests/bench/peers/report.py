"""Print the figures as one table: a row per measure, a column per tool, ratios below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

OURS = "sentinel"
PLAIN = "plain spawn"


def _figure(value: float | None, digits: int) -> str:
    return "never" if value is None else f"{value:,.{digits}f}"


def _rows(result: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each measure's label and its text by tool."""
    for key in ("median", "p95", "max", "n"):
        digits = 0 if key == "n" else 1
        yield (
            f"kill -9 to first instruction, {'n' if key == 'n' else f'{key} ms'}",
            {name: _figure(found[key], digits) for name, found in result["kill_ms"].items()},
        )
    stops = result["stop_s"]
    yield "SIGSTOP to fresh heartbeat, seen", {name: f"{f['n'] - f['never']} of {f['n']}" for name, f in stops.items()}
    for key in ("median", "p95", "max"):
        yield f"SIGSTOP to fresh heartbeat, {key} s", {name: _figure(f[key], 2) for name, f in stops.items()}
    again = result["relaunch"]
    yield (
        "supervisor killed and relaunched: two copies 3 s later",
        {name: f"{sum(1 for t in found if t['after_most'] > 1)} of {len(found)}" for name, found in again.items()},
    )
    yield (
        "... two copies at any instant (20 Hz)",
        {name: f"{sum(1 for t in found if t['most'] > 1)} of {len(found)}" for name, found in again.items()},
    )
    yield (
        "... a child missing 3 s later",
        {name: f"{sum(1 for t in found if t['after_fewest'] < 1)} of {len(found)}" for name, found in again.items()},
    )
    loops = result["crash_loop"]
    yield "crash loop: starts", {name: str(found["starts"]) for name, found in loops.items()}
    yield "... of these in the last third", {n: str(found["starts_in_last_third"]) for n, found in loops.items()}
    yield "... alert rows", {n: str(found["alert_rows"]) for n, found in loops.items()}
    yield "... log lines that name the loop", {n: str(found["log_lines"]) for n, found in loops.items()}
    idle = result["idle"]
    yield "idle, % of one core", {name: _figure(found["cpu_percent"], 2) for name, found in idle.items()}
    yield "idle, MB resident (helpers included)", {name: _figure(found["rss_mb"], 1) for name, found in idle.items()}
    yield "idle, supervisor's own processes", {name: str(found["processes"]) for name, found in idle.items()}


def _ratios(result: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ours divided by each other tool's."""
    measures = [("kill -9 median", "kill_ms", "median"), ("kill -9 p95", "kill_ms", "p95")]
    measures += [("idle CPU", "idle", "cpu_percent"), ("idle memory", "idle", "rss_mb")]
    for label, phase, key in measures:
        ours = result[phase][OURS][key]
        others = {name: found[key] for name, found in result[phase].items() if name != OURS}
        if others:
            cells = {name: f"{ours / value:.3f}" if ours and value else "-" for name, value in others.items()}
            yield f"ratio sentinel / other: {label}", cells


def _bounds(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the Sentinel is to reach and whether this run saw it; ``never`` is over every bound."""
    kill, stop, idle = result["kill_ms"][OURS], result["stop_s"][OURS], result["idle"][OURS]
    bounds = [("kill -9 median", kill["median"], 100, "ms"), ("kill -9 p95", kill["p95"], 300, "ms")]
    bounds += [("SIGSTOP max", stop["max"], 8, "s"), ("idle", idle["cpu_percent"], 0.5, "% of one core")]
    bounds += [("idle", idle["rss_mb"], 40, "MB")]
    for label, value, bound, unit in bounds:
        kept = "kept" if value is not None and value <= bound else "NOT KEPT"
        yield f"sentinel {label}: {_figure(value, 2)} of at most {bound} {unit}: {kept}"


def table(result: Mapping[str, Any]) -> list[str]:
    """Return the table's lines."""
    facts = result["facts"]
    names = [*facts["tools"], PLAIN]
    rows = [*_rows(result), *_ratios(result)]
    first = max(len(label) for label, _ in rows)
    widths = {name: max(len(name), *(len(cells.get(name, "")) for _, cells in rows)) for name in names}
    load = f"load {facts['load_before']} before, {facts['load_after']} after"
    lines = [f"{facts['utc']} {facts['cores']} cores, Python {facts['python']}, {load}, seed {facts['seed']}"]
    lines += [f"{name}: {note}" for name, note in facts["tools"].items()]
    pinned = [package for package in facts["peers"] if package.split("==")[0] in {"supervisor", "circus"}]
    lines += [" ".join(pinned)] if pinned else []
    lines += [f"Sentinel's max_restarts: {facts['sentinel_max_restarts']}", ""]
    lines.append("  ".join([" " * first, *(name.rjust(widths[name]) for name in names)]))
    lines += [
        "  ".join([label.ljust(first), *(cells.get(name, "").rjust(widths[name]) for name in names)]).rstrip()
        for label, cells in rows
    ]
    told = {name: found["said"] for name, found in result["crash_loop"].items() if found["said"]}
    return [*lines, "", *_bounds(result), *(f"crash loop, {name} said: {words}" for name, words in told.items())]
