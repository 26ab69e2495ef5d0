"""Write rows of events.csv as bytes, digit for digit what ``live.records`` and a CSV writer make (pj1 S13)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels import codes as c
from strategies.mle.kernels.jit import kernel, part

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

ROW_BYTES = 320
"""No row is longer: eight numbers of at most 20 signs, one pool id of at most 80, one event, one reason, commas."""
_COMMA = 44
_COLON = 58
_LINE = 10
_MINUS = 45
_ZERO = 48
_LETTER_L = 76
_LETTER_H = 72


class Words(NamedTuple):
    """Hold texts as bytes: text i is ``letters[starts[i] : starts[i + 1]]``."""

    letters: Bytes
    starts: Ints

    @classmethod
    def of(cls, texts: tuple[str, ...]) -> Words:
        """Return ``texts`` as bytes."""
        coded = [text.encode() for text in texts]
        starts = np.cumsum([0, *map(len, coded)]).astype(np.int64)
        return cls(np.frombuffer(b"".join(coded), np.uint8).copy(), starts)


class Tables(NamedTuple):
    """Hold the rows to write: both passes' events, the pools they speak of, and their order of emission."""

    structure: Ints
    money: Ints
    pools: Ints
    order: Ints


@part
def put_number(out: Bytes, at: int, number: int) -> int:
    """Write a decimal number at ``at`` and return the place behind it."""
    if number < 0:
        out[at] = _MINUS
        at += 1
        number = -number
    digits, rest = 1, number // 10
    while rest > 0:
        digits += 1
        rest //= 10
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = _ZERO + number % 10
        number //= 10
    return at + digits


@part
def put_word(out: Bytes, at: int, letters: Bytes, starts: Ints, word: int) -> int:
    """Write text number ``word`` at ``at`` and return the place behind it."""
    for place in range(starts[word], starts[word + 1]):
        out[at] = letters[place]
        at += 1
    return at


@part
def put_pool_id(out: Bytes, at: int, pools: Ints, pool: int, kinds: Words) -> int:
    """Write ``<ordinal>:<KIND><L|H>[:<pivot ts>[:<second pivot ts>]]`` (pj1 S13)."""
    at = put_number(out, at, pools[pool, c.P_DAY])
    out[at] = _COLON
    kind = pools[pool, c.P_KIND]
    at = put_word(out, at + 1, kinds.letters, kinds.starts, kind)
    out[at] = _LETTER_L if pools[pool, c.P_SIDE] > 0 else _LETTER_H
    at += 1
    if kind >= c.K_EQ:
        out[at] = _COLON
        at = put_number(out, at + 1, pools[pool, c.P_PIVOT1])
    if kind == c.K_EQ:
        out[at] = _COLON
        at = put_number(out, at + 1, pools[pool, c.P_PIVOT2])
    return at


@part
def _put_optional(out: Bytes, at: int, number: int) -> int:
    """Write a comma and the number, nothing behind the comma when it does not apply."""
    out[at] = _COMMA
    return at + 1 if number == c.UNSET else put_number(out, at + 1, number)


@part
def put_event(out: Bytes, at: int, row: Ints, plan: bool, pools: Ints, names: tuple[Words, Words, Words]) -> int:
    """Write one row; ``plan``: it has the money pass's columns; ``names`` = (events, kinds, reasons)."""
    events, kinds, reasons = names
    pool, code = row[c.V_POOL], row[c.V_CODE]
    cancel = code == c.E_CANCEL
    known = pool != c.UNSET and not cancel
    at = put_number(out, at, row[c.V_TS])
    out[at] = _COMMA
    at = put_word(out, at + 1, events.letters, events.starts, code)
    out[at] = _COMMA
    at += 1
    if known:
        at = put_pool_id(out, at, pools, pool, kinds)
    at = _put_optional(out, at, pools[pool, c.P_LEVEL] if known else c.UNSET)
    at = _put_optional(out, at, row[c.V_EXTREME])
    for column in range(c.M_ENTRY, c.M_COLUMNS):
        at = _put_optional(out, at, row[column] if plan else c.UNSET)
    out[at] = _COMMA
    at = put_word(out, at + 1, reasons.letters, reasons.starts, row[c.V_REASON])
    out[at] = _COMMA
    at += 1
    if cancel:
        at = put_pool_id(out, at, pools, pool, kinds)
    out[at] = _LINE
    return at + 1


@kernel
def put_events(out: Bytes, tables: Tables, begin: int, end: int, names: tuple[Words, Words, Words]) -> int:
    """Write the rows from ``begin`` to ``end`` in order of emission and return how many bytes they took."""
    at = 0
    for place in range(begin, end):
        source = tables.order[place]
        if source >= 0:
            at = put_event(out, at, tables.structure[source], False, tables.pools, names)
        else:
            at = put_event(out, at, tables.money[-1 - source], True, tables.pools, names)
    return at
