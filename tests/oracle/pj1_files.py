"""Name the real files that hold minute bars, and how each is read; nothing of them is kept in the project."""

from __future__ import annotations

from pathlib import Path

from live.market import INSTRUMENTS
from strategies.mle.bar_file import BarColumns, load_columns

MINUTE_FILES = (
    "nq_1m_2025-01_2025-06.parquet",
    "mnq_1m_2026-03_2026-05.parquet",
    "mes_1m_2026-03_2026-05.parquet",
    "es_1m_trade_2013_2020.parquet",
    "btc_perp_1m_2021-12-31_2022-02-01.parquet",
)
OVERLAPPING = {"nq_1m_2025-01_2025-06.parquet", "es_1m_trade_2013_2020.parquet"}
OTHER_GRID = {"btc_perp_1m_2021-12-31_2022-02-01.parquet"}


def real_columns(folder: Path, name: str) -> BarColumns:
    """Return the bars of a real file on the MNQ grid; of overlapping contracts the front one."""
    return load_columns(folder / name, INSTRUMENTS["MNQ"], front=name in OVERLAPPING, snap=name in OTHER_GRID)
