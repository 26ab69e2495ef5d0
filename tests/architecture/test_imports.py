"""Hold the start cost down: what each process may not import, at its start and in a whole life.

The import contracts say what a room may name; here the interpreter itself is asked, because what a library drags in
behind a name is what costs time and memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Research tools and foreign machinery: no process of the daemon ever needs them.
NEVER = {
    "pandas",
    "numpy",
    "numba",
    "pyarrow",
    "pandas_market_calendars",
    "matplotlib",
    "strategies",
    "multiprocessing",
}
NEVER |= {"unittest", "pytest", "hypothesis", "IPython", "tkinter", "logging.handlers", "pdb", "ibapi"}
GATEWAY = {"ib_insync", "ib_async", "eventkit"}
HTTP = {"requests", "urllib3", "ssl", "http.client"}
SHEETS = {"gspread", "google", "google.auth", "cryptography"}
SETTINGS = {"pydantic", "pydantic_core", "yaml"}
OPENSSL = {"hashlib", "_hashlib", "hmac", "secrets"}

#: What the import of the process's module may not bring with it.
AT_START = {
    "sentinel_watchdog": NEVER | GATEWAY | HTTP | SHEETS | SETTINGS | OPENSSL
    | {"rich", "watchdog", "asyncio", "email", "difflib", "plistlib", "xml", "concurrent.futures", "pj.config"},
    "ibkr_bridge": NEVER | GATEWAY | SHEETS | {"requests", "urllib3", "rich", "psutil", "watchdog", "yaml", "difflib"},
    "run_live_engine": NEVER | GATEWAY | HTTP | SHEETS | {"rich", "psutil", "asyncio", "yaml", "difflib"},
    "dashboard_logger": NEVER | GATEWAY | HTTP | SHEETS | {"rich", "psutil", "asyncio", "yaml", "difflib"},
    "live_dashboard": NEVER | GATEWAY | HTTP | SHEETS | {"rich", "psutil", "asyncio", "yaml", "difflib", "watchdog"},
}  # fmt: skip
#: What a whole life on the paper route with a spreadsheet may not bring: its own library comes later, others never.
IN_LIFE = {
    "sentinel": AT_START["sentinel_watchdog"],
    "bridge": NEVER | SHEETS | {"requests", "urllib3", "rich", "psutil", "difflib"},
    "engine": AT_START["run_live_engine"] - {"yaml"},
    "scribe": NEVER | GATEWAY | {"rich", "psutil", "difflib"},
    "dashboard": AT_START["live_dashboard"] - {"rich", "yaml"},
}
#: What is there, so that an empty list of modules cannot pass.
SURELY = {
    "sentinel": {"psutil"},
    "bridge": {"ib_insync", "ib_async"},
    "engine": {"live.engine"},
    "scribe": {"gspread"},
    "dashboard": {"rich"},
}


@pytest.mark.parametrize("module", AT_START)
def test_a_process_starts_with_what_it_needs(module: str) -> None:
    code = f"import json, sys, pj.processes.{module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert f"pj.processes.{module}" in loaded
    assert not loaded & AT_START[module], f"{module} imports {sorted(loaded & AT_START[module])} at its start"


def test_the_command_line_knows_its_verbs_without_libraries() -> None:
    code = "import json, sys, pj.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    heavy = set(json.loads(done.stdout)) & (NEVER | GATEWAY | HTTP | SHEETS | SETTINGS | {"rich", "psutil", "asyncio"})
    assert not heavy, f"pj --help imports {sorted(heavy)}"


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of a short demo whose processes told every import on stderr."""
    folder = tmp_path_factory.mktemp("imports") / "run"
    command = [sys.executable, "-P", "-m", "pj.cli", "demo", "--headless", "--from", "10:00", "--to", "10:03"]
    command += ["--speed", "60", "--route", "paper", "--run-dir", str(folder)]
    env = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout[-2000:]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_LIFE)
def test_a_whole_life_needs_no_more(life: Path, name: str) -> None:
    text = (life / "logs" / f"{name}.out").read_text(encoding="utf-8")
    told = {line.rpartition("|")[2].strip() for line in text.splitlines() if line.startswith("import time:")}
    # A module that importlib was asked for is not told itself, only what it imports in its turn.
    loaded = {".".join(parts[: n + 1]) for parts in (module.split(".") for module in told) for n in range(len(parts))}
    assert SURELY[name] & loaded
    assert not loaded & IN_LIFE[name], f"{name} imports {sorted(loaded & IN_LIFE[name])}"
