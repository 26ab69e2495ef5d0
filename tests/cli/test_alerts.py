"""``pj status`` and ``pj resume`` over open alerts: listed until seen, what came meanwhile stays."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from live.market import INSTRUMENTS
from pj.channels.alerts import Alert, open_alerts, raise_alert
from pj.channels.rundir import RunDir
from pj.cli import main
from pj.verbs import daemon


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.chdir(tmp_path)
    return RunDir(tmp_path / "run", INSTRUMENTS["MNQ"]).create()


def pj(*words: str) -> str:
    """Return what one command line prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        main([*words, "--run-dir", "run"])
    return out.getvalue()


def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pj("status", "--json"))
    return found


def test_status_lists_the_newest_open_alerts_and_counts_the_rest(run: RunDir) -> None:
    assert (report()["alerts"], report()["alerts_open"]) == ([], 0)
    for number in range(7):
        raise_alert(run.alerts, Alert(number * 10**9, "NAKED", "engine", f"number {number}", f"2026-04-15/{number}/ab"))
    raise_alert(run.alerts, Alert(9, "PARTIAL", "engine", "of no concern"))
    found = report()
    assert found["alerts_open"] == 7
    assert [alert["text"] for alert in found["alerts"]] == [f"number {number}" for number in range(2, 7)]
    assert found["alerts"][0] == {
        "ts_ns": 2 * 10**9, "code": "NAKED", "severity": "ACT", "name": "engine", "text": "number 2",
        "place": "2026-04-15/2/ab",
    }  # fmt: skip
    shown = pj("status")
    assert "alert        1970-01-01T00:00:06+00:00 ACT  NAKED: number 6" in shown
    assert "2 older in state/alerts.jsonl; 'pj resume', or 'pj status --seen', marks them as seen" in shown
    assert report()["alerts_open"] == 7, "looking alone closes nothing"


def test_status_seen_closes_what_it_listed(run: RunDir) -> None:
    raise_alert(run.alerts, Alert(1, "NAKED", "engine", "x"))
    assert json.loads(pj("status", "--json", "--seen"))["alerts_open"] == 1, "what is printed is what is closed"
    assert report()["alerts_open"] == 0
    size = run.alerts.stat().st_size
    pj("status", "--seen")
    assert run.alerts.stat().st_size == size, "nothing to see leaves no row"
    raise_alert(run.alerts, Alert(2, "LEFT", "scribe", "y"))
    assert [alert["code"] for alert in report()["alerts"]] == ["LEFT"]


def test_resume_closes_what_stood_before_it_only(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    raise_alert(run.alerts, Alert(1, "REVERSED", "engine", "x"))
    pj("halt")
    assert report()["alerts_open"] == 1, "to halt is not to have seen"
    released = daemon._release

    def meanwhile(folder: RunDir) -> int:
        raise_alert(folder.alerts, Alert(2, "NAKED", "engine", "while it was released"))
        return released(folder)

    monkeypatch.setattr(daemon, "_release", meanwhile)
    pj("resume")
    assert [alert.code for alert in open_alerts(run.alerts).alerts] == ["NAKED"]
