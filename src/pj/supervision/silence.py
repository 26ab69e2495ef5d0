"""Measure how long a process has been silent: how long its ``beat_seq`` has not advanced, in looks of the Sentinel.

Silence is counted in looks, not read off a clock: one look adds at most one look's period, however long ago the
last one was. So a Sentinel that was itself held up (machine asleep, debugger, overloaded processor) discounts its
own delay and kills nobody for it. A beat counts only when the stats file carries the instance token that this child
was given: the file of its predecessor proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Beat:
    """Carry what a stats file says about life: who wrote it and how often its main loop came round."""

    instance: str
    seq: int
    phase: str = ""


@dataclass(slots=True)
class SilenceMeter:
    """Accumulate one child's silence; ``period_s`` is the time between two looks."""

    instance: str
    period_s: float
    seq: int | None = None
    phase: str = ""
    silent_s: float = 0.0

    def look(self, beat: Beat | None, elapsed_s: float) -> bool:
        """Take one look ``elapsed_s`` after the last; return True when the heartbeat has advanced.

        A sequence that goes down is movement too: the main loop wrote it.
        """
        if beat is not None and beat.instance == self.instance and beat.seq != self.seq:
            self.seq, self.phase, self.silent_s = beat.seq, beat.phase, 0.0
            return True
        self.silent_s += min(elapsed_s, self.period_s)
        return False
