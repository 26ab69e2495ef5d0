"""Bring the Sentinel its settings without the libraries that read them.

The Sentinel lives for weeks and needs twenty values. A short-lived process reads and checks config.yaml, ``.env`` and
environment and prints those values as JSON, never a secret; the Sentinel reads the JSON. ``pj up``, which has read the
settings already, hands the same JSON over on the command line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from live.market import INSTRUMENTS, Instrument
from pj.settings_text import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pj.config import Settings

READER: Final = "pj.processes.sentinel_settings"
READ_S: Final = 60.0
_CANNOT: Final = "the settings could not be read"


@dataclass(frozen=True, slots=True)
class Times:
    """Hold the section ``supervision`` of the settings under the names it has there; seconds where the name says so."""

    check_s: float
    silent_s: float
    stop_s: float
    start_grace_s: float
    backoff_min_s: float
    backoff_max_s: float
    max_restarts: int
    window_s: float
    slow_retry_s: float
    slow_retry_closed_s: float
    on_halt: str


@dataclass(frozen=True, slots=True)
class SentinelSettings:
    """Hold what the Sentinel must know of the settings."""

    profile: str
    run_dir: Path
    symbol: str
    session_overrides: Path
    sheets_enabled: bool
    supervision: Times

    @property
    def instrument(self) -> Instrument:
        """Return the instrument that ``symbol`` names."""
        return INSTRUMENTS[self.symbol]

    def to_json(self) -> str:
        """Return the values as one line of ASCII."""
        return json.dumps(asdict(self), default=str, separators=(",", ":"))


def of_settings(settings: Settings) -> SentinelSettings:
    """Return what the Sentinel needs of checked settings."""
    times = {name: getattr(settings.supervision, name) for name in Times.__dataclass_fields__}
    return SentinelSettings(
        settings.profile,
        settings.run_dir,
        settings.symbol,
        settings.session_overrides,
        settings.sheets.enabled,
        Times(**times),
    )


def from_json(text: str) -> SentinelSettings:
    """Return the values that ``to_json`` wrote; raise ConfigError for anything else."""
    try:
        tree: dict[str, Any] = json.loads(text)
        paths = {name: Path(tree[name]) for name in ("run_dir", "session_overrides")}
        return SentinelSettings(**{**tree, **paths, "supervision": Times(**tree["supervision"])})
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{_CANNOT}: {text[:200]!r} is not what 'pj config' gives the Sentinel ({error}); leave --settings out"
        ) from None


def read_settings(env: Mapping[str, str]) -> SentinelSettings:
    """Return the settings of ``env``, read by a process of its own; raise ConfigError with that process's sentence."""
    command = (sys.executable, "-P", "-m", READER)
    try:
        done = subprocess.run(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=READ_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{_CANNOT}: {error}; start again") from None
    if done.returncode == 0:
        return from_json(done.stdout)
    sentence = done.stderr.strip()
    if done.returncode == 2 and sentence:
        raise ConfigError(sentence)
    last = sentence.splitlines()[-1] if sentence else "it said nothing"
    raise ConfigError(f"{_CANNOT}: their reader ended with code {done.returncode}: {last}")
