"""How the demo's servers are parted from its terminal and asked to stop, on each platform."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pj.config import load_settings
from pj.demo.plan import plan_from_options
from pj.demo.run import write_config
from pj.demo.servers import CREATE_NEW_PROCESS_GROUP, apart, ask_to_stop


class WindowsProcess:
    """Take signals as Popen does on Windows: SIGTERM, CTRL_C_EVENT, CTRL_BREAK_EVENT, nothing else."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def poll(self) -> None:
        return None

    def send_signal(self, number: int) -> None:
        if number not in {signal.SIGTERM, 0, 1}:
            raise ValueError(f"Unsupported signal: {number}")
        self.got.append(number)


def test_windows_asks_by_ctrl_break_and_never_terminates() -> None:
    process: Any = WindowsProcess()
    ask_to_stop(process, "win32")
    assert process.got == [1]


@pytest.mark.parametrize("own_session", [True, False])
def test_every_windows_process_leads_a_group_that_can_be_asked(own_session: bool) -> None:
    assert apart("win32", own_session=own_session) == {"creationflags": CREATE_NEW_PROCESS_GROUP}


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX session")
@pytest.mark.parametrize(("own_session", "same"), [(True, "False"), (False, "True")])
def test_posix_session_and_a_clean_end(own_session: bool, same: str) -> None:
    program = textwrap.dedent(
        """
        import os, signal, sys
        print(os.getsid(0) == os.getsid(os.getppid()), flush=True)
        signal.sigwait({signal.SIGTERM})
        """
    )
    code = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n{program}"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **apart(own_session=own_session)) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == same
        ask_to_stop(process)  # type: ignore[arg-type]
        assert process.wait(10) == 0


@pytest.mark.parametrize("name", ["plain", "with space", "it's", "back\\slash", 'a "quote"', "Zürich"])
def test_the_written_settings_read_back_under_any_folder_name(tmp_path: Path, name: str) -> None:
    if sys.platform == "win32" and set(name) & {"\\", '"'}:
        pytest.skip("no such folder name on Windows")
    plan = plan_from_options({"run_dir": str(tmp_path / name)})
    plan.run_dir.mkdir()
    path = write_config(plan, {"gateway": 4001, "sheets": 4002}, "MNQZ6")
    settings = load_settings({"PJ_CONFIG": str(path)})
    assert settings.run_dir == plan.run_dir
    assert settings.contract == "MNQZ6"
    assert Path(settings.sheets.service_account_file).parent == plan.run_dir / "simulators"
