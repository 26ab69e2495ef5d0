"""Hold what the dashboard knows at one instant: what each process last said, and how old that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pj.channels.alerts import NO_ALERTS, OpenAlerts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pj.channels.stats import Stats
    from pj.dashboard.audit import TickCount

#: The supervised processes in the order in which data flows, the Sentinel above them.
PROCESSES: Final = ("sentinel", "bridge", "engine", "scribe", "dashboard")


@dataclass(frozen=True, slots=True)
class View:
    """Look at one process's stats file; ``stats`` is None when it has never written one that can be read."""

    name: str
    stats: Stats | None
    age_s: float | None
    stale_s: float

    @property
    def fresh(self) -> bool:
        """Tell whether it has said something within the allowed silence."""
        return self.age_s is not None and self.age_s <= self.stale_s

    def get(self, gauge: str) -> Any:
        """Return a gauge, or None when it was not said: unknown is not zero."""
        return self.stats.gauges.get(gauge) if self.stats else None

    def whole(self, gauge: str) -> int | None:
        """Return a gauge that is a whole number, or None."""
        value = self.get(gauge)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def table(self, gauge: str) -> Mapping[str, Any]:
        """Return a gauge that is a table, or an empty one."""
        value = self.get(gauge)
        return value if isinstance(value, dict) else {}

    def rows(self, gauge: str) -> list[Any]:
        """Return a gauge that is a list, or an empty one."""
        value = self.get(gauge)
        return value if isinstance(value, list) else []

    @property
    def note(self) -> str:
        """Return '' while fresh, else why its values are not to be trusted."""
        if self.stats is None or self.age_s is None:
            return "no data"
        return "" if self.fresh else f"STALE {self.age_s:.0f} s"


@dataclass(frozen=True, slots=True)
class DashboardState:
    """Hold everything that a frame shows; times are real UTC ns unless named ``run``."""

    profile: str
    route: str
    position_source: str
    symbol: str
    run_dir: str
    speed: float
    now_ns: int
    run_ns: int
    views: Mapping[str, View]
    killed: str | None = None
    sheets_enabled: bool = True
    sentinel_lines: tuple[str, ...] = ()
    message: str = ""
    keys: bool = False
    limits: Mapping[str, int] = field(default_factory=dict)
    ticks: TickCount | None = None
    alerts: OpenAlerts = NO_ALERTS

    def view(self, name: str) -> View:
        """Return the view of a process, also of one that never spoke."""
        return self.views.get(name) or View(name, None, None, 0.0)

    @property
    def child(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what the Sentinel says of each child, empty when it has said nothing."""
        return self.view("sentinel").table("children")

    @property
    def running(self) -> bool:
        """Tell whether the system runs: its Sentinel beats and is not stopping."""
        sentinel = self.view("sentinel")
        return sentinel.fresh and sentinel.stats is not None and sentinel.stats.phase != "STOPPING"
