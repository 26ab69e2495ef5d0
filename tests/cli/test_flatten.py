"""pj flatten as a process, against the simulated gateway and TradersPost, with everything of ours dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ibkr"))
from flatten_world import MES, MNQ, World, run, start_world

from pj.channels.stats import StatsWriter

ROOT = Path(__file__).resolve().parents[2]

UUID, PASSWORD = "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "pw-of-the-test"
SETTINGS = """\
profile: paper
run_dir: run
contract: MNQZ6
execution:
  route: {route}
  position_source: {source}
ibkr:
  port: {port}
sheets:
  enabled: false
traderspost:
  read_timeout_s: 0.7
"""


@dataclass
class Home:
    """Hold a folder with settings; ``env`` carries the webhook."""

    folder: Path
    env: dict[str, str]

    @property
    def state(self) -> Path:
        return self.folder / "run" / "state"

    def flatten(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "pj.cli", "flatten", *words]
        begun = time.monotonic()
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, text=True, timeout=90, check=False,
            **({"capture_output": True, "stdin": subprocess.DEVNULL} | options),
        )  # fmt: skip
        print(f"{time.monotonic() - begun:.2f} s, exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def steps(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.state / "flatten.jsonl").read_text().splitlines()]


def home(folder: Path, route: str, port: int, source: str = "ibkr", webhook: str = "") -> Home:
    made = folder / "my trading"
    made.mkdir()
    (made / "config.yaml").write_text(SETTINGS.format(route=route, source=source, port=port))
    env = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
    if webhook:
        env["PJ_TRADERSPOST_WEBHOOK_URL"] = f"{webhook}/trading/webhook/{UUID}/{PASSWORD}"
    return Home(made, env)


@pytest.fixture
def world() -> Iterator[World]:
    made = start_world()
    yield made
    made.end()


@dataclass
class Post:
    """Hold the simulated TradersPost, an ordinary client of the gateway."""

    process: subprocess.Popen[str]
    base: str

    def rows(self, kind: str) -> list[dict[str, Any]]:
        rows = requests.get(f"{self.base}/_log", timeout=5).json()["requests"]
        return [row for row in rows if row["kind"] == kind]

    def plant(self, fault: str, count: int = 1) -> None:
        requests.post(f"{self.base}/_fault", json={"fault": fault, "count": count}, timeout=5).raise_for_status()

    def buy(self, qty: int) -> None:
        body = {"ticker": "MNQZ2026", "action": "buy", "quantity": qty, "takeProfit": {"limitPrice": 60_000}}
        body["stopLoss"] = {"type": "stop", "stopPrice": 5_000}
        requests.post(f"{self.base}/trading/webhook/{UUID}/{PASSWORD}", json=body, timeout=5).raise_for_status()

    def actions(self) -> list[str]:
        return [row["body"]["action"] for row in self.rows("REQUEST")]


@pytest.fixture
def post(world: World) -> Iterator[Post]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")}
    env |= {"PJ_SIM_WEBHOOK_UUID": UUID, "PJ_SIM_WEBHOOK_PASSWORD": PASSWORD}
    command = [sys.executable, "-P", "-m", "pj.simulators.traderspost", "--port", "0"]
    command += ["--gateway", f"127.0.0.1:{world.port}"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    words = process.stdout.readline().split()
    assert words[:2] == ["READY", "traderspost"], words
    made = Post(process, f"http://{words[2]}")
    until(lambda: bool(made.rows("CONNECTED")))
    yield made
    process.terminate()
    process.wait(10)
    process.stdout.close()


def until(true: Any) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def bought(world: World, post: Post, qty: int) -> None:
    post.buy(qty)
    until(lambda: world.held() == {MNQ: qty} and run(world.working()) == ["900:MNQZ6"] * 2)


# -- ibkr ------------------------------------------------------------------------------------------------


def test_everything_dead_on_the_ibkr_route(world: World, tmp_path: Path) -> None:
    world.leave(1, 2)
    world.leave(-1, 1, client_id=77, contract=MES)
    at = home(tmp_path, "ibkr", world.port)
    done = at.flatten("--yes", "--json")
    assert done.returncode == 0, done
    report = json.loads(done.stdout)
    assert (report["end"], report["verified"], report["kill_switch"]) == ("FLAT", True, True)
    assert any("+2 MNQZ6" in text for text in report["seen"]["positions"])
    assert len(report["seen"]["orders"]) == 2 and len(report["seen"]["others"]) == 3
    assert world.held() == {MES: -1}
    assert run(world.working()) == ["77:MESZ6"] * 2
    steps = at.steps()
    assert steps[0]["step"] == "KILL_SWITCH", "before anything else"
    assert steps[-1]["exit_code"] == 0
    assert (at.state / "KILL_SWITCH").read_text().startswith("FLATTEN: by pj flatten, 20")


def test_ib_async_does_it_too(world: World, tmp_path: Path) -> None:
    named = os.environ.get("PJ_IB_ASYNC_PATH", "") or str(ROOT / ".venv" / "ib_async")
    if not (Path(named) / "ib_async").is_dir():
        pytest.skip("ib_async is not installed: set PJ_IB_ASYNC_PATH or run scripts/pj.py")
    world.leave(-1, 2)
    at = home(tmp_path, "ibkr", world.port)
    at.env["PYTHONPATH"] = os.pathsep.join(filter(None, (named, at.env.get("PYTHONPATH", ""))))
    assert at.flatten("--yes", "--set", "ibkr.library=ib_async").returncode == 0
    assert world.held() == {}
    assert run(world.working()) == []


def test_without_a_terminal_it_needs_yes_and_does_nothing(world: World, tmp_path: Path) -> None:
    world.leave(1, 1, legs=False)
    at = home(tmp_path, "ibkr", world.port)
    done = at.flatten()
    assert done.returncode == 2
    assert "add --yes" in done.stderr
    assert not (at.state / "KILL_SWITCH").exists()
    assert world.held() == {MNQ: 1}


def test_a_timeout_must_be_a_time(tmp_path: Path) -> None:
    assert home(tmp_path, "ibkr", 1).flatten("--yes", "--timeout", "0").returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of our own needs pty")
@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, {MNQ: 1}), ("\x03", 1, {MNQ: 1}), ("y\n", 0, {})])
def test_the_terminal_is_asked(world: World, tmp_path: Path, answer: str, code: int, left: dict[str, int]) -> None:
    import pty

    world.leave(1, 1)
    at = home(tmp_path, "ibkr", world.port)
    master, slave = pty.openpty()
    # The shell leads a session and opens our terminal: so it is its own, and Ctrl-C on it reaches the verb.
    on_terminal = ["sh", "-c", 'exec "$@" <"$0"', os.ttyname(slave), sys.executable, "-P", "-m", "pj.cli", "flatten"]
    process = subprocess.Popen(
        on_terminal, cwd=at.folder, env=at.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        record = at.state / "flatten.jsonl"
        until(lambda: record.exists() and "SEEN_OURS" in record.read_text())
        time.sleep(1.0)
        os.write(master, answer.encode())
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
        os.close(master)
        os.close(slave)
    print(out, err)
    assert process.returncode == code
    assert "[y/N]" in err
    assert "position +1 MNQZ6" in out and out.count("SEEN_OURS") == 3
    assert world.held() == left
    assert (at.state / "KILL_SWITCH").exists(), "it stands also after a no"


def test_no_gateway(tmp_path: Path, free_port: int) -> None:
    at = home(tmp_path, "ibkr", free_port)
    done = at.flatten("--yes", "--timeout", "1")
    assert done.returncode == 3
    assert "by phone" in done.stdout
    assert (at.state / "KILL_SWITCH").exists()
    assert at.steps()[-1]["end"] == "UNREACHABLE"


def test_a_reader_that_leaves_does_not_stop_it(world: World, tmp_path: Path) -> None:
    world.leave(1, 1)
    at = home(tmp_path, "ibkr", world.port)
    read, write = os.pipe()
    os.close(read)
    try:
        at.flatten("--yes", stdout=write, stderr=write, capture_output=False)
    finally:
        os.close(write)
    assert world.held() == {}
    assert at.steps()[-1]["exit_code"] == 0


def test_one_at_a_time(tmp_path: Path) -> None:
    from pj.channels.files import lock_file

    at = home(tmp_path, "paper", 1)
    with lock_file(at.state / "flatten.lock"):
        done = at.flatten("--yes")
    assert (done.returncode, "held by another writer" in done.stderr) == (2, True)
    assert at.flatten("--yes").returncode == 0


def test_an_earlier_halt_is_kept_below_ours(tmp_path: Path) -> None:
    at = home(tmp_path, "paper", 1)
    at.state.mkdir(parents=True)
    (at.state / "KILL_SWITCH").write_text("lunch (by pj halt)\n")
    (at.state / "flatten.jsonl").write_bytes(b'{"torn')
    done = at.flatten()
    assert done.returncode == 0
    assert "nothing at any broker" in done.stdout
    lines = (at.state / "KILL_SWITCH").read_text().splitlines()
    assert lines[0].startswith("FLATTEN: ") and lines[1] == "lunch (by pj halt)"
    record = (at.state / "flatten.jsonl").read_bytes().splitlines()
    assert record[0] == b'{"torn' and json.loads(record[-1])["end"] == "NOTHING"


# -- traderspost -----------------------------------------------------------------------------------------


def test_the_webhook_flattens_and_the_gateway_verifies(world: World, post: Post, tmp_path: Path) -> None:
    bought(world, post, 2)
    at = home(tmp_path, "traderspost", world.port, webhook=post.base)
    at.state.mkdir(parents=True)
    StatsWriter(at.state / "bridge.stats.json", "bridge", "dead").beat("RUNNING", contract=MNQ, last_price="27650.25")
    done = at.flatten("--yes")
    assert done.returncode == 0, done
    assert post.actions() == ["buy", "exit", "cancel"]
    prices = [row["body"].get("signalPrice") for row in post.rows("REQUEST")]
    assert prices == [None, 27650.25, None], "the last price that the dead bridge told"
    assert world.held() == {}
    assert "CLOSE" not in [step["step"] for step in at.steps()], "the webhook did it, not we"
    assert PASSWORD not in done.stdout + done.stderr + (at.state / "flatten.jsonl").read_text()


def test_an_exit_that_was_taken_without_an_answer_is_sent_again(world: World, post: Post, tmp_path: Path) -> None:
    bought(world, post, 2)
    post.plant("timeout_after")
    done = home(tmp_path, "traderspost", world.port, webhook=post.base).flatten("--yes")
    assert done.returncode == 0, done
    assert post.actions() == ["buy", "exit", "exit", "cancel"]
    assert not [row for row in post.rows("REQUEST") if "signalPrice" in row["body"]], "nobody knows a price here"
    assert world.held() == {}, "the second exit met a flat account"


def test_a_webhook_that_says_yes_and_does_nothing(world: World, post: Post, tmp_path: Path) -> None:
    bought(world, post, 1)
    post.plant("accepted_but_rejected_later", 2)
    at = home(tmp_path, "traderspost", world.port, webhook=post.base)
    assert at.flatten("--yes", "--timeout", "9").returncode == 0
    assert "TAKE_OVER" in [step["step"] for step in at.steps()]
    assert world.held() == {}
    assert run(world.working()) == []


def test_without_a_position_source_it_is_unverified(world: World, post: Post, tmp_path: Path) -> None:
    bought(world, post, 1)
    done = home(tmp_path, "traderspost", world.port, "none", post.base).flatten("--yes")
    assert done.returncode == 1, "never 0 without a truth"
    assert "UNVERIFIED" in done.stdout
    until(lambda: world.held() == {})


def test_the_webhook_took_it_but_the_gateway_is_gone(world: World, post: Post, tmp_path: Path, free_port: int) -> None:
    done = home(tmp_path, "traderspost", free_port, webhook=post.base).flatten("--yes", "--timeout", "3")
    assert done.returncode == 1
    assert "UNVERIFIED" in done.stdout
    assert post.actions() == ["exit", "cancel"]


def test_a_dead_webhook_is_replaced_by_the_gateway(world: World, tmp_path: Path, free_port: int) -> None:
    world.leave(1, 1, client_id=900)
    at = home(tmp_path, "traderspost", world.port, webhook=f"http://127.0.0.1:{free_port}")
    assert at.flatten("--yes", "--timeout", "8").returncode == 0
    assert world.held() == {}


@pytest.mark.parametrize("source", ["ibkr", "none"])
def test_nobody_answers(tmp_path: Path, free_port: int, source: str) -> None:
    at = home(tmp_path, "traderspost", free_port, source, f"http://127.0.0.1:{free_port}")
    done = at.flatten("--yes", "--timeout", "2")
    assert done.returncode == 3
    assert "did not answer for MNQZ6" in done.stdout


def test_the_contracts_of_the_journal_are_asked_for_too(world: World, post: Post, tmp_path: Path) -> None:
    at = home(tmp_path, "traderspost", world.port, webhook=post.base)
    day = at.folder / "run" / "2026-11-18"
    day.mkdir(parents=True)
    row = {"seq": 1, "type": "INTENT", "data": {"contract": "MNQH7"}}
    (day / "journal.jsonl").write_text(f'{json.dumps(row)}\n{{"type":"INTENT", torn\n')
    assert at.flatten("--yes").returncode == 0
    asked = [row["body"]["ticker"] for row in post.rows("REQUEST")]
    assert asked == ["MNQZ2026"] * 2 + ["MNQH2027"] * 2
