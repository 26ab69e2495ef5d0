"""Prove the child's state machine: every pair, every state, and what an exit code means."""

from __future__ import annotations

import itertools

import pytest

from pj.supervision.child_fsm import (
    ALIVE,
    RESTING,
    TABLE,
    Action,
    Event,
    IllegalTransition,
    State,
    advance,
    classify,
    wants,
)

S, E, A = State, Event, Action

#: What may not happen, written down by hand: a pair is either here or in the table, never in both or neither.
IMPOSSIBLE = {
    S.STOPPED: "BEAT_SEEN FELL_SILENT STOP_OVERDUE START_DUE SPAWN_FAILED LEFT MISCONFIGURED CRASHED CYCLED ENDED",
    S.EXITED: "BEAT_SEEN FELL_SILENT STOP_OVERDUE START_DUE SPAWN_FAILED LEFT MISCONFIGURED CRASHED CYCLED ENDED",
    S.FATAL: "BEAT_SEEN FELL_SILENT STOP_OVERDUE START_DUE SPAWN_FAILED LEFT MISCONFIGURED CRASHED CYCLED ENDED",
    S.STARTING: "STOP_OVERDUE START_DUE CYCLED ENDED",
    S.RUNNING: "STOP_OVERDUE START_DUE SPAWN_FAILED CYCLED ENDED",
    S.BACKOFF: "BEAT_SEEN FELL_SILENT STOP_OVERDUE SPAWN_FAILED LEFT MISCONFIGURED CRASHED CYCLED ENDED",
    S.STOPPING: "FELL_SILENT START_DUE SPAWN_FAILED LEFT MISCONFIGURED",
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_is_in_the_table_or_raises(state: State, event: Event) -> None:
    impossible = event.value in IMPOSSIBLE[state].split()
    assert ((state, event) in TABLE) is not impossible
    if impossible:
        with pytest.raises(IllegalTransition, match=f"{event}.*{state}"):
            advance(state, event)
    else:
        assert advance(state, event) is TABLE[state, event]


def test_every_state_is_reached_from_stopped() -> None:
    reached, frontier = {S.STOPPED}, [S.STOPPED]
    while frontier:
        state = frontier.pop()
        for (source, _), (target, _) in TABLE.items():
            if source is state and target not in reached:
                reached.add(target)
                frontier.append(target)
    assert reached == set(State)


def test_resting_states_are_left_only_by_request() -> None:
    for (state, event), (target, _) in TABLE.items():
        if state in RESTING and target is not state:
            assert event in {E.START_ASKED, E.RESTART_ASKED}


def test_a_process_is_spawned_only_where_none_lives() -> None:
    ended = {E.CYCLED, E.START_DUE}
    for (state, event), (target, action) in TABLE.items():
        assert (action is A.SPAWN) == (target is S.STARTING and state is not S.STARTING)
        if action is A.SPAWN:
            assert state not in ALIVE or event in ended


def test_a_living_process_is_left_only_by_its_death() -> None:
    deaths = {E.LEFT, E.MISCONFIGURED, E.CRASHED, E.CYCLED, E.ENDED, E.SPAWN_FAILED}
    for (state, event), (target, _) in TABLE.items():
        if state in ALIVE and target not in ALIVE:
            assert event in deaths


@pytest.mark.parametrize("state", [S.STARTING, S.RUNNING])
@pytest.mark.parametrize(
    ("code", "event"),
    [(0, E.LEFT), (2, E.MISCONFIGURED), (1, E.CRASHED), (3, E.CRASHED), (4, E.CRASHED), (-9, E.CRASHED)],
)
def test_exit_codes_mean_what_the_design_says(state: State, code: int, event: Event) -> None:
    assert classify(state, code, wanted=True, silent=False) is event


@pytest.mark.parametrize("code", [0, 1, 2, -9, -15])
def test_an_awaited_end_is_judged_by_why_it_was_awaited(code: int) -> None:
    assert classify(S.STOPPING, code, wanted=True, silent=True) is E.CRASHED
    assert classify(S.STOPPING, code, wanted=True, silent=False) is E.CYCLED
    assert classify(S.STOPPING, code, wanted=False, silent=True) is E.ENDED
    assert classify(S.STOPPING, code, wanted=False, silent=False) is E.ENDED


def test_every_death_has_a_place_in_the_table() -> None:
    for state, code, wanted, silent in itertools.product(ALIVE, (0, 1, 2, -9), (True, False), (True, False)):
        if not wanted and state is not S.STOPPING:
            continue  # whoever takes the wish away has moved the child to STOPPING
        assert (state, classify(state, code, wanted=wanted, silent=silent)) in TABLE


def test_wishes_follow_requests_and_farewells() -> None:
    assert {event for event in Event if wants(event, wanted=False)} == {E.START_ASKED, E.RESTART_ASKED}
    assert {event for event in Event if not wants(event, wanted=True)} == {E.STOP_ASKED, E.LEFT, E.MISCONFIGURED}
