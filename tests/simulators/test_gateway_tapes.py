"""A file that cannot be played is refused in one sentence that names the thing; contracts are chosen and named."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from live.market import INSTRUMENTS
from pj.simulators.contracts import UnknownContract, expiry, front, good_friday, listed, parse, roll_date
from pj.simulators.gateway import main
from pj.simulators.tapes import TapeError, load

START = datetime(2026, 4, 15, 13, 30, tzinfo=UTC)


def bars(count=3, **columns):
    base = {
        "ts": [START + timedelta(minutes=i) for i in range(count)],
        "contract": ["MNQ 06-26"] * count,
        "open": [100.0] * count,
        "high": [101.0] * count,
        "low": [99.0] * count,
        "close": [100.25] * count,
        "volume": [10] * count,
    }
    return {name: column for name, column in (base | columns).items() if column is not None}


@pytest.fixture
def tape(tmp_path):
    def write(columns):
        path = tmp_path / "tape.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return write


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (bars(volume=None), ["'volume' is missing"]),
        (bars(open=[100.0, 100.1, 100.0]), ["row 2", "open", "off the 0.25 grid"]),
        (bars(close=[100.0, 100.0, float("nan")]), ["row 3", "close is not a price"]),
        (bars(high=[100.0, 101.0, 101.0]), ["row 1", "does not bound"]),
        (bars(volume=[1, -1, 1]), ["row 2", "volume is not a count"]),
        (bars(ts=[START] * 3), ["row 2", "repeats a minute of MNQM6"]),
        (bars(ts=["a", "b", "c"]), ["column 'ts'", "not timestamps"]),
        (bars(open=["1", "2", "3"]), ["column 'open'", "not numbers"]),
        (bars(contract=["NQ 06-26"] * 3), ["no rows of MNQ", "NQ 06-26"]),
        (bars(0), ["has no rows"]),
        (bars(ts=[START + timedelta(minutes=5 * i) for i in range(3)]), ["bars of 300 s"]),
    ],
)
def test_a_bad_file_is_refused_by_name(tape, columns, words):
    path = tape(columns)
    with pytest.raises(TapeError) as refusal:
        load(path, "MNQ")
    assert all(word in str(refusal.value) for word in words), refusal.value


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tape", "nowhere.parquet"], "nowhere.parquet does not exist"),
        (["--symbol", "MYM"], "symbol 'MYM' is not known"),
        (["--port", "70000"], "--port 70000 is not a TCP port"),
        (["--speed", "0"], "--speed 0.0 must be above 0"),
        (["--date", "2026-13-01"], "is not a date"),
        (["--date", "2026-11-22"], "no session on 2026-11-22"),
        (["--from", "9.30"], "--from '9.30' is not a time"),
        (["--from", "10:00", "--to", "09:00"], "--to 09:00:00 is not after"),
        (["--contract", "FOO"], "contract 'FOO' is not known"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--cash", "lots"], "--cash 'lots' is not an amount"),
    ],
)
def test_bad_options_end_with_2_and_one_sentence(capsys, arguments, words):
    assert main(arguments, env={}) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("gateway: ")
    assert said.err.count("\n") == 1
    assert words in said.err


def test_a_taken_port_ends_with_2_and_leaves_no_file(capsys, taken_port, run_dir):
    assert main(["--port", str(taken_port), "--run-dir", str(run_dir)], env={}) == 2
    assert f"port {taken_port} cannot be used" in capsys.readouterr().err
    assert list(run_dir.iterdir()) == []


def test_an_unreadable_file_and_a_window_without_rows(tmp_path, tape, capsys):
    junk = tmp_path / "junk.parquet"
    junk.write_bytes(b"not parquet")
    assert main(["--tape", str(junk)], env={}) == 2
    assert "cannot be read as Parquet" in capsys.readouterr().err
    path = tape(bars())
    assert main(["--tape", str(path), "--date", "2026-04-15", "--from", "11:00"], env={}) == 2
    assert "no rows of MNQM6 in the window" in capsys.readouterr().err
    assert main(["--tape", str(path), "--date", "2026-04-16"], env={}) == 2
    assert "no rows in trade date 2026-04-16" in capsys.readouterr().err


def test_clock_variables_rule_the_speed(capsys, tape):
    env = {"PJ_CLOCK_ORIGIN_NS": "1776259800000000000", "PJ_CLOCK_START_NS": "1", "PJ_CLOCK_SPEED": "60"}
    assert main(["--port", "0", "--tape", str(tape(bars())), "--speed", "2"], env=env) == 2
    assert "--speed 2 differs from the run's clock" in capsys.readouterr().err


def test_the_larger_volume_of_the_day_is_played(tape):
    both = bars(4, contract=["MNQ 06-26", "MNQ 09-26"] * 2, volume=[5, 50, 5, 60])
    library = load(tape(both), "MNQ")
    assert set(library.tapes) == {"MNQM6", "MNQU6"}
    assert library.leading(date(2026, 4, 15)).future.local_symbol == "MNQU6"
    assert set(load(tape(both), "MNQ", "MNQM6").tapes) == {"MNQM6"}


def test_names_of_contracts():
    day = date(2026, 4, 15)
    for name in ("MNQ 06-26", "MNQM6", "MNQM26", "MNQM2026"):
        assert parse(name, day).local_symbol == "MNQM6"
        assert parse(name, day).year == 2026
    assert parse("201312", date(2013, 10, 1), "ES").local_symbol == "ESZ3"
    assert parse("NQH4", date(2025, 1, 1)).year == 2024
    assert parse("NQZ9", date(2020, 1, 2)).year == 2019
    for bad in ("MNQ", "MNQF6", "XYZ 06-26", "MNQ 07-26", ""):
        with pytest.raises(UnknownContract):
            parse(bad, day)


def test_expiries_rolls_and_the_front():
    # services.md 5.2
    assert [expiry(2026, 12), expiry(2027, 3), expiry(2027, 6), expiry(2027, 9), expiry(2026, 6)] == [
        date(2026, 12, 18),
        date(2027, 3, 19),
        date(2027, 6, 17),
        date(2027, 9, 17),
        date(2026, 6, 18),
    ]
    assert roll_date(2026, 12) == date(2026, 12, 14)
    assert roll_date(2027, 6) == date(2027, 6, 14)
    assert [good_friday(year) for year in (2024, 2025, 2026, 2027)] == [
        date(2024, 3, 29),
        date(2025, 4, 18),
        date(2026, 4, 3),
        date(2027, 3, 26),
    ]
    mnq = INSTRUMENTS["MNQ"]
    assert front(mnq, date(2026, 12, 13)).local_symbol == "MNQZ6"
    assert front(mnq, date(2026, 12, 14)).local_symbol == "MNQH7"
    names = [future.local_symbol for future in listed(mnq, date(2026, 12, 18))]
    assert names == ["MNQZ6", "MNQH7", "MNQM7", "MNQU7", "MNQZ7"]
    everything = [future.con_id for one in INSTRUMENTS.values() for future in listed(one, date(2026, 1, 5))]
    assert len(set(everything)) == len(everything)
