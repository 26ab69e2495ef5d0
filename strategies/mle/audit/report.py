"""Write an audit as one HTML page that needs nothing else: words, tables, inline SVG."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from strategies.mle.audit.charts import BLUE, GREEN, GREY, ORANGE, RED, Band, Line, heat_line, histogram, line_chart
from strategies.mle.audit.statistics import resampled_days
from strategies.mle.audit.summary import needed_lines, number_of, tree_of, usd

if TYPE_CHECKING:
    from strategies.mle.phase16a_validation import Audit

TEMPLATE: Final = "report.html.j2"
FAN_PATHS: Final = 1_000
_FAN: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


def html_of(audit: Audit) -> str:
    """Return the page."""
    folder = FileSystemLoader(Path(__file__).parent)
    pages = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    tree = tree_of(audit)
    shown = [number_of(one) for one in audit.verdict.criteria]
    criteria = [{**row, "shown": text} for row, text in zip(tree["criteria"], shown, strict=True)]
    total = int(audit.daily[audit.split.judged].sum())
    return pages.get_template(TEMPLATE).render(
        tree=tree,
        criteria=criteria,
        what=_what(audit),
        needed=[line.strip() for line in list(needed_lines(audit))[1:]],
        charts=_charts(audit),
        fan_words=_fan_words(audit),
        walk_lines=_walk_lines(audit),
        own_net=usd(total),
        factors=[
            {
                "name": one.name,
                "trades": one.trades,
                "net": usd(one.net_cents),
                "figures": [f"{value:.3f}" for value in (one.t, one.p, one.holm, one.bh)],
            }
            for one in audit.factors
        ],
        stresses=[
            {
                "name": one.name,
                "trades": one.trades,
                "fit": usd(one.fit_net_cents),
                "hold": usd(one.hold_net_cents),
                "total": usd(one.total_net_cents),
            }
            for one in audit.stresses
        ],
    )


def _what(audit: Audit) -> str:
    bars = f"{audit.evidence.bars.name} as {audit.evidence.symbol}, {len(audit.table)} trades"
    if audit.tried.trial is None:
        return f"One configuration on {bars}"
    return f"Trial {audit.tried.trial}, the best of {audit.tried.count:,} on the fitted dates, on {bars}"


def _charts(audit: Audit) -> dict[str, Any]:
    return {
        "equity": _equity(audit),
        "fan": _fan(audit),
        "logits": _logits(audit),
        "walk": _walk(audit),
        "neighbours": heat_line(_heat(audit)),
        "nulls": _nulls(audit),
    }


def _dollars(cents: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(cents, dtype=np.float64) / 100.0


def _equity(audit: Audit) -> str:
    split = audit.split
    sums = _dollars(np.cumsum(audit.daily))
    rows = np.arange(len(sums))
    lines = [
        Line(rows[split.fit], sums[split.fit], BLUE, "fitted"),
        Line(rows[split.hold], sums[split.hold], ORANGE, "held out"),
    ]
    between = (float(split.fit_end), float(split.hold_start - 1))
    return line_chart(lines, ticks=_date_ticks(split.days), shade=between)


def _date_ticks(days: npt.NDArray[np.int32]) -> list[tuple[float, str]]:
    places = sorted(set(np.linspace(0, len(days) - 1, min(6, len(days))).astype(int).tolist()))
    return [(float(place), date.fromordinal(int(days[place])).isoformat()) for place in places]


def _fan(audit: Audit) -> str:
    daily = audit.daily[audit.split.judged]
    if audit.monte is None:
        return line_chart([])
    picked = resampled_days(len(daily), FAN_PATHS, audit.plan.settings.seed, audit.monte.block_days)
    paths = np.cumsum(daily[picked], axis=1)
    low, quarter, middle, upper, high = (_dollars(line) for line in np.quantile(paths, _FAN, axis=0))
    days = np.arange(1, len(daily) + 1)
    bands = [Band(days, low, high, BLUE, "5 to 95 %"), Band(days, quarter, upper, BLUE, "25 to 75 %")]
    lines = [Line(days, middle, BLUE, "half"), Line(days, _dollars(np.cumsum(daily)), GREY, "as it happened")]
    ticks = [(float(place), f"{place} dates") for place in np.linspace(1, len(days), 5).astype(int).tolist()]
    return line_chart(lines, bands, ticks)


def _fan_words(audit: Audit) -> str:
    monte = audit.monte
    if monte is None:
        return f"Not possible: {audit.monte_why}."
    floors = ", ".join(f"{one.hit:.1%} lose {usd(one.loss_cents)}" for one in monte.floors)
    worst = usd(monte.drawdown_cents[0.95])
    return (
        f"{monte.paths:,} resampled paths in blocks of {monte.block_days} dates. Largest drawdown: half of them"
        f" {usd(monte.drawdown_cents[0.5])}, one in twenty at least {worst}. Longest time under"
        f" water: half {monte.days_under_water[0.5]} dates. Since the start {floors}."
    )


def _logits(audit: Audit) -> str:
    pbo = audit.weighed.pbo
    if pbo is None:
        return ""
    return histogram(pbo.logits, [(0.0, RED, "the middle of the field")], bins=30, money=False)


def _walk(audit: Audit) -> str:
    colours = {"rolling": BLUE, "anchored": GREEN}
    lines = [
        Line(
            np.arange(walk.first_row, walk.first_row + len(walk.daily)),
            _dollars(np.cumsum(walk.daily)),
            colours[walk.kind],
            f"{walk.kind}, {walk.fit_days} dates fitted, {walk.judge_days} judged",
        )
        for walk in audit.forward.walks
    ]
    first = audit.forward.walks[0].first_row if audit.forward.walks else 0
    days = audit.split.days[audit.split.fit]
    ticks = [(place, text) for place, text in _date_ticks(days) if place >= first] if lines else []
    return line_chart(lines, ticks=ticks)


def _walk_lines(audit: Audit) -> list[str]:
    said = []
    for walk in audit.forward.walks:
        gain = "the fits did not earn" if walk.efficiency is None else f"efficiency {walk.efficiency:.2f}"
        said.append(
            f"{walk.kind}: {len(walk.daily)} judged dates, mean day {usd(walk.mean_cents)}, after a mean fitted day of"
            f" {usd(walk.fit_mean_cents)}; {gain}"
        )
    cross = audit.forward.cross
    if cross is not None:
        nets = ", ".join(usd(net) for net in cross.path_nets_cents)
        said.append(f"combinatorial purged cross-validation, {cross.splits} splits: net of the paths {nets}")
    return said + [f"{name}: not possible, {why}" for name, why in audit.forward.why.items()]


def _heat(audit: Audit) -> list[tuple[str, list[tuple[str, float]]]]:
    rows: dict[str, list[tuple[str, float]]] = {}
    for step in audit.steps:
        rows.setdefault(f"{step.parameter} ({step.old})", []).append((step.new, float(step.total_net_cents)))
    return list(rows.items())


def _nulls(audit: Audit) -> list[tuple[str, str]]:
    levels = audit.placebo
    found = [("placebo levels", _dollars(np.array(levels.nets_cents)), levels.real_net_cents, levels.p)]
    found += [(null.name, _dollars(null.nets_cents), null.real_net_cents, null.p) for null in audit.nulls]
    return [
        (f"{name}: p {p:.3f}", histogram(nets, [(real / 100, ORANGE, f"real {usd(real)}")], bins=24))
        for name, nets, real, p in found
    ]
