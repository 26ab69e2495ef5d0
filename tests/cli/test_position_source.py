"""Whose positions are the true ones: said by config check and doctor, and never guessed where real money trades."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pj.config import load_settings, unsaid, whose_position
from pj.verbs.doctor import credentials
from pj.verbs.doctor.model import Patient, Status

PLACES = "position_source is not set"
HOOK = "https://webhooks.traderspost.io/trading/webhook/6f9619ff/never-print-me"


def settings(folder: Path, profile: str, route: str, source: str = "") -> dict[str, str]:
    """Write config.yaml into ``folder`` and return the environment of a process that reads it."""
    lines = [f"profile: {profile}", "run_dir: run", "execution:", f"  route: {route}"]
    lines += [f"  position_source: {source}"] if source else []
    (folder / "config.yaml").write_text("\n".join([*lines, "sheets:", "  enabled: false", "ibkr:", "  port: 4001", ""]))
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
    return {**plain, "PJ_CONFIG": str(folder / "config.yaml"), "PJ_TRADERSPOST_WEBHOOK_URL": HOOK}


def run(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", *words], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert "never-print-me" not in done.stdout + done.stderr
    return done


def test_live_on_traderspost_does_not_start_before_the_source_is_named(tmp_path: Path) -> None:
    env = settings(tmp_path, "live", "traderspost")
    for words in (("pj.cli", "up", "--live", "--headless"), ("pj.processes.run_live_engine",)):
        done = run(env, *words)
        assert done.returncode == 2, done
        assert PLACES in done.stderr and done.stderr.count("\n") == 1
        assert all(f"{word} (" in done.stderr for word in ("manual", "none", "ibkr")), (
            "the choices, each with its sense"
        )
    check = run(env, "pj.cli", "config", "check", "--json")
    assert check.returncode == 1 and PLACES in json.loads(check.stdout)["problems"][0]


@pytest.mark.parametrize(
    ("profile", "route", "source"),
    [
        ("live", "traderspost", "manual"), ("live", "traderspost", "none"), ("live", "traderspost", "ibkr"),
        ("live", "ibkr", ""), ("live", "paper", ""), ("sim", "traderspost", ""), ("sim", "traderspost", "simulated"),
    ],
)  # fmt: skip
def test_it_is_asked_for_nowhere_else(tmp_path: Path, profile: str, route: str, source: str) -> None:
    assert unsaid(load_settings(settings(tmp_path, profile, route, source))) == ""


def test_a_variable_names_it_as_well_as_the_file(tmp_path: Path) -> None:
    env = settings(tmp_path, "live", "traderspost") | {"PJ__EXECUTION__POSITION_SOURCE": "none"}
    assert unsaid(load_settings(env)) == ""


@pytest.mark.parametrize(
    ("route", "source", "account", "words", "status"),
    [
        ("paper", "", "", "the paper route's own", Status.INFO),
        ("ibkr", "", "DU1", "those of IBKR account DU1 that the gateway at 127.0.0.1:4001", Status.INFO),
        ("traderspost", "", "", "the one IBKR account that the gateway at 127.0.0.1:4001", Status.WARN),
        ("traderspost", "manual", "", "what a human states with 'pj position set'", Status.INFO),
        ("traderspost", "none", "", "told by nobody: shown as UNVERIFIED", Status.INFO),
    ],
)
def test_check_and_doctor_say_whose(
    tmp_path: Path, route: str, source: str, account: str, words: str, status: Status
) -> None:
    env = settings(tmp_path, "paper", route, source) | {"PJ__IBKR__ACCOUNT": account}
    loaded = load_settings(env)
    assert words in whose_position(loaded)
    found = credentials.positions(Patient(env, loaded))
    assert (found.status, words in found.says) == (status, True), found
    assert (status is Status.WARN) == ("does not route futures to IBKR" in found.says)
    assert whose_position(loaded) in run(env, "pj.cli", "config", "check").stdout


def test_the_doctor_fails_live_without_a_named_source(tmp_path: Path) -> None:
    env = settings(tmp_path, "live", "traderspost")
    found = credentials.positions(Patient(env, load_settings(env)))
    assert found.status is Status.FAIL and PLACES in found.says


def test_the_shipped_settings_leave_the_choice_open() -> None:
    shipped = Path(__file__).resolve().parents[2] / "config.yaml"
    live = {"PJ_CONFIG": str(shipped), "PJ__PROFILE": "live", "PJ__EXECUTION__ROUTE": "traderspost"}
    assert PLACES in unsaid(load_settings(live))
