"""Write broker events from raw account messages: once each, account-wide, in the files of their day."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from live.market import INSTRUMENTS, NS_PER_S
from pj.channels.rundir import RunDir
from pj.ibkr.account import AccountRecorder
from pj.ibkr.account_wire import MalformedMessage, read_execution, read_open_order, read_order_status, read_position

NOW = 1_776_254_400 * NS_PER_S
DAY_NS = 24 * 3600 * NS_PER_S


def contract(local: str = "MNQM6") -> list[str]:
    return ["551", "MNQ", "FUT", "20260618", "0", "", "2", "CME", "USD", local, "MNQ"]


def position(qty: str, account: str = "DU1", local: str = "MNQM6") -> list[str]:
    return ["61", "3", account, *contract(local), qty, "50000.5"]


def execution(exec_id: str = "e1", req: str = "-1", account: str = "DU1", side: str = "BOT") -> list[str]:
    head = [
        "11",
        req,
        "17",
        *contract(),
        exec_id,
        "20260415 08:00:01 US/Eastern",
        account,
        "CME",
        side,
        "2",
        "25000.25",
    ]
    return [*head, "900001", "900", "0", "2", "25000.25", "pool-1", "", "", "", "2"]


def status(state: str, filled: str = "0", remaining: str = "2") -> list[str]:
    return ["3", "17", state, filled, remaining, "0.0", "900001", "0", "0.0", "900", "", "0"]


def open_order() -> list[str]:
    order = ["BUY", "2", "MKT", "0.0", "0.0", "DAY", "", "DU1", "", "0", "pool-1", "900", "900001"]
    return ["5", "17", *contract(), *order, "1"]


@dataclass
class Bench:
    recorder: AccountRecorder
    root: Path
    now: list[int]

    def tell(self, *messages: list[str]) -> None:
        taps = self.recorder.taps()
        for fields in messages:
            assert taps[int(fields[0])](fields) is False, "the library must see account messages too"
        self.recorder.flush()

    def rows(self, day: str = "2026-04-15") -> list[dict[str, str]]:
        with (self.root / day / "broker_events.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def kinds(self) -> list[str]:
        return [row["kind"] for row in self.rows()]


def make(root: Path, account: str = "") -> Bench:
    now = [NOW]
    run = RunDir(root, INSTRUMENTS["MNQ"])
    return Bench(AccountRecorder(run, INSTRUMENTS["MNQ"], lambda: now[0], account), root, now)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = make(tmp_path)
    yield made
    made.recorder.close()


def test_fill_of_another_client_is_written_whole(bench: Bench) -> None:
    bench.tell(open_order(), status("Submitted"), execution(), status("Filled", "2", "0"))
    bench.tell(["59", "1", "e1", "1.24", "USD", "0.0", "0", ""], position("2"))
    rows = bench.rows()
    assert [row["kind"] for row in rows] == ["ORDER", "EXECUTION", "ORDER", "COMMISSION", "POSITION"]
    fill = rows[1]
    assert (fill["exec_id"], fill["order_ref"], fill["client_id"], fill["side"]) == ("e1", "pool-1", "900", "BUY")
    assert (fill["qty"], fill["price"], fill["perm_id"], fill["status"]) == ("2", "25000.25", "900001", "LIVE")
    assert (rows[0]["order_ref"], rows[0]["side"], rows[0]["qty"], rows[0]["contract"]) == (
        "pool-1",
        "BUY",
        "2",
        "MNQM6",
    )
    assert (rows[3]["commission"], rows[4]["position"], rows[4]["avg_price"]) == ("1.24", "2", "25000.25")
    assert [row["seq"] for row in rows] == ["1", "2", "3", "4", "5"]


def test_the_same_fill_is_written_once(bench: Bench) -> None:
    bench.tell(execution(), execution(req="9"), execution("e2", req="9"))
    rows = bench.rows()
    assert [(row["exec_id"], row["status"]) for row in rows] == [("e1", "LIVE"), ("e2", "READ_BACK")]


def test_the_same_fill_is_written_once_over_a_restart_and_a_day(tmp_path: Path) -> None:
    first = make(tmp_path)
    first.tell(execution(), ["59", "1", "e1", "1.24", "USD", "0", "0", ""])
    first.recorder.close()
    again = make(tmp_path)
    again.now[0] += DAY_NS
    again.tell(execution(req="4"), ["59", "1", "e1", "1.24", "USD", "0", "0", ""], execution("e2", req="4"))
    assert [row["exec_id"] for row in again.rows("2026-04-16")] == ["e2"]
    again.recorder.close()


def test_position_change_is_counted_and_a_repeat_is_not_written(bench: Bench) -> None:
    bench.tell(position("2"), position("2"), position("0"))
    assert [row["position"] for row in bench.rows()] == ["2", "0"]
    assert bench.recorder.position_changes == 2


def test_a_new_session_writes_the_full_truth_and_flat_for_what_is_gone(bench: Bench) -> None:
    bench.tell(position("2"), position("1", local="MNQU6"))
    bench.recorder.connecting()
    bench.tell(position("2"))
    bench.recorder.connected("MNQM6")
    bench.recorder.flush()
    rows = bench.rows()[2:]
    assert [(row["kind"], row["contract"], row["position"], row["status"]) for row in rows] == [
        ("POSITION", "MNQM6", "2", ""),
        ("POSITION", "MNQU6", "0", ""),
        ("STATUS", "MNQM6", "", "connected"),
    ]


def test_order_states_are_written_when_they_change(bench: Bench) -> None:
    bench.tell(status("Submitted"), status("Submitted"), status("Filled", "2", "0"))
    assert [row["status"] for row in bench.rows()] == ["Submitted", "Filled"]


def test_other_accounts_are_left_out_when_one_is_named(tmp_path: Path) -> None:
    bench = make(tmp_path, "DU1")
    bench.tell(position("2", account="DU2"), execution(account="DU2"), position("1"))
    assert [(row["kind"], row["position"]) for row in bench.rows()] == [("POSITION", "1")]
    bench.recorder.close()


def test_account_values_are_kept_for_the_gauges(bench: Bench) -> None:
    bench.tell(["6", "2", "NetLiquidation", "100000.00", "USD", "DU1"], ["6", "2", "Cushion", "1", "", "DU1"])
    assert bench.recorder.values == {"NetLiquidation": "100000.00"}


def test_malformed_message_is_counted_and_the_next_is_read(bench: Bench) -> None:
    bench.tell(position("two"), ["61", "3"], position("1"))
    assert bench.recorder.malformed == 2
    assert bench.kinds() == ["POSITION"]


def test_rows_turn_with_the_day(bench: Bench) -> None:
    bench.tell(position("1"))
    bench.now[0] += DAY_NS
    bench.tell(position("0"))
    assert [row["seq"] for row in bench.rows("2026-04-16")] == ["1"]


@pytest.mark.parametrize(
    ("reader", "fields"),
    [
        (read_position, position("1.5")),
        (read_execution, execution(side="SOLD?")),
        (read_order_status, ["3", "x", "Filled"]),
        (read_open_order, ["5", "1"]),
    ],
)
def test_readers_name_what_they_cannot_read(reader: object, fields: list[str]) -> None:
    with pytest.raises(MalformedMessage, match="cannot be read"):
        reader(fields)  # type: ignore[operator]


def test_unset_numbers_read_empty() -> None:
    fields = status("Submitted")
    fields[5] = "1.7976931348623157E308"
    assert read_order_status(fields).avg_price == ""


def test_position_that_vanished_while_we_were_down_is_reported_flat(tmp_path: Path) -> None:
    first = make(tmp_path)
    first.tell(position("2", local="MNQH6"), position("1"))
    first.recorder.close()
    again = make(tmp_path)
    again.recorder.connecting()
    again.tell(position("1"))
    again.recorder.connected("MNQM6")
    again.recorder.flush()
    assert [(row["contract"], row["position"]) for row in again.rows() if row["kind"] == "POSITION"][2:] == [
        ("MNQM6", "1"),
        ("MNQH6", "0"),
    ]
    again.recorder.close()
