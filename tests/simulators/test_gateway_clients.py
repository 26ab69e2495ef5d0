"""The simulated gateway serves unmodified client libraries over a real socket."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pj.simulators.ledger import COLUMNS

HERE = Path(__file__).parent
SCENARIOS = (
    "handshake", "details", "ticks", "history", "bracket", "oca_and_cancel", "executions_of_everyone", "refusals",
    "reconnect",
)  # fmt: skip


def _run(script: str, *arguments: str, path: str = "") -> dict[str, str]:
    env = os.environ | ({"PYTHONPATH": path} if path else {})
    done = subprocess.run(
        [sys.executable, "-P", str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdicts: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return verdicts


@pytest.fixture(scope="module")
def insync(morning_gateway):
    with morning_gateway() as (gateway, ledger):
        yield _run("gateway_scenarios.py", "ib_insync", str(gateway.port)), ledger


@pytest.fixture(scope="module")
def maintained(morning_gateway):
    folder = os.environ.get("PJ_IB_ASYNC_PATH", "")
    if not folder:
        pytest.skip("ib_async is not here: set PJ_IB_ASYNC_PATH to a folder it was installed into")
    with morning_gateway() as (gateway, _):
        yield _run("gateway_scenarios.py", "ib_async", str(gateway.port), path=folder)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_ib_insync(insync, scenario):
    assert insync[0][scenario] == "ok", insync[0][scenario]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_ib_async(maintained, scenario):
    assert maintained[scenario] == "ok", maintained[scenario]


@pytest.mark.slow
def test_the_official_client_gets_details_ticks_and_a_fill(morning_gateway):
    with morning_gateway() as (gateway, _):
        verdicts = _run("gateway_official_peer.py", str(gateway.port))
    assert verdicts == dict.fromkeys(verdicts, "ok"), verdicts
    assert set(verdicts) == {"version", "details", "ticks", "history", "order", "lists"}


@pytest.mark.slow
def test_the_ledger_is_whole_and_in_order(insync):
    header, *rows = insync[1].read_text(encoding="utf-8").splitlines()
    assert header == COLUMNS
    cells = [row.split(",") for row in rows]
    assert [int(row[0]) for row in cells] == list(range(1, len(rows) + 1))
    assert all(int(a[1]) <= int(b[1]) for a, b in itertools.pairwise(cells))
    kinds = {row[2] for row in cells}
    assert kinds >= {"CONNECT", "DISCONNECT", "SUBSCRIBE", "UNSUBSCRIBE", "TRADE", "QUOTE", "LAST", "VOLUME", "STATUS"}
