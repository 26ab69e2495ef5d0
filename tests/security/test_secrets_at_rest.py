"""Where secrets may stand: files that only their owner reads, the OS keyring, and no core file of a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pj.config import ConfigError, load_settings, settings_with_origin
from pj.verbs.readiness import problems

WEBHOOK = "https://webhooks.traderspost.io/trading/webhook/11111111-2222/never-print-me"
posix = pytest.mark.skipif(
    os.name != "posix", reason="file modes are POSIX's; Windows keeps a user's files to the user"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@posix
@pytest.mark.parametrize("name", [".env", "service_account.json"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_live_refuses_a_secret_that_others_can_read(folder: Path, name: str, mode: int) -> None:
    file = folder / name
    file.write_text("PJ__SYMBOL=MNQ\n" if name == ".env" else "{}")
    file.chmod(mode)
    live = [text for text in problems(load_settings({}, {"profile": "live"}), {}) if "chmod 600" in text]
    assert len(live) == 1 and str(file) in live[0]
    assert not [text for text in problems(load_settings({}, {"profile": "paper"}), {}) if "chmod" in text]
    file.chmod(0o600)
    assert not [text for text in problems(load_settings({}, {"profile": "live"}), {}) if "chmod" in text]


@posix
def test_pj_up_itself_refuses(folder: Path) -> None:
    (folder / ".env").write_text(f"PJ_TRADERSPOST_WEBHOOK_URL={WEBHOOK}\n")
    (folder / ".env").chmod(0o644)
    command = [sys.executable, "-P", "-m", "pj.cli", "up", "--headless", "--profile", "live", "--live"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and "chmod 600 it" in done.stderr
    assert "never-print-me" not in done.stderr + done.stdout


KEYRING = """
import os
def get_password(service, name):
    if os.environ.get("TEST_KEYRING_FAILS"):
        raise RuntimeError("locked: never-print-me")
    return {("pj-engine", "PJ_TRADERSPOST_WEBHOOK_URL"): os.environ.get("TEST_KEYRING_HOLDS")}.get((service, name))
"""
ASK = """
from pj.config import ConfigError, settings_with_origin
try:
    settings, rows = settings_with_origin()
    print(bool(settings.traderspost.webhook_url.get_secret_value()))
    print([row.origin for row in rows if row.key == "traderspost.webhook_url"][0])
except ConfigError as error:
    print(error)
import sys
print("keyring" in sys.modules)
"""


def ask(folder: Path, *, installed: bool = True, **env: str) -> list[str]:
    """Read the settings in a process of its own, with a keyring library of the same interface on its path."""
    library = folder / "library"
    library.mkdir(exist_ok=True)
    if installed:
        (library / "keyring.py").write_text(KEYRING)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
    path = os.pathsep.join([str(library), *sys.path])
    done = subprocess.run(
        [sys.executable, "-P", "-c", ASK], env={**plain, "PYTHONPATH": path, **env}, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    assert "never-print-me" not in done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_keyring_is_asked_only_when_told_to_and_needed(folder: Path) -> None:
    held = {"TEST_KEYRING_HOLDS": WEBHOOK}
    assert ask(folder, **held) == ["False", "default", "False"]
    assert ask(folder, PJ__KEYRING="true", **held) == ["True", "keyring", "True"]
    assert ask(folder, PJ__KEYRING="true") == ["False", "default", "True"]
    env = {"PJ_TRADERSPOST_WEBHOOK_URL": WEBHOOK, "TEST_KEYRING_FAILS": "1"}
    assert ask(folder, PJ__KEYRING="true", **env) == ["True", "environment", "False"]


def test_a_keyring_that_is_missing_or_locked_is_one_sentence(folder: Path) -> None:
    locked = ask(folder, PJ__KEYRING="true", TEST_KEYRING_FAILS="1")
    assert locked[0].startswith("the operating system's keyring does not answer (RuntimeError); unlock it")
    (folder / "library" / "keyring.py").write_text("raise ImportError('no keyring')\n")
    missing = ask(folder, installed=False, PJ__KEYRING="true")
    assert missing[0].startswith("keyring is true, but the library keyring is not installed; run '")
    assert " --no-deps --require-hashes -r requirements/keyring.txt' in the checkout" in missing[0]
    assert ("-m pip install" in missing[0]) == (find_spec("pip") is not None), "an environment made by uv has no pip"
    assert sys.executable in missing[0]


def test_a_secret_of_the_keyring_is_masked_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    held = types.SimpleNamespace(get_password=lambda _service, _name: WEBHOOK)
    monkeypatch.setitem(sys.modules, "keyring", held)
    settings, rows = settings_with_origin({"PJ__KEYRING": "true"})
    assert "never-print-me" not in f"{settings!r}{rows}"
    held.get_password = lambda _service, _name: "ftp://never-print-me"
    with pytest.raises(ConfigError, match=r"webhook_url is \(secret\) \(keyring\)") as caught:
        load_settings({"PJ__KEYRING": "true"})
    assert "never-print-me" not in str(caught.value)


CRASH = """
import os, resource
from pj.channels.redact import guard_process
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
if {guarded}:
    guard_process(os.environ)
print(resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
os.abort()
"""


@posix
def test_a_crash_writes_no_core_file(folder: Path) -> None:
    code = CRASH.format(guarded=True)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=folder, env={**os.environ, "PJ_TRADERSPOST_WEBHOOK_URL": WEBHOOK},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode < 0, "it did crash"
    assert done.stdout.strip() in {"0", "1"}
    assert [path for path in folder.iterdir() if path.name.startswith("core")] == []


@posix
@pytest.mark.parametrize(
    "module", ["run_live_engine", "ibkr_bridge", "dashboard_logger", "live_dashboard", "sentinel_watchdog"]
)
def test_every_process_forbids_core_files_before_it_reads_a_secret(module: str) -> None:
    source = (Path(__file__).resolve().parents[2] / "src/pj/processes" / f"{module}.py").read_text(encoding="utf-8")
    entry = source.partition('if __name__ == "__main__":')[2]
    assert "guard_process(os.environ" in entry.partition("main(")[0]


@posix
def test_the_command_line_forbids_them_too() -> None:
    code = "import resource, pj.cli; pj.cli.main(['--version']); print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split()[-1] in {"0", "1"}
