"""The tree's own rules: sizes, what live/ may not touch, clean text. Each test names every offence it finds."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("live", "strategies", "src", "scripts")
FILE_LINES, TEST_LINES, FUNCTION_LINES = 400, 600, 60
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".bat", ".cfg", ".ini", ".json", ".csv", ".svg", ""}
GENERATED = ("uv.lock", "requirements/", "tests/golden/")

#: live/ decides: whatever it needs to know of the world comes in as an event.
BANNED_MODULES = (
    {"aiohttp", "asyncio", "concurrent", "ctypes", "glob", "io", "logging", "multiprocessing", "numpy", "os"}
    | {"pandas", "pathlib", "pyarrow", "random", "requests", "secrets", "select", "shutil", "signal", "socket"}
    | {"sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid", "warnings"}
)
BANNED_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint", "__import__"}
BANNED_METHODS = {"now", "utcnow", "today"}
#: Places of one machine. The drive letter must not be the end of a word (`http://`) and paths in tests are made up.
ABSOLUTE = re.compile(r"(?<![\w.:/%~$-])/(?:home|root|work|Users|mnt|opt|srv)/|(?<![A-Za-z])[A-Z]:\\(?!\\?n)[A-Za-z]")
MOJIBAKE = re.compile("\u00c3[\u0080-\u00bf]|\u00c2[\u0080-\u00bf]|\u00e2\u20ac|\ufffd|\ufeff")
EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55]")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")


@cache
def tracked() -> tuple[Path, ...]:
    """Return the files of the repository (also new ones that git does not ignore)."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout: the tidy rules look at the repository's own files")
    return tuple(ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file())


def python_files(*folders: str) -> Iterator[tuple[str, str]]:
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix == ".py" and name.split("/")[0] in folders:
            yield name, path.read_text(encoding="utf-8")


def text_files() -> Iterator[tuple[str, bytes]]:
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in TEXT_SUFFIXES and not name.startswith(GENERATED):
            yield name, path.read_bytes()


def test_files_are_short() -> None:
    long = [f"{name}: {text.count(chr(10))}" for name, text in python_files(*CODE) if text.count("\n") > FILE_LINES]
    long += [f"{name}: {text.count(chr(10))}" for name, text in python_files("tests") if text.count("\n") > TEST_LINES]
    assert not long, f"files over {FILE_LINES} lines ({TEST_LINES} in tests): {long}"


def test_functions_are_short() -> None:
    long = []
    for name, text in python_files(*CODE):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.append(f"{name}:{node.lineno} {node.name}: {lines}")
    assert not long, f"functions over {FUNCTION_LINES} lines: {long}"


def test_live_touches_nothing() -> None:
    offences = []
    for name, text in python_files("live"):
        for node in ast.walk(ast.parse(text)):
            offences += [f"{name}:{getattr(node, 'lineno', 0)} {what}" for what in _touches(node)]
    assert not offences, f"live/ may not know clock, files, network, chance or environment: {offences}"


def _touches(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (f"import {a.name}" for a in node.names if a.name.split(".")[0] in BANNED_MODULES)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in BANNED_MODULES:
        yield f"from {node.module} import"
    elif isinstance(node, ast.Call):
        match node.func:
            case ast.Name(id=called) if called in BANNED_CALLS:
                yield f"{called}()"
            case ast.Attribute(attr=called) if called in BANNED_METHODS:
                yield f".{called}()"


def test_the_ban_on_live_can_bite() -> None:
    source = "import time\nfrom os import path\nopen('x')\ndatetime.now()\nprint(1)\nimport random.x\n"
    found = [what for node in ast.walk(ast.parse(source)) for what in _touches(node)]
    assert sorted(found) == [".now()", "from os import", "import random.x", "import time", "open()", "print()"]


def test_text_is_clean() -> None:
    offences = []
    for name, raw in text_files():
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            offences.append(f"{name}: not UTF-8 ({error})")
            continue
        for number, line in enumerate(text.split("\n"), start=1):
            for what, pattern in (("mojibake", MOJIBAKE), ("emoji", EMOJI), ("unfinished", UNFINISHED)):
                if pattern.search(line):
                    offences.append(f"{name}:{number} {what}")
    assert not offences, offences


def test_line_ends() -> None:
    wrong = []
    for name, raw in text_files():
        if name.endswith(".bat"):
            if raw.count(b"\n") != raw.count(b"\r\n"):
                wrong.append(f"{name}: lines without CR")
        elif b"\r" in raw:
            wrong.append(f"{name}: CR")
    assert not wrong, f"CRLF in .bat and only there: {wrong}"


def test_no_path_of_one_machine() -> None:
    offences = [
        f"{name}:{number}"
        for name, raw in text_files()
        for number, line in enumerate(raw.decode("utf-8", "replace").split("\n"), start=1)
        if ABSOLUTE.search(line) and not name.startswith("tests/architecture/")
    ]
    assert not offences, f"absolute paths: {offences}"


@pytest.mark.parametrize("line", ["x = '/home/me/data'", 'p = "C:\\Users"', "cd /work/main"])
def test_the_path_rule_can_bite(line: str) -> None:
    assert ABSOLUTE.search(line)


@pytest.mark.parametrize(
    "line", ["http://127.0.0.1/work/", "a/home/b", "(/trading/webhook/x)", "t = f'{a}:\\n'", "~/opt/"]
)
def test_the_path_rule_spares(line: str) -> None:
    assert not ABSOLUTE.search(line)
