"""Decide what a supervised process is and what is done about it: states, events, one table, no I/O.

A child is STOPPED until it is wanted. STARTING means it was spawned and has not shown a heartbeat of its own
yet; RUNNING means its heartbeat advances. Whoever ends it on purpose (an operator, or the Sentinel because it fell
silent) puts it into STOPPING, where it stays until the operating system reports its death: a replacement is never
spawned beside a process that may still live. BACKOFF waits for the next start after a failure; the wait may be zero.

Exit codes mean what the design says: 0 the operator ended it (EXITED, not restarted), 2 its configuration cannot be
used (FATAL, not restarted, for it would say the same again), anything else is a crash. EXITED and FATAL are left only
when someone asks for a start. No state gives up by itself after crashes: back-off grows to its cap and stays there.

Invariants: SPAWN is returned only on the way into STARTING and only from states in which no process lives; a pair that
is not in the table raises IllegalTransition and changes nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

EXIT_OPERATOR: Final = 0
EXIT_CONFIG: Final = 2


class State(StrEnum):
    """Name what a child is."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"


class Event(StrEnum):
    """Name what happened to a child."""

    START_ASKED = "START_ASKED"
    STOP_ASKED = "STOP_ASKED"
    RESTART_ASKED = "RESTART_ASKED"
    BEAT_SEEN = "BEAT_SEEN"
    FELL_SILENT = "FELL_SILENT"
    STOP_OVERDUE = "STOP_OVERDUE"
    START_DUE = "START_DUE"
    SPAWN_FAILED = "SPAWN_FAILED"
    LEFT = "LEFT"  # exit code 0 that nobody asked the Sentinel for
    MISCONFIGURED = "MISCONFIGURED"  # exit code 2
    CRASHED = "CRASHED"  # any other end, and the end of a process killed for silence
    CYCLED = "CYCLED"  # the awaited end of a process that is to start again
    ENDED = "ENDED"  # the awaited end of a process that is no longer wanted


class Action(StrEnum):
    """Name what the Sentinel does about it."""

    NONE = "NONE"
    SPAWN = "SPAWN"
    ASK_STOP = "ASK_STOP"
    KILL = "KILL"
    DELAY = "DELAY"  # ask the restart policy when the next start is due


class Transition(NamedTuple):
    """Carry where a child goes and what is done on the way."""

    state: State
    action: Action


class IllegalTransition(Exception):
    """Report an event that cannot happen in a state: a defect of the caller."""


#: States in which a process of the child may live.
ALIVE: Final = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
#: States that only a request leaves.
RESTING: Final = frozenset({State.STOPPED, State.EXITED, State.FATAL})

_S, _E, _A = State, Event, Action

TABLE: Final[dict[tuple[State, Event], Transition]] = {
    (_S.STOPPED, _E.START_ASKED): Transition(_S.STARTING, _A.SPAWN),
    (_S.STOPPED, _E.RESTART_ASKED): Transition(_S.STARTING, _A.SPAWN),
    (_S.STOPPED, _E.STOP_ASKED): Transition(_S.STOPPED, _A.NONE),
    #
    (_S.STARTING, _E.START_ASKED): Transition(_S.STARTING, _A.NONE),
    (_S.STARTING, _E.STOP_ASKED): Transition(_S.STOPPING, _A.ASK_STOP),
    (_S.STARTING, _E.RESTART_ASKED): Transition(_S.STOPPING, _A.ASK_STOP),
    (_S.STARTING, _E.BEAT_SEEN): Transition(_S.RUNNING, _A.NONE),
    (_S.STARTING, _E.FELL_SILENT): Transition(_S.STOPPING, _A.KILL),
    (_S.STARTING, _E.SPAWN_FAILED): Transition(_S.BACKOFF, _A.DELAY),
    (_S.STARTING, _E.LEFT): Transition(_S.EXITED, _A.NONE),
    (_S.STARTING, _E.MISCONFIGURED): Transition(_S.FATAL, _A.NONE),
    (_S.STARTING, _E.CRASHED): Transition(_S.BACKOFF, _A.DELAY),
    #
    (_S.RUNNING, _E.START_ASKED): Transition(_S.RUNNING, _A.NONE),
    (_S.RUNNING, _E.STOP_ASKED): Transition(_S.STOPPING, _A.ASK_STOP),
    (_S.RUNNING, _E.RESTART_ASKED): Transition(_S.STOPPING, _A.ASK_STOP),
    (_S.RUNNING, _E.BEAT_SEEN): Transition(_S.RUNNING, _A.NONE),
    (_S.RUNNING, _E.FELL_SILENT): Transition(_S.STOPPING, _A.KILL),
    (_S.RUNNING, _E.LEFT): Transition(_S.EXITED, _A.NONE),
    (_S.RUNNING, _E.MISCONFIGURED): Transition(_S.FATAL, _A.NONE),
    (_S.RUNNING, _E.CRASHED): Transition(_S.BACKOFF, _A.DELAY),
    #
    (_S.BACKOFF, _E.START_DUE): Transition(_S.STARTING, _A.SPAWN),
    (_S.BACKOFF, _E.START_ASKED): Transition(_S.STARTING, _A.SPAWN),
    (_S.BACKOFF, _E.RESTART_ASKED): Transition(_S.STARTING, _A.SPAWN),
    (_S.BACKOFF, _E.STOP_ASKED): Transition(_S.STOPPED, _A.NONE),
    #
    (_S.STOPPING, _E.START_ASKED): Transition(_S.STOPPING, _A.NONE),
    (_S.STOPPING, _E.RESTART_ASKED): Transition(_S.STOPPING, _A.NONE),
    (_S.STOPPING, _E.STOP_ASKED): Transition(_S.STOPPING, _A.NONE),
    (_S.STOPPING, _E.BEAT_SEEN): Transition(_S.STOPPING, _A.NONE),
    (_S.STOPPING, _E.STOP_OVERDUE): Transition(_S.STOPPING, _A.KILL),
    (_S.STOPPING, _E.CYCLED): Transition(_S.STARTING, _A.SPAWN),
    (_S.STOPPING, _E.CRASHED): Transition(_S.BACKOFF, _A.DELAY),
    (_S.STOPPING, _E.ENDED): Transition(_S.STOPPED, _A.NONE),
    #
    (_S.EXITED, _E.START_ASKED): Transition(_S.STARTING, _A.SPAWN),
    (_S.EXITED, _E.RESTART_ASKED): Transition(_S.STARTING, _A.SPAWN),
    (_S.EXITED, _E.STOP_ASKED): Transition(_S.EXITED, _A.NONE),
    #
    (_S.FATAL, _E.START_ASKED): Transition(_S.STARTING, _A.SPAWN),
    (_S.FATAL, _E.RESTART_ASKED): Transition(_S.STARTING, _A.SPAWN),
    (_S.FATAL, _E.STOP_ASKED): Transition(_S.FATAL, _A.NONE),
}


def classify(state: State, code: int, *, wanted: bool, silent: bool) -> Event:
    """Return the event that a death is: ``code`` is the exit code, negative for a signal.

    ``wanted``: the child is to run (nobody asked for its stop); ``silent``: it was killed for silence.
    A process that was being ended is judged by why it was ended, not by the code it managed to return.
    """
    if not wanted:
        return Event.ENDED
    if state is State.STOPPING:
        return Event.CRASHED if silent else Event.CYCLED
    if code == EXIT_OPERATOR:
        return Event.LEFT
    if code == EXIT_CONFIG:
        return Event.MISCONFIGURED
    return Event.CRASHED


def wants(event: Event, *, wanted: bool) -> bool:
    """Return whether the child is to run after ``event``: requests and its own farewell change that."""
    match event:
        case Event.START_ASKED | Event.RESTART_ASKED:
            return True
        case Event.STOP_ASKED | Event.LEFT | Event.MISCONFIGURED:
            return False
        case _:
            return wanted


def advance(state: State, event: Event) -> Transition:
    """Return the next state and the action; raise IllegalTransition for a pair outside the table."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise IllegalTransition(f"event {event} cannot happen in state {state}") from None
