"""Hand orders over to the bridge: on disk before it counts, an entry once in its life, every row whole."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from live.commands import CancelOrders, ClosePosition, PlaceBracket, PlaceExits
from live.market import INSTRUMENTS
from pj.brokers.ibkr_outbox import IbkrOutbox
from pj.brokers.limits import SendLimits
from pj.brokers.port import Order, Outcome
from pj.channels.appender import AppendFile
from pj.channels.fence import Fence, grant
from pj.channels.files import WriteFailed
from pj.channels.journal import JournalDamaged
from pj.channels.jsonl import sealed
from pj.channels.orders import Asked, BadOrderRow, OrderRow, OrderRows, read_order_row
from pj.channels.rundir import RunDir

MNQ = INSTRUMENTS["MNQ"]
NOW = 1_795_183_260_250_118_000
DAY_NS = 86_400_000_000_000
ENTRY = PlaceBracket("p@1:ENTRY", "MNQZ6", -1, 2, 100_000, 100_100, 99_800, NOW - 5, "p")
EXITS: list[Order] = [
    ClosePosition("p@1:EXIT", "MNQZ6", 2, "TIME", NOW),
    CancelOrders("p@1:CANCEL", "MNQZ6", "ORPHAN", NOW),
    PlaceExits("p@1:EXITS", "MNQZ6", -1, 2, 100_100, 0, NOW),
]


@pytest.fixture
def run(run_dir: Path) -> RunDir:
    folder = RunDir(run_dir, MNQ).create()
    grant(folder, "engine", "one")
    return folder


def outbox(run: RunDir, instance: str = "one", limits: SendLimits | None = None) -> IbkrOutbox:
    return IbkrOutbox(run, Fence(run, "engine", instance), limits or SendLimits())


def rows(run: RunDir, now_ns: int = NOW) -> list[OrderRow]:
    return [read_order_row(line) for line in run.day_at(now_ns).orders.read_bytes().splitlines()]


def test_every_order_becomes_a_row_that_says_it_all(run: RunDir) -> None:
    adapter = outbox(run)
    for order in [ENTRY, *EXITS]:
        answer = adapter.send(order, NOW)
        assert answer.outcome is Outcome.HANDED and answer.sent_mono_ns
    adapter.close()
    entry, exit_, cancel, exits = rows(run)
    assert entry == OrderRow(1, NOW, 1, "one", "p@1:ENTRY", Asked.ENTRY, "MNQZ6", -1, 2, 100_100, 99_800, "", NOW - 5)
    assert (exit_.order, exit_.qty, exit_.reason, exit_.seq) == (Asked.EXIT, 2, "TIME", 2)
    assert (cancel.order, cancel.reason) == (Asked.CANCEL, "ORPHAN")
    assert (exits.order, exits.side, exits.qty, exits.stop, exits.target) == (Asked.EXITS, -1, 2, 100_100, 0)


def test_an_entry_is_handed_over_once_whoever_asks(run: RunDir) -> None:
    first = outbox(run)
    first.send(ENTRY, NOW)
    assert first.send(ENTRY, NOW).code == "handed-over-before"
    assert first.handed_over(ENTRY.key) and not first.handed_over("other")
    first.close()
    grant(run, "engine", "two")
    second = outbox(run, "two")
    assert second.handed_over(ENTRY.key)
    answer = second.send(ENTRY, NOW + DAY_NS)
    assert (answer.outcome, answer.sent_mono_ns) == (Outcome.HANDED, 0)
    second.send(EXITS[0], NOW)
    second.send(EXITS[0], NOW)
    second.close()
    assert [(row.order, row.seq, row.epoch) for row in rows(run)] == [
        (Asked.ENTRY, 1, 1),
        (Asked.EXIT, 2, 2),
        (Asked.EXIT, 3, 2),
    ]


def test_each_trade_date_has_its_file(run: RunDir) -> None:
    adapter = outbox(run)
    adapter.send(EXITS[0], NOW)
    adapter.send(EXITS[1], NOW + DAY_NS)
    adapter.close()
    assert [row.seq for row in rows(run)] == [row.seq for row in rows(run, NOW + DAY_NS)] == [1]


def test_the_hourly_limit_holds_entries_only(run: RunDir) -> None:
    limits = SendLimits(entries_per_hour=1)
    adapter = outbox(run, limits=limits)
    assert adapter.send(ENTRY, NOW).outcome is Outcome.HANDED
    more = PlaceBracket("p@2:ENTRY", "MNQZ6", 1, 1, 100_000, 99_900, 100_200, NOW, "p")
    assert adapter.send(more, NOW).code == "limit-entries-per-hour"
    assert [adapter.send(order, NOW).outcome for order in EXITS] == [Outcome.HANDED] * 3
    adapter.close()


def test_a_full_disk_is_told_apart_from_a_sync_that_failed(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: AppendFile, *_: object) -> None:
        raise WriteFailed(file.path, OSError(errno.ENOSPC, "no space"))

    adapter = outbox(run)
    adapter.send(EXITS[0], NOW)
    with monkeypatch.context() as planted:
        planted.setattr(AppendFile, "append", full)
        answer = adapter.send(ENTRY, NOW)
    assert (answer.outcome, answer.sent_mono_ns) == (Outcome.RETRY_SAFE, 0)
    assert not adapter.handed_over(ENTRY.key)
    with monkeypatch.context() as planted:
        planted.setattr(AppendFile, "sync", full)
        answer = adapter.send(ENTRY, NOW)
    assert answer.outcome is Outcome.UNKNOWN, "the bridge may have read it"
    assert adapter.handed_over(ENTRY.key)
    adapter.close()
    assert [row.order for row in rows(run)] == [Asked.EXIT, Asked.ENTRY]


def test_another_writer_keeps_us_out_and_nothing_left(run: RunDir) -> None:
    first, second = outbox(run), outbox(run)
    first.send(EXITS[0], NOW)
    assert second.send(ENTRY, NOW).outcome is Outcome.RETRY_SAFE
    first.close()
    assert second.send(ENTRY, NOW).outcome is Outcome.HANDED
    second.close()


@pytest.mark.parametrize(
    "change",
    [
        {"seq": "1"},
        {"order": "BUY"},
        {"key": ""},
        {"side": 0},
        {"qty": -1},
        {"stop": 1.5},
        {"contract": None},
        {"more": 1},
    ],
)
def test_a_row_that_makes_no_sense_is_no_order(run: RunDir, change: dict[str, object]) -> None:
    import json

    adapter = outbox(run)
    adapter.send(ENTRY, NOW)
    adapter.close()
    line = run.day_at(NOW).orders.read_bytes()
    found = json.loads(line)
    found.pop("crc32")
    assert sealed(found) == line
    bad = sealed({**found, **change}).rstrip(b"\n")
    with pytest.raises(BadOrderRow):
        read_order_row(bad)
    told: list[str] = []
    assert [row.key for row in OrderRows(told.append).feed(bad + b"\nnonsense\n" + line)] == [ENTRY.key]
    assert len(told) == 2


def test_a_bit_flipped_anywhere_in_the_handed_orders_is_named_and_nobody_trades(run: RunDir) -> None:
    adapter = outbox(run)
    for order in [ENTRY, *EXITS]:
        adapter.send(order, NOW)
    adapter.close()
    path = run.day_at(NOW).orders
    data = path.read_bytes()
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 1 << (at % 8)
        path.write_bytes(wrong)
        line_no = data[:at].count(b"\n") + 1
        with pytest.raises(JournalDamaged, match=f"line {line_no}"):
            outbox(run)


def test_a_row_torn_at_any_byte_was_never_handed_over(run: RunDir) -> None:
    adapter = outbox(run)
    adapter.send(EXITS[0], NOW)
    size = run.day_at(NOW).orders.stat().st_size
    adapter.send(ENTRY, NOW)
    adapter.close()
    path = run.day_at(NOW).orders
    data = path.read_bytes()
    for cut in range(size, len(data)):
        path.write_bytes(data[:cut])
        again = outbox(run)
        assert not again.handed_over(ENTRY.key)
        assert again.send(ENTRY, NOW).outcome is Outcome.HANDED
        again.close()
        assert [row.order for row in rows(run)] == [Asked.EXIT, Asked.ENTRY]
