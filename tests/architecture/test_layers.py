"""The tools that hold the house together, run as tests, so that the one test command runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PROCESSES = sorted(path.stem for path in (ROOT / "src/pj/processes").glob("*.py") if path.stem != "__init__")
#: What the workbench needs and a daemon must not wait for or depend on.
HEAVY = ("pandas", "numba", "pandas_market_calendars", "exchange_calendars", "strategies", "pytest", "matplotlib")


def run_tool(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


def tool(name: str) -> str:
    found = next((path for path in (BIN / name, BIN / f"{name}.exe") if path.is_file()), None)
    if found is None:
        pytest.skip(f"{name} is not installed beside this Python; install the dev group")
    return str(found)


def test_import_contracts_are_kept() -> None:
    run_tool(tool("lint-imports"), "--no-logo", "--no-cache")


def test_ruff_finds_nothing() -> None:
    run_tool(tool("ruff"), "check", ".")


def test_the_code_is_formatted() -> None:
    run_tool(tool("ruff"), "format", "--check", ".")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_mypy_strict_finds_nothing() -> None:
    run_tool(tool("mypy"), "src", "live", "strategies", "scripts")


@pytest.mark.parametrize("name", PROCESSES)
def test_a_daemon_process_imports_nothing_heavy(name: str) -> None:
    code = f"import json, sys, pj.processes.{name}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {module.split(".")[0] for module in json.loads(done.stdout)}
    assert not loaded & set(HEAVY), f"pj.processes.{name} imports {sorted(loaded & set(HEAVY))} at its start"


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, pj.cli; pj.cli.main(['--help']); sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {module.split(".")[0] for module in done.stderr.split()}
    assert not loaded & {"pydantic", "yaml", "rich", "requests", "numpy", "pyarrow", "ib_insync", *HEAVY}


def test_every_daemon_process_is_there() -> None:
    assert {"sentinel_watchdog", "ibkr_bridge", "run_live_engine", "dashboard_logger", "live_dashboard"} <= set(
        PROCESSES
    )
