"""Reading in a hurry: fewer rows delivered, and bars, refusals, counters and newest stamps as the long way has them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from live.bar_builder import BarBuilder, Output
from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S, Tick, TickKind
from live.trading_day import at_minute_ns
from pj.channels import formats
from pj.channels.appender import FormatMismatch
from pj.channels.catchup import CatchUpParser
from pj.channels.tape import BadRow, TapeParser

MNQ = INSTRUMENTS["MNQ"]
START = at_minute_ns(date(2026, 4, 15), 600)
HEAD = formats.header(formats.TAPE_COLUMNS)
SEEN = {TickKind.TRADE, TickKind.QUOTE}

prices = st.integers(99_990, 100_010).map(lambda ticks: f"{ticks / 4:.2f}")
kinds = st.sampled_from(["TRADE"] * 4 + ["QUOTE"] * 6 + ["HEARTBEAT"] * 3 + ["GAP", "STATUS"])
steps = st.sampled_from([0, 1, NS_PER_S // 3, NS_PER_S, 20 * NS_PER_S, NS_PER_MIN, 3 * NS_PER_MIN, -NS_PER_S])
odd = st.sampled_from(
    [
        ("seq", "7"), ("seq", "x"), ("seq", "+1"), ("skip", ""), ("recv", "²"), ("recv", ""), ("recv", "9" * 5000),
        ("kind", "TADE"), ("price", "25000.1"), ("price", ""), ("size", ""), ("size", "-1"), ("size", "1_0"),
        ("bid", "?"), ("exch", "soon"), ("cells", ""), ("contract", "MNQU6"), ("contract", "a,b"),
    ]
)  # fmt: skip


@st.composite
def tapes(draw: st.DrawFn) -> list[bytes]:
    """Return chunks of whole lines: mostly as our writer writes them, some as nobody should."""
    recv, seq, lines = START + 5 * NS_PER_S, 0, [HEAD]
    for _ in range(draw(st.integers(1, 60))):
        recv += draw(steps)
        seq += 1
        kind, price = draw(kinds), draw(prices)
        bare = kind in {"GAP", "STATUS"}
        row = {
            "seq": str(seq),
            "recv": str(recv),
            "kind": kind,
            "price": "" if bare or kind == "QUOTE" else price,
            "size": "" if bare else str(draw(st.integers(0, 9))),
            "bid": price if kind == "QUOTE" else "",
            "ask": "",
            "exch": str(recv - 90 * NS_PER_S) if kind == "GAP" else "",
            "source": "FEED" if kind == "GAP" else "TBT",
            "contract": "" if bare else "MNQM6",
        }
        if draw(st.integers(0, 9)) == 0:
            where, text = draw(odd)
            if where == "skip":
                seq += 3
            elif where == "cells":
                del row["source"]
            else:
                row[where] = text
        lines.append((",".join(row.values()) + "\n").encode())
    chunks, at = [], 0
    while at < len(lines):
        size = draw(st.integers(1, 25))
        chunks.append(b"".join(lines[at : at + size]))
        at += size
    return chunks


Read = tuple[list[Output], list[tuple[str, str]], tuple[object, ...], list[tuple[int, int]], int]


def read(parser: TapeParser, bad: list[BadRow], chunks: list[bytes]) -> Read:
    """Return what came out, what was reported, the counters, the newest stamps after each chunk, rows delivered."""
    builder, out, newest, delivered = BarBuilder(), list[Output](), list[tuple[int, int]](), 0
    last_ns = seen_ns = 0
    for chunk in chunks:
        ticks = parser.feed(chunk)
        delivered += len(ticks)
        out += builder.on_ticks(ticks)
        last_ns = ticks[-1].recv_ns if ticks else last_ns
        seen_ns = next((tick.recv_ns for tick in reversed(ticks) if tick.kind in SEEN), seen_ns)
        newest.append((last_ns, seen_ns))
    out += builder.on_grace(START + 600 * NS_PER_MIN)
    counters = (parser.bad, parser.holes, parser.last_seq, builder.trades, builder.late)
    return out, [(row.text, row.reason) for row in bad], counters, newest, delivered


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tapes())
def test_nothing_but_the_number_of_rows_differs(chunks: list[bytes]) -> None:
    slow_bad, fast_bad = list[BadRow](), list[BadRow]()
    slow = read(TapeParser(MNQ, on_bad=slow_bad.append), slow_bad, chunks)
    fast = read(CatchUpParser(MNQ, lambda: True, on_bad=fast_bad.append), fast_bad, chunks)
    assert fast[:4] == slow[:4]
    assert fast[4] <= slow[4]


def quiet_minute(count: int) -> list[bytes]:
    stamp = START + NS_PER_S
    return [f"{n},{stamp + n},QUOTE,,1,25000,25000.25,{stamp},TBT,MNQM6\n".encode() for n in range(1, count + 1)]


def test_quotes_of_a_minute_that_has_a_row_are_checked_and_left_out() -> None:
    parser = CatchUpParser(MNQ, lambda: True)
    ticks = parser.feed(HEAD + b"".join(quiet_minute(500)))
    assert [tick.seq for tick in ticks] == [1, 500], "the first shows the minute, the last carries the newest stamp"
    assert (parser.last_seq, parser.bad, parser.holes) == (500, 0, 0)


def test_without_hurry_every_row_is_delivered() -> None:
    hurry = False
    parser = CatchUpParser(MNQ, lambda: hurry)
    rows = quiet_minute(6)
    assert [tick.seq for tick in parser.feed(HEAD + b"".join(rows[:2]))] == [1, 2]
    hurry = True
    assert [tick.seq for tick in parser.feed(b"".join(rows[2:5]))] == [3, 5]
    hurry = False
    assert parser.feed(rows[5]) == [
        Tick(6, START + NS_PER_S + 6, TickKind.QUOTE, None, 1, 100_000, 100_001, START + NS_PER_S, "TBT", "MNQM6")
    ]


def test_a_foreign_header_is_refused_in_a_hurry_too() -> None:
    with pytest.raises(FormatMismatch, match="the tape begins with"):
        CatchUpParser(MNQ, lambda: True).feed(b"seq,what\n")
