"""The command line as a user meets it: help, descriptions, one sentence and a documented code for every mistake."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pj.channels.files import lock_file
from pj.channels.journal import open_journal
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.cli import USER_ERRORS, main
from pj.config import load_settings
from pj.verbs.schema import EXIT_CODES, Verb
from pj.verbs.table import VERBS

WEBHOOK = "https://webhooks.traderspost.io/trading/webhook/11111111-2222/never-print-me"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pj(*words: str) -> tuple[int, str, str]:
    """Run one command line in this process; return exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return code, out.getvalue(), err.getvalue()


def refused(*words: str, code: int = 2) -> str:
    """Run a command line that must be refused; return its one sentence."""
    got, out, err = pj(*words)
    assert got == code, (out, err)
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_help_and_description_of_every_verb(verb: Verb) -> None:
    code, out, err = pj(*verb.name.split(), "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: pj {verb.name}")
    assert all(argument.name in out for argument in verb.arguments)
    code, out, err = pj(*verb.name.split(), "--describe")
    assert (code, err) == (0, "")
    described = json.loads(out)
    assert {"description", "input_schema", "output_schema", "exit_codes"} <= set(described)
    assert set(described["exit_codes"]) <= {str(code) for code in EXIT_CODES}
    assert set(described["input_schema"]["properties"]) == {argument.key for argument in verb.arguments}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_is_built(verb: Verb) -> None:
    module, _, function = verb.run.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.forward], ids=lambda verb: verb.name)
def test_the_table_has_the_arguments_of_what_it_forwards_to(verb: Verb) -> None:
    module = verb.run.partition(":")[0]
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    theirs = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", done.stdout)) - {"--help"}
    assert {argument.name for argument in verb.arguments} == theirs


def test_overview_lists_every_verb_and_exit_code() -> None:
    code, out, _ = pj("--help")
    assert code == 0
    assert all(verb.name in out for verb in VERBS)
    assert all(text in out for text in EXIT_CODES.values())
    assert set(json.loads(pj("--describe")[1])) == {verb.name for verb in VERBS}
    assert pj()[0] == 2


@pytest.mark.parametrize("name", USER_ERRORS)
def test_errors_of_the_user_are_known_by_their_true_names(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), kind), Exception)


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_options: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("pj.verbs.settings.show", broken)
    with pytest.raises(ZeroDivisionError):
        pj("config", "show")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["demmo"], "pj has no verb 'demmo'; did you mean 'pj demo'?"),
        (["config", "shw"], "pj has no verb 'config shw'; did you mean 'pj config show'?"),
        (["demo", "--sped", "3"], "pj demo: unknown argument '--sped'; did you mean --speed?"),
        (["demo", "--speed", "fast"], "pj demo: --speed: invalid float value: 'fast'"),
        (["demo", "--date", "2026-02-30"], "pj demo: --date: invalid date (YYYY-MM-DD) value: '2026-02-30'"),
        (["demo", "--from", "8"], "pj demo: --from: invalid time (HH:MM) value: '8'"),
        (["demo", "--symbol", "CL"], "pj demo: --symbol: invalid choice: 'CL'"),
        (["backtest", "--bars", "x.parquet"], "the following arguments are required: --out"),
        (
            ["config", "show", "--set", "ibkr.prot=1"],
            "unknown key 'ibkr.prot' (command line); did you mean 'ibkr.port'?",
        ),
        (["config", "show", "--set", "ibkr.port"], "--set 'ibkr.port' is not KEY=VALUE"),
        (["config", "show", "--set", "ibkr.port=70000"], "ibkr.port is '70000' (command line)"),
        (["bridge", "--set", "ibkr.port=0"], "ibkr.port is '0' (command line)"),
        (
            ["engine", "--set", "symbol=CL"],
            "symbol is 'CL' (command line): unknown symbol; use one of NQ, MNQ, ES, MES",
        ),
        (["status", "--config", "absent.yaml"], "which is not a file"),
        (["up"], "profile is sim: 'pj demo' runs the simulators"),
        (["up", "--profile", "live"], "real orders need --live as well"),
        (["up", "--profile", "paper", "--live"], "--live was given, but profile is paper"),
        (
            ["up", "--profile", "paper", "--set", "ibkr.port=4001"],
            "ibkr.port is 4001, a live port, but profile is paper",
        ),
        (["up", "--profile", "live", "--live"], "ibkr.port is 4002, a paper port, but profile is live"),
        (["up", "--profile", "paper"], "sheets.spreadsheet_id is empty"),
        (["audit", "verify"], "there is no journal in"),
        (["simulate", "sheets", "--prot", "1"], "unknown argument '--prot'; did you mean --port?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_gets_one_sentence(words: list[str], sentence: str, folder: Path) -> None:
    assert sentence in refused(*words)
    assert not list(folder.iterdir()), "nothing is half-started"


def paper(*more: str) -> list[str]:
    settings = [f"--set={text}" for text in ("sheets.enabled=false", "execution.route=traderspost", *more)]
    return ["up", "--profile", "paper", *settings]


def test_a_missing_webhook_is_named() -> None:
    assert "PJ_TRADERSPOST_WEBHOOK_URL is not set" in refused(*paper())


def test_a_wrong_webhook_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PJ_TRADERSPOST_WEBHOOK_URL", WEBHOOK.replace("https", "ftp"))
    assert "never-print-me" not in refused(*paper())


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "which is not there"), ("{", "which is not JSON"), ("[]", "has no client_email"), ('{"a": 1}', "has no")],
)
def test_a_bad_service_account_is_named(folder: Path, content: str | None, words: str) -> None:
    if content is not None:
        (folder / "key.json").write_text(content, encoding="utf-8")
    words_given = ["--set=sheets.spreadsheet_id=abc", "--set=sheets.service_account_file=key.json"]
    assert words in refused("up", "--profile", "paper", *words_given)


def test_a_run_dir_that_is_a_file_is_named(folder: Path) -> None:
    (folder / "taken").write_text("x", encoding="utf-8")
    assert "is a file; name another folder" in refused(*paper("run_dir=taken"))


def test_config_check_lists_every_problem() -> None:
    code, out, _ = pj("config", "check", "--profile", "paper", "--json")
    report = json.loads(out)
    assert code == 1
    assert not report["ok"]
    assert len(report["problems"]) == 2
    assert pj("config", "check")[0] == 0


def test_config_show_tells_origin_and_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PJ_TRADERSPOST_WEBHOOK_URL", WEBHOOK)
    code, out, _ = pj("config", "show", "--json", "--set", "ibkr.port=4009")
    report = json.loads(out)
    assert code == 0
    assert report["ibkr.port"] == {"value": 4009, "origin": "command line"}
    assert report["traderspost.webhook_url"] == {"value": "**********", "origin": "environment"}
    assert "never-print-me" not in pj("config", "show")[1]


def test_status_needs_a_ruling_sentinel_and_living_processes(folder: Path) -> None:
    run = RunDir(folder / "run", load_settings({}).instrument).create()
    told = {
        name: {"state": "RUNNING", "instance": "test", "pid": os.getpid()} for name in ("bridge", "engine", "scribe")
    }
    for name in told:
        StatsWriter(run.state(name), name, "test").beat("RUNNING", ticks=3)
    StatsWriter(run.state("sentinel"), "sentinel", "test").beat("RUNNING", children=told)
    code, out, _ = pj("status", "--json", "--run-dir", "run")
    report = json.loads(out)
    assert (code, report["state"], report["healthy"]) == (1, "stopped", False), "fresh files prove no Sentinel"
    with lock_file(run.state_folder / "sentinel.lock"):
        code, out, _ = pj("status", "--json", "--run-dir", "run")
        report = json.loads(out)
        assert (code, report["state"], report["healthy"]) == (0, "healthy", True)
        assert report["processes"]["bridge"]["gauges"] == {"ticks": 3}
        assert report["processes"]["dashboard"]["state"] == "stopped"
        assert "HEALTHY" in pj("status", "--run-dir", "run")[1]
        run.kill_switch.write_text("news (by test)\n")
        code, out, _ = pj("status", "--json", "--run-dir", "run")
        assert (code, json.loads(out)["state"], json.loads(out)["halted_by"]) == (4, "halted", ["news (by test)"])
        run.kill_switch.unlink()
        told["engine"]["instance"] = "its successor"
        StatsWriter(run.state("sentinel"), "sentinel", "test").beat("RUNNING", children=told)
        code, out, _ = pj("status", "--json", "--run-dir", "run")
        assert (code, json.loads(out)["processes"]["engine"]["state"]) == (1, "dead"), "the file is its predecessor's"
    assert pj("status", "--run-dir", "elsewhere")[0] == 1


def test_halt_and_resume_without_a_sentinel(folder: Path) -> None:
    switch = folder / "run" / "state" / "KILL_SWITCH"
    code, out, _ = pj("halt", "--run-dir", "run", "--reason", "a test")
    assert code == 0
    assert "halted" in out
    assert switch.read_text(encoding="utf-8").startswith("a test (by pj halt")
    assert pj("resume", "--run-dir", "run")[0] == 0
    assert not switch.exists()
    assert "no Sentinel is running" in pj("stop", "--run-dir", "run")[1]


def test_halt_is_in_force_even_if_the_sentinel_hangs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pj.verbs.daemon.ANSWER_S", 0.05)
    state = folder / "run" / "state"
    state.mkdir(parents=True)
    with lock_file(state / "sentinel.lock"):
        assert "has not confirmed" in refused("halt", "--run-dir", "run", code=3)
    assert (state / "KILL_SWITCH").exists()


def test_audit_names_the_first_bad_line(folder: Path) -> None:
    run = RunDir(folder / "run", load_settings({}).instrument)
    day = run.day_at(1_776_261_600_000_000_000).create()
    journal = open_journal(run, day)
    for number in range(3):
        journal.append("START", {"n": number}, 1_776_261_600_000_000_000 + number)
    journal.close()
    code, out, _ = pj("audit", "verify", "--run-dir", "run", "--json")
    assert (code, json.loads(out)["journals"][0]["lines"]) == (0, 3)
    text = day.journal.read_text(encoding="utf-8")
    day.journal.write_text(text.replace('{"n":1}', '{"n":7}'), encoding="utf-8")
    code, _, err = pj("audit", "verify", "--run-dir", "run", "--date", day.trade_date.isoformat())
    assert code == 1
    assert "line 2" in err
    assert "no journal of 2020-01-01" in refused("audit", "verify", "--run-dir", "run", "--date", "2020-01-01")


def test_fidelity_counts_what_is_missing(folder: Path) -> None:
    run = RunDir(folder / "run", load_settings({}).instrument)
    assert "no day's folder" in refused("audit", "fidelity", "--run-dir", "run")
    day = run.day_at(1_776_261_600_000_000_000).create()
    head = "seq,recv_ns,kind,price,size,bid,ask,exch_ns,source,contract"
    ticks = [f"{n},1776261600{n}00000000,TRADE,25000.25,{n},,,1776261600000000000,TBT,MNQM6" for n in (1, 2)]
    day.ticks.write_text("\n".join([f"{head},msg_id,raw", *(f"{tick},0,x" for tick in ticks)]) + "\n", encoding="utf-8")
    day.market.write_text("\n".join([head, *ticks]) + "\n", encoding="utf-8")
    code, out, _ = pj("audit", "fidelity", "--run-dir", "run", "--json")
    assert (code, json.loads(out)["taped"], json.loads(out)["sent"]) == (0, 2, None)
    day.market.write_text("\n".join([head, ticks[0]]) + "\n", encoding="utf-8")
    code, out, _ = pj("audit", "fidelity", "--run-dir", "run")
    assert code == 1
    assert "missing 1, doubled 0" in out
    assert "no sheet_*.csv" in refused("audit", "fidelity", "--run-dir", "run", "--sheet", "files")
    assert "spreadsheet_id is empty" in refused("audit", "fidelity", "--run-dir", "run", "--sheet", "service")


def test_backtest_refuses_what_it_cannot_read(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert "absent.parquet does not exist" in refused("backtest", "--bars", "absent.parquet", "--out", "out")
    (folder / "text.parquet").write_text("ts,open", encoding="utf-8")
    assert "text.parquet" in refused("backtest", "--bars", "text.parquet", "--out", "out")
    row = {
        "ts": [1_776_261_600],
        "open": [25000.1],
        "high": [25000.1],
        "low": [25000.1],
        "close": [25000.1],
        "volume": [1],
    }
    table = pa.table(row).set_column(0, "ts", pa.array(row["ts"], pa.timestamp("s", "UTC")))
    pq.write_table(table, folder / "offgrid.parquet")
    assert "25000.1" in refused("backtest", "--bars", "offgrid.parquet", "--out", "out")
    pq.write_table(table.drop_columns(["volume"]), folder / "column.parquet")
    assert "volume" in refused("backtest", "--bars", "column.parquet", "--out", "out")
    (folder / "p.json").write_text('{"swing": 3}', encoding="utf-8")
    assert "'swing'" in refused("backtest", "--bars", "offgrid.parquet", "--out", "out", "--params", "p.json")
    assert not (folder / "out").exists()


@pytest.mark.parametrize("name", ["gateway", "traderspost --gateway none", "sheets"])
def test_a_port_in_use_is_named(taken_port: int, name: str) -> None:
    command = [sys.executable, "-P", "-m", "pj.cli", "simulate", *name.split(), "--port", str(taken_port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert str(taken_port) in done.stderr
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert done.stdout == ""


def test_the_console_script_answers_at_once() -> None:
    script = next(path for path in Path(sys.executable).parent.iterdir() if path.stem == "pj")
    done = subprocess.run([str(script), "--version"], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "pj-engine 0.1.0\n"
