"""``pj explain`` and ``pj audit show``: golden stories, and figures that agree with every gate's answer."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from explain_scene import DAY, ENDINGS, GATES, MNQ, POOL, SIGNAL_S, broker_day, paper_day

from live.market import NS_PER_S
from live.params import Params
from pj.channels.journal import JournalLine, open_journal, read_journal
from pj.channels.rundir import RunDir
from pj.cli import main
from pj.verbs.explain.gates import _WORDS

GOLDEN = Path(__file__).parent / "golden"
#: One signal of the generated day for each kind of end: time (ET) or pool -> name of the golden file.
PAPER = {
    "last": "paper_stale",
    "02:46": "paper_taken",
    "02:47": "paper_in_position",
    "3:12": "paper_cooldown",
    "05:24": "paper_kill",
    "11:52": "paper_max_trades",
}


def said(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()


def told(run: RunDir, *words: str) -> str:
    code, out, err = said(*words, "--run-dir", str(run.root))
    assert (code, err) == (0, ""), err
    return out


def stories(folder: Path) -> dict[str, str]:
    """Return every golden text by its name."""
    paper = paper_day(folder / "paper")
    texts = {name: told(paper, "explain", signal) for signal, name in PAPER.items()}
    texts["list"] = told(paper, "explain")
    for ending in ENDINGS:
        texts[ending] = told(broker_day(folder / ending, ending), "explain", "last")
    return texts


def test_every_story_is_the_golden_one(tmp_path: Path) -> None:
    texts = stories(tmp_path)
    assert {f"explain_{name}.txt" for name in texts} == {path.name for path in GOLDEN.glob("explain_*.txt")}
    for name, text in texts.items():
        assert text == (GOLDEN / f"explain_{name}.txt").read_text(encoding="utf-8"), name


def test_a_signal_is_found_by_pool_by_wall_time_by_utc_and_by_a_part_of_its_name(tmp_path: Path) -> None:
    run = broker_day(tmp_path, "stopped_out")
    wanted = told(run, "explain", POOL)
    for name in ("last", "09:46", "9:46:00", "2026-04-15T13:46:00Z", "orl"):
        assert told(run, "explain", name, "--date", "2026-04-15") == wanted
    assert told(run, "audit", "show", "--trade", "1") == wanted
    assert told(run, "audit", "show", "--trade", "1", "--date", "2026-04-15") == wanted


def test_a_correction_changes_the_net_that_is_told_also_when_it_comes_the_next_day(tmp_path: Path) -> None:
    today = told(broker_day(tmp_path / "a", "estimated_then_corrected"), "audit", "show", "--trade", "1")
    assert "out PHANTOM, net -$72.96." in today  # booked -84.96, corrected by +12.00
    assert "net after corrections -$72.96" in today
    run = broker_day(tmp_path / "b", "stopped_out")
    assert "net -$84.96." in told(run, "audit", "show", "--trade", "1")
    journal = open_journal(run, run.day(DAY + timedelta(days=1)).create())
    said_ = {"trade_id": 1, "pool_id": POOL, "qty": 4, "old_exit": "24558.50", "new_exit": "24558.25",
             "net_usd": "-2.00", "counts": False, "at_ns": 0, "after_bar": 0}  # fmt: skip
    journal.append("TRADE_CORRECTED", said_, (SIGNAL_S + 86_400) * NS_PER_S)
    entered = {"trade_id": 1, "pool_id": POOL, "qty": 3, "old_entry": "24570.00", "new_entry": "24570.50",
               "net_usd": "-3.00", "counts": False, "at_ns": 0, "after_bar": 0}  # fmt: skip
    journal.append("TRADE_CORRECTED", entered, (SIGNAL_S + 86_401) * NS_PER_S)
    journal.close()
    text = told(run, "audit", "show", "--trade", "1", "--date", DAY.isoformat())
    assert "net -$89.96." in text
    assert "its day is over" in text
    assert "3 were entered at another price than estimated, average entry 24570.50 instead of 24570.00" in text


def test_a_pool_without_a_signal_has_a_story_too(tmp_path: Path) -> None:
    run = paper_day(tmp_path)
    lines = read_journal(run.day(DAY).journal)
    decided = {line.data["pool"] for line in lines if line.type in {"SIGNAL", "REJECT"}}
    dead = next(line for line in lines if line.type == "DEAD" and line.data["pool"] not in decided)
    text = told(run, "explain", str(dead.data["pool"]))
    assert "No signal: ended (" in text and "The gates" not in text
    living = {line.data["pool"] for line in lines if line.type == "DEFINED"}
    living -= decided | {line.data["pool"] for line in lines if line.type == "DEAD"}
    assert "No signal so far" in told(run, "explain", min(living))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["explain", "noon"], "'noon' is no pool and no signal time of 2026-04-15; try 09:46 739721:ORL, or 'last'"),
        (["explain", "23:11"], "no pool and no signal time"),
        (["explain", "--date", "2020-01-01"], "no journal of 2020-01-01"),
        (["audit", "show", "--trade", "7"], "no trade 7 in"),
        (["audit", "show"], "--trade"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, words: list[str], sentence: str) -> None:
    run = broker_day(tmp_path, "stopped_out")
    code, out, err = said(*words, "--run-dir", str(run.root))
    assert (code, out) == (2, "") and sentence in err


def test_a_damaged_journal_is_named_and_explains_nothing(tmp_path: Path) -> None:
    run = broker_day(tmp_path, "stopped_out")
    path = run.day(DAY).journal
    path.write_bytes(path.read_bytes().replace(b'"qty":4', b'"qty":5', 1))
    for words in (["explain", "last"], ["audit", "show", "--trade", "1"]):
        code, out, err = said(*words, "--run-dir", str(run.root))
        assert (code, out) == (1, "") and "line 5" in err


def test_json_holds_the_same_story(tmp_path: Path) -> None:
    run = broker_day(tmp_path, "unknown_then_halted")
    story = json.loads(told(run, "explain", "last", "--json"))
    assert story["taken"] is None and story["pool"] == POOL
    assert [gate["name"] for gate in story["gates"]] == list(GATES)
    assert "UNKNOWN_POSITION" in " ".join(beat["text"] for beat in story["order"])
    listed = json.loads(told(run, "explain", "--json"))
    assert listed["decisions"] == [{"time": "09:46:00 ET", "pool": POOL, "said": "signal", "mode": "LIVE"}]


def test_a_journal_without_figures_still_tells_every_answer(tmp_path: Path) -> None:
    source = broker_day(tmp_path / "new", "stopped_out")
    old = RunDir(tmp_path / "old", MNQ).create()
    journal = open_journal(old, old.day(DAY).create())
    for line in read_journal(source.day(DAY).journal):
        journal.append(line.type, {name: value for name, value in line.data.items() if name != "figures"}, line.ts_ns)
    journal.close()
    text = told(old, "explain", "last")
    assert text.count("no figures") == len(GATES)
    assert "LONG: entry near 24,568.25, stop 24,558.75 (38 ticks)" in text


def test_every_gate_has_words() -> None:
    assert tuple(_WORDS) == GATES


def answers_of(line: JournalLine, params: Params, *, killed: bool) -> dict[str, bool]:
    """Return each gate's answer again, from the journaled figures alone."""
    told_ = line.data["figures"]
    signal_s = int(line.data["ts"])
    inside = any(start <= told_["minute"] < end for start, end in params.windows) and told_["minute"] < told_["flat_m"]
    open_trade: Any = None  # whether one was open is no figure: the gate's own answer is all there is
    return {
        "KILL": not killed,
        "OUTSIDE": not told_["outside"],
        "STALE": told_["gap_min"] is None or told_["gap_min"] <= params.max_gap_min,
        "SESSION": inside,
        "NEWS": not any(start <= signal_s < end for start, end in params.blackouts),
        "IN_POSITION": open_trade,
        "DAY_LOCK": not told_["locked"],
        "DAILY_LOSS": params.max_daily_loss_cents + told_["net_cents"] > 0,
        "MAX_TRADES": told_["fills"] < params.max_trades_day,
        "CONSEC_LOSSES": told_["losses_streak"] < params.max_consec_losses,
        "COOLDOWN": told_["since_exit_s"] is None or told_["since_exit_s"] >= params.cooldown_min * 60,
        "ORDER_RATE": told_["orders_hour"] < params.max_orders_hour,
        "RISK_TOO_WIDE": told_["risk_ticks"] <= params.max_risk_ticks,
        "SIZE_ZERO": told_["qty"] > 0,
    }


def test_the_figures_tell_every_answer_again(tmp_path: Path) -> None:
    refusals: set[str] = set()
    for seed in range(12):
        tight: dict[str, Any] = {"max_orders_hour": 1 + seed % 3, "max_risk_ticks": 40 + 10 * seed}
        tight |= {"max_consec_losses": 1 + 4 * (seed % 2), "max_daily_loss_usd": "60" if seed % 2 else "450"}
        tight |= {"max_gap_min": int(seed != 3), "windows": [["02:00", "11:00"]], "max_trades_day": 2 + seed}
        refusals |= refused_by(paper_day(tmp_path / str(seed), seed, **tight))
    # The size gate stops these days before their loss limit is reached, and they have no blackouts.
    assert set(GATES) - refusals == {"NEWS", "DAY_LOCK", "DAILY_LOSS"}


def refused_by(run: RunDir) -> set[str]:
    """Hold every answer of a run against its figures; return the gates that refused."""
    lines = read_journal(run.day(DAY).journal)
    params = Params.from_dict(lines[0].data["params"], MNQ)
    killed, checked = False, 0
    refusals: set[str] = set()
    for line in lines:
        if line.type == "KILL":
            killed = bool(line.data["on"])
        if line.type not in {"SIGNAL", "REJECT"}:
            continue
        again = answers_of(line, params, killed=killed)
        for name, passed in line.data["gates"]:
            assert again[name] in {None, passed}, (line.seq, name)
            refusals |= set() if passed else {name}
            checked += 1
    assert checked > 100
    return refusals
