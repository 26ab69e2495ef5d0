"""The tape holds exactly the bars that PJ-1 sees, whole days can be cut out, and its hash says what is in it."""

from __future__ import annotations

import dataclasses
import io
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compiled_pairs import columns_of
from hostile_tapes import MAKERS
from pj1_tapes import random_tape

from live.market import NS_PER_S, Bar
from live.trading_day import CLOSE_M, is_weekend, minute_of_day, trade_ordinal
from strategies.mle.bar_file import BarColumns, Names, offsets_s, trade_ordinals
from strategies.mle.progress import Progress
from strategies.mle.tape import Tape, kept_days, tape_if_it_fits


def kept(bars: list[Bar]) -> list[Bar]:
    """Return the real bars by the words of pj1 S1.3 and S1.4."""
    found = []
    before: Bar | None = None
    for bar in bars:
        flat = bar.volume == 0 and bar.open_ticks == bar.high_ticks == bar.low_ticks == bar.close_ticks
        heartbeat = before is not None and flat and bar.close_ticks == before.close_ticks
        before = bar
        if not heartbeat and minute_of_day(bar.ts_ns) < CLOSE_M and not is_weekend(trade_ordinal(bar.ts_ns)):
            found.append(bar)
    return found


@pytest.mark.parametrize("name", ["heartbeats_and_strays", "clock_change_weeks", "rolls", "nothing", "lone"])
def test_a_tape_holds_the_real_bars_of_the_spec(name: str) -> None:
    for seed in range(5):
        bars = MAKERS[name](random.Random(seed))
        tape, wanted = Tape.of(columns_of(bars)), kept(bars)
        assert tape.ts_s.tolist() == [bar.ts_ns // NS_PER_S for bar in wanted]
        assert tape.close.tolist() == [bar.close_ticks for bar in wanted]
        assert tape.minute.tolist() == [minute_of_day(bar.ts_ns) for bar in wanted]
        assert tape.ordinal.tolist() == [trade_ordinal(bar.ts_ns) for bar in wanted]
        assert [tape.names[code] for code in tape.contract] == [bar.contract for bar in wanted]
        assert tape.days.tolist() == sorted({trade_ordinal(bar.ts_ns) for bar in wanted})
        assert kept_days(columns_of(bars)).tolist() == tape.days.tolist()
        assert tape.ordinal[tape.day_start].tolist() == tape.days.tolist()


def test_days_are_cut_out_whole() -> None:
    tape = Tape.of(columns_of(random_tape(random.Random(2), days=6)))
    days = tape.days.tolist()
    part = tape.between(days[1], days[3])
    assert part.days.tolist() == days[1:4]
    assert len(part) == int(((tape.ordinal >= days[1]) & (tape.ordinal <= days[3])).sum())
    assert all(getattr(part, name).flags.c_contiguous for name in ("ts_s", "open", "minute", "contract"))
    assert len(tape.between(days[-1] + 1, days[-1] + 9)) == 0
    assert tape.between(0, 10**6).sha256 == tape.sha256


def test_the_hash_says_what_is_in_the_tape() -> None:
    bars = random_tape(random.Random(4))
    tape = Tape.of(columns_of(bars))
    assert Tape.of(columns_of(bars)).sha256 == tape.sha256
    place = next(place for place, bar in enumerate(bars) if bar in kept(bars)[1:] and bar.volume)
    for changed in ({"contract": "X9"}, {"high_ticks": bars[place].high_ticks + 1}):
        other = [*bars[:place], dataclasses.replace(bars[place], **changed), *bars[place + 1 :]]
        assert Tape.of(columns_of(other)).sha256 != tape.sha256
    columns = columns_of(bars)
    more = Names(Names.of(columns.contract).codes + 1, ("never seen", *Names.of(columns.contract).names))
    renamed = BarColumns(*(getattr(columns, field.name) for field in dataclasses.fields(columns)[:-1]), more)
    assert Tape.of(renamed).sha256 == tape.sha256, "names that do not occur are not in the tape"


def test_prices_beyond_the_arrays_leave_no_tape() -> None:
    most = 2**30 - 1
    fits, beyond = (Bar(60 * NS_PER_S, price, price, price, price, 1) for price in (most, -most - 1))
    tape = tape_if_it_fits(columns_of([fits]))
    assert tape is not None and tape.close.tolist() == [most]
    assert tape_if_it_fits(columns_of([beyond])) is None


def test_offsets_and_trade_dates_are_those_of_the_calendar() -> None:
    rng = np.random.default_rng(3)
    stamps = rng.integers(0, 2_000_000_000, 3000)
    stamps[:200] = 1_741_503_600 + np.arange(200) * 300  # over the US change of 2025-03-09
    assert trade_ordinals(stamps).tolist() == [trade_ordinal(int(ts) * NS_PER_S) for ts in stamps]
    assert offsets_s(stamps[:0]).tolist() == []


def test_names_are_a_sequence_of_texts() -> None:
    names = Names.of(["b", "a", "b"])
    assert list(names) == ["b", "a", "b"] == names.tolist() and names[1] == "a" and len(names) == 3
    assert names.names == ("b", "a") and list(names[1:]) == ["a", "b"] and Names.of(names) is names
    assert list(names.take(np.asarray([2, 1]))) == ["b", "a"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_gone_when_done(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("strategies.mle.progress.time.monotonic", lambda: now[0])
    for stream, every in ((Terminal(), 1.0), (io.StringIO(), 11.0)):
        with Progress(200, "files", stream) as progress:
            progress.reach(1)
            assert stream.getvalue() == "", "quick work says nothing"
            now[0] += every
            progress.reach(50)
            assert "50 of 200 files" in stream.getvalue()
        terminal = isinstance(stream, Terminal)
        assert ("[#######" in stream.getvalue()) == terminal
        assert stream.getvalue().endswith("\x1b[K" if terminal else "left\n")


def test_compiled_code_is_kept_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from strategies.mle.kernels import jit

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
    assert jit._prepared() == tmp_path / "mine" / jit.sources_hash()
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert jit._prepared() is None, "an unusable folder means: compile anew, not fail"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    assert jit.user_cache_folder().is_absolute()


def test_without_a_cache_folder_code_is_compiled_anew(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    code = (
        "from strategies.mle.kernels.jit import CACHE_FOLDER\n"
        "from strategies.mle.kernels.scalars import reward\n"
        "assert CACHE_FOLDER is None and reward(5, 3, 2) == 7 and reward.stats.cache_hits == {}\n"
    )
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "file")}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
