"""Secrets are planted everywhere an operator may put them, and looked for in everything that is printed."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from doctor_world import doctor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pj.cli import main
from pj.config import ConfigError, load_settings
from pj.verbs.doctor.masking import MASK, Masker, address_secrets

SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_~."
secrets_of_addresses = st.text(SAFE, min_size=8, max_size=40).filter(lambda text: text.strip(".-_~") == text)


class Planted:
    """Hold random secrets and the places where they may stand."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        self.uuid = "".join(dice.choices(SAFE[:62], k=20))
        self.password = "".join(dice.choices(SAFE[:62], k=30))
        body = base64.b64encode(dice.randbytes(300)).decode()
        self.key_lines = [body[at : at + 64] for at in range(0, len(body), 64)]
        pem = "\n".join(["-----BEGIN PRIVATE KEY-----", *self.key_lines, "-----END PRIVATE KEY-----", ""])
        self.key_id = "".join(dice.choices("0123456789abcdef", k=40))
        self.account = {
            "type": "service_account",
            "client_email": "scribe@example.iam.gserviceaccount.com",
            "private_key": pem,
            "private_key_id": self.key_id,
            "token_uri": "http://127.0.0.1:9/token",
        }

    def url(self, base: str = "https://127.0.0.1:9") -> str:
        return f"{base}/trading/webhook/{self.uuid}/{self.password}"

    def found_in(self, text: str) -> list[str]:
        """Return the secrets, and any tenth part of one, that stand in ``text``."""
        flat = text.replace("\n", "").replace(" ", "")
        whole = [self.uuid, self.password, self.key_id, *self.key_lines]
        return [one for one in whole for at in range(0, len(one) - 12, 4) if one[at : at + 12] in flat]


def in_the_environment(planted: Planted, folder: Path) -> tuple[dict[str, str], list[str]]:
    (folder / "key.json").write_text(json.dumps(planted.account))
    return {"PJ_TRADERSPOST_WEBHOOK_URL": planted.url(), "PJ_SHEETS_SERVICE_ACCOUNT": "key.json"}, []


def in_dotenv(planted: Planted, folder: Path) -> tuple[dict[str, str], list[str]]:
    (folder / ".env").write_text(f"export PJ_TRADERSPOST_WEBHOOK_URL='{planted.url()}'\n")
    return {"PJ_TRADERSPOST_WEBHOOK_URL": planted.url("https://localhost:9")}, []


def of_the_wrong_shape(planted: Planted, _folder: Path) -> tuple[dict[str, str], list[str]]:
    return {
        "PJ_TRADERSPOST_WEBHOOK_URL": planted.url("ftp://u:" + planted.password + "@host") + "?k=" + planted.uuid
    }, []


def as_a_setting(planted: Planted, _folder: Path) -> tuple[dict[str, str], list[str]]:
    return {}, [f"--set=traderspost.webhook_url={planted.url('gopher://x')}"]


def in_config_yaml(planted: Planted, folder: Path) -> tuple[dict[str, str], list[str]]:
    (folder / "config.yaml").write_text(f"traderspost:\n  webhook_url: {planted.url()}\n")
    return {}, []


def in_a_broken_dotenv(planted: Planted, folder: Path) -> tuple[dict[str, str], list[str]]:
    (folder / ".env").write_text(f"PJ_TRADERSPOST_WEBHOOK_URL {planted.url()}\n")
    return {}, []


def address_for_a_path(planted: Planted, _folder: Path) -> tuple[dict[str, str], list[str]]:
    return {"PJ_SHEETS_SERVICE_ACCOUNT": planted.url()}, []


def key_for_a_path(planted: Planted, _folder: Path) -> tuple[dict[str, str], list[str]]:
    return {"PJ_SHEETS_SERVICE_ACCOUNT": json.dumps(planted.account)}, []


def a_key_that_is_no_json(planted: Planted, folder: Path) -> tuple[dict[str, str], list[str]]:
    (folder / "key.json").write_text(json.dumps(planted.account)[:-5])
    return {"PJ_SHEETS_SERVICE_ACCOUNT": str(folder / "key.json")}, []


PLACES = (
    in_the_environment, in_dotenv, of_the_wrong_shape, as_a_setting, in_config_yaml, in_a_broken_dotenv,
    address_for_a_path, key_for_a_path, a_key_that_is_no_json,
)  # fmt: skip
WORDS = (
    "--profile=paper", "--set=execution.route=traderspost", "--set=sheets.spreadsheet_id=X", "--set=ibkr.port=9",
    "--set=sheets.api_base=http://127.0.0.1:9", "--set=doctor.ntp_servers=",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("form", ["--json", "text"])
def test_no_secret_is_ever_printed(place: object, form: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    planted = Planted(seed)
    env, more = place(planted, folder)  # type: ignore[operator]
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["doctor", *WORDS, *more, *(["--json"] if form == "--json" else [])])
    printed = out.getvalue() + err.getvalue()
    assert code in {1, 2}, printed
    assert "FAIL" in printed
    assert planted.found_in(printed) == [], printed


@pytest.mark.parametrize("place", [address_for_a_path, key_for_a_path])
def test_what_is_no_path_becomes_no_setting(
    place: Callable[..., tuple[dict[str, str], list[str]]], folder: Path
) -> None:
    """Many keys, since each would be cut in other places when it is taken for a path."""
    for seed in range(300):
        planted = Planted(seed)
        env, _ = place(planted, folder)
        with pytest.raises(ConfigError, match="service_account_file must be the path") as caught:
            load_settings(env)
        assert planted.found_in(str(caught.value)) == [], seed


def test_the_search_for_secrets_can_find_one() -> None:
    planted = Planted(1)
    assert planted.found_in(f"xx{planted.password}xx")
    assert planted.found_in(f"xx{planted.key_lines[1][:30]}\n  {planted.key_lines[1][30:]}")
    assert not planted.found_in("nothing here")


def test_the_process_prints_no_secret_either(folder: Path) -> None:
    planted = Planted(random.SystemRandom().randrange(2**32))
    env, _ = in_the_environment(planted, folder)
    done = doctor(*WORDS, env=env)
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert planted.found_in(done.stdout) == []
    assert os.environ.get("PJ_TRADERSPOST_WEBHOOK_URL") is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(uuid=secrets_of_addresses, password=secrets_of_addresses, around=st.text(max_size=20))
def test_the_masker_takes_out_every_part_wherever_it_stands(uuid: str, password: str, around: str) -> None:
    url = f"https://host.example/trading/webhook/{uuid}/{password}"
    masker = Masker(address_secrets({"PJ_TRADERSPOST_WEBHOOK_URL": url}))
    tree = {password: [url, {"deep": f"{around}{uuid}{around}"}], "n": 3, "none": None}
    shown = json.dumps(masker.tree(tree), ensure_ascii=False)
    assert uuid not in shown.replace(MASK, "")
    assert password not in shown.replace(MASK, "")
    assert masker.tree({"n": [1, True, None]}) == {"n": [1, True, None]}


def test_words_that_are_no_secret_stay() -> None:
    masker = Masker(
        address_secrets({"PJ_TRADERSPOST_WEBHOOK_URL": "https://h.example/trading/webhook/uuid-uuid/password"})
    )
    assert (
        masker.text("execution.route is traderspost; a trading webhook")
        == "execution.route is traderspost; a trading webhook"
    )
