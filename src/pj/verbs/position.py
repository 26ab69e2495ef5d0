"""State and show the account's position where a human is its source: ``pj position set`` and ``pj position show``."""

from __future__ import annotations

import getpass
from typing import Any

from live.trading_day import iso_utc
from pj.channels.statement import AHEAD_NS, Statement, StatementDamaged, read_statement, write_statement
from pj.channels.stats import Stats, read_stats
from pj.clock import clock_from_env
from pj.config import Settings
from pj.verbs.common import Options, Refusal, print_json, run_dir_of, settings_of
from pj.verbs.schema import UsageError

MANUAL = "manual"
NS_PER_S = 1_000_000_000
LIVES_S = 15.0
LONGEST_NAME = 100


def show(options: Options) -> int:
    """Print what is known; 1 when it is UNVERIFIED."""
    report = _report(settings_of(options))
    _print(report, as_json=options["json"])
    return 0 if report["verified"] else 1


def state(options: Options) -> int:
    """Write the statement, on disk when it returns, and print what is known now."""
    settings = settings_of(options)
    source = settings.execution.position_source
    if source != MANUAL:
        raise Refusal(
            f"execution.position_source is {source}, so nobody reads a statement; set it to manual, restart the engine"
        )
    qty = _qty(options)
    folder = run_dir_of(settings)
    if not folder.state_folder.is_dir():
        raise Refusal(f"there is no run in {folder.root}; name the run folder with --run-dir")
    by, reason = _line(options["by"] or getpass.getuser(), "--by"), _line(options["reason"] or "", "--reason")
    write_statement(folder.position, Statement(qty, clock_from_env().now_ns(), by, reason))
    _print(_report(settings), as_json=options["json"])
    return 0


def _qty(options: Options) -> int:
    side, qty = options["side"], options["qty"]
    if side == "flat":
        if qty not in {None, 0}:
            raise UsageError(f"flat has no quantity, not {qty}; write 'pj position set flat'")
        return 0
    if qty is None or qty <= 0:
        raise UsageError(f"{side} needs a number of contracts above 0; write it like 'pj position set {side} 2'")
    return int(qty) if side == "long" else -int(qty)


def _line(text: str, name: str) -> str:
    line = " ".join(text.split())
    if len(line) > LONGEST_NAME:
        raise UsageError(f"{name} has {len(line)} characters; {LONGEST_NAME} are kept, say it shorter")
    return line


def _report(settings: Settings) -> dict[str, Any]:
    folder, source = run_dir_of(settings), settings.execution.position_source
    now_ns, engine = clock_from_env().now_ns(), read_stats(folder.state("engine"))
    trouble, said = "", None
    try:
        said = read_statement(folder.position)
    except StatementDamaged as error:
        trouble = str(error)
    alive = engine is not None and engine.age_s() < LIVES_S
    told = _gauge(engine, "position_stated") if alive else {}
    known: dict[str, Any] = {
        "source": source,
        "stated": None if said is None else said.to_dict(),
        "age_s": None if said is None else round(said.age_s(now_ns), 1),
        "stale": told.get("stale") if said is not None and told.get("qty") == said.qty else None,
        "believed": engine.gauges.get("position") if alive and engine is not None else None,
        "account": engine.gauges.get("account_position") if alive and engine is not None else None,
    }
    known["verified"] = _verified(source, known, trouble)
    known["says"] = trouble or _words(known, said, now_ns, alive=alive)
    return known


def _gauge(engine: Stats | None, name: str) -> dict[str, Any]:
    found = engine.gauges.get(name) if engine is not None else None
    return found if isinstance(found, dict) else {}


def _verified(source: str, known: dict[str, Any], trouble: str) -> bool:
    """Tell whether somebody vouches for the position now."""
    if source == "none" or trouble or known["believed"] is None:
        return False
    if source == MANUAL:
        stated = known["stated"]
        return known["stale"] is False and stated is not None and stated["qty"] == known["believed"]
    return bool(known["account"] == known["believed"])


def _words(known: dict[str, Any], said: Statement | None, now_ns: int, *, alive: bool) -> str:
    if known["source"] != MANUAL:
        told = "nobody tells it" if known["source"] == "none" else f"the account holds {known['account']}"
        return told if alive else "no living engine says anything of it"
    if said is None:
        return "nothing was stated; look at the broker, then 'pj position set flat' (or long N, short N)"
    by = f"stated {said.words} by {said.by} at {iso_utc(said.said_ns // NS_PER_S)} ({known['age_s']:.0f} s ago)"
    if said.said_ns - now_ns > AHEAD_NS:
        return f"{by}: that is in the future, the clock was wrong; state it again"
    if not alive:
        return f"{by}; no living engine has taken it"
    if known["stale"] is None:
        return f"{by}; the engine takes it within a second"
    return f"{by}; an order was sent since: it says nothing of what that did" if known["stale"] else by


def _print(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return

    def shown(qty: int | None) -> str:
        return "not known" if qty is None else f"{qty:+d}" if qty else "flat"

    print(f"position source  {report['source']}")
    print(f"the engine       {shown(report['believed'])}")
    print(f"the account      {shown(report['account'])}")
    print(f"{'verified' if report['verified'] else 'UNVERIFIED'}: {report['says']}")
