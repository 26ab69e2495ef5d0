"""Run all checks at once, each in a thread with a time limit; nothing a check does can stop or delay the others.

A thread that does not come back is left behind (it is a daemon: it does not keep the command alive). Its check then
has the status that its row names, FAIL for most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pj.verbs.doctor.model import NEEDS_REMEDY, Check, Finding, Patient, Result, Status, fail, skipped

#: The whole doctor answers within this, whatever hangs (real seconds).
WHOLE_S: Final = 14.0


class _Running:
    """Hold one check at work."""

    def __init__(self, check: Check, patient: Patient) -> None:
        self.check = check
        self.began_s = time.monotonic()
        self._done = threading.Event()
        self._finding: Finding | None = None
        self._took_ms = 0
        thread = threading.Thread(target=self._work, args=(patient,), name=f"doctor-{check.id}", daemon=True)
        thread.start()

    def _work(self, patient: Patient) -> None:
        self._finding = examine(self.check, patient)
        self._took_ms = int((time.monotonic() - self.began_s) * 1000)
        self._done.set()

    def result(self, until_s: float) -> Result:
        """Return what was found by ``until_s`` (monotonic), or that it took too long."""
        deadline_s = min(until_s, self.began_s + self.check.limit_s)
        if self._done.wait(max(0.0, deadline_s - time.monotonic())) and self._finding is not None:
            return Result(self.check, self._finding, self._took_ms)
        took_s = time.monotonic() - self.began_s
        says = f"no answer within {took_s:.0f} s"
        return Result(self.check, Finding(self.check.overdue, says, self.check.remedy), int(took_s * 1000))


def run_checks(checks: Sequence[Check], patient: Patient, whole_s: float = WHOLE_S) -> list[Result]:
    """Return one result per check, in their order, within ``whole_s`` real seconds."""
    until_s = time.monotonic() + whole_s
    running = [_Running(check, patient) for check in checks]
    return [each.result(until_s) for each in running]


def examine(check: Check, patient: Patient) -> Finding:
    """Return what one check finds; an exception is a FAIL with its words."""
    if check.needs_settings and patient.settings is None:
        return skipped("the settings cannot be read")
    try:
        finding = check.run(patient)
    except Exception as error:  # noqa: BLE001 - one broken check must not hide the others
        words = " ".join(str(error).split())
        finding = fail(f"{type(error).__name__}: {words}" if words else f"it broke with {type(error).__name__}")
    if finding.status in NEEDS_REMEDY and not finding.remedy:
        finding = replace(finding, remedy=check.remedy)
    return finding


def exit_code(results: Sequence[Result], *, settings_read: bool) -> int:
    """Return 2 when the settings cannot be read, 1 when a check failed, else 0."""
    if not settings_read:
        return 2
    return 1 if any(result.finding.status is Status.FAIL for result in results) else 0
