"""Read the run folder into a DashboardState: stats files, kill switch, alerts, tail of sentinel.log, tick audit."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pj.channels.alerts import NO_ALERTS, OpenAlerts, open_alerts
from pj.channels.files import open_shared
from pj.channels.rundir import RunDir
from pj.channels.stats import read_stats
from pj.channels.switches import halts
from pj.dashboard.audit import TickAudit
from pj.dashboard.state import PROCESSES, DashboardState, View

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pj.clock import Clock
    from pj.config import Settings

LOG_TAIL_BYTES: Final = 65_536
LOG_LINES: Final = 20
ALERTS: Final = 20


def risk_limits(settings: Settings) -> dict[str, int]:
    """Return the limits that the strategy's parameters set, for the time before the engine states its own."""
    params = settings.params()
    return {
        "max_daily_loss_cents": params.max_daily_loss_cents,
        "max_trades_day": params.max_trades_day,
        "max_orders_hour": params.max_orders_hour,
        "max_consec_losses": params.max_consec_losses,
    }


@dataclass(slots=True)
class Collector:
    """Hold what stays between two looks."""

    settings: Settings
    clock: Clock
    keys: bool = False
    folder: RunDir = field(init=False)
    _limits: Mapping[str, int] = field(init=False)
    _audit: TickAudit = field(init=False)
    alerts: OpenAlerts = NO_ALERTS
    _alerts_mark: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Take the run folder from the settings."""
        self.folder = RunDir(self.settings.run_dir, self.settings.instrument)
        self._limits = risk_limits(self.settings)
        self._audit = TickAudit(time.monotonic)

    def look(self, message: str = "") -> DashboardState:
        """Return the state as of now; ``message`` takes the banner's place for this frame."""
        settings, folder, now_ns = self.settings, self.folder, time.time_ns()
        run_ns = self.clock.now_ns()
        self._read_alerts()
        return DashboardState(
            profile=settings.profile,
            route=settings.execution.route,
            position_source=settings.execution.position_source,
            symbol=settings.contract or settings.symbol,
            run_dir=str(settings.run_dir),
            speed=self.clock.speed,
            now_ns=now_ns,
            run_ns=run_ns,
            views={name: self._view(name, now_ns) for name in (*PROCESSES, "gateway")},
            killed="; ".join(halts(folder)) or None,
            sheets_enabled=settings.sheets.enabled,
            sentinel_lines=sentinel_deeds(folder.logs / "sentinel.log"),
            message=message,
            keys=self.keys,
            limits=self._limits,
            ticks=self._audit.look(folder.day_at(run_ns)),
            alerts=self.alerts,
        )

    def close(self) -> None:
        """Close the files that are followed."""
        self._audit.close()

    def _read_alerts(self) -> None:
        """Read the open alerts again when the file has changed."""
        try:
            status = self.folder.alerts.stat()
        except OSError:
            self.alerts, self._alerts_mark = NO_ALERTS, (0, 0)
            return
        mark = (status.st_size, status.st_mtime_ns)
        if mark != self._alerts_mark:
            self.alerts, self._alerts_mark = open_alerts(self.folder.alerts, ALERTS), mark

    def _view(self, name: str, now_ns: int) -> View:
        stats = read_stats(self.folder.state(name))
        age_s = None if stats is None else stats.age_s(now_ns)
        return View(name, stats, age_s, self.settings.supervision.silent_s)


def sentinel_deeds(path: Path) -> tuple[str, ...]:
    """Return the last lines of sentinel.log without the health checks, oldest first, time of day only."""
    try:
        with open_shared(path) as log:
            log.seek(max(0, log.seek(0, 2) - LOG_TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return ()
    lines = [line for line in text.split("\n")[:-1] if " CHECK " not in line and line[10:11] == "T"]
    return tuple(f"{line[11:19]}Z{line[24:]}".replace(" INFO ", " ", 1) for line in lines[-LOG_LINES:])
