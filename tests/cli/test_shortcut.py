"""The desktop's shortcut: each kind read back or run, and the POSIX launcher that it starts."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pj.cli import main
from pj.verbs.common import Refusal
from pj.verbs.shortcut import NAMES, WHAT, render

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "launch_pj_engine.sh"
FOLDER = 'PJ (x) & "Söhne" $HOME 100% `id` \\ it\'s'
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
texts = st.text(st.characters(min_codepoint=32, blacklist_categories=("Cc", "Cs", "Cn"), blacklist_characters="/="))


def exec_words(entry: str) -> list[str]:
    """Read Exec by the Desktop Entry Specification: first as a string of the file, then as a quoted command line."""
    parser = configparser.RawConfigParser(delimiters=("=",), strict=True, empty_lines_in_values=False)
    parser.read_string(entry)
    line = re.sub(r"\\(.)", lambda pair: {"s": " ", "\\": "\\"}[pair[1]], parser["Desktop Entry"]["Exec"])
    quoted = re.fullmatch(r'"((?:[^"`$\\]|\\["`$\\])*)"', line)
    assert quoted is not None, line
    return [re.sub(r"\\(.)", r"\1", quoted[1]).replace("%%", "%")]


@given(texts)
@example(FOLDER)
def test_the_desktop_entry_reads_back(folder: str) -> None:
    launcher = f"/{folder}/launch_pj_engine.sh"
    entry = render("linux", launcher, "/desk/x")
    assert exec_words(entry) == [launcher]
    assert re.search("^Terminal=true$", entry, re.MULTILINE)


def test_the_desktops_own_validator_has_nothing_to_say(tmp_path: Path) -> None:
    tool = shutil.which("desktop-file-validate")
    if tool is None:
        pytest.skip("desktop-file-validate is not installed")
    path = tmp_path / NAMES["linux"]
    path.write_text(render("linux", f"/{FOLDER}/launch_pj_engine.sh", str(path)), encoding="utf-8")
    done = subprocess.run([tool, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("bad", ["a\nb", "a=b"])
def test_what_an_entry_cannot_hold_is_refused(bad: str) -> None:
    with pytest.raises(Refusal, match="rename that folder"):
        render("linux", f"/{bad}/x", "/desk/x")


@pytest.mark.skipif(sys.platform == "win32", reason="it would write to the real desktop's format")
def test_the_verb_writes_a_file_that_can_be_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("service", "shortcut", "--folder", str(tmp_path))
    assert main((*words, "--dry-run")) == 0
    assert list(tmp_path.iterdir()) == []
    capsys.readouterr()
    assert main((*words, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["target"] == str(LAUNCHER)
    made = Path(report["path"])
    assert made.read_text() == report["text"] and os.access(made, os.X_OK) and os.access(LAUNCHER, os.X_OK)
    assert main(("service", "shortcut", "--folder", str(tmp_path / "none"))) == 2


@pytest.mark.skipif(shutil.which("wine") is None, reason="wine is not installed: no script host runs the script here")
@pytest.mark.slow
def test_a_script_host_makes_the_link(tmp_path: Path) -> None:
    home = tmp_path / "PJ (x) & Söhne"
    home.mkdir()
    (home / "LAUNCH_PJ_ENGINE.bat").write_text("@echo off\r\n")

    def windows(path: Path) -> str:
        return "Z:" + str(path).replace("/", "\\")

    link = tmp_path / "PJ Engine.lnk"
    launcher = windows(home / "LAUNCH_PJ_ENGINE.bat")
    (tmp_path / "s.vbs").write_text(render("windows", launcher, windows(link)), encoding="ascii", newline="")
    env = {**os.environ, "WINEPREFIX": str(tmp_path / "prefix"), "WINEDEBUG": "-all", "DISPLAY": ""}
    try:
        command = ["wine", "cscript", "//nologo", windows(tmp_path / "s.vbs"), windows(link), launcher, WHAT]
        done = subprocess.run(command, env=env, capture_output=True, timeout=100, check=False)
    finally:
        subprocess.run(["wineserver", "-k"], env=env, check=False)
    assert done.returncode == 0, done.stderr
    data = link.read_bytes()
    assert data.startswith(b"\x4c\0\0\0\x01\x14\x02\0")  # a shell link
    for text in (windows(home), WHAT):
        assert text.encode("utf-16-le") in data


def run_launcher(home: Path, *words: str, pythons: dict[str, str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the launcher in ``home`` where only the ``pythons`` given (name to script) can be found."""
    (home / "scripts").mkdir(parents=True, exist_ok=True)
    (home / "scripts" / "pj.py").write_text(
        "import sys; print('RAN', sys.argv[1:]); d = sys.argv[-1][-1]; sys.exit(int(d) if d.isdigit() else 0)"
    )
    shutil.copy(LAUNCHER, home)
    tools = home / "tools"
    tools.mkdir(exist_ok=True)
    for tool in ("dirname", "grep", "sh"):
        shutil.copy(str(shutil.which(tool)), tools / tool)
    for name, text in pythons.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    command = [str(home / LAUNCHER.name), *words]
    whole = {"PATH": str(tools), **env}
    return subprocess.run(command, env=whole, cwd="/", capture_output=True, text=True, timeout=60, check=False)


REAL = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
OLD = '#!/bin/sh\ncase "$2" in *print*) echo 3.9.7 ;; *) exit 1 ;; esac\n'


@posix_only
@pytest.mark.parametrize(
    ("pythons", "said"), [({}, "none was found"), ({"python3": OLD, "python": "#!/bin/sh\nexit 1\n"}, "found is 3.9.7")]
)
def test_the_launcher_says_what_is_wrong_with_python(tmp_path: Path, pythons: dict[str, str], said: str) -> None:
    done = run_launcher(tmp_path / FOLDER, pythons=pythons)
    assert (done.returncode, said in done.stdout) == (2, True), done


@posix_only
@pytest.mark.parametrize(
    ("config", "verb"),
    [("profile: sim\n", "demo"), ("", "demo"), ("a: 1\nprofile: paper  # x\n", "up"), ("profile: live\n", "up")],
)
def test_the_launcher_runs_the_demo_or_the_daemon(tmp_path: Path, config: str, verb: str) -> None:
    home = tmp_path / FOLDER
    home.mkdir()
    (home / "config.yaml").write_text(config)
    done = run_launcher(home, pythons={"python3": OLD, "python": REAL})
    assert (done.returncode, f"RAN ['{verb}']" in done.stdout) == (0, True), done
    assert ("ended with exit code 0" in done.stdout) == (verb == "demo")  # its report stays readable


@posix_only
@pytest.mark.parametrize("code", range(5))
def test_the_launcher_shows_and_hands_on_the_exit_code(tmp_path: Path, code: int) -> None:
    done = run_launcher(tmp_path / FOLDER, "status", "--config", f"my file {code}", pythons={"python3.12": REAL})
    assert done.returncode == code
    assert f"RAN ['status', '--config', 'my file {code}']" in done.stdout
    assert (f"ended with exit code {code}." in done.stdout) == (code != 0)


@posix_only
def test_a_command_file_starts_the_launcher(tmp_path: Path) -> None:
    home = tmp_path / FOLDER
    run_launcher(home, "status", "0", pythons={"python3.12": REAL})
    command = tmp_path / NAMES["macos"]
    command.write_text(render("macos", str(home / LAUNCHER.name), str(command)))
    (home / "config.yaml").write_text("profile: paper\n")
    (home / "scripts" / "pj.py").write_text("import sys; print('RAN', sys.argv[1:])")
    done = subprocess.run(
        ["/bin/sh", str(command)], env={"PATH": str(home / "tools")}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "RAN ['up']\n")
