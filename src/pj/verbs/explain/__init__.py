"""Tell why a trade was or was not taken: ``pj explain``, and one trade's whole story: ``pj audit show``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

from pj.channels.journal import JournalDamaged, read_journal
from pj.channels.rundir import RunDir
from pj.verbs.common import Options, Refusal, print_json, run_dir_of, settings_of
from pj.verbs.explain.story import CORRECTED, DECISIONS, LIFE, DayLine, Story, tell
from pj.verbs.explain.words import eastern, moment_ns, pool_words

LAST: Final = "last"
DAYS_BACK: Final = timedelta(days=14)
_WALL: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::\d\d)?")


def explain(options: Options) -> int:
    """Print one signal's story, or with no signal the list of the day's decisions; 1 when the journal is damaged."""
    folder = run_dir_of(settings_of(options))
    day = _day(folder, options["date"])
    try:
        lines = _lines(folder, day)
    except JournalDamaged as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not options["signal"]:
        _print_list(lines, day, as_json=options["json"])
        return 0
    pool = _pool(lines, day, str(options["signal"]))
    _print_story(tell(lines, pool, folder.instrument), as_json=options["json"])
    return 0


def show(options: Options) -> int:
    """Print the whole story of one closed trade by its number; 1 when the journal is damaged."""
    folder = run_dir_of(settings_of(options))
    wanted = str(options["trade"])
    try:
        days = [_day(folder, options["date"])] if options["date"] else _days(folder)[::-1]
        for day in days:
            lines = _lines(folder, day)
            found = [
                item.line.data["pool_id"]
                for item in lines
                if item.day == day and item.line.type == "TRADE" and str(item.line.data["trade_id"]) == wanted
            ]
            if found:
                _print_story(tell(lines, found[-1], folder.instrument), as_json=options["json"])
                return 0
    except JournalDamaged as error:
        sys.stderr.write(f"{error}\n")
        return 1
    raise Refusal(f"no trade {wanted} in {folder.root}; 'pj explain --date D' lists a day's decisions")


def _days(folder: RunDir) -> list[date]:
    return [day for day in folder.days() if folder.day(day).journal.exists()]


def _day(folder: RunDir, wanted: str | None) -> date:
    days = _days(folder)
    if wanted is not None and date.fromisoformat(wanted) not in days:
        known = f"; there are {days[0]} to {days[-1]}" if days else ""
        raise Refusal(f"there is no journal of {wanted} in {folder.root}{known}")
    if not days:
        raise Refusal(f"there is no journal in {folder.root}; name the run folder with --run-dir")
    return days[-1] if wanted is None else date.fromisoformat(wanted)


def _lines(folder: RunDir, day: date) -> list[DayLine]:
    """Return the verified lines of the day and of the days before it that may know its pools; raise JournalDamaged.

    Of the days after it only the corrections of trades: an execution may come after the trade date has turned.
    """
    days = [other for other in _days(folder) if abs(other - day) <= DAYS_BACK]
    lines = [DayLine(other, line) for other in days for line in read_journal(folder.day(other).journal)]
    return [item for item in lines if item.day <= day or item.line.type == CORRECTED]


def _decisions(lines: Sequence[DayLine], day: date) -> list[DayLine]:
    return [item for item in lines if item.day == day and item.line.type in DECISIONS]


def _pool(lines: Sequence[DayLine], day: date, signal: str) -> str:
    """Return the pool that ``signal`` names; raise Refusal naming what there is."""
    decided = _decisions(lines, day)
    if signal == LAST:
        live = [item for item in decided if item.line.data.get("mode") == "LIVE"] or decided
        if not live:
            raise Refusal(f"no signal was made or refused on {day}; 'pj explain POOL' tells of a pool without one")
        return str(live[-1].line.data["pool"])
    pools = {str(item.line.data["pool"]) for item in lines if item.line.type in LIFE | DECISIONS}
    if signal in pools:
        return signal
    at = [item for item in decided if _is_at(item, signal)]
    if at:
        return str(at[-1].line.data["pool"])
    near = [pool for pool in sorted(pools) if signal.upper() in pool]
    certain = [item.line.data["pool"] for item in decided if item.line.data["pool"] in near] or near
    if len(certain) == 1:
        return str(certain[0])
    known = near[:5] or [f"{eastern(_ns(item), '%H:%M')} {item.line.data['pool']}" for item in decided][-5:]
    raise Refusal(
        f"{signal!r} is no pool and no signal time of {day}; try {', '.join(known) or 'another date'}, or '{LAST}'"
    )


def _ns(item: DayLine) -> int:
    return int(item.line.data["ts"]) * 1_000_000_000


def _is_at(item: DayLine, signal: str) -> bool:
    wall = _WALL.fullmatch(signal)
    if wall:
        return eastern(_ns(item), "%H:%M") == f"{int(wall[1]):02d}:{wall[2]}"
    try:
        return moment_ns(signal) == _ns(item)
    except ValueError:
        return False


def _print_list(lines: Sequence[DayLine], day: date, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for item in _decisions(lines, day):
        data = item.line.data
        said = "signal" if item.line.type == "SIGNAL" else f"refused {data['reason']}"
        rows.append(
            {"time": f"{eastern(_ns(item))} ET", "pool": data["pool"], "said": said, "mode": data.get("mode", "")}
        )
    if as_json:
        print_json({"date": day.isoformat(), "decisions": rows})
        return
    for row in rows:
        more = "" if row["mode"] == "LIVE" else f"  ({row['mode'].lower()})"
        print(f"{row['time']}  {row['pool']:<16} {row['said']:<22} the {pool_words(row['pool'])}{more}")
    print(f"{day}: {len(rows)} decisions; 'pj explain TIME' or 'pj explain POOL' tells one of them")


def _print_story(story: Story, *, as_json: bool) -> None:
    print_json(story.to_dict()) if as_json else print("\n".join(story_lines(story)))


def story_lines(story: Story) -> list[str]:
    """Return a story as lines for a person."""
    lines = [story.title[:1].upper() + story.title[1:], story.verdict]
    days = {beat.day for beat in [*story.life, *story.order]}
    if story.life:
        lines += ["", "The pool", *_beats(story.life, days)]
    if story.signal:
        lines += ["", f"The signal  {story.signal}"]
    if story.gates:
        lines += ["", "The gates, in order (the first that refuses names the refusal)"]
        lines += [f"  {gate.name:<14} {'passed ' if gate.passed else 'REFUSED'}  {gate.text}" for gate in story.gates]
    if story.order:
        lines += ["", "The order and the account", *_beats(story.order, days)]
    if story.money:
        lines += ["", "The money", *(f"  {line}" for line in story.money)]
    return lines


def _beats(beats: Sequence[Any], days: set[str]) -> list[str]:
    pattern = "%m-%d %H:%M:%S" if len(days) > 1 else "%H:%M:%S"
    return [f"  {eastern(beat.at_ns, pattern)} ET  {beat.text}  [line {beat.line}]" for beat in beats]
