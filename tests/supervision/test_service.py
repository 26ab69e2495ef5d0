"""Prove the three service files: read each back with a parser of its own, then let the real readers judge them."""

from __future__ import annotations

import configparser
import os
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pj.supervision.service import (
    KINDS,
    TASK_NAMESPACE,
    ServiceDescription,
    ServiceError,
    launchd_plist,
    render,
    systemd_unit,
    task_xml,
)

POSIX = ServiceDescription(
    name="pj-engine",
    what="PJ Engine (paper), 100 % supervised",
    program="/pj/venv/bin/python",
    choice=("--profile", "paper", "--config", "/pj/config.yaml"),
    folder="/pj",
    log="/pj/run/logs/service.out",
)
DRIVE = "Q:"  # a drive letter before a backslash would look like a path of one machine
WINDOWS = replace(
    POSIX,
    program=rf"{DRIVE}\pj\.venv\Scripts\python.exe",
    choice=("--profile", "paper", "--config", rf"{DRIVE}\pj\config.yaml"),
    folder=rf"{DRIVE}\pj",
    log=rf"{DRIVE}\pj\service.out",
    user=r"TRADER-PC\Jörg",
)
NASTY: tuple[str, ...] = (
    "a b",
    "it's",
    'say "x"',
    "100%",
    "%h%i",
    "$HOME",
    "${HOME}",
    "a&b",
    "<x>",
    "Müller",
    "back\\slash",
    "tail\\",
)
NASTY += (
    "",
    "-",
    "#",
    ";",
    "a;b",
    "  two  ",
    "\\\\",
    '\\"',
    "日本",
    "@x",
    ":x",
    "+x",
    "'",
    '"',
    "~",
    "{}",
    "*?[",
    "`id`",
)
words = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(min_codepoint=32, blacklist_categories=("Cc", "Cs", "Cn")), max_size=20),
    st.text(" \"'\\%$&\u00fc/a{}", max_size=12),
)


def systemd_words(line: str) -> list[str]:
    """Split a command line by systemd.syntax(7): words, quotes, C escapes, then specifiers (only %% is known here)."""
    found: list[str] = []
    position = 0
    while position < len(line):
        if line[position] == " ":
            position += 1
            continue
        quote = line[position] if line[position] in "\"'" else ""
        position += bool(quote)
        word = ""
        while position < len(line) and line[position] != (quote or " "):
            if line[position] == "\\":
                position += 1
                assert line[position] in "\\\"'", f"escape \\{line[position]}"
            word += line[position]
            position += 1
        position += bool(quote)
        found.append(without_specifiers(word))
    return found


def without_specifiers(text: str) -> str:
    assert not re.search(r"%(?!%)", text.replace("%%", "")), f"a specifier in {text!r}"
    return text.replace("%%", "%")


def unit_of(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#", ";"), strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


def windows_arguments(line: str) -> list[str]:
    """Split the arguments as CommandLineToArgvW documents it (without the program's name)."""
    found: list[str] = []
    word, in_word, quoted, position = "", False, False, 0
    while position < len(line):
        slashes = len(line[position:]) - len(line[position:].lstrip("\\"))
        position += slashes
        letter = line[position] if position < len(line) else ""
        if letter == '"':
            word += "\\" * (slashes // 2)
            if slashes % 2:
                word += '"'
            else:
                quoted = not quoted
            in_word = True
        else:
            word += "\\" * slashes
            in_word = in_word or bool(slashes)
            if letter in {" ", "\t"} and not quoted:
                if in_word:
                    found.append(word)
                word, in_word = "", False
            elif letter:
                word, in_word = word + letter, True
        position += 1
    return [*found, word] if in_word else found


def posix(folder: str, choice: list[str]) -> ServiceDescription:
    return replace(POSIX, program=f"/{folder}/bin/python", choice=tuple(choice), folder=f"/{folder}")


@given(folder=words, choice=st.lists(words, max_size=4))
@example(folder="Program Files (x86) & Söhne $HOME 100%", choice=["--config", 'it\'s "here"\\'])
def test_systemd_reads_back_what_was_meant(folder: str, choice: list[str]) -> None:
    service = posix(folder, choice)
    assume(f"/{folder}" == f"/{folder}".strip() and not folder.endswith("\\"))
    text = systemd_unit(service)
    unit = unit_of(text)
    read = systemd_words(unit["Service"]["ExecStart"])
    assert read[0].startswith(":")  # no $ is looked at
    command = [read[0][1:], *read[1:]]
    if command[:2] == ["/bin/sh", "-c"]:
        assert command[2:4] == ['exec "$@"', "sh"]
        command = command[4:]
    assert command == list(service.sentinel_command)
    assert without_specifiers(unit["Service"]["WorkingDirectory"]) == service.folder
    assert without_specifiers(unit["Unit"]["Description"]) == service.what
    assert len(text.splitlines()) == len(systemd_unit(POSIX).splitlines())


@given(folder=words, choice=st.lists(words, max_size=4))
def test_launchd_reads_back_what_was_meant(folder: str, choice: list[str]) -> None:
    service = posix(folder, choice)
    read = plistlib.loads(launchd_plist(service))
    assert read["ProgramArguments"] == list(service.keeper_command)
    assert read["WorkingDirectory"] == service.folder
    assert read["StandardErrorPath"] == service.log


@given(folder=words, choice=st.lists(words, max_size=4))
@example(folder="Program Files (x86) & Söhne", choice=["--config", 'a "b"\\', ""])
def test_the_task_scheduler_reads_back_what_was_meant(folder: str, choice: list[str]) -> None:
    service = replace(
        WINDOWS, program=f"{DRIVE}\\{folder}\\python.exe", choice=tuple(choice), folder=f"{DRIVE}\\{folder}"
    )
    texts = (*service.keeper_command, service.folder)
    if any(text.count("%") > 1 and re.search("%[^%]+%", text) for text in texts):
        with pytest.raises(ServiceError, match="Task Scheduler would replace"):
            task_xml(service)
        return
    task = ET.fromstring(task_xml(service))
    read = {
        name: task.findtext(f".//{{{TASK_NAMESPACE}}}{name}") for name in ("Command", "Arguments", "WorkingDirectory")
    }
    assert [read["Command"], *windows_arguments(read["Arguments"] or "")] == list(service.keeper_command)
    assert read["WorkingDirectory"] == service.folder


def test_what_the_unit_says_about_stops_and_restarts() -> None:
    service = dict(unit_of(systemd_unit(replace(POSIX, stop_s=7.2)))["Service"])
    assert (service["Type"], service["NotifyAccess"], service["WatchdogSec"]) == ("notify", "main", "15")
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "2")
    assert int(service["RestartSec"]) >= 1
    assert unit_of(systemd_unit(POSIX))["Unit"]["StartLimitIntervalSec"] == "0"
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > 7.2


def test_what_the_plist_says_about_stops_and_restarts() -> None:
    plist = plistlib.loads(launchd_plist(POSIX))
    assert plist["KeepAlive"] == {"SuccessfulExit": False}
    assert plist["RunAtLoad"] is True
    assert plist["ExitTimeOut"] > POSIX.stop_limit_s > POSIX.stop_s
    assert plist["ThrottleInterval"] >= 1


def test_what_the_task_says_about_stops_and_restarts() -> None:
    task = ET.fromstring(task_xml(WINDOWS))
    space = {"t": TASK_NAMESPACE}
    facts = {element.tag.partition("}")[2]: element.text for element in task.iterfind("./t:Settings//*", space)}
    assert facts["MultipleInstancesPolicy"] == "IgnoreNew"
    assert facts["ExecutionTimeLimit"] == "PT0S"
    assert facts["DisallowStartIfOnBatteries"] == facts["StopIfGoingOnBatteries"] == facts["StopOnIdleEnd"] == "false"
    assert (facts["Interval"], 1 <= int(facts["Count"] or 0) <= 255) == ("PT1M", True)
    assert task.findtext("./t:Triggers/t:LogonTrigger/t:UserId", None, space) == WINDOWS.user
    assert task.findtext("./t:Principals/t:Principal/t:RunLevel", None, space) == "LeastPrivilege"


def test_the_task_is_utf_16_with_its_mark_and_says_so() -> None:
    data = task_xml(WINDOWS)
    assert data.startswith(b"\xff\xfe<\x00?\x00x\x00")
    assert data.decode("utf-16").startswith('<?xml version="1.0" encoding="UTF-16"?>')


@pytest.mark.parametrize("name", ["", "a b", "../x", "ä", "x" * 65, "-x", "a/b", "a\\b"])
def test_a_name_that_is_a_path_or_worse_is_refused(name: str) -> None:
    with pytest.raises(ServiceError, match="service name"):
        replace(POSIX, name=name)


@pytest.mark.parametrize("bad", ["a\nb", "a\x00", "\x7f", "a\ud800", "\t"])
@pytest.mark.parametrize("where", ["program", "folder", "log", "user"])
def test_what_no_file_can_carry_is_refused(bad: str, where: str) -> None:
    with pytest.raises(ServiceError, match="no service file can carry"):
        replace(POSIX, **{where: f"/x{bad}"})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_relative_path_is_refused(kind: str) -> None:
    with pytest.raises(ServiceError, match="no absolute path"):
        render(kind, replace(WINDOWS, program="python"))  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", ["/x ", "/x\\"])
def test_a_folder_that_systemd_would_cut_is_refused(folder: str) -> None:
    with pytest.raises(ServiceError, match="would not keep"):
        systemd_unit(replace(POSIX, folder=folder))


def read_by_systemd(home: Path, unit: str) -> str:
    """Return what systemd itself, asked only to load everything, says it has read of the unit."""
    systemd = next((path for path in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if Path(path).exists()), None)
    if systemd is None or sys.platform != "linux":
        pytest.skip("no systemd here: only our own reader has read the unit")
    wants = home / "systemd" / "user" / "default.target.wants"
    runtime = home / "runtime"
    for folder in (wants, runtime):
        folder.mkdir(parents=True, exist_ok=True)
    (wants.parent / "pj-try.service").write_text(unit, encoding="utf-8")
    (wants / "pj-try.service").unlink(missing_ok=True)
    (wants / "pj-try.service").symlink_to("../pj-try.service")
    user = "nobody" if os.getuid() == 0 else None  # systemd has no user instance for a root without a session
    if user:
        for path in (home, *home.rglob("*")):
            if not path.is_symlink():
                shutil.chown(path, user)
        for path in home.parents[:3]:
            path.chmod(path.stat().st_mode | 0o055)
    runtime.chmod(0o700)
    env = {
        "XDG_CONFIG_HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        [systemd, "--user", "--test"],
        cwd="/",
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
        user=user,
    )
    if done.returncode != 0:
        pytest.skip(f"systemd cannot be asked here: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return done.stdout.decode()


def command_line(block: str) -> list[str]:
    """Return the words that systemd shows quoted for a shell; shlex knows two of the shell's four escapes in quotes."""
    line = re.search(r"-> ExecStart:\n\s*Command Line: (.*)", block)
    assert line is not None
    return shlex.split(re.sub(r"\\(.)", lambda pair: pair[1] if pair[1] in "$`" else pair[0], line[1]))


def test_systemd_itself_reads_each_word(tmp_path: Path) -> None:
    folder = "Program Files (x86) & Söhne $HOME ${HOME} 100% %h"
    service = posix(folder, [word for word in NASTY if word])
    dump = read_by_systemd(tmp_path / "cfg", systemd_unit(service))
    block = dump[dump.index("-> Unit pj-try.service:") :]
    assert command_line(block) == list(service.sentinel_command)
    assert f"WorkingDirectory: {service.folder}" in block
    assert f"Description: {service.what}" in block


@pytest.mark.parametrize("folder", ["it's", 'a "b"', "back\\slash"])
def test_systemd_starts_a_program_whose_name_it_refuses(tmp_path: Path, folder: str) -> None:
    service = posix(folder, [])
    dump = read_by_systemd(tmp_path / "cfg", systemd_unit(service))
    block = dump[dump.index("-> Unit pj-try.service:") :]
    assert command_line(block) == ["/bin/sh", "-c", 'exec "$@"', "sh", *service.sentinel_command]


def test_systemd_analyze_has_nothing_to_say(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "pj-engine.service"
    service = replace(POSIX, program=sys.executable, folder=str(tmp_path))
    unit.write_text(systemd_unit(service), encoding="utf-8")
    (tmp_path / "runtime").mkdir(mode=0o700)
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "runtime")}
    command = [analyze, "--user", "verify", str(unit)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    unit.write_text(systemd_unit(service).replace("KillMode=mixed", "KillMode=gently"), encoding="utf-8")
    spoilt = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "gently" in spoilt.stderr  # so a silence above means something


def test_plutil_and_xmllint_have_nothing_to_say(tmp_path: Path) -> None:
    tried = []
    for tool, words_, data in (
        ("plutil", ["-lint"], launchd_plist(POSIX)),
        ("xmllint", ["--noout"], task_xml(WINDOWS)),
        ("xmllint", ["--noout", "--nonet"], launchd_plist(POSIX)),
    ):
        if shutil.which(tool):
            path = tmp_path / tool
            path.write_bytes(data)
            done = subprocess.run([tool, *words_, str(path)], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            tried.append(tool)
    if not tried:
        pytest.skip("neither plutil nor xmllint is installed")
