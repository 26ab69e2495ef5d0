"""Part the trade dates into what may be fitted and what is opened once (pj1 S11.2).

The cut is by trade date, never by trade or row. Two dates at the border belong to neither part: the last fitted one is
purged (a position that ends DAY_ROLL lives into the next date) and the first held-out one is embargoed (its PDH and
PDL, and pools that live at most one day, come from fitted bars).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

FIT_SHARE: Final = 70
"""Per cent of the trade dates that may be fitted."""
PURGE_DATES: Final = 1
EMBARGO_DATES: Final = 1

Ordinals = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Split:
    """Hold all trade dates (ordinals, rising) and the rows of the fitted and of the held-out part.

    Fitted are rows [0, ``fit_end``), held out are rows [``hold_start``, len(days)); what lies between is purge and
    embargo.
    """

    days: Ordinals
    fit_end: int
    hold_start: int

    @property
    def fit(self) -> slice:
        """Return the fitted rows."""
        return slice(0, self.fit_end)

    @property
    def hold(self) -> slice:
        """Return the held-out rows."""
        return slice(self.hold_start, len(self.days))

    @property
    def judged(self) -> Flags:
        """Return a flag per row: in one of the two parts."""
        flags = np.ones(len(self.days), dtype=np.bool_)
        flags[self.fit_end : self.hold_start] = False
        return flags

    @property
    def hold_days(self) -> int:
        """Return how many trade dates are held out."""
        return len(self.days) - self.hold_start

    def rows_of(self, ordinals: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return each ordinal's row; raises ValueError for a date that is not among the days."""
        rows = np.searchsorted(self.days, ordinals)
        known = rows < len(self.days)
        known[known] = self.days[rows[known]] == np.asarray(ordinals)[known]
        if not known.all():
            stranger = date.fromordinal(int(np.asarray(ordinals)[~known][0]))
            raise ValueError(f"{stranger} is not a trade date of these bars")
        return rows.astype(np.int64)

    def span(self, part: slice) -> tuple[str, str]:
        """Return first and last trade date of a part as ISO text, empty text when it has none."""
        days = self.days[part]
        if not len(days):
            return "", ""
        return date.fromordinal(int(days[0])).isoformat(), date.fromordinal(int(days[-1])).isoformat()


def split_days(days: npt.NDArray[np.integer], fit_share: int = FIT_SHARE) -> Split:
    """Return the 70/30 split of rising, unique trade dates with one date purged and one embargoed (pj1 S11.2)."""
    ordinals = np.ascontiguousarray(days, dtype=np.int32)
    if len(ordinals) > 1 and not (np.diff(ordinals) > 0).all():
        raise ValueError("trade dates must rise and be unique")
    border = len(ordinals) * fit_share // 100
    return Split(ordinals, max(0, border - PURGE_DATES), min(len(ordinals), border + EMBARGO_DATES))
