"""Build the engine's shell for each route and position source: what the desk may do there, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from live.broker_watch import PATIENCE_NS, DeskRules
from live.engine import Route
from live.market import INSTRUMENTS
from live.params import Params
from pj.channels.logs import EventLog
from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.clock import ScaledClock
from pj.config import ConfigError, Settings
from pj.processes import run_live_engine
from pj.processes.engine.shell import Shell
from pj.processes.engine.startup import Context

MNQ = INSTRUMENTS["MNQ"]


def shell_of(folder: Path, speed: float = 1.0, **execution: Any) -> Shell:
    settings = Settings.model_validate({"run_dir": str(folder), "execution": execution})
    run_dir = RunDir(folder, MNQ).create()
    route = Route.SIMULATED if settings.execution.route == "paper" else Route.BROKER
    log = EventLog(logging.getLogger("test.rules"))
    context = Context(settings, run_dir, ScaledClock(0, 0, speed), log, route, "one")
    return Shell(context, Params(), StatsWriter(run_dir.state("engine"), "engine", "one"))


@pytest.mark.parametrize("source", ["ibkr", "simulated", "manual", "none"])
@pytest.mark.parametrize("route", ["traderspost", "ibkr"])
@pytest.mark.parametrize("flatten", [False, True])
def test_the_desk_gets_the_rules_of_its_route(tmp_path: Path, route: str, source: str, flatten: bool) -> None:
    shell = shell_of(tmp_path, route=route, position_source=source, flatten_unknown=flatten)
    through_us = route == "ibkr"
    assert shell.engine.desk.rules == DeskRules(
        PATIENCE_NS, places_exits=through_us, tells_refs=through_us, flatten_unknown=flatten
    )
    assert shell.engine.route is Route.BROKER
    shell.notifier.close()


def test_ages_run_with_the_clock_and_a_strangers_position_is_left_alone_by_default(tmp_path: Path) -> None:
    shell = shell_of(tmp_path, 20.0, route="ibkr")
    rules = shell.engine.desk.rules
    assert (rules.patience_ns, rules.age_ns(5), rules.flatten_unknown) == (20 * PATIENCE_NS, 10 * PATIENCE_NS, False)
    shell.notifier.close()


@pytest.mark.parametrize("source", ["manual", "none"])
def test_the_ibkr_route_refuses_a_source_that_knows_less_than_it_does(tmp_path: Path, source: str) -> None:
    shell = shell_of(tmp_path, route="ibkr", position_source=source)
    context = shell.context
    with pytest.raises(ConfigError, match=source):
        run_live_engine._dispatcher(context.settings, context.run_dir, context.clock, shell, None)  # type: ignore[arg-type]
    shell.notifier.close()


def test_paper_trades_inside_the_core_and_sends_nothing(tmp_path: Path) -> None:
    shell = shell_of(tmp_path, route="paper")
    context = shell.context
    assert shell.engine.route is Route.SIMULATED
    sender = run_live_engine._dispatcher(context.settings, context.run_dir, context.clock, shell, None)  # type: ignore[arg-type]
    assert sender is None
    shell.notifier.close()
