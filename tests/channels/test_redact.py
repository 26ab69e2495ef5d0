"""Prove that no secret gets out: planted values, telling patterns, quoted however, in all files of a crash."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from pj.channels import redact as redact_room
from pj.channels.alerts import Alert, AlertCode, raise_alert, read_alerts
from pj.channels.log_text import event_text, parse_line
from pj.channels.redact import learn, learn_environment, learn_service_account, redact, redact_tree, shown_id
from pj.channels.stats import StatsWriter
from pj.supervision.spawn import OsSpawner

UUID = "0f1c2d3e-4b5a-4c6d-8e7f-a0b1c2d3e4f5"
SHOWN = f"https://webhooks.traderspost.io/trading/webhook/{UUID[:8]}.../***"
POOL = "HTTPConnectionPool(host='h', port=1): url: /trading/webhook"
HOOK = f"https://webhooks.traderspost.io/trading/webhook/{UUID}/9c0ffee0deadbeef9c0ffee0"
TOKEN = "ya29." + "c.b0Aaekm1K_x-Y" * 3
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJwakBkZW1vIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.fixture(autouse=True)
def _nothing_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact_room, "_known", redact_room._Known())


def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    ("text", "secret", "left"),
    [
        (f"POST {HOOK} failed", "9c0ffee0deadbeef", f"POST {SHOWN} failed"),
        (f"('{HOOK}')", UUID, f"('{SHOWN}')"),
        (f"{POOL}/shortid/pass1 (x)", "shortid", f"{POOL}/***/*** (x)"),
        ("{'Authorization': 'Bearer abcdefgh.12345'}", "abcdefgh", "{'Authorization': '***'}"),
        ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "authorization: ***"),
        ("got bearer AbCdEf0123456789 back", "AbCdEf0123456789", "got bearer *** back"),
        (f"token {TOKEN} refused", TOKEN[5:], "token ya29.*** refused"),
        (f"assertion={JWT}&grant=x", JWT, "assertion=***&grant=x"),
        (f"signed {JWT}.", JWT, "signed ***."),
        ("postgres://joe:hunter22@db/x", "hunter22", "postgres://***@db/x"),
        ('{"password": "two \\" words", "a": 1}', "words", '{"password": ***, "a": 1}'),
        (r'{\"private_key\": \"abc def\", \"b\": 1}', "abc", r'{\"private_key\": ***, \"b\": 1}'),
        ("client_secret=s3cr3tvalue; next", "s3cr3tvalue", "client_secret=***; next"),
        ('{"private_key_id": "0123456789abcdef', "0123456789abcdef", '{"private_key_id": ***'),
        ("see https://host/path?x=1&access_token=zzzzzz#f", "zzzzzz", "see https://host/path?x=1&access_token=***"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_masked(text: str, secret: str, left: str) -> None:
    shown = redact(text)
    assert secret in text and secret not in shown
    assert shown == left
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "bridge: cannot reach https://sheets.googleapis.com/v4/spreadsheets/PJDEMO within 3 s",
        "exit 1: RuntimeError('password file is missing')", "the token bucket is empty", "bearer of bad news",
        "ibkr.port is 4001 (config.yaml): it must be at most 65535; correct it there", "a=b c==d", "",
    ],
)  # fmt: skip
def test_plain_sentences_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


def test_a_key_is_masked_whole_in_parts_and_in_json() -> None:
    pem = private_key()
    account = json.dumps({"private_key": pem, "private_key_id": "f00dfeedf00dfeed", "client_email": "pj@demo"})
    body = pem.splitlines()[5]
    for text in (pem, account, repr(account), json.dumps(account), pem[:300]):
        assert body[:20] not in redact(text)
    assert "client_email" in redact(account)
    assert body in redact(f"line 6 is {body}")  # alone it looks like nothing, until it is known
    learn_service_account(account)
    assert redact(f"line 6 is {body}, id f00dfeedf00dfeed") == "line 6 is ***, id ***"
    learn_service_account("no json")


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=5).filter(lambda text: len(text.strip()) >= 5))
def test_a_known_value_is_masked_however_it_is_quoted(secret: str) -> None:
    redact_room._known = redact_room._Known()
    learn(secret)
    secret = secret.strip()
    forms = (secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret), quote(secret, safe=""))
    for form in forms:
        shown = redact(f"<<{form}>>")
        assert "***" in shown
        assert shown in {"<<***>>", "<<'***'>>", '<<"***">>'}
    fields = parse_line("2026-11-20T14:31:00.123Z INFO " + event_text("E", {"why": f"<<{secret}>>"}))[3]
    assert "***" in fields["why"]


def test_variables_with_a_telling_name_are_learned_others_not() -> None:
    names = ("PJ_TRADERSPOST_WEBHOOK_URL", "PJ_SIM_WEBHOOK_PASSWORD", "PJ_MY_SECRET", "PJ_API_TOKEN")
    env = {name: f"value-{number}-xyz" for number, name in enumerate(names)}
    env |= {"PJ_CONFIG": "config-xyz", "HOME": "home-xyz", "PJ_TINY_SECRET": "abc"}
    learn_environment(env)
    text = " ".join(env.values())
    assert redact(text) == "*** *** *** *** config-xyz home-xyz abc"


@pytest.mark.parametrize("before", ["", UUID])
def test_parts_of_a_webhook_are_masked_alone(before: str) -> None:
    learn(before)
    learn(HOOK)
    learn(before)
    assert redact(f"id {UUID} password 9c0ffee0deadbeef9c0ffee0") == f"id {UUID[:8]}... password ***"
    assert shown_id(shown_id(UUID)) == shown_id(UUID)


def test_trees_and_stats_are_masked(tmp_path: Path) -> None:
    learn(HOOK)
    assert redact_tree({"a": [HOOK[-24:], 1, None, {"b": (True, HOOK[-24:])}]}) == {
        "a": ["***", 1, None, {"b": [True, "***"]}]
    }
    StatsWriter(tmp_path / "x.stats.json", "x", "i").beat("RUNNING", last_error=f"no answer from {HOOK}")
    alert = Alert(1, AlertCode.CRASH_LOOP, "engine", f"exit 1: {HOOK}")
    raise_alert(tmp_path / "alerts.jsonl", alert)
    (told,) = read_alerts(tmp_path / "alerts.jsonl")
    assert told.text.endswith(f"/{UUID[:8]}.../***")
    found: dict[str, Any] = json.loads((tmp_path / "x.stats.json").read_text())
    assert found["last_error"].endswith(f"/trading/webhook/{UUID[:8]}.../***")


CRASH = """
import logging, os, sys, threading, time, urllib3, warnings
from pathlib import Path
from pj.channels.logs import open_log
from pj.channels.redact import guard_process, learn_service_account
if __name__ == "__main__":
    guard_process(os.environ, output=True)
    account, run = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    hook = os.environ["PJ_TRADERSPOST_WEBHOOK_URL"]
    learn_service_account(account)
    log = open_log(run, "crash")
    log.error("SAID", error=RuntimeError(f"cannot post {hook}"), url=hook, key=account)
    logging.getLogger("vendor").error("posting to %s with %s", hook, {"Authorization": "Bearer " + sys.argv[3]})
    logging.getLogger("vendor").error("wrong arguments %d", hook)
    warnings.warn("old way of calling " + hook)
    pool = urllib3.PoolManager(retries=urllib3.Retry(total=2, backoff_factor=0))
    try:
        pool.request("POST", hook, timeout=0.2)
    except Exception:
        logging.getLogger("vendor").exception("refused")
    def in_thread():
        raise ValueError("thread saw " + hook)
    thread = threading.Thread(target=in_thread); thread.start(); thread.join()
    class Sad:
        def __del__(self):
            raise ValueError("ignored " + sys.argv[3])
    del_me = Sad(); del del_me
    print("printed " + hook, file=sys.stderr)
    print("printed on stdout " + hook)
    def deep(url, key):
        raise OSError(f"{url} and {key}") from ValueError(repr(account))
    deep(hook, account)
"""


def test_no_file_of_a_crashed_process_holds_a_secret(tmp_path: Path) -> None:
    hook, password, token = str(uuid.uuid4()), secrets.token_hex(16), "ya29." + secrets.token_urlsafe(40)
    key, key_id = private_key(), secrets.token_hex(20)
    account = tmp_path / "account.json"
    account.write_text(json.dumps({"private_key": key, "private_key_id": key_id}))
    script = tmp_path / "crash.py"
    script.write_text(CRASH)
    run = tmp_path / "run"
    # The Sentinel's own way of starting a child: stderr goes to logs/NAME.out, whose last line it quotes.
    address = f"http://127.0.0.1:9/trading/webhook/{hook}/{password}"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PJ_TRADERSPOST_WEBHOOK_URL": address}
    spawner = OsSpawner({"crash": (sys.executable, str(script), str(account), str(run), token)}, run / "logs", env)
    child = spawner.spawn("crash", "token")
    deadline = time.monotonic() + 60
    while child.poll() is None:
        assert time.monotonic() < deadline
        spawner.wait(0.1)
    words = spawner.last_words("crash")
    spawner.close()
    assert words.startswith("OSError: ")
    planted = [
        password,
        hook[8:],
        hook,
        token[5:],
        key_id,
        *[line for line in key.splitlines() if "PRIVATE" not in line],
    ]
    planted += [base64.b64encode(password.encode()).decode()]
    files = {path.name: path.read_bytes() for path in run.rglob("*") if path.is_file()} | {"words": words.encode()}
    for name, data in files.items():
        for secret in planted:
            assert secret.encode() not in data, f"{name} holds a secret: {secret[:4]}..."
    log = files["crash.log"].decode()
    events = [parse_line(line) for line in log.splitlines()]
    crashes = [fields for _, _, event, fields in events if event == "CRASH"]
    assert [set(fields) & {"thread", "ignored"} for fields in crashes] == [{"thread"}, {"ignored"}, set()]
    assert "in deep" in crashes[-1]["traceback"] and "ValueError" in crashes[-1]["traceback"]
    assert {"vendor", "py.warnings"} <= {fields.get("logger") for _, _, _, fields in events}
    assert {event for _, _, event, _ in events} == {"SAID", "LOG", "CRASH", "LOG_MALFORMED"}
    assert files["crash.out"].count(b"Traceback") == 3  # thread, the ignored one, the end
    assert b"printed on stdout http" in files["crash.out"]
    assert hook[:8] in log  # which webhook it was stays visible


def test_the_planted_crash_fails_when_nothing_is_guarded() -> None:
    """The search above can fail: an unguarded process prints what it knows."""
    code = "import os; raise OSError(os.environ['PJ_TRADERSPOST_WEBHOOK_URL'])"
    env = {**os.environ, "PJ_TRADERSPOST_WEBHOOK_URL": HOOK}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert HOOK.encode() in done.stderr
