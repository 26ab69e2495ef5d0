"""Bring the events of the structure pass and of the money pass into the one order of emission (pj1 S2, S13)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strategies.mle.kernels.codes import V_KEY
from strategies.mle.kernels.jit import kernel

Ints = npt.NDArray[np.int64]


@kernel
def emission_order(structure: Ints, money: Ints, order: Ints) -> None:
    """Fill ``order``: i for row i of ``structure``, -1 - j for row j of ``money``; structure first on an equal key."""
    i, j = 0, 0
    for place in range(len(order)):
        if j >= len(money) or (i < len(structure) and structure[i, V_KEY] <= money[j, V_KEY]):
            order[place] = i
            i += 1
        else:
            order[place] = -1 - j
            j += 1
