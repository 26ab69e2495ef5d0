"""Draw chance from a counter: word i of stream s of a seed is a function of (seed, s, i) and of nothing else.

SplitMix64 (Steele, Lea, Flood 2014) whose start is a hash of seed and stream. There is no state to share, so a path
comes out the same in whatever thread, order or process it is computed; only integers are used, so it comes out the
same on every machine.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from strategies.mle.kernels.jit import compiled

GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_M1: Final = np.uint64(0xBF58476D1CE4E5B9)
_M2: Final = np.uint64(0x94D049BB133111EB)
_STREAM: Final = np.uint64(0xD1342543DE82EF95)
_S30, _S27, _S31, _S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)
_ONE: Final = np.uint64(1)


@compiled
def mix(word: Any) -> Any:
    """Return SplitMix64's finaliser of a 64-bit word."""
    word = (word ^ (word >> _S30)) * _M1
    word = (word ^ (word >> _S27)) * _M2
    return word ^ (word >> _S31)


@compiled
def stream(seed: int, number: int) -> Any:
    """Return the start of a stream: a hash of seed and stream number."""
    return mix(mix(np.uint64(seed)) + (np.uint64(number) + _ONE) * _STREAM)


@compiled
def word(start: Any, index: int) -> Any:
    """Return word ``index`` (0, 1, 2 ...) of a stream."""
    return mix(start + (np.uint64(index) + _ONE) * GAMMA)


@compiled
def below(bits: Any, count: int) -> Any:
    """Return an index in 0..count-1 from the high half of a word; bias under count / 2**32."""
    return np.int64(((bits >> _S32) * np.uint64(count)) >> _S32)


@compiled
def heads(bits: Any, threshold: Any) -> Any:
    """Return whether the low half of a word is below a threshold of 0..2**32."""
    return (bits & _LOW) < threshold
