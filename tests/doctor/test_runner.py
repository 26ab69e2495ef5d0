"""The runner: a check that raises, hangs or is slow cannot stop, delay or crash the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from pj.verbs.doctor.model import NEEDS_REMEDY, Check, Finding, Once, Patient, Status, fail, ok, warn
from pj.verbs.doctor.runner import exit_code, run_checks
from pj.verbs.doctor.table import CHECKS


def check(run: Callable[[Patient], Finding], **more: object) -> Check:
    return Check("it", "it", run, "do this", needs_settings=False, **more)  # type: ignore[arg-type]


def hang(_patient: Patient) -> Finding:
    threading.Event().wait()
    raise AssertionError


def crash(_patient: Patient) -> Finding:
    raise ZeroDivisionError("nothing\nleft")


def test_an_exception_is_a_failure_with_its_words_and_the_remedy() -> None:
    found = run_checks([check(crash)], Patient({}))[0].finding
    assert found == Finding(Status.FAIL, "ZeroDivisionError: nothing left", "do this")


def test_a_check_that_hangs_is_left_behind() -> None:
    begun = time.monotonic()
    results = run_checks(
        [check(hang, limit_s=0.3), check(lambda _: ok("fine")), check(hang, limit_s=0.3, overdue=Status.UNKNOWN)],
        Patient({}),
    )
    assert time.monotonic() - begun < 2
    assert [result.finding.status for result in results] == [Status.FAIL, Status.OK, Status.UNKNOWN]
    assert "no answer within" in results[0].finding.says
    assert results[0].finding.remedy == "do this"


def test_the_whole_has_a_limit_of_its_own() -> None:
    begun = time.monotonic()
    results = run_checks([check(hang, limit_s=60.0)] * 3, Patient({}), whole_s=0.3)
    assert time.monotonic() - begun < 2
    assert {result.finding.status for result in results} == {Status.FAIL}


def test_the_exit_code() -> None:
    bad, good = (run_checks([check(run)], Patient({})) for run in (lambda _: fail("x"), lambda _: warn("x", "y")))
    assert exit_code(good, settings_read=True) == 0
    assert exit_code(good + bad, settings_read=True) == 1
    assert exit_code(good, settings_read=False) == 2


def test_a_probe_runs_once_and_its_error_reaches_everybody() -> None:
    calls: list[int] = []

    def probe() -> int:
        calls.append(1)
        raise OSError("gone")

    once = Once(probe)
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            once.get()
    assert len(calls) == 1


def test_the_table_is_sound() -> None:
    assert len({row.id for row in CHECKS}) == len(CHECKS)
    assert all(row.remedy and row.title and row.limit_s <= 13 for row in CHECKS)
    assert max(len(row.title) for row in CHECKS) <= 16
    assert {Status.WARN, Status.FAIL} == NEEDS_REMEDY
