"""Number what the kernels speak of: events, kinds, reasons, columns; and the names of those numbers."""

from __future__ import annotations

from typing import Final

from live.session_manager import RANK

UNSET: Final = -(1 << 60)
"""An integer field that does not apply."""
FAR: Final = 1 << 60
"""Beyond every price and time: a trigger that never fires."""

EVENTS: Final = ("DEFINED", "SWEPT", "RECLAIMED", "SIGNAL", "REJECT", "DEAD", "ENTRY_CANCEL", "LOCK")
E_DEFINED, E_SWEPT, E_RECLAIMED, E_SIGNAL, E_REJECT, E_DEAD, E_CANCEL, E_LOCK = range(8)

KINDS: Final = tuple(sorted(RANK, key=lambda kind: RANK[kind]))
"""Kinds in the order of the tie-break (pj1 S4.4); the number of a kind is its place."""
K_PD, K_NYAM, K_LDN, K_ASIA, K_NYL, K_OR, K_EQ, K_SW = range(8)

REASONS: Final = (
    "",
    "EXPIRED",
    "ROLL",
    "MERGED",
    "BROKEN",
    "TIMEOUT",
    "RAN_AWAY",
    "TIE",
    "STALE",
    "SESSION",
    "NEWS",
    "IN_POSITION",
    "DAILY_LOSS",
    "MAX_TRADES",
    "CONSEC_LOSSES",
    "COOLDOWN",
    "ORDER_RATE",
    "RISK_TOO_WIDE",
    "SIZE_ZERO",
    "GAP",
    "STOP",
    "TARGET",
    "DAY_ROLL",
    "FLAT",
    "TIME",
)
(
    R_NONE,
    R_EXPIRED,
    R_ROLL,
    R_MERGED,
    R_BROKEN,
    R_TIMEOUT,
    R_RAN_AWAY,
    R_TIE,
    R_STALE,
    R_SESSION,
    R_NEWS,
    R_IN_POSITION,
    R_DAILY_LOSS,
    R_MAX_TRADES,
    R_CONSEC_LOSSES,
    R_COOLDOWN,
    R_ORDER_RATE,
    R_RISK_TOO_WIDE,
    R_SIZE_ZERO,
    R_GAP,
    R_STOP,
    R_TARGET,
    R_DAY_ROLL,
    R_FLAT,
    R_TIME,
) = range(25)

# What one closed bar leaves a SWEPT pool as: T8, T7, or one of the reasons above (T4-T6).
REST_WAITS: Final = -1
REST_RECLAIMED: Final = -2

# Steps of pj1 S2.1 inside one bar; an event's key is bar * 8 + step.
STEPS: Final = 8
S_TURN, S_SESSION, S_POSITION, S_POOLS, S_PIVOTS, S_SIGNAL, S_MARK = 1, 2, 3, 4, 5, 6, 7

# Columns of the pool table.
(
    P_KIND,
    P_SIDE,
    P_LEVEL,
    P_DEFINED,
    P_EXPIRES,
    P_PIVOT1,
    P_PIVOT2,
    P_DAY,
    P_SWEEP,
    P_EXT,
    P_COLUMNS,
) = range(11)

# Columns of the structure pass's events.
V_KEY, V_CODE, V_TS, V_POOL, V_EXTREME, V_REASON, V_COLUMNS = range(7)

# Columns of the money pass's events; V_KEY, V_CODE, V_TS, V_POOL, V_EXTREME, V_REASON come first here too.
M_ENTRY, M_STOP, M_TARGET, M_QTY, M_COLUMNS = range(6, 11)

# Columns of the reclaim table.
Q_BAR, Q_SIDE, Q_WORST, Q_KIND, Q_LEVEL, Q_OWN, Q_SWEEP, Q_POOL, Q_COLUMNS = range(9)

# Columns of the trade table; prices in ticks, money in cents, times in epoch seconds.
(
    T_DAY,
    T_POOL,
    T_KIND,
    T_SIDE,
    T_LEVEL,
    T_SWEEP,
    T_EXTREME,
    T_SIGNAL,
    T_ENTRY_REF,
    T_STOP,
    T_TARGET,
    T_QTY,
    T_ENTRY,
    T_ENTRY_PRICE,
    T_EXIT,
    T_EXIT_PRICE,
    T_REASON,
    T_RISK,
    T_GROSS,
    T_COST,
    T_NET,
    T_MAE,
    T_MFE,
    T_COLUMNS,
) = range(24)

# Places of the rules' numbers: the structure pass reads the first group, the money pass the second.
(
    N_MIN_PREV,
    N_SWING,
    N_TTL_S,
    N_EQ_TOL,
    N_SWEEP_MIN,
    N_RECLAIM_MIN,
    N_RECLAIM_MAX_S,
    N_MAX_PEN,
    N_MAX_CHASE,
    N_DISP_NUM,
    N_DISP_DEN,
    N_USE_PD,
    N_USE_EQ,
    N_USE_SW,
    N_COLUMNS,
) = range(15)
(
    G_BUFFER,
    G_MIN_RISK,
    G_MAX_RISK,
    G_R_NUM,
    G_R_DEN,
    G_HOLD_S,
    G_FLAT_M,
    G_DELAY_S,
    G_RISK_CENTS,
    G_MAX_QTY,
    G_COMM,
    G_SLIP,
    G_THROUGH,
    G_DAY_LOSS,
    G_MAX_TRADES,
    G_MAX_LOSSES,
    G_COOLDOWN_S,
    G_MAX_ORDERS,
    G_GAP_S,
    G_TICK_CENTS,
    G_COLUMNS,
) = range(21)

# Columns of the session table.
W_KIND, W_START, W_END, W_NEEDED, W_USED, W_CLOSED, W_COLUMNS = range(7)

# Places of the work's running numbers.
(
    C_POOLS,
    C_EVENTS,
    C_RECLAIMS,
    C_DEFINED,
    C_SWEPT,
    C_NOW,
    C_LOW_TRIGGER,
    C_HIGH_TRIGGER,
    C_EXPIRY,
    C_EDGE,
    C_FIRST,
    C_CLOSE_S,
    C_DAY,
    C_COLUMNS,
) = range(14)

# What can be known of a bar before any pool: a new date or contract, a pivot swing_n bars ago confirmed.
F_TURN, F_HIGH, F_LOW = 1, 2, 4

# Columns of the pivot table; row 0 of each side holds the count.
V_INDEX, V_X, V_BETWEEN, V_LAST_POOL, V_PIVOT_COLUMNS = range(5)
HEAD_COUNT = 0
MINUTE_S: Final = 60
CLOSE_S: Final = 1380 * 60
