"""Run smartmoneyconcepts over bars and write what it says: ``PYTHON smc_levels.py BARS.npz OUT.npz SWING_N WINDOWS``.

Started by ``crosscheck_smc.py`` in an environment of its own that has the library; imports nothing of the project.
WINDOWS is NAME=HH:MM-HH:MM,... with the last minute included, as the library reads it. Prices are ticks, so that its
32-bit floats hold them exactly.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("SMC_CREDIT", "0")

import numpy as np
import pandas as pd
from smartmoneyconcepts import smc

EXTENSIONS = 300


def frame(bars: dict[str, np.ndarray], index: str) -> pd.DataFrame:
    """Return the bars with one of the two naive indices: ET wall time, or the same moved by six hours."""
    names = ("open", "high", "low", "close", "volume")
    columns = {name: bars[name].astype(np.float64) for name in names}
    return pd.DataFrame(columns, index=pd.to_datetime(bars[index], unit="s"))


def raw_pivots(ohlc: pd.DataFrame, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the centred windows inside swing_highs_lows find a high and a low, before its own filter."""
    high = ohlc["high"] == ohlc["high"].shift(-n).rolling(2 * n).max()
    low = ohlc["low"] == ohlc["low"].shift(-n).rolling(2 * n).min()
    return high.to_numpy(), low.to_numpy()


def rewritten(ohlc: pd.DataFrame, n: int) -> tuple[int, int]:
    """Return how many final readings one-bar extensions rewrite, and how far from the end the farthest stands."""
    count = farthest = 0
    before: np.ndarray | None = None
    for stop in range(len(ohlc) - EXTENSIONS, len(ohlc) + 1):
        now = smc.swing_highs_lows(ohlc.iloc[:stop], swing_length=n)["HighLow"].to_numpy()
        if before is not None:
            changed = np.flatnonzero(
                ~((now[: len(before)] == before) | (np.isnan(now[: len(before)]) & np.isnan(before)))
            )
            changed = changed[changed > 0]  # the very first label is artificial by design
            count += len(changed)
            farthest = max(farthest, int((len(before) - changed).max()) if len(changed) else 0)
        before = now
    return count, farthest


def main() -> int:
    """Write the library's answers as arrays."""
    source, target, swing, windows = sys.argv[1:]
    bars = dict(np.load(source))
    n = int(swing)
    by_day, by_wall = frame(bars, "day_clock"), frame(bars, "wall")
    previous = smc.previous_high_low(by_day, time_frame="1D")
    out = {"PDH": previous["PreviousHigh"].to_numpy(), "PDL": previous["PreviousLow"].to_numpy()}
    utc = smc.previous_high_low(frame(bars, "ts"), time_frame="1D")
    out |= {"UTC_PDH": utc["PreviousHigh"].to_numpy(), "UTC_PDL": utc["PreviousLow"].to_numpy()}
    for window in windows.split(","):
        name, _, hours = window.partition("=")
        start, _, end = hours.partition("-")
        said = smc.sessions(by_wall, "Custom", start, end)
        out |= {f"{name}_{column}": said[column].to_numpy() for column in ("Active", "High", "Low")}
    out["raw_high"], out["raw_low"] = raw_pivots(by_wall, n)
    final = smc.swing_highs_lows(by_wall, swing_length=n)
    out["final"] = final["HighLow"].to_numpy()
    out["rewritten"] = np.asarray(rewritten(by_wall, n))
    np.savez(target, **out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
