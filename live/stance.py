"""Say in one word whether the engine trades: ACTIVE, REDUCING (exits only) or HALTED, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DISARMED: Final = "DISARMED"


class Stance(StrEnum):
    """Name what the engine may do; exits, cancels and protection are allowed in every stance."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


@dataclass(slots=True)
class KillSwitch:
    """Hold the switch as last reported; ``disarmed`` when only the missing ``pj arm`` holds entries back."""

    on: bool = False
    reason: str = ""

    @property
    def disarmed(self) -> bool:
        """Tell whether nothing but the missing arming is in the way."""
        return self.on and self.reason.startswith(DISARMED)


def stance_of(kill: KillSwitch, halted: str, reducing: str) -> tuple[Stance, str]:
    """Return the stance and its reason; ``halted`` is the desk's own, ``reducing`` what else forbids entries now."""
    if halted or (kill.on and not kill.disarmed):
        return Stance.HALTED, halted or kill.reason
    if kill.on or reducing:
        return Stance.REDUCING, kill.reason if kill.on else reducing
    return Stance.ACTIVE, ""
