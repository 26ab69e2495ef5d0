"""The order's table: every pair is in it or raises, fills are taken everywhere, one order has one key."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pj1_scenes import SWEEP_LOW, Stage

from live.commands import PlaceBracket
from live.engine import Route
from live.events import Mode
from live.execution_bridge import (
    ORDER_REF_LENGTH,
    TABLE,
    IllegalOrderEvent,
    OrderEvent,
    OrderState,
    key_of_ref,
    next_state,
    order_key,
    order_ref,
)


def test_every_pair_is_in_the_table_or_raises() -> None:
    for state, event in itertools.product(OrderState, OrderEvent):
        if (state, event) in TABLE:
            assert next_state(state, event) is TABLE[state, event]
        else:
            with pytest.raises(IllegalOrderEvent, match=str(event)):
                next_state(state, event)


def test_every_state_is_reached_from_intent() -> None:
    reached = {OrderState.INTENT}
    for _ in OrderState:
        reached |= {after for (state, _), after in TABLE.items() if state in reached}
    assert reached == set(OrderState)


@pytest.mark.parametrize("state", list(OrderState))
def test_a_fill_is_a_fact_in_every_state(state: OrderState) -> None:
    assert next_state(state, OrderEvent.FILLED) is OrderState.FILLED
    part = next_state(state, OrderEvent.PART_FILLED)
    ended = {OrderState.FILLED: OrderState.FILLED} | dict.fromkeys(
        (OrderState.CANCELLED, OrderState.PART_CANCELLED), OrderState.PART_CANCELLED
    )
    assert part is ended.get(state, OrderState.PART_FILLED)


@pytest.mark.parametrize(
    ("told", "end"),
    [
        (("ACKED", "FILLED", "CANCELLED"), "FILLED"),  # a fill overtaken by our cancel
        (("ACKED", "PART_FILLED", "CANCELLED"), "PART_CANCELLED"),
        (("ACKED", "PART_FILLED", "PART_FILLED", "FILLED", "CANCELLED"), "FILLED"),
        (("ACKED", "CANCELLED"), "CANCELLED"),
        (("ACKED", "PART_FILLED", "REFUSED"), None),  # refused first and filled in part after: more may come
        (("DOUBTED", "FILLED"), "FILLED"),
    ],
)
def test_callbacks_in_any_order_and_twice_end_the_same(told: tuple[str, ...], end: str | None) -> None:
    for order in itertools.permutations(told):
        state, twice = OrderState.INTENT, OrderState.INTENT
        for name in order:
            state = next_state(state, OrderEvent(name))
            twice = next_state(next_state(twice, OrderEvent(name)), OrderEvent(name))
        assert state is twice
        assert end is None or state.value == end
        assert state in {OrderState.FILLED, OrderState.PART_CANCELLED, OrderState.CANCELLED, OrderState.PART_FILLED}


FACTS = st.sampled_from([event for event in OrderEvent if event is not OrderEvent.SENT])


@given(st.lists(FACTS, max_size=12))
def test_whatever_is_told_a_filled_order_was_filled_and_nothing_returns_to_the_start(told: list[OrderEvent]) -> None:
    state, filled, part = OrderState.INTENT, False, False
    for event in told:
        try:
            state = next_state(state, event)
        except IllegalOrderEvent:
            assert event is OrderEvent.LOST  # what was filled or is over cannot be lost
            continue
        filled |= event is OrderEvent.FILLED
        part |= event is OrderEvent.PART_FILLED
        assert state not in {OrderState.INTENT, OrderState.SENT}
        assert (state is OrderState.FILLED) == filled
        assert not part or state in {OrderState.FILLED, OrderState.PART_FILLED, OrderState.PART_CANCELLED}


def test_nothing_leads_back_to_a_state_in_which_it_could_be_sent_again() -> None:
    assert not [pair for pair, after in TABLE.items() if after is OrderState.INTENT]
    assert [pair for pair, after in TABLE.items() if after is OrderState.SENT] == [(OrderState.INTENT, OrderEvent.SENT)]


def test_a_filled_order_stays_filled() -> None:
    for event in OrderEvent:
        if (OrderState.FILLED, event) in TABLE:
            assert next_state(OrderState.FILLED, event) is OrderState.FILLED


def test_the_key_names_pool_signal_time_and_leg() -> None:
    assert order_key("739721:PDL", 1_776_261_720_000_000_000, "ENTRY") == "739721:PDL@1776261720:ENTRY"


def test_the_same_approval_has_the_same_key_in_every_run() -> None:
    keys = set()
    for _ in range(2):
        said = Stage(Route.BROKER, Mode.LIVE).play(SWEEP_LOW)
        keys |= {one.key for one in said if isinstance(one, PlaceBracket)}
    assert keys == {"739721:PDL@1776259920:ENTRY"}


SECONDS = st.integers(1_000_000_000, 36**6 - 1)  # until December 2038
KINDS = {"PDH": 0, "ASIAL": 0, "NYAML": 0, "SWH": 1, "EQL": 2}


@given(
    st.integers(700_000, 800_000),
    st.sampled_from(list(KINDS)),
    st.tuples(SECONDS, SECONDS),
    SECONDS,
    st.integers(1, 999),
)
def test_a_broker_name_is_short_and_names_one_key(
    day: int, kind: str, pivots: tuple[int, int], at_s: int, number: int
) -> None:
    pool = ":".join(map(str, (day, kind, *pivots[: KINDS[kind]])))
    key = order_key(pool, at_s * 1_000_000_000, f"EXITS{number}")
    ref = order_ref(key)
    assert len(ref) <= ORDER_REF_LENGTH
    assert key_of_ref(ref) == key
    assert ref == key or len(key) > ORDER_REF_LENGTH


def test_ordinary_keys_keep_their_name_and_the_impossible_is_refused() -> None:
    assert order_ref("739721:PDL@1776259920:ENTRY") == "739721:PDL@1776259920:ENTRY"
    assert key_of_ref("placed by hand") == "placed by hand"
    for hopeless in ("x" * 41, "739252:EQL:1736780400:1736790400@1736790600:" + "E" * 20):
        with pytest.raises(ValueError, match="shorter leg"):
            order_ref(hopeless)
