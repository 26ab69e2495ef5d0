"""Credentials, TradersPost's host and the workbook: real servers on loopback, good and bad."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from doctor_world import Book, look, patient

from pj.brokers import reach as reach_module
from pj.brokers.reach import reach
from pj.brokers.secret_url import SecretUrl
from pj.verbs.doctor.model import Status

HOOK = "https://webhooks.traderspost.io/trading/webhook/0f0f0f0f-1111/never-print-me"


def hooked(base: str, **more: object) -> dict[str, object]:
    return {
        "execution__route": "traderspost",
        "traderspost__webhook_url": f"{base}/trading/webhook/uuid1234/pass1234",
    } | more


# -- the workbook -----------------------------------------------------------------------------------


def test_a_shared_workbook_opens_by_one_read(book: Book) -> None:
    who = patient(**book.settings())
    found = look("workbook", who)
    assert found.status is Status.OK, found
    assert "scribe@pj-simulated" in found.says
    assert (book.service.counts["read"], book.service.counts["write"]) == (1, 0)
    key = look("service_account", who)
    assert key.status is Status.OK
    assert "scribe@pj-simulated" in key.says


def test_a_workbook_that_is_not_shared_says_with_whom(book: Book) -> None:
    book.faults.order({"kind": "403", "on": "read"})
    found = look("workbook", patient(**book.settings()))
    assert found.status is Status.FAIL
    assert found.facts["status"] == 403
    assert found.remedy == "share the workbook with scribe@pj-simulated.iam.gserviceaccount.com as Editor"


def test_a_wrong_id_is_named(book: Book) -> None:
    found = look("workbook", patient(**book.settings(sheets__spreadsheet_id="OTHER")))
    assert found.status is Status.FAIL
    assert "sheets.spreadsheet_id" in found.says
    assert "/d/" in found.remedy


def test_a_key_that_google_refuses(book: Book, tmp_path: Path) -> None:
    from pj.simulators.sheets_auth import make_credentials

    other = tmp_path / "other.json"
    make_credentials(other, f"{book.base}/token")
    found = look("workbook", patient(**book.settings(sheets__service_account_file=other)))
    assert found.status is Status.FAIL, found
    assert "refuses the key" in found.says
    assert "new key" in found.remedy


@pytest.mark.parametrize(
    ("kind", "status"), [("429", Status.WARN), ("503_not_applied", Status.FAIL), ("html500", Status.FAIL)]
)
def test_a_service_in_trouble(book: Book, kind: str, status: Status) -> None:
    book.faults.order({"kind": kind, "on": "read"})
    found = look("workbook", patient(**book.settings()))
    assert found.status is status, found
    assert found.remedy


def test_nobody_answers_for_sheets(book: Book, free_port: int) -> None:
    found = look("workbook", patient(**book.settings(sheets__api_base=f"http://127.0.0.1:{free_port}")))
    assert found.status is Status.FAIL
    assert "does not answer" in found.says


def test_a_protected_tab_is_noticed(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated service knows no protections: the description is as the real API writes it."""
    from pj.sheets.client import SheetsApi

    shut = {"properties": {"sheetId": 1, "title": "RawTicks"}, "protectedRanges": [{"protectedRangeId": 5}]}
    mild = {"properties": {"sheetId": 2, "title": "TradeLog"}, "protectedRanges": [{"warningOnly": True}]}
    described = {"properties": {"title": "Audit"}, "sheets": [mild, shut]}
    monkeypatch.setattr(SheetsApi, "describe", lambda _self: described)
    found = look("workbook", patient(**book.settings()))
    assert found.status is Status.FAIL
    assert "protected tab 'RawTicks'" in found.says


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _: None, "is missing"),
        (lambda _: "{", "is not JSON"),
        (lambda _: "[]", "of another kind"),
        (lambda key: json.dumps(key | {"type": "authorized_user"}), "of another kind"),
        (lambda key: json.dumps({name: key[name] for name in key if name != "private_key"}), "'private_key'"),
        (lambda key: json.dumps(key | {"private_key": key["private_key"][:200]}), "no usable RSA key"),
        (lambda key: json.dumps(key | {"private_key": "hunter2-hunter2"}), "no usable RSA key"),
    ],
    ids=["missing", "no json", "a list", "a user's", "no key", "cut", "no pem"],
)
def test_a_bad_key_file_is_named(book: Book, spoil: Callable[[dict[str, str]], str | None], said: str) -> None:
    text = spoil(json.loads(book.credentials.read_text()))
    book.credentials.unlink()
    if text is not None:
        book.credentials.write_text(text)
    who = patient(**book.settings())
    found = look("service_account", who)
    assert found.status is Status.FAIL
    assert said in found.says
    assert "JSON key" in found.remedy
    assert "hunter2" not in found.says
    assert look("workbook", who).status is Status.SKIPPED


def test_live_refuses_a_simulator_s_key_and_webhook(book: Book) -> None:
    live = {"profile": "live", "ibkr__port": 4001}
    found = look("service_account", patient(**book.settings(**live)))
    assert found.status is Status.FAIL
    assert "simulator's key" in found.says
    found = look("webhook", patient(**hooked("http://127.0.0.1:9", **live)))
    assert found.status is Status.FAIL
    assert "points to this machine" in found.says


# -- the webhook ------------------------------------------------------------------------------------


def test_the_webhook_s_address_is_there_or_not() -> None:
    found = look("webhook", patient(execution__route="traderspost", traderspost__webhook_url=HOOK))
    assert found.status is Status.OK
    assert "webhooks.traderspost.io" in found.says
    assert "never-print-me" not in str(found)
    missing = look("webhook", patient(execution__route="traderspost"))
    assert (missing.status, missing.says) == (Status.FAIL, "PJ_TRADERSPOST_WEBHOOK_URL is not set")
    assert look("webhook_host", patient(execution__route="traderspost")).status is Status.SKIPPED
    assert look("webhook", patient()).status is Status.SKIPPED


def test_reaching_the_host_sends_not_one_byte() -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            peer, _ = listener.accept()
            with peer:
                while data := peer.recv(4096):
                    heard.append(data)

        thread = threading.Thread(target=listen)
        thread.start()
        found = look("webhook_host", patient(**hooked(f"http://127.0.0.1:{listener.getsockname()[1]}")))
        thread.join(5)
    assert found.status is Status.OK, found
    assert "nothing was sent" in found.says
    assert heard == []


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a self-made certificate for localhost, with its key, in one file."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(tz=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return path


def test_tls_is_spoken_with_the_route_s_trust(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                peer, _ = listener.accept()
                try:
                    with context.wrap_socket(peer, server_side=True) as secure:
                        heard.append(secure.recv(4096))
                except OSError:  # the client does not trust us
                    peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        url = SecretUrl(f"https://localhost:{listener.getsockname()[1]}/trading/webhook/uuid1234/pass1234")
        with pytest.raises(reach_module.Unreachable, match="certificate that is not trusted"):
            reach(url, 3.0)
        monkeypatch.setattr(reach_module, "DEFAULT_CA_BUNDLE_PATH", str(certificate))
        reached = reach(url, 3.0)
        thread.join(5)
    assert reached.tls.startswith("TLS")
    assert heard == [b""]


def test_a_host_that_is_silent_refuses_or_unknown(tcp_server: Callable[[bytes | None], int], free_port: int) -> None:
    begun = time.monotonic()
    silent = look("webhook_host", patient(**hooked(f"https://127.0.0.1:{tcp_server(b'')}")))
    assert time.monotonic() - begun < 5
    refused = look("webhook_host", patient(**hooked(f"https://127.0.0.1:{free_port}")))
    nobody = look("webhook_host", patient(**hooked("https://nobody.invalid")))
    closes = look("webhook_host", patient(**hooked(f"https://127.0.0.1:{tcp_server(None)}")))
    for found, words in ((silent, "does not answer"), (refused, "no connection"), (nobody, "cannot be resolved"),
                         (closes, "no connection")):  # fmt: skip
        assert found.status is Status.FAIL
        assert words in found.says, found
        assert "pass1234" not in str(found)
        assert found.remedy


# -- files of secrets -------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
@pytest.mark.parametrize(("mode", "paper", "live"), [(0o600, Status.OK, Status.OK), (0o644, Status.WARN, Status.FAIL)])
def test_secret_files_are_the_owner_s_alone(folder: Path, mode: int, paper: Status, live: Status) -> None:
    (folder / ".env").write_text("A=b\n")
    (folder / ".env").chmod(mode)
    found = look("secret_files", patient())
    assert found.status is paper
    assert look("secret_files", patient(profile="live", ibkr__port=4001)).status is live
    assert found.remedy == ("" if paper is Status.OK else f"chmod 600 {folder / '.env'}")
