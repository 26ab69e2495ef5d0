"""Read what a search shall try: PJ-1 parameters with lists of values, and give every combination a stable number.

The canonical order is that of ``POOL_FIELDS``, ``FSM_FIELDS`` and then the other parameters of pj1 S13, the last
varying fastest, whatever the order in the file. A trial's number is its place in the product of all values in that
order: it does not change when combinations are dropped or sampled, and combinations that share pools stand together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from live.market import Instrument
from live.params import Params, ParamsError
from strategies.mle.bar_file import BacktestInputError

POOL_FIELDS: Final = (
    "sessions",
    "use_kinds",
    "min_prev_day_bars",
    "min_session_fill",
    "swing_n",
    "swing_ttl_min",
    "eq_tol_ticks",
)
"""What decides which pools there are."""
FSM_FIELDS: Final = (
    "sweep_min_ticks",
    "reclaim_min_ticks",
    "reclaim_max_min",
    "max_pen_ticks",
    "max_chase_ticks",
    "disp_num",
    "disp_den",
)
"""What decides which of those pools are swept and reclaimed, and when."""
FIELD_OF: Final[dict[str, str]] = dict(zip(Params().to_dict(), (field.name for field in fields(Params)), strict=True))
"""Field of ``Params`` for each name of pj1 S13, in the order of the specification."""
KEEP_DAILY_CELLS: Final = 500_000_000
"""Cells of the daily matrix (trials times trade dates, 4 bytes each) that are kept unless the space says otherwise."""
_WORDS: Final = ("fixed", "keep_daily_cells", "sample", "seed")
_MOST_VALUES: Final = 10_000
_MOST_TRIALS: Final = 1 << 40

Ints = npt.NDArray[np.int64]


class SearchInputError(BacktestInputError):
    """Report a space, folder or backend that cannot be used, in one sentence."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Hold one searched parameter: its S13 name, its field, its values and their canonical JSON texts."""

    name: str
    field: str
    values: tuple[Any, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Space:
    """Hold the fixed parameters, the axes in canonical order and what to keep; ``sample`` None tries everything."""

    base: Params
    axes: tuple[Axis, ...]
    keep_daily_cells: int = KEEP_DAILY_CELLS
    sample: int | None = None
    seed: int = 1

    @cached_property
    def total(self) -> int:
        """Return the number of combinations in the product, also those that a constraint drops."""
        total = 1
        for axis in self.axes:
            total *= len(axis.values)
        return total

    def places(self, trials: Ints) -> Ints:
        """Return, per trial number, the place of its value on each axis (rows = trials, columns = axes)."""
        rest = np.array(trials, dtype=np.int64)
        found = np.empty((len(rest), len(self.axes)), np.int64)
        for column in range(len(self.axes) - 1, -1, -1):
            rest, found[:, column] = np.divmod(rest, len(self.axes[column].values))
        return found

    def params_of(self, trial: int, *, check: bool = True) -> Params:
        """Return the parameters of a trial; raise SearchInputError for a number that is none or that was dropped."""
        if not 0 <= trial < self.total:
            raise SearchInputError(f"trial {trial} is not one of 0 to {self.total - 1}")
        places = self.places(np.asarray([trial], np.int64))
        if check and not self.allowed(places)[0]:
            raise SearchInputError(f"trial {trial} was dropped: its min_risk_ticks is above its max_risk_ticks")
        row = places[0].tolist()
        chosen = {axis.field: axis.values[place] for axis, place in zip(self.axes, row, strict=True)}
        return replace(self.base, **chosen)

    def allowed(self, places: Ints) -> npt.NDArray[np.bool_]:
        """Return which rows of ``places`` keep min_risk_ticks <= max_risk_ticks."""
        low, high = (self._numbers(name, places) for name in ("min_risk_ticks", "max_risk_ticks"))
        return np.asarray(low <= high)

    @cached_property
    def valid(self) -> int:
        """Return the number of combinations that no constraint drops."""
        risky = [axis for axis in self.axes if axis.field in {"min_risk_ticks", "max_risk_ticks"}]
        small = Space(self.base, tuple(risky))
        kept = int(small.allowed(small.places(np.arange(small.total))).sum())
        return self.total // small.total * kept

    def _numbers(self, field: str, places: Ints) -> Ints:
        for column, axis in enumerate(self.axes):
            if axis.field == field:
                return np.asarray(axis.values, np.int64)[places[:, column]]
        return np.full(len(places), getattr(self.base, field), np.int64)

    def to_dict(self) -> dict[str, object]:
        """Return the space as a JSON object; equal spaces give equal objects whatever their files looked like."""
        return {
            "base": self.base.to_dict(),
            "axes": [{"name": axis.name, "values": [json.loads(text) for text in axis.texts]} for axis in self.axes],
            "keep_daily_cells": self.keep_daily_cells,
            "sample": self.sample,
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Space:
        """Return the space that ``to_dict`` wrote."""
        axes = tuple(_axis(row["name"], row["values"], None) for row in raw["axes"])
        return cls(Params.from_dict(raw["base"]), axes, raw["keep_daily_cells"], raw["sample"], raw["seed"])


def params_sha256(params: Params) -> str:
    """Return the hash of a whole parameter set: SHA-256 of its JSON with sorted names and no spaces."""
    return hashlib.sha256(_text(params.to_dict()).encode()).hexdigest()


class Hasher:
    """Give ``params_sha256`` of many combinations of one space without building each of them."""

    def __init__(self, space: Space) -> None:
        place = {axis.name: column for column, axis in enumerate(space.axes)}
        plain = space.base.to_dict()
        self._pieces: list[str] = []
        self._columns: list[int] = []
        piece = "{"
        for number, name in enumerate(sorted(plain)):
            piece += ("," if number else "") + _text(name) + ":"
            if name in place:
                self._pieces.append(piece)
                self._columns.append(place[name])
                piece = ""
            else:
                piece += _text(plain[name])
        self._tail = piece + "}"
        self._texts = [axis.texts for axis in space.axes]

    def hashes(self, places: Ints) -> list[str]:
        """Return the hash of every row of ``places``."""
        said = [
            [piece + text for text in self._texts[column]]
            for piece, column in zip(self._pieces, self._columns, strict=True)
        ]
        columns = [places[:, column].tolist() for column in self._columns]
        if not columns:
            return [hashlib.sha256(self._tail.encode()).hexdigest()] * len(places)
        return [
            hashlib.sha256(("".join([said[k][p] for k, p in enumerate(row)]) + self._tail).encode()).hexdigest()
            for row in zip(*columns, strict=True)
        ]


def read_space(raw: object, instrument: Instrument | None = None) -> Space:
    """Return the space of a YAML object: S13 names to lists or {from, to, step}, ``fixed``, ``sample``, ``seed``.

    ``instrument`` supplies tick and tick_usd where ``fixed`` does not. Raises SearchInputError with one sentence.
    """
    if not isinstance(raw, Mapping):
        raise SearchInputError("the space must be a table of parameter names and lists of values")
    fixed = raw.get("fixed") or {}
    if not isinstance(fixed, Mapping):
        raise SearchInputError(f"fixed is {fixed!r}; give a table of parameter names and single values")
    try:
        base = Params.from_dict(fixed, instrument)
    except ParamsError as error:
        raise SearchInputError(f"fixed: {error}") from error
    names = [name for name in raw if name not in _WORDS]
    _check_names(names, fixed)
    found = {name: _axis(name, raw[name], instrument) for name in names}
    order = [*POOL_FIELDS, *FSM_FIELDS, *FIELD_OF.values()]
    axes = tuple(sorted(found.values(), key=lambda axis: order.index(axis.field)))
    cells = _whole("keep_daily_cells", raw.get("keep_daily_cells", KEEP_DAILY_CELLS), 0)
    sample = raw.get("sample")
    seed = _whole("seed", raw.get("seed", 1), 0)
    space = Space(base, axes, cells, None if sample is None else _whole("sample", sample, 1), seed)
    _check_whole(space)
    return space


def _check_names(names: list[Any], fixed: Mapping[Any, Any]) -> None:
    unknown = [name for name in names if name not in FIELD_OF]
    if unknown:
        known = ", ".join((*_WORDS, *FIELD_OF))
        raise SearchInputError(f"unknown parameter {unknown[0]!r} in the space; the known names are {known}")
    if not names:
        raise SearchInputError("the space names no parameter to vary; give at least one with a list of values")
    twice = [name for name in names if name in fixed]
    if twice:
        raise SearchInputError(f"{twice[0]} is both fixed and searched; remove one of the two")
    if "tick" in names:
        raise SearchInputError("tick is the grid of the bars and cannot be searched; give it under fixed")


def _check_whole(space: Space) -> None:
    if space.total > _MOST_TRIALS:
        raise SearchInputError(f"the space has {space.total} combinations, more than {_MOST_TRIALS}; make it smaller")
    if not space.valid:
        raise SearchInputError("no combination keeps min_risk_ticks <= max_risk_ticks; widen one of the two")


def _axis(name: str, raw: object, instrument: Instrument | None) -> Axis:
    values = _spread(name, raw) if isinstance(raw, Mapping) else raw
    if isinstance(values, list | tuple) and len(values) > _MOST_VALUES:
        raise SearchInputError(f"{name} holds {len(values)} values, more than {_MOST_VALUES}; take fewer")
    if not isinstance(values, list | tuple) or not values:
        raise SearchInputError(f"{name} is {raw!r}; give a list of at least one value, or {{from, to, step}}")
    field = FIELD_OF[name]
    found: dict[Any, str] = {}
    for one in values:
        # One value is judged by itself here; what must hold between two parameters drops combinations later.
        try:
            params = Params.from_dict({name: one, **_loosened(name)}, instrument)
        except ParamsError as error:
            raise SearchInputError(str(error)) from error
        value = getattr(params, field)
        if value in found:
            raise SearchInputError(f"{name} holds {one!r} twice; give each value once")
        found[value] = _text(params.to_dict()[name])
    return Axis(name, field, tuple(found), tuple(found.values()))


def _loosened(name: str) -> dict[str, int]:
    """Return what lets one of two parameters that are judged together be judged alone."""
    other = {"min_risk_ticks": {"max_risk_ticks": 1 << 62}, "max_risk_ticks": {"min_risk_ticks": 1}}
    return other.get(name, {})


def _spread(name: str, raw: Mapping[Any, Any]) -> list[str]:
    """Return from, from + step, ... up to ``to``, exactly."""
    if set(raw) != {"from", "to", "step"}:
        raise SearchInputError(f"{name} is {dict(raw)!r}; give a list of values, or from, to and step")
    try:
        first, last, step = (Fraction(str(raw[key])) for key in ("from", "to", "step"))
    except (ValueError, ZeroDivisionError) as error:
        raise SearchInputError(f"{name}: from, to and step must be numbers, not {dict(raw)!r}") from error
    if step <= 0 or last < first:
        raise SearchInputError(f"{name}: from {raw['from']} to {raw['to']} by {raw['step']} holds no value")
    count = (last - first) // step + 1
    if count > _MOST_VALUES:
        raise SearchInputError(f"{name} holds {count} values, more than {_MOST_VALUES}; take a larger step")
    return [str(first + place * step) for place in range(count)]


def _whole(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SearchInputError(f"{name} is {value!r}; give a whole number of at least {least}")
    return value


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
