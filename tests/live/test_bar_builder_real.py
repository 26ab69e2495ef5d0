"""The BarBuilder over a real hour of seconds: bars equal the plain minute grouping of the file."""

from __future__ import annotations

import pyarrow.compute as pc
import pyarrow.parquet as pq

from live.bar_builder import BarBuilder
from live.market import INSTRUMENTS, NS_PER_MIN, NS_PER_S, Bar, Tick, TickKind

MNQ = INSTRUMENTS["MNQ"]


def test_real_seconds_make_the_minutes_of_the_file(market_data):
    table = pq.read_table(market_data / "mnq_1s_2025-10-08_2025-10-23.parquet").slice(0, 60_000)
    seconds = pc.cast(pc.cast(table["ts"], "timestamp[s]", safe=False), "int64").to_pylist()
    columns = {name: table[name].to_pylist() for name in ("open", "high", "low", "close", "volume")}
    rows: list[Tick] = []
    minutes: dict[int, list[int]] = {}
    edge = seconds[0] // 60 * 60
    for index, second in enumerate(seconds):
        while edge <= second:
            rows.append(Tick(0, edge * NS_PER_S, TickKind.HEARTBEAT, None, 0))
            edge += 60
        o, h, lo, c = (MNQ.to_ticks(columns[name][index]) for name in ("open", "high", "low", "close"))
        volume = int(columns["volume"][index])
        for part, price in enumerate((o, h, lo, c)):
            rows.append(Tick(0, second * NS_PER_S + part, TickKind.TRADE, price, volume if part == 0 else 0))
        was = minutes.setdefault(second // 60, [o, h, lo, c, 0])
        minutes[second // 60] = [was[0], max(was[1], h), min(was[2], lo), c, was[4] + volume]
    rows.append(Tick(0, edge * NS_PER_S, TickKind.HEARTBEAT, None, 0))
    built = [bar for bar in BarBuilder().on_ticks(rows) if isinstance(bar, Bar)]
    assert [bar.ts_ns // NS_PER_MIN for bar in built] == list(range(min(minutes), edge // 60))
    real = {
        bar.ts_ns // NS_PER_MIN: [bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks, bar.volume]
        for bar in built
        if bar.ticks
    }
    assert real == minutes
    assert not any(bar.degraded for bar in built)
