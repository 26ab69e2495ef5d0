"""pj service as a user meets it: stand-ins for the managers' tools note how they were called; wine has a real one."""

from __future__ import annotations

import json
import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pj.cli import main
from pj.supervision.service import ServiceDescription, task_xml

WEBHOOK = "https://webhooks.traderspost.io/trading/webhook/11111111-2222/never-print-me"
PAPER = "profile: paper\nrun_dir: run\nsheets:\n  enabled: false\n"
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a space in its name that holds settings, and make everything of the user's lie in it."""
    folder = tmp_path / "my trading"
    folder.mkdir()
    (folder / "config.yaml").write_text(PAPER, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith("PJ_")] + ["XDG_CONFIG_HOME"]:
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put stand-ins for the service managers' tools first on PATH; return the file in which they note their calls."""
    calls = tmp_path / "calls"
    calls.touch()
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("systemctl", "launchctl", "schtasks"):
        script = folder / name
        script.write_text(
            f'#!/bin/sh\necho "{name} $*" >> "{calls}"\n'
            f'if [ -e "{tmp_path}/fail-$2" ]; then echo "the bus is closed" >&2; exit 5; fi\n'
            f'if [ "$1" = print ] && [ ! -e "{tmp_path}/loaded" ]; then exit 113; fi\n'
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return calls


def pj(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(("service", *words))
    told = capsys.readouterr()
    return code, told.out, told.err


def on(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr("pj.verbs.service.this_kind", lambda: kind)


@posix_only
def test_systemd_install_and_uninstall(
    home: Path, tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "systemd")
    unit = tmp_path / "home" / ".config" / "systemd" / "user" / "pj-engine.service"
    code, out, err = pj(capsys, "install", "--dry-run")
    assert (code, err, unit.exists(), tools.read_text()) == (0, "", False, "")
    assert f"would write {unit}" in out and "would run systemctl --user enable pj-engine.service" in out

    code, out, err = pj(capsys, "install")
    assert (code, err) == (0, "")
    assert tools.read_text().splitlines() == [
        "systemctl --user daemon-reload",
        "systemctl --user enable pj-engine.service",
    ]
    assert f'"--profile" "paper" "--config" "{home}/config.yaml"' in unit.read_text()
    assert [path.name for path in unit.parent.iterdir()] == [unit.name]
    for words in (f"wrote {unit}", "systemctl --user start pj-engine.service", "pj service uninstall", "enable-linger"):
        assert words in out

    tools.write_text("")
    code, out, err = pj(capsys, "uninstall", "--json")
    assert (code, err, unit.exists()) == (0, "", False)
    assert json.loads(out)["installed"] is True
    assert tools.read_text().splitlines() == [
        "systemctl --user disable --now pj-engine.service",
        "systemctl --user daemon-reload",
    ]
    code, out, _ = pj(capsys, "uninstall")
    assert (code, out.startswith("nothing is installed")) == (0, True)


@posix_only
def test_launchd_install_and_uninstall(
    home: Path, tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "launchd")
    plist = tmp_path / "home" / "Library" / "LaunchAgents" / "local.pj-b.plist"
    domain = f"gui/{os.getuid()}"
    assert pj(capsys, "install", "--name", "pj-b")[0] == 0
    asked = f"launchctl print {domain}/local.pj-b"
    assert tools.read_text().splitlines() == [asked, f"launchctl bootstrap {domain} {plist}"]
    read = plistlib.loads(plist.read_bytes())
    assert read["WorkingDirectory"] == str(home)
    assert Path(read["StandardOutPath"]).parent == home / "run" / "logs"
    assert (home / "run" / "logs").is_dir()

    (tmp_path / "loaded").touch()
    tools.write_text("")
    assert pj(capsys, "install", "--name", "pj-b")[0] == 0
    out = f"launchctl bootout {domain}/local.pj-b"
    assert tools.read_text().splitlines() == [asked, out, f"launchctl bootstrap {domain} {plist}"]
    tools.write_text("")
    assert pj(capsys, "uninstall", "--name", "pj-b")[0] == 0
    assert tools.read_text().splitlines() == [asked, out]
    assert not plist.exists()


@posix_only
def test_task_install_and_uninstall(
    home: Path, tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "task")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    path = tmp_path / "local" / "pj-engine" / "pj-engine.xml"
    code, out, err = pj(capsys, "install")
    assert (code, err) == (0, "")
    assert path.read_bytes().startswith(b"\xff\xfe")
    assert "schtasks /Run /TN pj-engine" in out
    assert pj(capsys, "uninstall")[0] == 0
    assert tools.read_text().splitlines() == [
        f"schtasks /Create /TN pj-engine /XML {path} /F",
        "schtasks /Delete /TN pj-engine /F",
    ]


@posix_only
def test_a_manager_that_refuses_is_quoted(
    home: Path, tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "systemd")
    (tmp_path / "fail-enable").touch()
    code, out, err = pj(capsys, "install")
    assert (code, out) == (3, "")
    assert "the bus is closed" in err and "wrote " in err and "ran systemctl --user daemon-reload" in err
    monkeypatch.setenv("PATH", "")
    code, out, err = pj(capsys, "install")
    assert (code, "systemctl is not on this machine" in err) == (3, True)


def test_another_systems_manager_is_refused_but_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = "task" if sys.platform != "win32" else "systemd"
    code, out, err = pj(capsys, "install", "--kind", foreign)
    assert (code, out) == (2, "")
    assert "run it there" in err
    assert pj(capsys, "install", "--kind", foreign, "--dry-run")[0] == 0
    for kind in ("systemd", "launchd", "task"):
        code, out, _ = pj(capsys, "show", "--kind", kind, "--json")
        assert code == 0
        assert str(home) in json.loads(out)["text"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--profile", "live"), "need --live as well"),
        (("--live",), "--live was given, but profile is paper"),
        (("--set", "execution.route=traderspost"), "PJ_TRADERSPOST_WEBHOOK_URL is not set"),
        (("--set", f"traderspost.webhook_url={WEBHOOK}"), "is a secret"),
        (("--set", "ibkr.port=4001"), "a live port, but profile is paper"),
        (("--set", "profile=sim"), "profile is sim"),
        (("--name", "a/b"), "service name 'a/b'"),
        (("--config", "other.yaml"), "is not a file"),
    ],
)
@pytest.mark.parametrize("verb", ["install", "show"])
def test_what_could_not_run_is_not_installed(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, words: tuple[str, ...], said: str
) -> None:
    code, out, err = pj(capsys, verb, *words)
    assert (code, out, said in err) == (2, "", True), err
    assert "never-print-me" not in err
    assert not (tmp_path / "home").exists()


def test_a_secret_that_only_this_shell_has_is_no_secret_of_the_service(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PJ_TRADERSPOST_WEBHOOK_URL", WEBHOOK)
    words = ("--set", "execution.route=traderspost")
    code, _, err = pj(capsys, "install", "--dry-run", *words)
    assert (code, "does not see this shell's PJ_TRADERSPOST_WEBHOOK_URL" in err) == (2, True)
    (home / ".env").write_text(f"PJ_TRADERSPOST_WEBHOOK_URL={WEBHOOK}\n")
    code, out, _ = pj(capsys, "install", "--dry-run", *words)
    assert code == 0
    _, text, _ = pj(capsys, "show", *words)
    assert "never-print-me" not in out + text and "execution.route=traderspost" in text


def test_paths_and_the_profile_are_pinned(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = pj(capsys, "show", "--kind", "launchd", "--run-dir", "elsewhere", "--set", "ibkr.client_id=12")
    words = plistlib.loads(text.encode())["ProgramArguments"]
    assert words[words.index("--run-dir") + 1] == str(home / "elsewhere")
    assert words[words.index("--profile") + 1] == "paper"
    assert words[words.index("--set") + 1] == "ibkr.client_id=12"
    assert words[0] == sys.executable


def test_live_is_said_to_start_disarmed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--profile", "live", "--live", "--set", "ibkr.port=4001")
    code, out, _ = pj(capsys, "install", "--dry-run", *words)
    assert (code, "disarmed" in out and "pj arm" in out) == (0, True)
    assert '"--profile" "live" "--live"' in pj(capsys, "show", "--kind", "systemd", *words)[1]


@pytest.mark.parametrize(("settle", "code"), [((), 2), (("--settle",), 0)])
def test_run_ends_where_a_start_would_not_help(home: Path, settle: tuple[str, ...], code: int) -> None:
    """The real 'pj up' refuses these settings with 2, after the keeper has started it once."""
    (home / "config.yaml").write_text(PAPER + "execution:\n  route: traderspost\n")
    command = [sys.executable, "-P", "-m", "pj.cli", "service", "run", *settle]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "PJ_TRADERSPOST_WEBHOOK_URL is not set" in done.stderr) == (code, True), done.stderr
    log = (home / "run" / "logs" / "keeper.log").read_text()
    assert log.count("SENTINEL_STARTED") == 1 and "KEEPER_END exit=2" in log


@pytest.mark.skipif(shutil.which("wine") is None, reason="wine is not installed: no Task Scheduler reads the task here")
@pytest.mark.slow
def test_a_task_scheduler_takes_the_task(tmp_path: Path) -> None:
    env = {**os.environ, "WINEPREFIX": str(tmp_path / "prefix"), "WINEDEBUG": "-all", "DISPLAY": ""}
    drive = "Q:"
    service = ServiceDescription(
        name="pj-engine",
        what="PJ Engine (paper)",
        program=rf"{drive}\Program Files (x86)\PJ & Söhne\.venv\Scripts\python.exe",
        choice=("--profile", "paper", "--config", rf"{drive}\PJ & Söhne\config.yaml"),
        folder=rf"{drive}\PJ & Söhne",
        log=rf"{drive}\PJ & Söhne\service.out",
        user="PC\\Jörg",
    )
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_bytes(task_xml(service))
    bad.write_bytes(task_xml(service).replace("mit/task".encode("utf-16-le"), "mit/tusk".encode("utf-16-le")))

    def schtasks(*words: str) -> int:
        command = ["wine", "schtasks", *words]
        return subprocess.run(command, env=env, capture_output=True, timeout=100, check=False).returncode

    def create(path: Path) -> int:
        return schtasks("/Create", "/TN", "pj-engine", "/XML", "Z:" + str(path).replace("/", "\\"), "/F")

    try:
        assert create(bad) != 0
        assert create(good) == 0
        assert schtasks("/Delete", "/TN", "pj-engine", "/F") == 0
    finally:
        subprocess.run(["wineserver", "-k"], env=env, check=False)
