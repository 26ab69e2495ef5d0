"""The backtester's files: exact rows, refusals that name the first bad row, --snap and --front (pj1 S13)."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pj1_scenes import DAY, EVE, SWEEP_LOW, bar, quiet

from live.market import INSTRUMENTS, NS_PER_S, Bar
from live.params import Params
from live.records import EVENT_COLUMNS, TRADE_COLUMNS
from strategies.mle.bar_file import front_contract, load_columns
from strategies.mle.phase16_pj_engine import BacktestInputError, load_bars, read_params, run_backtest

MNQ = INSTRUMENTS["MNQ"]
SCENE = {"use_kinds": ["PD"], "min_prev_day_bars": 1, "windows": [["18:00", "17:00"]]}
PLAY = [
    bar(100, 950, 1000, 900, 950, EVE),
    bar(930, 950, 951, 949, 950),
    SWEEP_LOW,
    quiet(932),
    bar(933, 910, 911, 886, 900),
]


def columns_of(bars: list[Bar], tick: float = 0.25) -> dict[str, list[Any]]:
    return {
        "ts": [dt.datetime.fromtimestamp(one.ts_ns // NS_PER_S, dt.UTC) for one in bars],
        "open": [one.open_ticks * tick for one in bars],
        "high": [one.high_ticks * tick for one in bars],
        "low": [one.low_ticks * tick for one in bars],
        "close": [one.close_ticks * tick for one in bars],
        "volume": [one.volume for one in bars],
        "contract": [one.contract for one in bars],
    }


def write(folder: Path, columns: dict[str, Any], **types: Any) -> Path:
    path = folder / "bars.parquet"
    arrays = {name: pa.array(values, type=types.get(name)) for name, values in columns.items()}
    pq.write_table(pa.table(arrays), path)
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_play_gives_exact_files(tmp_path: Path) -> None:
    path = write(tmp_path, columns_of(PLAY))
    summary = run_backtest(path, tmp_path / "out", Params.from_dict(SCENE))
    trades, events = table(tmp_path / "out/trades.csv"), table(tmp_path / "out/events.csv")
    assert (tmp_path / "out/trades.csv").read_bytes().startswith(",".join(TRADE_COLUMNS).encode() + b"\n1,2026-04-15,")
    assert (tmp_path / "out/events.csv").read_bytes().startswith(",".join(EVENT_COLUMNS).encode() + b"\n")
    assert [(row["event"], row["pool"]) for row in events] == [
        ("DEFINED", "739721:PDH"),
        ("DEFINED", "739721:PDL"),
        ("SWEPT", "739721:PDL"),
        ("RECLAIMED", "739721:PDL"),
        ("SIGNAL", "739721:PDL"),
    ]
    (trade,) = trades
    assert (trade["entry_price"], trade["exit_price"], trade["exit_reason"]) == ("227.75", "221.25", "STOP")
    assert (trade["gross_usd"], trade["cost_usd"], trade["net_usd"], trade["r"]) == (
        "-65.00",
        "6.20",
        "-71.20",
        "-1.1867",
    )
    assert (summary.trades, summary.signals, summary.net_usd, summary.pools) == (1, 1, "-71.20", {"PD": 2})
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [
        "equity.csv",
        "equity.svg",
        "events.csv",
        "trades.csv",
    ]
    assert summary.as_dict()["refusals"] == {}


def test_no_bars_give_headers_only(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        columns_of([]),
        ts=pa.timestamp("ms", "UTC"),
        contract=pa.string(),
        **dict.fromkeys(("open", "high", "low", "close", "volume"), pa.float64()),
    )
    run_backtest(path, tmp_path / "out", Params())
    assert table(tmp_path / "out/trades.csv") == table(tmp_path / "out/events.csv") == []


def test_from_and_to_are_trade_dates(tmp_path: Path) -> None:
    path = write(tmp_path, columns_of(PLAY))
    assert run_backtest(path, tmp_path, Params.from_dict(SCENE), start=DAY).signals == 0
    assert run_backtest(path, tmp_path, Params.from_dict(SCENE), end=EVE).bars == 1
    assert run_backtest(path, tmp_path, Params.from_dict(SCENE), start=EVE, end=DAY).signals == 1


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", None, "America/New_York"])
def test_times_of_every_unit_and_zone_are_the_same_instants(tmp_path: Path, unit: str, zone: str | None) -> None:
    naive = columns_of(PLAY)
    if zone is None:
        naive["ts"] = [one.replace(tzinfo=None) for one in naive["ts"]]
    path = write(tmp_path, naive, ts=pa.timestamp(unit, zone))
    assert [one.ts_ns for one in load_bars(path, MNQ)] == [one.ts_ns for one in PLAY]


def test_other_number_types_and_dictionary_contracts_are_read(tmp_path: Path) -> None:
    columns = columns_of([one for one in PLAY if one.open_ticks % 4 == 0] or PLAY[:1])
    plain = load_bars(write(tmp_path, columns), MNQ)
    other = write(tmp_path, columns, volume=pa.float64(), contract=pa.dictionary(pa.int8(), pa.string()))
    assert load_bars(other, MNQ) == plain
    del columns["contract"]
    assert {one.contract for one in load_bars(write(tmp_path, columns), MNQ)} == {""}


Spoil = Callable[[dict[str, Any]], object]


def put(name: str, row: int, value: object) -> Spoil:
    def spoil(columns: dict[str, Any]) -> None:
        columns[name][row] = value

    return spoil


def shift(row: int, seconds: int) -> Spoil:
    def spoil(columns: dict[str, Any]) -> None:
        columns["ts"][row] += dt.timedelta(seconds=seconds)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda columns: columns.pop("volume"), "no column volume"),
        (lambda columns: columns.pop("ts"), "no column ts"),
        (put("open", 1, float("nan")), "row 1 .*open is nan"),
        (put("close", 2, None), "row 2 .*close is empty"),
        (put("volume", 3, None), "row 3 .*volume is empty"),
        (put("volume", 3, -1), "row 3 .*volume is -1"),
        (put("high", 2, float("inf")), "row 2 .*high is inf"),
        (put("ts", 2, None), "row 2 .*ts is empty"),
        (put("contract", 4, None), "row 4 .*contract is empty"),
        (put("open", 2, 224.80), "row 2 .*open 224.8 is not a multiple of the tick 0.25.*--snap"),
        (put("high", 1, 237.25), "row 1 .*break low <= open, close <= high"),
        (put("low", 2, 226.00), "row 2 .*break low"),
        (shift(2, 30), "row 2 .*not a whole minute"),
        (shift(2, -60), "row 2 .*not after that of the row before"),
        (shift(2, -86_400), "row 2 .*not after that of the row before"),
        (lambda columns: columns["open"].__setitem__(slice(2, 4), [1.1, 1.1]), "row 2 "),
        (lambda columns: [put("ts", 3, None)(columns), put("open", 1, None)(columns)], "row 1 .*open is empty"),
        (lambda columns: [put("contract", 0, None)(columns), put("open", 1, None)(columns)], "row 0 .*contract"),
    ],
)
def test_the_first_bad_row_is_named_and_nothing_is_written(tmp_path: Path, spoil: Spoil, says: str) -> None:
    columns = columns_of(PLAY)
    spoil(columns)
    path = write(tmp_path, columns)
    with pytest.raises(BacktestInputError, match=says) as refusal:
        run_backtest(path, tmp_path / "out", Params.from_dict(SCENE))
    assert "\n" not in str(refusal.value)
    assert "bars.parquet" in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_rows_that_are_discarded_are_checked_all_the_same(tmp_path: Path) -> None:
    stray = bar(1390, 900, 900, 900, 900)
    columns = columns_of([*PLAY, stray])
    columns["open"][-1] += 0.1
    with pytest.raises(BacktestInputError, match="row 5 "):
        load_bars(write(tmp_path, columns), MNQ)


def test_text_and_wrong_types_are_refused(tmp_path: Path) -> None:
    columns = columns_of(PLAY)
    with pytest.raises(BacktestInputError, match="column open is string"):
        load_bars(write(tmp_path, columns | {"open": ["1"] * len(PLAY)}), MNQ)
    with pytest.raises(BacktestInputError, match="column ts is int64"):
        load_bars(write(tmp_path, columns | {"ts": list(range(len(PLAY)))}), MNQ)


def test_files_that_are_not_parquet_or_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BacktestInputError, match="does not exist"):
        load_bars(tmp_path / "none.parquet", MNQ)
    bad = tmp_path / "bad.parquet"
    for content in (b"", b"PAR1 not really PAR1", b"ts,open\n1,2\n"):
        bad.write_bytes(content)
        with pytest.raises(BacktestInputError, match=r"bad\.parquet cannot be read as Parquet"):
            load_bars(bad, MNQ)
    whole = write(tmp_path, columns_of(PLAY)).read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BacktestInputError, match="cannot be read"):
        load_bars(bad, MNQ)
    with pytest.raises(BacktestInputError, match="cannot be read"):
        load_bars(tmp_path, MNQ)


def test_snap_rounds_half_to_even_and_widens_high_and_low(tmp_path: Path) -> None:
    columns = columns_of(PLAY[:3])
    columns["open"] = [100.125, 100.375, 100.12]
    columns["close"] = [100.125, 100.375, 100.13]
    columns["high"] = [100.0, 100.25, 100.12]
    columns["low"] = [100.0, 100.5, 100.12]
    found = load_bars(write(tmp_path, columns), MNQ, snap=True)
    assert [(one.open_ticks, one.high_ticks, one.low_ticks, one.close_ticks) for one in found] == [
        (400, 400, 400, 400),
        (402, 402, 401, 402),
        (400, 401, 400, 401),
    ]


def test_snap_on_a_decimal_grid_is_exact(tmp_path: Path) -> None:
    instrument = Params.from_dict({"tick": "0.1"}).instrument(MNQ)
    columns = columns_of(PLAY[:2])
    for name in ("open", "high", "low", "close"):
        columns[name] = [0.15, 0.25]
    assert [one.open_ticks for one in load_bars(write(tmp_path, columns), instrument, snap=True)] == [2, 2]
    for name in ("open", "high", "low", "close"):
        columns[name] = [0.3, 21269.7]
    assert [one.open_ticks for one in load_bars(write(tmp_path, columns), instrument)] == [3, 212_697]


def test_front_keeps_the_larger_contract_of_each_trade_date(tmp_path: Path) -> None:
    def one(minute: int, day: dt.date, contract: str, volume: int) -> Bar:
        return Bar(bar(minute, 1, 1, 1, 1, day).ts_ns, 1, 1, 1, 1, volume, contract)

    a = [one(1, EVE, "A", 9), one(2, EVE, "A", 9), one(1, DAY, "A", 3), one(2, DAY, "A", 3)]
    b = [one(1, EVE, "B", 8), one(3, DAY, "B", 7)]
    for rows in (a + b, [a[0], b[0], a[1], a[2], a[3], b[1]]):
        path = write(tmp_path, columns_of(rows))
        assert [(x.contract, x.ts_ns) for x in load_bars(path, MNQ, front=True)] == [
            ("A", a[0].ts_ns),
            ("A", a[1].ts_ns),
            ("B", b[1].ts_ns),
        ]
        with pytest.raises(BacktestInputError, match="--front"):
            load_bars(path, MNQ)
    twice = write(tmp_path, columns_of([a[0], a[0]]))
    with pytest.raises(BacktestInputError, match=r"row 1 .*same contract"):
        load_bars(twice, MNQ, front=True)
    assert len(front_contract(load_columns(write(tmp_path, columns_of(a)), MNQ)).ts_ns) == 4


def test_parameter_files(tmp_path: Path) -> None:
    path = tmp_path / "params.json"
    path.write_text('{"swing_n": 5, "comm_side_usd": 0.70}', "utf-8")
    params = read_params(path)
    assert (params.swing_n, params.comm_side_cents, params.tick_cents) == (5, 70, 50)
    assert read_params(None, "NQ").tick_cents == 500
    assert read_params(None) == Params()
    for text, says in (
        ('{"swing": 5}', "unknown parameter 'swing'"),
        ("[1]", "one JSON object"),
        ("{", "not a JSON object"),
        ('{"swing_n": 1, "swing_n": 2}', "twice"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(BacktestInputError, match=says):
            read_params(path)
    with pytest.raises(BacktestInputError, match="cannot be read"):
        read_params(tmp_path / "none.json")
    with pytest.raises(BacktestInputError, match="unknown symbol 'XX'"):
        read_params(None, "XX")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, columns_of(PLAY))
    with pytest.raises(BacktestInputError, match="cannot be written"):
        run_backtest(path, path / "out", Params.from_dict(SCENE))


def test_the_same_bars_give_the_same_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, columns_of(PLAY))
    for name in ("one", "two"):
        run_backtest(path, tmp_path / name, Params.from_dict(SCENE))
    for name in ("trades.csv", "events.csv", "equity.csv", "equity.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_real_files_run_whole(market_data: Path, tmp_path: Path) -> None:
    with pytest.raises(BacktestInputError, match=r"row .*--front"):
        run_backtest(market_data / "nq_1m_2025-01_2025-06.parquet", tmp_path, Params())
    with pytest.raises(BacktestInputError, match="no column volume"):
        run_backtest(market_data / "nq_5m_2019.parquet", tmp_path, Params())
    summary = run_backtest(market_data / "mnq_1m_2026-03_2026-05.parquet", tmp_path, Params())
    assert summary.bars == 63_797
    assert summary.trades > 100
