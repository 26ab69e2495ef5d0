"""Share what combinations have in common: pools per set of pool parameters, whatever the FSM does with them.

A pool's birth, and its end while nothing sweeps it, do not depend on the FSM's parameters (pj1 S3.5: an EQ forms
whatever became of the older pool). So one structure pass that no bar can sweep tells all pools and in which bars each
may be swept; sweeps and reclaims of any FSM then follow pool by pool.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from live.params import Params
from strategies.mle.bar_file import BacktestInputError
from strategies.mle.compiled import reclaims
from strategies.mle.kernels import codes as c
from strategies.mle.kernels.packing import structure_rules
from strategies.mle.kernels.shared import Ground, Lives
from strategies.mle.tape import Tape

_UNREACHED: Final = 1 << 40
"""A sweep distance that no bar reaches."""
_MOST_S: Final = 2**31 - 86_400
_FSM_NUMBERS: Final = (c.N_RECLAIM_MIN, c.N_RECLAIM_MAX_S, c.N_MAX_PEN, c.N_MAX_CHASE, c.N_DISP_NUM, c.N_DISP_DEN)

Int32s = npt.NDArray[np.int32]


def ground_of(tape: Tape) -> Ground:
    """Return the tape's arrays for batches; raises BacktestInputError for a tape longer than 68 years."""
    turns = (tape.ordinal[1:] != tape.ordinal[:-1]) | (tape.contract[1:] != tape.contract[:-1])
    ends = np.append(np.flatnonzero(turns), len(tape) - 1) if len(tape) else np.empty(0, np.int64)
    last = np.repeat(ends, np.diff(np.append(-1, ends))).astype(np.int32)
    since = tape.ts_s - (tape.ts_s[0] if len(tape) else 0)
    if len(tape) and int(since[-1]) > _MOST_S:
        raise BacktestInputError(f"the bars span {int(since[-1])} s, more than {_MOST_S}; split the file")
    day = np.searchsorted(tape.days, tape.ordinal)
    price = np.stack([tape.open, tape.high, tape.low, tape.close], axis=1)
    return Ground(price, np.stack([since, day], axis=1).astype(np.int32), tape.minute, last)


def pool_lives(tape: Tape, params: Params) -> Lives:
    """Return the pools of ``params`` and the bars in which each may be swept, in definition order."""
    found = reclaims(tape, replace(params, sweep_min_ticks=_UNREACHED))
    pools, dead = found.pools, found.events[found.events[:, c.V_CODE] == c.E_DEAD]
    born = found.events[found.events[:, c.V_CODE] != c.E_DEAD]
    first = np.zeros(len(pools), np.int64)
    last = np.full(len(pools), len(tape) - 1, np.int64)
    # A pool of step 5 (its pivot is confirmed by this bar) is usable from the next bar on, the others on this one.
    first[born[:, c.V_POOL]] = born[:, c.V_KEY] // c.STEPS + (born[:, c.V_KEY] % c.STEPS >= c.S_PIVOTS)
    # MERGED comes after this bar's step 4, every other end before it.
    last[dead[:, c.V_POOL]] = dead[:, c.V_KEY] // c.STEPS - (dead[:, c.V_REASON] != c.R_MERGED)
    origin = tape.ts_s[0] if len(tape) else 0
    side, level = (np.ascontiguousarray(pools[:, column]) for column in (c.P_SIDE, c.P_LEVEL))
    return Lives(side, level, pools[:, c.P_EXPIRES] - origin, first, last)


def fsm_numbers(params: Params) -> npt.NDArray[np.int64]:
    """Return the FSM's numbers as ``kernels.shared.reclaims_of`` takes them."""
    return structure_rules(params)[list(_FSM_NUMBERS)]
