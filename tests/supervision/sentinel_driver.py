"""Run a real Sentinel over tiny children: ``sentinel_driver.py RUN_DIR LIMITS_JSON NAME=MODE ...``.

LIMITS_JSON also takes ``max_restarts``, ``window_s``, ``slow_s`` and ``disarmed``.

``dashboard=real`` runs the real dashboard.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from live.market import INSTRUMENTS
from pj.channels.rundir import RunDir
from pj.clock import clock_from_env
from pj.supervision.child import Limits
from pj.supervision.duties import HaltRules
from pj.supervision.spawn import MODULES, module_command
from pj.supervision.start import restart_policy, run_sentinel
from pj.supervision.terminal import open_terminal

TINY = str(Path(__file__).with_name("tiny_child.py"))


def command(name: str, mode: str) -> tuple[str, ...]:
    """Return the command line of one child."""
    if mode == "real":
        return module_command(MODULES[name])
    return (sys.executable, "-P", TINY, str(run_dir), name, mode)


run_dir = Path(sys.argv[1])
limits = json.loads(sys.argv[2])
intensity = {"max_restarts": limits.pop("max_restarts", 1000), "window_s": limits.pop("window_s", 120.0)}
slow_s = limits.pop("slow_s", 1.0)
disarmed = bool(limits.pop("disarmed", False))
pairs = [argument.split("=") for argument in sys.argv[3:]]
sys.exit(
    run_sentinel(
        RunDir(run_dir, INSTRUMENTS["MNQ"]),
        {name: command(name, mode) for name, mode in pairs},
        limits=Limits(**{"silent_s": 1.0, "start_grace_s": 10.0, "stop_s": 5.0, **limits}),
        policy=restart_policy(0, 30, **intensity),
        check_s=0.5,
        clock=clock_from_env(),
        terminal=open_terminal(),
        halt=HaltRules(slow_s, slow_s),
        disarmed=disarmed,
    )
)
