"""The bridge process at its borders: configuration, closed port, other bridges, other clients' fills, stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from pj.ibkr.orders import OrderClient

CONTRACT = "MNQM6"


def ended(process: Any) -> tuple[int, str]:
    _, text = process.communicate(timeout=15)
    return process.returncode, text


def test_wrong_configuration_is_one_sentence_and_code_2(rig: Callable[..., Any]) -> None:
    run = rig()
    cases = {
        "PJ__IBKR__PORT": "99999",
        "PJ__SYMBOL": "GC",
        "PJ__IBKR__COLOUR": "red",
        "PJ_CLOCK_SPEED": "fast",
    }
    processes = {name: run.bridge(**{name: value}) for name, value in cases.items()}
    for name, process in processes.items():
        code, text = ended(process)
        assert code == 2, (name, text)
        assert len(text.strip().splitlines()) == 1, text
    assert not (run.run_dir / "state").exists(), "nothing half-started"


def test_closed_port_is_waited_for_and_a_stop_is_quick(rig: Callable[..., Any]) -> None:
    run = rig()
    bridge = run.bridge()
    run.wait("the problem in the stats", lambda: "no gateway listens" in run.stats().get("problem", ""))
    said = run.stats()
    assert (said["phase"], said["connected"], said["process"]) == ("CONNECTING", False, "bridge")
    beat = said["beat_seq"]
    run.wait("two more beats", lambda: run.stats()["beat_seq"] >= beat + 2)
    began = time.monotonic()
    assert run.stop(bridge) == 0
    assert time.monotonic() - began < 5
    log = (run.run_dir / "logs" / "bridge.log").read_text()
    assert "NOT_CONNECTED retry_s=" in log
    assert log.rstrip().endswith("EXIT code=0")


def test_second_bridge_ends_with_code_1_and_names_the_file(rig: Callable[..., Any]) -> None:
    run = rig()
    first = run.bridge()
    run.wait("the first bridge", lambda: bool(run.stats()))
    code, text = ended(run.bridge())
    assert code == 1
    assert "live_ticks.csv is held by another writer" in text
    assert run.stop(first) == 0


def test_contract_that_the_gateway_does_not_know_is_code_2(rig: Callable[..., Any]) -> None:
    run = rig()
    run.gateway()
    code, text = ended(run.bridge(PJ__CONTRACT="MNQH9", PJ__IBKR__BACKOFF_MIN_S="0.1"))
    assert code == 2
    assert text.strip() == (
        "the gateway knows no contract MNQH9 of MNQ on CME; set contract in config.yaml or check the roll table"
    )


def test_account_that_is_not_ours_is_code_2(rig: Callable[..., Any]) -> None:
    run = rig()
    run.gateway()
    code, text = ended(run.bridge(PJ__IBKR__ACCOUNT="U999", PJ__IBKR__CONNECT_TIMEOUT_S="1"))
    assert code == 2
    assert "ibkr.account is U999 but this login has" in text


@pytest.mark.slow
def test_fill_of_another_client_is_read_back_once(rig: Callable[..., Any], library: str) -> None:
    """The TradersPost route trades as another client: position first, then the fill itself, promptly."""
    run = rig(speed=10.0, library=library, begin_in_s=1.5)
    run.gateway()
    bridge = run.bridge()
    run.wait_gauge("connected", value=True)

    async def trade() -> None:
        client = await OrderClient.connect("127.0.0.1", run.port, 900, library="ib_insync")
        await client.place_bracket(CONTRACT, 1, 2, "20000", "30000", "pool-7")
        client.close()

    asyncio.run(trade())
    run.wait_gauge("position", 2)
    run.wait("the fill", lambda: kinds(run).count("EXECUTION") >= 1, 3)
    bridge.kill()
    bridge.wait(5)
    again = run.bridge()
    run.wait("the second re-read", lambda: statuses(run).count("connected") == 2)
    assert run.stop(again) == 0
    fills = [row for row in run.day("broker_events.csv") if row["kind"] == "EXECUTION"]
    assert len({row["exec_id"] for row in fills}) == len(fills), "no fill twice, also after a restart"
    assert sum(int(row["qty"]) for row in fills) == 2
    assert {(row["order_ref"], row["client_id"], row["side"], row["contract"]) for row in fills} == {
        ("pool-7", "900", "BUY", CONTRACT)
    }
    positions = [row["position"] for row in run.day("broker_events.csv") if row["kind"] == "POSITION"]
    assert positions == ["0", "2", "2"], "flat at the start, the change, and the re-read after the restart"


def kinds(run: Any) -> list[str]:
    return [row["kind"] for row in run.day("broker_events.csv")]


def statuses(run: Any) -> list[str]:
    return [row["status"] for row in run.day("broker_events.csv") if row["kind"] == "STATUS"]
