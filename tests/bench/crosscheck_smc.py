"""Compare our levels with smartmoneyconcepts: ``python -P tests/bench/crosscheck_smc.py --bars FILE --python P``.

P is the interpreter of an environment outside the project that has the library (``smartmoneyconcepts==0.0.27``).
Prints the table of pj1 S10 and exits 1 when PDH/PDL or a session differ where they must agree, or when a pivot of
ours is missing in their raw window.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from live.commands import RecordEvent
from live.market import INSTRUMENTS
from live.params import Params
from strategies.mle.bar_file import load_columns
from strategies.mle.compiled import run_compiled
from strategies.mle.tape import Tape, offsets_s

PEER = Path(__file__).parent / "peers" / "smc_levels.py"
Said = dict[str, Any]


def main() -> int:
    """Print the table and, with --json, the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=Path, required=True)
    parser.add_argument("--python", required=True, help="interpreter that has smartmoneyconcepts 0.0.27")
    parser.add_argument("--count", type=int, default=25_000)
    parser.add_argument("--front", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    params = Params()
    columns = load_columns(options.bars, INSTRUMENTS["MNQ"], front=options.front, snap=True)
    tape = _first(Tape.of(columns), options.count)
    events = list(run_compiled(tape, params).events())
    said = _ask(options.python, tape, params)
    figures = {
        "bars": len(tape),
        "previous_day": previous_day(tape, events, said, ""),
        "previous_day_utc_index": previous_day(tape, events, said, "UTC_"),
        "sessions": {window.name: session(tape, events, said, window) for window in params.sessions},
        "pivots": pivots(tape, events, said),
    }
    print(json.dumps(figures, indent=2) if options.json else table(figures))
    agree = figures["previous_day"]["rows_wrong"] == 0 and figures["pivots"]["ours_missing_inside"] == 0
    return 0 if agree and not any(one["wrong"] for one in figures["sessions"].values()) else 1


def _first(tape: Tape, count: int) -> Tape:
    """Return whole trade dates, about ``count`` bars, all of one contract."""
    rolled = np.flatnonzero(np.diff(tape.contract))
    most = min(count, int(rolled[0]) + 1 if len(rolled) else len(tape))
    last = int(np.searchsorted(tape.day_start, most, side="right")) - 1
    return tape.between(int(tape.days[0]), int(tape.days[max(0, last - (most < len(tape)))]))


def _ask(python: str, tape: Tape, params: Params) -> Said:
    """Run the library on the same bars and return its arrays."""
    wall = tape.ts_s + offsets_s(tape.ts_s)
    bars = {"ts": tape.ts_s, "wall": wall, "day_clock": wall + 6 * 3600, "volume": np.ones(len(tape))}
    bars |= {"open": tape.open, "high": tape.high, "low": tape.low, "close": tape.close}
    windows = [f"{one.name}={_clock(one.start_m)}-{_clock(one.end_m - 1)}" for one in params.sessions]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "bars.npz", Path(folder) / "said.npz"
        np.savez(source, **bars)
        command = [python, str(PEER), str(source), str(target), str(params.swing_n), ",".join(windows)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with np.load(target) as said:
            return dict(said)


def _clock(minute: int) -> str:
    wall = (minute + 18 * 60) % 1440
    return f"{wall // 60:02d}:{wall % 60:02d}"


def _defined(events: list[RecordEvent], kind: str) -> Iterator[tuple[int, int, RecordEvent]]:
    """Yield (trade date, side, row) of the pools of one kind."""
    for one in events:
        if one.event == "DEFINED" and one.pool.split(":")[1][:-1] == kind:
            yield int(one.pool.split(":")[0]), 1 if one.pool.split(":")[1][-1] == "H" else -1, one


def previous_day(tape: Tape, events: list[RecordEvent], said: Said, prefix: str) -> dict[str, int]:
    """Compare PDH and PDL on every row of the days that have one; each day's first row apart."""
    days = rows = wrong = first_wrong = 0
    for day, side, one in _defined(events, "PD"):
        inside = np.flatnonzero(tape.ordinal == day)
        theirs = said[prefix + ("PDH" if side > 0 else "PDL")][inside]
        differs = theirs != one.level
        days += side > 0
        rows += len(inside) - 1
        wrong += int(differs[1:].sum())
        first_wrong += bool(differs[0])
    return {"days": days, "rows": rows, "rows_wrong": wrong, "first_rows_wrong": first_wrong}


def session(tape: Tape, events: list[RecordEvent], said: Said, window: Any) -> dict[str, int]:
    """Compare a session's high and low with their last active value of the day."""
    days = wrong = 0
    active = said[f"{window.name}_Active"] == 1
    for day, side, one in _defined(events, window.name):
        last = np.flatnonzero(active & (tape.ordinal == day))[-1]
        days += side > 0
        wrong += int(said[f"{window.name}_{'High' if side > 0 else 'Low'}"][last]) != one.level
    return {"days": days, "wrong": wrong}


def pivots(tape: Tape, events: list[RecordEvent], said: Said) -> dict[str, int]:
    """Compare pivots with their raw window and with their final, filtered swings."""
    ours: set[tuple[int, int]] = set()
    for kind in ("SW", "EQ"):
        ours |= {(int(one.pool.split(":")[-1]), side) for _, side, one in _defined(events, kind)}
    raw = {(int(tape.ts_s[at]), 1) for at in np.flatnonzero(said["raw_high"])}
    raw |= {(int(tape.ts_s[at]), -1) for at in np.flatnonzero(said["raw_low"])}
    final = {(int(tape.ts_s[at]), int(said["final"][at])) for at in np.flatnonzero(~np.isnan(said["final"]))}
    missing = ours - raw
    known_from = int(tape.ts_s[2 * Params().swing_n])  # their window needs 2n rows before it can say anything
    return {
        "ours": len(ours),
        "raw": len(raw),
        "ours_missing": len(missing),
        "ours_missing_inside": sum(ts >= known_from for ts, _ in missing),
        "raw_not_ours": len(raw - ours),
        "final": len(final),
        "final_ours": len(final & ours),
        "final_rewritten": int(said["rewritten"][0]),
        "farthest_rewritten": int(said["rewritten"][1]),
    }


def table(figures: dict[str, Any]) -> str:
    """Return the figures as the table of pj1 S10."""
    day, utc, swing = figures["previous_day"], figures["previous_day_utc_index"], figures["pivots"]
    lines = [
        "| ours | theirs | result |",
        "|---|---|---|",
        (
            f"| PDH/PDL | previous_high_low 1D, ET + 6 h | {day['days']} days, {day['rows']} rows:"
            f" {day['rows_wrong']} wrong; first rows wrong {day['first_rows_wrong']} of {2 * day['days']} |"
        ),
        f"| | the same with a UTC index | {utc['rows_wrong']} of {utc['rows']} rows wrong |",
    ]
    lines += [
        f"| {name} | sessions Custom, end - 1 min | {one['days']} days, {one['wrong']} wrong |"
        for name, one in figures["sessions"].items()
    ]
    return "\n".join(
        [
            f"{figures['bars']} bars",
            *lines,
            (
                f"| pivots {swing['ours']} | raw centred window {swing['raw']} | ours missing {swing['ours_missing']}"
                f" ({swing['ours_missing_inside']} after their warm-up), theirs alone {swing['raw_not_ours']} |"
            ),
            (
                f"| | final swings {swing['final']} | ours among them {swing['final_ours']};"
                f" rewritten over 300 one-bar extensions: {swing['final_rewritten']}, the farthest"
                f" {swing['farthest_rewritten']} bars back |"
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
