"""A key pasted into the variable of its path is in nothing that any verb prints."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

DICE = random.Random(7)
BODY = base64.b64encode(DICE.randbytes(240)).decode()
ACCOUNT = json.dumps(
    {"type": "service_account", "private_key": f"-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----\n"}
)


@pytest.mark.parametrize(
    "words", [["config", "show"], ["config", "show", "--json"], ["config", "check"], ["up", "--headless"], ["status"]]
)
def test_no_verb_echoes_a_pasted_key(words: list[str], tmp_path: Path) -> None:
    env = {**os.environ, "PJ_SHEETS_SERVICE_ACCOUNT": ACCOUNT}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pj.cli", *words], cwd=tmp_path, env=env, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "must be the path of the service account's file" in said
    assert not [BODY[at : at + 10] for at in range(0, len(BODY) - 10, 5) if BODY[at : at + 10] in said]
    assert not list(tmp_path.rglob("*")), "nothing was begun"
