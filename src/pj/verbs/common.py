"""Share what several verbs need: settings from the command line, refusals, printing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pj.channels.rundir import RunDir
from pj.config import ENV_CONFIG, Settings, load_settings, overrides_to_env
from pj.verbs.schema import UsageError

Options = Mapping[str, Any]


class Refusal(ValueError):
    """Report something that will not be done, in one sentence that says what to change (exit code 2)."""


class Unavailable(RuntimeError):
    """Report that an outside service or a process of ours does not answer (exit code 3)."""


def overrides_of(options: Options) -> dict[str, str]:
    """Return the settings given on the command line, dotted keys to text; raise UsageError."""
    overrides: dict[str, str] = {}
    for text in options.get("set") or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {text!r} is not KEY=VALUE; write it like --set ibkr.port=4001")
        overrides[key.strip()] = value
    for key in ("profile", "run_dir"):
        if options.get(key) is not None:
            overrides[key] = str(options[key])
    return overrides


def environment_of(options: Options) -> dict[str, str]:
    """Return the environment with ``--config``; raise Refusal when that file is not there."""
    env = dict(os.environ)
    if options.get("config") is not None:
        path = Path(options["config"]).absolute()
        if not path.is_file():
            raise Refusal(f"--config names {str(path)!r}, which is not a file; correct the path")
        env[ENV_CONFIG] = str(path)
    return env


def settings_of(options: Options) -> Settings:
    """Return the settings of this command line; raise ConfigError."""
    return load_settings(environment_of(options), overrides_of(options))


def hand_down(options: Options) -> None:
    """Put this command line's settings into our environment, where processes and children find them."""
    os.environ.update(environment_of(options))
    os.environ.update(overrides_to_env(overrides_of(options)))


def run_dir_of(settings: Settings) -> RunDir:
    """Return the paths of the run folder."""
    return RunDir(settings.run_dir, settings.instrument)


def print_json(value: Any) -> None:
    """Print a report as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))
