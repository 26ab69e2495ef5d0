"""Turn trial numbers into the integer tables that kernels read: money numbers per row, and views of the clock.

Every number comes from ``kernels.packing``, so that a row of a search and a single backtest read the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.packing import check_fits, money_rules
from strategies.mle.kernels.shared import V_COLUMNS, V_FLAT_M, V_GAP_S, V_HOLD_S, V_NEWS_FROM, V_NEWS_TO, V_WINDOW
from strategies.mle.search.space import FSM_FIELDS, POOL_FIELDS, Space

Ints = npt.NDArray[np.int64]

_MINUTES: Final = 1442
_COLUMNS: Final[dict[str, tuple[int, ...]]] = {
    "stop_buffer_ticks": (c.G_BUFFER,),
    "min_risk_ticks": (c.G_MIN_RISK,),
    "max_risk_ticks": (c.G_MAX_RISK,),
    "target_r": (c.G_R_NUM, c.G_R_DEN),
    "max_hold_min": (c.G_HOLD_S,),
    "flat_at_m": (c.G_FLAT_M,),
    "max_entry_delay_min": (c.G_DELAY_S,),
    "risk_per_trade_cents": (c.G_RISK_CENTS,),
    "max_qty": (c.G_MAX_QTY,),
    "comm_side_cents": (c.G_COMM,),
    "slip_ticks": (c.G_SLIP,),
    "target_through_ticks": (c.G_THROUGH,),
    "max_daily_loss_cents": (c.G_DAY_LOSS,),
    "max_trades_day": (c.G_MAX_TRADES,),
    "max_consec_losses": (c.G_MAX_LOSSES,),
    "cooldown_min": (c.G_COOLDOWN_S,),
    "max_orders_hour": (c.G_MAX_ORDERS,),
    "max_gap_min": (c.G_GAP_S,),
    "tick_cents": (c.G_TICK_CENTS,),
}
"""Which of the money pass's numbers a field of ``Params`` decides."""
_VIEW_NUMBERS: Final = {V_GAP_S: c.G_GAP_S, V_FLAT_M: c.G_FLAT_M, V_HOLD_S: c.G_HOLD_S}
_VIEW_FIELDS: Final = ("max_gap_min", "flat_at_m", "max_hold_min", "windows", "blackouts")


@dataclass(frozen=True, eq=False)
class Batch:
    """Hold a run of trials as tables, sorted by structure and then by view.

    ``order[k]`` is the place among ``trials`` of the k-th sorted row; ``structure`` and ``view`` are the sorted rows'
    keys, ``views`` the table (columns V_ of kernels.shared) that ``view`` points into.
    """

    trials: Ints
    places: Ints
    order: Ints
    structure: Ints
    view: Ints
    money: Ints
    views: Ints


class Layout:
    """Hold the tables of one space over one tape; ``origin_s`` is the tape's first second.

    Raises BacktestInputError for a value that 64-bit arithmetic cannot carry.
    """

    def __init__(self, space: Space, origin_s: int) -> None:
        self.space = space
        self.structural = [axis.field for axis in space.axes if axis.field in {*POOL_FIELDS, *FSM_FIELDS}]
        self.per_structure = _product(space, (axis.field for axis in space.axes if axis.field not in self.structural))
        self.per_pools = self.per_structure * _product(space, self.structural_of(FSM_FIELDS))
        self._base = money_rules(space.base)
        self._check()
        self._tables = [
            (column, _COLUMNS[axis.field], self._numbers(axis.field, axis.values))
            for column, axis in enumerate(space.axes)
            if axis.field in _COLUMNS
        ]
        self.windows = np.stack([_minutes(windows) for windows in self._values("windows")])
        spans = self._values("blackouts")
        self._news_ends = np.cumsum([0, *(len(span) for span in spans)])
        rows = [pair for span in spans for pair in span]
        self.news = np.asarray(rows, np.int64).reshape(len(rows), 2) - origin_s

    def structural_of(self, fields: tuple[str, ...]) -> list[str]:
        """Return the searched ones among ``fields``."""
        return [field for field in self.structural if field in fields]

    def batch(self, trials: Ints) -> Batch:
        """Return the tables of ascending trial numbers."""
        places = self.space.places(trials)
        key = self._view_keys(places)
        structure = trials // self.per_structure
        order = np.lexsort((key, structure))
        _, first, view = np.unique(key, return_index=True, return_inverse=True)
        money = self._money(places)
        return Batch(
            trials, places, order, structure[order], view[order], money[order], self._views(places[first], money[first])
        )

    def _money(self, places: Ints) -> Ints:
        rows = np.tile(self._base, (len(places), 1))
        for column, targets, numbers in self._tables:
            rows[:, targets] = numbers[places[:, column]]
        return rows

    def _views(self, places: Ints, money: Ints) -> Ints:
        views = np.zeros((len(places), V_COLUMNS), np.int64)
        for view, number in _VIEW_NUMBERS.items():
            views[:, view] = money[:, number]
        views[:, V_WINDOW] = self._places_of("windows", places)
        news = self._places_of("blackouts", places)
        views[:, V_NEWS_FROM], views[:, V_NEWS_TO] = self._news_ends[news], self._news_ends[news + 1]
        return views

    def _view_keys(self, places: Ints) -> Ints:
        """Return one number per row that is equal where everything a view depends on is equal."""
        key = np.zeros(len(places), np.int64)
        for column, axis in enumerate(self.space.axes):
            if axis.field in _VIEW_FIELDS:
                key = key * len(axis.values) + places[:, column]
        return key

    def _places_of(self, field: str, places: Ints) -> Ints:
        for column, axis in enumerate(self.space.axes):
            if axis.field == field:
                return places[:, column]
        return np.zeros(len(places), np.int64)

    def _values(self, field: str) -> tuple[Any, ...]:
        for axis in self.space.axes:
            if axis.field == field:
                return axis.values
        return (getattr(self.space.base, field),)

    def _numbers(self, field: str, values: tuple[Any, ...]) -> Ints:
        rows = [money_rules(replace(self.space.base, **{field: value})) for value in values]
        return np.stack(rows)[:, _COLUMNS[field]]

    def _check(self) -> None:
        for axis in self.space.axes:
            for value in axis.values:
                check_fits(replace(self.space.base, **{axis.field: value}))
        budget = {field: max(self._values(field)) for field in ("risk_per_trade_cents", "max_daily_loss_cents")}
        check_fits(replace(self.space.base, **budget))


def _product(space: Space, fields: Any) -> int:
    wanted, product = set(fields), 1
    for axis in space.axes:
        product *= len(axis.values) if axis.field in wanted else 1
    return product


def _minutes(windows: tuple[tuple[int, int], ...]) -> npt.NDArray[np.uint8]:
    """Return 1 for each minute that lies in a window (pj1 S6 SESSION)."""
    row = np.zeros(_MINUTES, np.uint8)
    for start, end in windows:
        row[start:end] = 1
    return row
