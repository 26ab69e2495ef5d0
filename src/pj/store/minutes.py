"""Lay moments on the grid of trading days: trade date and minute of the day of whole columns (pj1 S1.2)."""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from live.market import NS_PER_S
from live.trading_day import MINUTES_PER_DAY, at_minute_ns, et_offset_s

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_HOUR_NS: Final = 3600 * NS_PER_S
_SHIFT_S: Final = 6 * 3600
_DAY_S: Final = 86_400
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


def trading_minutes(ts_ns: Ints) -> tuple[Ints, Ints]:
    """Return trade date (proleptic ordinal) and minute m (0..1439) of each time, asking the zone once per hour."""
    if not len(ts_ns):
        return ts_ns.copy(), ts_ns.copy()
    hours, place = np.unique(ts_ns // _HOUR_NS, return_inverse=True)
    offsets = np.asarray([et_offset_s(int(hour) * _HOUR_NS) for hour in hours], dtype=np.int64)
    wall_s = ts_ns // NS_PER_S + offsets[place] + _SHIFT_S
    return wall_s // _DAY_S + _EPOCH_ORDINAL, wall_s % _DAY_S // 60


def minute_ns(ordinal: int, minute: int) -> int:
    """Return the UTC ns at which minute ``minute`` of a trade date opens (exact: the zone decides)."""
    return at_minute_ns(date.fromordinal(ordinal), minute)


def runs_of(flags: Flags) -> tuple[Ints, Ints]:
    """Return begin and end (exclusive) of each stretch of true values."""
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


__all__ = ["MINUTES_PER_DAY", "Flags", "Ints", "minute_ns", "runs_of", "trading_minutes"]
