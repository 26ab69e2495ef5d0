"""Properties of the BarBuilder over random tapes: chunking, restart, prefix, agreement with a plain grouping."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from live.bar_builder import BarBuilder, Output, Refusal, TickRefused
from live.market import NS_PER_MIN, NS_PER_S, Bar, ClosedBy, Tick, TickKind

T0 = 29_833_334 * NS_PER_MIN


@st.composite
def tapes(draw, gaps: bool = True) -> list[Tick]:
    """Draw rows as a bridge writes them: in order, an edge row at every minute edge, GAP rows over the holes."""
    now = T0 + draw(st.sampled_from([0, 1, 30 * NS_PER_S]))
    rows: list[Tick] = []

    def add(stamp: int, kind: TickKind, price: int | None = None, size: int = 0, exch: int | None = None) -> None:
        rows.append(Tick(len(rows) + 1, stamp, kind, price, size, exch_ns=exch, contract="MNQZ6"))

    kinds = st.sampled_from(["trade"] * 6 + ["quote", "beat"] + (["gap"] if gaps else []))
    steps = st.tuples(kinds, st.integers(0, 80), st.integers(90, 110), st.integers(0, 3))
    if now == T0:
        add(now, TickKind.HEARTBEAT)
    for what, seconds, price, size in draw(st.lists(steps, min_size=1, max_size=60)):
        before, now = now, now + seconds * NS_PER_S + 1
        if what == "gap":
            add(now, TickKind.GAP, exch=before)
            continue
        for edge in range((before // NS_PER_MIN + 1) * NS_PER_MIN, now + 1, NS_PER_MIN):
            add(edge, TickKind.HEARTBEAT, 1)
        kind = {"trade": TickKind.TRADE, "quote": TickKind.QUOTE, "beat": TickKind.HEARTBEAT}[what]
        add(now, kind, price if what == "trade" else None, size)
    add((now // NS_PER_MIN + 1) * NS_PER_MIN, TickKind.HEARTBEAT, 1)
    return rows


def bars(out: list[Output]) -> list[Bar]:
    return [item for item in out if isinstance(item, Bar)]


def by_grouping(rows: list[Tick]) -> list[Bar]:
    """Build the bars of a whole tape the plain way: group by minute, look at the whole tape for gaps and edges."""
    first, last = rows[0].recv_ns, rows[-1].recv_ns
    holes = [(row.exch_ns, row.recv_ns) for row in rows if row.kind is TickKind.GAP]
    made: list[Bar] = []
    for start in range((first + NS_PER_MIN - 1) // NS_PER_MIN * NS_PER_MIN, last - NS_PER_MIN + 1, NS_PER_MIN):
        end = start + NS_PER_MIN
        inside = [row for row in rows if start <= row.recv_ns < end and row.kind is not TickKind.GAP]
        prices = [row.price_ticks for row in inside if row.kind is TickKind.TRADE]
        volume = sum(row.size for row in inside if row.kind is TickKind.TRADE)
        touched = any(a < end and b > start for a, b in holes)
        close = made[-1].close_ticks if made else None
        if not prices and (close is None or (touched and not inside)):
            continue
        prices = prices or [close]
        still = volume == 0 and set(prices) == {close}
        trades = sum(row.kind is TickKind.TRADE for row in inside)
        ohlc = (prices[0], max(prices), min(prices), prices[-1])
        flags = {"heartbeat": still, "degraded": touched}
        made.append(Bar(start, *ohlc, volume, "MNQZ6", len(made) + 1, trades, **flags))
    return made


@given(tapes())
def test_bars_equal_a_plain_grouping_of_the_whole_tape(rows):
    assert bars(BarBuilder().on_ticks(rows)) == by_grouping(rows)


@given(tapes(), st.lists(st.integers(0, 200), max_size=8))
def test_any_chunking_gives_the_same_output(rows, cuts):
    whole = BarBuilder().on_ticks(rows)
    chunked = BarBuilder()
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    parts = [chunked.on_ticks(rows[a:b]) for a, b in itertools.pairwise(edges)]
    assert list(itertools.chain(*parts)) == whole


@given(tapes(), st.lists(st.integers(-4, 140), max_size=60))
def test_a_live_clock_without_grace_changes_no_bar(rows, lags):
    """Rows and the clock of a reader that lags or leads a little: the same bars as from the tape alone."""
    live = BarBuilder()
    out: list[Output] = []
    for row, lag_s in zip(rows, itertools.chain(lags, itertools.repeat(0)), strict=False):
        out += live.on_clock(row.recv_ns + lag_s * NS_PER_S // 2)
        out += live.on_tick(row)
    out += live.on_clock(rows[-1].recv_ns)
    assert bars(out) == bars(BarBuilder().on_ticks(rows))


@given(tapes(), st.integers(0, 60))
def test_a_rebuild_after_recorded_bars_goes_on_as_if_nothing_had_happened(rows, cut):
    whole = BarBuilder().on_ticks(rows)
    before = BarBuilder()
    recorded = bars(before.on_ticks(rows[:cut]))
    again = BarBuilder()
    again.resume(recorded)
    assert bars(again.on_ticks(rows)) == bars(whole)[len(recorded) :]


@given(tapes(), st.lists(st.integers(0, 60), max_size=6, unique=True))
@settings(max_examples=60)
def test_a_rebuild_repeats_what_a_grace_decided(rows, graces):
    """Close minutes early at random rows; bars.csv and the tape then give the same bars and late ticks again."""
    live = BarBuilder()
    out: list[Output] = []
    for index, row in enumerate(rows):
        out += live.on_tick(row)
        if index in graces and live.edge_ns:
            out += live.on_grace(live.edge_ns)
    recorded = bars(out)
    again = BarBuilder()
    again.resume(recorded)
    replay = again.on_ticks(rows)
    assert [bar for bar in bars(replay) if recorded and bar.ts_ns <= recorded[-1].ts_ns] == []
    if recorded:
        span = (recorded[0].ts_ns, recorded[-1].ts_ns + NS_PER_MIN)
        late = [item for item in out if isinstance(item, TickRefused) and span[0] <= item.minute_ns < span[1]]
        late_again = [item for item in replay if isinstance(item, TickRefused) and item.minute_ns < span[1]]
        assert late_again == late


@given(tapes(), st.integers(0, 60), st.lists(st.integers(90, 110), max_size=5))
def test_causal_prefix_whatever_follows(rows, cut, prices):
    """Output of a prefix is a prefix of the output, and no bar is known before its close."""
    whole = BarBuilder().on_ticks(rows)
    prefix = BarBuilder().on_ticks(rows[:cut])
    assert whole[: len(prefix)] == prefix
    builder = BarBuilder()
    other = [rows[-1]._replace(recv_ns=rows[-1].recv_ns, kind=TickKind.TRADE, price_ticks=p, size=1) for p in prices]
    assert builder.on_ticks(rows[:cut] + other)[: len(prefix)] == prefix
    builder = BarBuilder()
    for row in rows:
        for bar in bars(builder.on_tick(row)):
            assert bar.ts_ns + NS_PER_MIN <= row.recv_ns


@given(tapes(), st.data())
def test_late_and_repeated_ticks_never_change_a_closed_bar(rows, data):
    whole = bars(BarBuilder().on_ticks(rows))
    builder = BarBuilder()
    out: list[Output] = []
    for row in rows:
        out += builder.on_tick(row)
        if row.kind is TickKind.TRADE and data.draw(st.booleans()):
            late = row._replace(recv_ns=row.recv_ns - row.recv_ns % NS_PER_MIN - 1, price_ticks=100_000)
            refused = builder.on_tick(late)
            assert [item.reason for item in refused if isinstance(item, TickRefused)] in ([], [Refusal.LATE])
    assert bars(out) == whole


@given(tapes(), st.lists(st.tuples(st.integers(-100, 200), st.integers(0, 3)), max_size=40))
def test_time_is_strictly_increasing_whatever_the_clock_does(rows, clocks):
    builder = BarBuilder()
    out: list[Output] = []
    mono = 0
    for row, (offset, wait) in zip(rows, itertools.chain(clocks, itertools.repeat((0, 0))), strict=False):
        mono += wait * NS_PER_S
        out += builder.on_tick(row)
        out += builder.on_clock(row.recv_ns + offset * NS_PER_S, mono)
    stamps = [bar.ts_ns for bar in bars(out)]
    assert stamps == sorted(set(stamps))
    assert [bar.seq for bar in bars(out)] == list(range(1, len(stamps) + 1))
    for bar in bars(out):
        assert bar.low_ticks <= min(bar.open_ticks, bar.close_ticks)
        assert max(bar.open_ticks, bar.close_ticks) <= bar.high_ticks
        assert bar.degraded or bar.closed_by is ClosedBy.EDGE
