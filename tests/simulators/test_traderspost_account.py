"""What the simulated TradersPost does on a real gateway's account, signal by signal."""

from __future__ import annotations

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

from live.market import NS_PER_S
from pj.clock import ScaledClock

UUID, PASSWORD = "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "pw"
NAME = "MNQZ6"
OPEN_NS = 1_795_012_200 * NS_PER_S  # 2026-11-18 09:30 ET, the generator's day


@dataclass
class Post:
    """Hold the webhook's address; positions and executions are the gateway's."""

    base: str

    def send(self, action: str, **fields: Any) -> dict[str, Any]:
        """Post a signal and return the row that says what became of it on the account."""
        body = {"ticker": "MNQZ2026", "action": action, **fields}
        reply = requests.post(f"{self.base}/trading/webhook/{UUID}/{PASSWORD}", json=body, timeout=5)
        assert reply.status_code == 200, reply.text
        signal_id = reply.json()["id"]
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            rows = requests.get(f"{self.base}/_log", timeout=5).json()["requests"]
            for row in rows:
                if row.get("id") == signal_id and row["kind"] in {"EXECUTED", "REJECTED"}:
                    return dict(row)
            time.sleep(0.02)
        raise AssertionError(f"{action} was neither executed nor rejected")

    def held(self) -> int:
        return int(requests.get(f"{self.base}/_positions", timeout=5).json()["positions"].get(NAME, 0))

    def wait_for(self, position: int) -> None:
        deadline = time.monotonic() + 10
        while self.held() != position:
            assert time.monotonic() < deadline, f"the account holds {self.held()}, not {position}"
            time.sleep(0.02)


def serve(module: str, *arguments: str, env: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    command = [sys.executable, "-P", "-m", f"pj.simulators.{module}", "--port", "0", *arguments]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    words = process.stdout.readline().decode().split()
    assert words[:2] == ["READY", module], words
    return process, words[2]


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    folder: Path = tmp_path_factory.mktemp("post")
    clock = ScaledClock(OPEN_NS, time.time_ns() + 500_000_000, 20)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PJ_")} | clock.to_env()
    env |= {"PJ_SIM_WEBHOOK_UUID": UUID, "PJ_SIM_WEBHOOK_PASSWORD": PASSWORD}
    window = ("--date", "2026-11-18", "--from", "09:30", "--to", "16:00", "--contract", NAME)
    gateway, at = serve("gateway", "--tape", "generator", *window, env=env)
    webhook, base = serve("traderspost", "--gateway", at, "--run-dir", str(folder), env=env)
    deadline = time.monotonic() + 10
    while "CONNECTED" not in [row["kind"] for row in requests.get(f"http://{base}/_log", timeout=5).json()["requests"]]:
        assert time.monotonic() < deadline, "the webhook server did not reach the gateway"
        time.sleep(0.05)
    time.sleep(max(0.0, (clock.start_ns - time.time_ns()) / 1e9) + 0.5)
    try:
        yield Post(f"http://{base}")
    finally:
        for process in (webhook, gateway):
            process.terminate()
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


FAR = {"takeProfit": {"limitPrice": 60_000}, "stopLoss": {"type": "stop", "stopPrice": 5_000}}


@pytest.mark.slow
def test_a_life_of_signals(post: Post) -> None:
    assert post.send("exit")["why"] == "nothing to exit: the position is flat"
    assert post.send("add", quantity=1)["why"] == "add needs an open position"

    bought = post.send("buy", quantity=2, extras={"signal_id": "s1"}, **FAR)
    assert (bought["kind"], bought["side"], bought["qty"], bought["signal_id"]) == ("EXECUTED", 1, 2, "s1")
    post.wait_for(2)
    again = post.send("buy", quantity=1)
    assert (again["kind"], "adding" in again["why"]) == ("REJECTED", True)
    assert post.send("exit", quantity=1)["closed"] == 1
    post.wait_for(1)

    closed = post.send("sell", quantity=1)
    assert (closed["closed"], "side" in closed) == (1, False), "side swapping is off: a sell while long only closes"
    post.wait_for(0)

    sold = post.send(
        "sell", quantity=1, takeProfit={"limitPrice": 5_000}, stopLoss={"type": "stop", "stopPrice": 60_000}
    )
    assert sold["side"] == -1
    post.wait_for(-1)
    assert post.send("cancel")["cancelled"] == 2, "both exits rested"
    post.wait_for(-1)
    assert post.send("exit", sentiment="flat", cancel=True)["closed"] == -1
    post.wait_for(0)


@pytest.mark.slow
def test_accepted_is_not_filled(post: Post) -> None:
    requests.post(f"{post.base}/_fault", data="accepted_but_rejected_later", timeout=5)
    assert post.send("buy", quantity=1)["why"] == "planted: rejected after 200"
    assert post.held() == 0
    assert post.send("buy", quantity=1, ticker="CLZ2026")["kind"] == "REJECTED", "not one of our instruments"
    assert post.send("buy", quantity=0.4)["kind"] == "REJECTED"
    assert post.held() == 0
