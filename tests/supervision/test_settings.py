"""Prove that the Sentinel gets exactly the checked settings, and the reader's own sentence when there are none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from pj.config import Supervision, load_settings
from pj.settings_text import ConfigError
from pj.supervision.settings import SentinelSettings, Times, from_json, of_settings, read_settings

SENTINEL = [sys.executable, "-P", "-m", "pj.processes.sentinel_watchdog", "--headless"]


def test_every_key_of_the_section_is_there() -> None:
    assert {field.name for field in fields(Times)} == set(Supervision.model_fields)


def test_the_reader_gives_what_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "ä folder" / "config.yaml"
    config.parent.mkdir()
    config.write_text(
        "run_dir: out\nsymbol: ES\nsheets: {enabled: false}\nsupervision: {silent_s: 7, max_restarts: 3}\n"
    )
    (config.parent / ".env").write_text("PJ_TRADERSPOST_WEBHOOK_URL=https://h/trading/webhook/abcdefgh/pass-word\n")
    env = {**os.environ, "PJ_CONFIG": str(config), "PJ__SUPERVISION__CHECK_S": "2.5"}
    found = read_settings(env)
    assert found == of_settings(load_settings(env))
    assert (found.run_dir, found.symbol, found.sheets_enabled) == (config.parent / "out", "ES", False)
    assert (found.supervision.silent_s, found.supervision.check_s, found.supervision.max_restarts) == (7.0, 2.5, 3)
    assert found.instrument.symbol == "ES"
    assert "pass-word" not in found.to_json() and found.to_json().isascii()
    assert from_json(found.to_json()) == found


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"profile": "sim"}', "null", '{"run_dir": 1}'])
def test_what_is_no_settings_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="could not be read"):
        from_json(text)


def test_the_sentinel_ends_with_the_sentence_of_the_settings_and_code_2(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("supervision:\n  silent_s: never\n")
    with pytest.raises(ConfigError) as refused:
        load_settings({"PJ_CONFIG": str(tmp_path / "config.yaml")})
    env = {**os.environ, "PJ_CONFIG": str(tmp_path / "config.yaml")}
    done = subprocess.run(SENTINEL, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (2, f"{refused.value}\n")
    done = subprocess.run([*SENTINEL, "--settings", "{}"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and "leave --settings out" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_reader_that_dies_otherwise_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text("raise MemoryError('no room')\n")
    with pytest.raises(ConfigError, match=r"code 1: MemoryError: no room"):
        read_settings({**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])})


def test_the_record_holds_no_more_than_it_says() -> None:
    tree = json.loads(of_settings(load_settings({})).to_json())
    assert set(tree) == {field.name for field in fields(SentinelSettings)}
