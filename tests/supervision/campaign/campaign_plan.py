"""Hold what the campaigns are told by the environment, and the settings under which their demos run.

``PJ_CAMPAIGN_SEED`` repeats a campaign, ``PJ_CAMPAIGN_N`` is the number of faults of each kind and process (25),
``PJ_CAMPAIGN_MIN`` the minutes of load (30). They are read when the module is imported: the tests' own fixture takes
every PJ variable out of the environment before a test begins.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from dataclasses import dataclass
from typing import Final

import pytest

CHILDREN: Final = ("bridge", "engine", "scribe", "dashboard")
SEED: Final = int(os.environ.get("PJ_CAMPAIGN_SEED") or random.SystemRandom().randrange(10**6))
TRIALS: Final = int(os.environ.get("PJ_CAMPAIGN_N") or 25)
LOAD_MIN: Final = float(os.environ.get("PJ_CAMPAIGN_MIN") or 30)

#: Parameters under which PJ-1 trades about every fourth minute: a campaign against doubled orders needs orders.
EAGER: Final = {
    "swing_n": 1,
    "disp_num": 0,
    "min_risk_ticks": 1,
    "max_risk_ticks": 2000,
    "stop_buffer_ticks": 0,
    "sweep_min_ticks": 0,
    "reclaim_min_ticks": 0,
    "reclaim_max_min": 30,
    "max_pen_ticks": 2000,
    "max_chase_ticks": 2000,
    "target_r": "0.1",
    "max_hold_min": 1,
    "risk_per_trade_usd": "1000000",
    "max_qty": 1,
    "max_daily_loss_usd": "1000000",
    "max_trades_day": 1000,
    "max_consec_losses": 1000,
    "max_orders_hour": 1000,
    "cooldown_min": 0,
    "windows": [["18:01", "16:45"]],
}

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals to real processes")


def settings(**supervision: float) -> dict[str, str]:
    """Return the settings of a campaign's demo; a fault planted by us is no crash loop, so that limit is far away."""
    found = {f"strategy.pj.{name}": json.dumps(value) for name, value in EAGER.items()}
    limits = {"max_restarts": 10_000, **supervision}
    return found | {f"supervision.{name}": str(value) for name, value in limits.items()}


@dataclass(frozen=True, slots=True)
class Fault:
    """Plan one fault: which process, which signal, the pause before it, and whether to wait for an order first."""

    child: str
    number: int
    pause_s: float
    at_order: bool

    @property
    def kind(self) -> str:
        """Return the signal's name."""
        return signal.Signals(self.number).name


def chance(what: str) -> random.Random:
    """Return the campaign's own source of chance for ``what``, and print the seed that repeats it."""
    print(f"{what}: PJ_CAMPAIGN_SEED={SEED}")
    return random.Random(f"{SEED}/{what}")
