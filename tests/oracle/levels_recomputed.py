"""Recompute levels from the raw bars with pandas, in other words than the engine's and the oracle's (pj1 S3, S10).

Days come from the zone-aware index moved by six hours, windows from ``between_time`` on the wall clock, pivots from
centred rolling maxima. What is compared are the DEFINED rows: pool id, level, time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from live.commands import RecordEvent
from live.params import Params
from strategies.mle.bar_file import BarColumns

Level = tuple[str, int, int]
"""Pool id, raw level in ticks, DEFINED stamp in epoch seconds."""


def frame_of(tape: BarColumns) -> pd.DataFrame:
    """Return the bars that count (pj1 S1.3, S1.4) with ET wall time as index and trade date and run of contract."""
    wall = pd.to_datetime(tape.ts_ns, utc=True).tz_convert("America/New_York").tz_localize(None)
    frame = pd.DataFrame(
        {
            "ts": tape.ts_ns // 10**9,
            "open": tape.open_,
            "high": tape.high,
            "low": tape.low,
            "close": tape.close,
            "volume": tape.volume,
            "contract": list(tape.contract),
        },
        index=wall,
    )
    same = frame[["open", "high", "low"]].eq(frame["close"], axis=0).all(axis=1)
    beat = (frame["volume"] == 0) & same & (frame["close"] == frame["close"].shift())
    date = (frame.index + pd.Timedelta(hours=6)).normalize()
    frame["date"] = date
    frame = frame[~beat & (frame.index.hour != 17) & (date.day_of_week < 5)].copy()
    changed = frame["contract"] != frame["contract"].shift()
    frame["run"] = (changed | (frame["date"] != frame["date"].shift())).cumsum()
    return frame


def ordinal(date: pd.Timestamp) -> int:
    """Return a trade date as pool ids name it."""
    return date.toordinal()


def previous_days(frame: pd.DataFrame, params: Params) -> Iterator[Level]:
    """Yield PDH and PDL: of the bars since the last change of date or contract, at each change of date alone."""
    runs = frame.groupby("run", sort=True).agg(
        date=("date", "first"),
        contract=("contract", "first"),
        ts=("ts", "first"),
        high=("high", "max"),
        low=("low", "min"),
        count=("ts", "size"),
    )
    before = runs.shift()
    due = (before["contract"] == runs["contract"]) & (before["date"] != runs["date"])
    due &= before["count"] >= params.min_prev_day_bars
    for at in runs.index[due]:
        day, ts = ordinal(runs.loc[at, "date"]), int(runs.loc[at, "ts"])
        yield f"{day}:PDH", int(before.loc[at, "high"]), ts
        yield f"{day}:PDL", int(before.loc[at, "low"]), ts


def sessions(frame: pd.DataFrame, params: Params) -> Iterator[Level]:
    """Yield session highs and lows: of the window's bars in the contract that its first later bar finds."""
    minute = (frame.index.hour * 60 + frame.index.minute - 18 * 60) % 1440
    for _, day in frame.assign(m=minute).groupby("date", sort=True):
        for window in params.sessions:
            later = day[day["m"] >= window.end_m]
            if later.empty:
                continue
            # The window is closed by the first bar at or past its end; a roll on that very bar empties it first.
            closing = later.iloc[0]
            inside = day[(day["m"] >= window.start_m) & (day["m"] < window.end_m) & (day["run"] == closing["run"])]
            share = len(inside) / (window.end_m - window.start_m)
            if inside.empty or share < float(params.min_session_fill):
                continue
            name = f"{ordinal(closing['date'])}:{window.name}"
            yield f"{name}H", int(inside["high"].max()), int(closing["ts"])
            yield f"{name}L", int(inside["low"].min()), int(closing["ts"])


def pivots(frame: pd.DataFrame, params: Params) -> Iterator[Level]:
    """Yield every confirmed pivot as (side with the pivot bar's time, price, time of confirmation)."""
    n = params.swing_n
    for _, run in frame.groupby("run", sort=True):
        ts = run["ts"].to_numpy()
        for side, column, sign in (("H", "high", 1), ("L", "low", -1)):
            x = sign * run[column]
            left = x.rolling(n).max().shift(1)
            right = x[::-1].rolling(n).max()[::-1].shift(-1)
            found = np.flatnonzero(((x > left) & (x >= right)).to_numpy())
            for at in found.tolist():
                yield f"{side}:{ts[at]}", int(run[column].iloc[at]), int(ts[at + n]) + 60


def defined(events: Iterable[RecordEvent], *kinds: str) -> list[Level]:
    """Return the DEFINED rows of pools of these kinds, sorted."""
    return sorted(
        (one.pool, one.level if one.level is not None else 0, one.ts_s)
        for one in events
        if one.event == "DEFINED" and one.pool.split(":")[1][:-1] in kinds
    )


def defined_pivots(events: Iterable[RecordEvent]) -> list[Level]:
    """Return the pivot behind each SW and EQ pool as ``pivots`` names it; an EQ's level may be its mate's price."""
    found = []
    for pool, level, ts in defined(events, "SW", "EQ"):
        parts = pool.split(":")
        found.append((f"{parts[1][-1]}:{parts[-1]}", level if parts[1][:2] == "SW" else 0, ts))
    return sorted(found)
