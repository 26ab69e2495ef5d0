"""Parameters: the spec's names and defaults, exact numbers, and one clear sentence for anything else (pj1 S13)."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pj1_tapes import random_params

from live.market import INSTRUMENTS
from live.params import Params, ParamsError

SPEC_DEFAULTS: dict[str, Any] = json.loads("""
{"tick": "0.25", "tick_usd": 0.50,
 "sessions": [["ASIA","20:00","00:00"],["LDN","02:00","05:00"],["OR","09:30","09:45"],["NYAM","09:30","11:00"],
              ["NYL","12:00","13:00"]],
 "use_kinds": ["PD","ASIA","LDN","OR","NYAM","NYL","EQ","SW"], "min_prev_day_bars": 300, "min_session_fill": 0.5,
 "swing_n": 15, "swing_ttl_min": 240, "eq_tol_ticks": 8, "sweep_min_ticks": 1, "reclaim_min_ticks": 1,
 "reclaim_max_min": 10, "max_pen_ticks": 160, "max_chase_ticks": 120, "disp_num": 1, "disp_den": 2,
 "stop_buffer_ticks": 4, "min_risk_ticks": 20, "max_risk_ticks": 200, "target_r": "2", "max_hold_min": 60,
 "windows": [["02:00","05:00"],["09:30","11:30"],["13:30","15:45"]], "flat_at": "16:55", "max_entry_delay_min": 2,
 "risk_per_trade_usd": 100, "max_qty": 5, "comm_side_usd": 0.62, "slip_ticks": 1, "target_through_ticks": 1,
 "max_daily_loss_usd": 450, "max_trades_day": 6, "max_consec_losses": 3, "cooldown_min": 5, "max_orders_hour": 30,
 "max_gap_min": 5, "blackouts": []}
""")


def test_the_defaults_are_the_specs() -> None:
    assert Params.from_dict(SPEC_DEFAULTS) == Params.from_dict() == Params()
    assert set(Params().to_dict()) == set(SPEC_DEFAULTS)


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_what_is_shown_can_be_read_back(rng: Any) -> None:
    params = Params.from_dict(random_params(rng))
    assert Params.from_dict(json.loads(json.dumps(params.to_dict()))) == params


def test_numbers_stay_exact() -> None:
    params = Params.from_dict({"target_r": 0.1, "min_session_fill": "1/3", "comm_side_usd": 0.29, "tick_usd": "1.25"})
    assert params.target_r == Fraction(1, 10)
    assert params.min_session_fill == Fraction(1, 3)
    assert (params.comm_side_cents, params.tick_cents) == (29, 125)
    assert Params.from_dict({"target_r": Decimal("1.7")}).target_r == Fraction(17, 10)


def test_an_instrument_supplies_its_tick_value_unless_told_otherwise() -> None:
    nq = INSTRUMENTS["NQ"]
    assert Params.from_dict({}, nq).tick_cents == 500
    assert Params.from_dict({"tick_usd": 0.5}, nq).tick_cents == 50
    assert Params.from_dict({}, nq).instrument(nq) == nq


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"swing": 3}, "unknown parameter 'swing'"),
        ({"comm_side_usd": 0.625}, "whole cents"),
        ({"tick_usd": 0}, "tick_usd"),
        ({"max_daily_loss_usd": -1}, "at least 0.00"),
        ({"tick": "0"}, "price step"),
        ({"tick": "NaN"}, "price step"),
        ({"tick": [1]}, "price step"),
        ({"swing_n": True}, "whole number"),
        ({"swing_n": 1.5}, "whole number"),
        ({"swing_n": 0}, "at least 1"),
        ({"swing_n": None}, "whole number"),
        ({"disp_den": 0}, "at least 1"),
        ({"target_r": "nan"}, "ratio above zero"),
        ({"target_r": float("inf")}, "ratio above zero"),
        ({"target_r": "1/0"}, "ratio above zero"),
        ({"target_r": 0}, "ratio above zero"),
        ({"min_session_fill": 1.01}, "from 0 to 1"),
        ({"windows": [["17:00", "18:30"]]}, "18:00 ET"),
        ({"windows": [["10:00", "10:00"]]}, "18:00 ET"),
        ({"windows": "09:30-10:00"}, "list of"),
        ({"windows": [["09:30"]]}, "list of"),
        ({"sessions": [["TOKYO", "20:00", "21:00"]]}, "one of the names"),
        ({"sessions": [["OR", "09:30", "09:45"], ["OR", "09:30", "09:50"]]}, "each session once"),
        ({"use_kinds": ["PDH"]}, "list of PD"),
        ({"use_kinds": "PD"}, "list of PD"),
        ({"flat_at": 1015}, "in quotes"),
        ({"flat_at": "25:00"}, "HH:MM"),
        ({"blackouts": [["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"]]}, "after its start"),
        ({"blackouts": [["soon", "later"]]}, "UTC times"),
        ({"min_risk_ticks": 30, "max_risk_ticks": 20}, "above max_risk_ticks"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(ParamsError) as refusal:
        Params.from_dict(raw)
    text = str(refusal.value)
    assert says in text
    assert "\n" not in text
    assert next(iter(raw)) in text


def test_blackouts_are_utc_seconds() -> None:
    params = Params.from_dict({"blackouts": [["2026-01-02T12:30:00Z", "2026-01-02T08:00:00-05:00"]]})
    assert params.blackouts == ((1_767_357_000, 1_767_358_800),)
