"""The verb as a user meets it: exit codes, both forms of output, and no service that can hold it up."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from doctor_world import Book, TimeServer, doctor, sntp_answer

from pj.verbs.doctor.model import Status
from pj.verbs.doctor.table import CHECKS
from pj.verbs.table import VERBS


def settings(**values: object) -> list[str]:
    return [f"--set={name.replace('__', '.')}={value}" for name, value in values.items()]


def statuses(stdout: str) -> dict[str, str]:
    return {check["id"]: check["status"] for check in json.loads(stdout)["checks"]}


def test_a_fresh_machine_in_profile_sim_is_ready(folder: Path) -> None:
    done = doctor("--json", "--set=doctor.ntp_servers=")
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert report["ok"] is True
    assert [check["id"] for check in report["checks"]] == [check.id for check in CHECKS]
    assert sum(report["counts"].values()) == len(CHECKS)
    verb = next(verb for verb in VERBS if verb.name == "doctor")
    assert set(report) == set(verb.output["properties"])
    assert set(report["checks"][0]) == set(verb.output["properties"]["checks"]["items"]["properties"])
    assert list(folder.iterdir()) == [], "nothing is left behind"


def test_every_service_there_and_well(
    gateway_port: int, book: Book, time_server: Callable[..., TimeServer], folder: Path
) -> None:
    words = settings(ibkr__port=gateway_port, doctor__ntp_servers=time_server(sntp_answer).name, **book.settings())
    done = doctor("--json", "--profile=paper", *words)
    assert done.returncode == 0, done.stdout
    found = statuses(done.stdout)
    assert found["positions"] == "INFO"
    # INFO is neither good nor bad; the folder check's own files may let the switches say that none stands.
    assert {name: status for name, status in found.items() if status not in {"OK", "SKIPPED", "INFO"}} in (
        {},
        {"python": "WARN"},  # the tests may run in another environment than the checkout's own
    )


def test_a_failure_is_exit_code_1_with_its_remedy(free_port: int) -> None:
    done = doctor("--profile=paper", *settings(ibkr__port=free_port, doctor__ntp_servers=""), env={"COLUMNS": "100"})
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100 or any("/" in line for line in lines if len(line) > 100)
    at = next(number for number, line in enumerate(lines) if f"nobody listens at 127.0.0.1:{free_port}" in line)
    assert lines[at].startswith("FAIL     gateway ")
    assert lines[at + 1].strip().startswith("-> start TWS or IB Gateway")
    assert lines[-1].endswith("do what stands behind ->, then ask again")
    rows = [line for line in lines if line.startswith(("OK ", "SKIPPED ", "FAIL "))]
    assert all(line[8] == " " and line[9] != " " for line in rows), "titles stand in one column"
    assert len(rows) > 10


@pytest.mark.parametrize("words", [["--set=ibkr.prot=1"], ["--set=ibkr.port=x"], ["--config=absent.yaml"]])
def test_unreadable_settings_are_exit_code_2_and_the_rest_is_checked(words: list[str]) -> None:
    done = doctor("--json", *words)
    assert done.returncode == 2, done.stdout
    report = json.loads(done.stdout)
    assert words[0].partition("=")[2].partition("=")[0].replace("x", "") in report["trouble"]
    assert report["ok"] is False
    found = statuses(done.stdout)
    assert found["time_zones"] == "OK"
    assert found["lock"] in {"OK", "WARN"}
    assert found["gateway"] == "SKIPPED"
    text = doctor(*words)
    assert text.returncode == 2
    assert "None" not in text.stdout
    assert text.stdout.count("the settings cannot be read:") == 1, "one line says what was left out"
    assert report["trouble"].split(";")[0][:40] in " ".join(text.stdout.split())


def test_a_mistyped_command_line_is_one_sentence() -> None:
    done = doctor("--set", "ibkr.port")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def dripping_port() -> Iterator[int]:
    """Serve HTTP that never ends its headers: each read succeeds, the whole never does."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            peer.sendall(b"HTTP/1.1 200 OK\r\n")
            while not ended.wait(0.2):
                peer.sendall(b"X")

    def serve() -> None:
        with suppress(OSError):
            while True:
                peer, _ = listener.accept()
                threading.Thread(target=drip, args=(peer,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield int(listener.getsockname()[1])
    ended.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.mark.slow
@pytest.mark.parametrize("sheets", ["mute", "dripping"])
def test_nothing_that_hangs_holds_it_up(
    tcp_server: Callable[[bytes | None], int],
    time_server: Callable[..., TimeServer],
    book: Book,
    dripping_port: int,
    sheets: str,
) -> None:
    mute = tcp_server(b"")
    key = json.loads(book.credentials.read_text())
    base = f"http://127.0.0.1:{mute if sheets == 'mute' else dripping_port}"
    book.credentials.write_text(json.dumps(key | {"token_uri": f"{base}/token"}))
    words = settings(
        ibkr__port=mute,
        doctor__ntp_servers=time_server(lambda _: None).name,
        execution__route="traderspost",
        **book.settings(sheets__api_base=base),
    )
    hook = f"https://127.0.0.1:{mute}/trading/webhook/uuid1234/pass1234"
    begun = time.monotonic()
    done = doctor("--json", "--profile=paper", *words, env={"PJ_TRADERSPOST_WEBHOOK_URL": hook})
    took_s = time.monotonic() - begun
    print(f"everything silent: {took_s:.1f} s")
    assert done.returncode == 1, done.stderr
    assert took_s < 15 + 3, "15 s, and the start of Python on a loaded machine"
    found = statuses(done.stdout)
    wanted = {"clock": "UNKNOWN", "gateway": "FAIL", "webhook_host": "FAIL", "workbook": "FAIL", "folder": "OK"}
    assert {name: found[name] for name in wanted} == wanted
    failed = [check for check in json.loads(done.stdout)["checks"] if check["status"] == Status.FAIL]
    assert all(check["remedy"] for check in failed)
