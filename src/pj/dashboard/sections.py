"""Put each subject of the dashboard into lines: price, position, limits, pools, processes, fidelity, events.

Every section is a pure function of (state, width, rows) and returns its title and at most ``rows`` lines. A section
whose source is missing or stale says so in its title.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rich.text import Text

from pj.dashboard import words
from pj.dashboard.state import PROCESSES
from pj.dashboard.words import BAD, DOUBT, FAINT, GOOD, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pj.channels.alerts import Alert
    from pj.dashboard.audit import TickCount
    from pj.dashboard.state import DashboardState, View

LABEL_WIDTH: Final = 12
ROOMY: Final = 70
DATA_TYPES: Final = {0: "none yet", 1: "real-time", 2: "FROZEN", 3: "DELAYED", 4: "DELAYED FROZEN"}


class Section(NamedTuple):
    """Carry a title and its lines."""

    title: str
    lines: list[Text]


def _fact(label: str, *parts: str | Text | tuple[str, str]) -> Text:
    return Text.assemble((f"{label:<{LABEL_WIDTH}}", FAINT), *parts)


def _title(subject: str, *sources: View) -> str:
    notes = [f"{view.name} {view.note}" for view in sources if view.note]
    return f"{subject} ({', '.join(notes)})" if notes else subject


def price(state: DashboardState, _width: int, rows: int) -> Section:
    """Show the last price, the quote, and whether the feed lives."""
    bridge = state.view("bridge")
    connected = bridge.get("connected")
    feed = Text("connected", GOOD) if connected is True else Text("NOT CONNECTED", BAD)
    kind = bridge.whole("market_data_type")
    data = UNKNOWN if kind is None else DATA_TYPES.get(kind, f"type {kind}")
    tick_ns = bridge.whole("last_tick_ns")
    tick = words.unknown()
    if tick_ns:
        old = words.age((state.run_ns - tick_ns) / words.NS_PER_S)
        tick = Text(f"{words.eastern(tick_ns, '%H:%M:%S')}, {old} old")
    lag = f"{_ms(bridge.get('lag_ms_p50'))} p50, {_ms(bridge.get('lag_ms_p99'))} p99"
    lines = [
        _fact("Last", words.price(bridge.get("last_price"))),
        _fact("Bid / ask", words.price(bridge.get("bid")), " / ", words.price(bridge.get("ask"))),
        _fact("Last tick", tick),
        _fact("Feed", words.unknown() if connected is None else feed, f", data {data}"),
        _fact("Lag", lag),
        _fact("Reconnects", words.count(bridge.whole("reconnects")), ", gaps ", words.count(bridge.whole("gaps"))),
        _fact("Library", str(bridge.get("library") or UNKNOWN), f", server {bridge.get('server_version') or UNKNOWN}"),
    ]
    return Section(_title("Price", bridge), lines[:rows])


def _ms(value: Any) -> str:
    return words.milliseconds(value)


def position_words(state: DashboardState) -> Text:
    """Return the position with how it is known: simulated, confirmed by the broker, UNVERIFIED, or contradicted."""
    engine, bridge = state.view("engine"), state.view("bridge")
    believed = engine.whole("position")
    if believed is None:
        return Text.assemble(words.unknown(), ("  UNVERIFIED", BAD))
    at = engine.get("entry_price")
    entry = f" at {words.price(at).plain}" if believed and at not in {None, ""} else ""
    if not believed and engine.get("pending") is True:
        return Text("PENDING: an entry was sent", style=DOUBT)
    told = Text(f"{believed:+d}{entry}" if believed else "flat", style="bold")
    if not engine.fresh:
        return told.append(f"  UNVERIFIED ({engine.note})", BAD)
    if state.route == "paper":
        return told.append("  simulated", FAINT)
    if state.position_source in {"none", "manual"}:
        return told.append(*_stated(engine, state.position_source))
    broker = bridge.whole("position")
    if broker is None or bridge.get("connected") is not True or not bridge.fresh:
        return told.append("  UNVERIFIED", BAD)
    if broker != believed:
        return told.append(f"  MISMATCH: broker {f'{broker:+d}' if broker else 'flat'}", BAD)
    return told.append("  confirmed", GOOD)


def _stated(engine: View, source: str) -> tuple[str, str]:
    """Return how old a human's statement of the position is and whether it still says anything."""
    if source == "none":
        return "  UNVERIFIED (no source)", BAD
    said = engine.table("position_stated")
    if not isinstance(said.get("age_s"), int | float):
        return "  UNVERIFIED (nothing stated)", BAD
    told = f"stated by {said.get('by')} {words.age(said['age_s'])} ago"
    if said.get("stale") is not False:
        return f"  UNVERIFIED ({told}, before the last order)", BAD
    return f"  {told}", DOUBT


def position(state: DashboardState, _width: int, rows: int) -> Section:
    """Show the position, its doubt, and the money."""
    engine, bridge = state.view("engine"), state.view("bridge")
    capital = bridge.table("account").get("NetLiquidation")
    streak = words.count(engine.whole("losses_streak"))
    lines = [
        _fact("Position", position_words(state)),
        _fact("Open PnL", words.dollars(engine.whole("open_pnl_cents"))),
        _fact("Day PnL", words.dollars(engine.whole("day_pnl_cents"))),
        _fact("Trades", words.count(engine.whole("trades_today")), ", losses in a row ", streak),
        _fact("Stop / goal", _stop_and_target(engine)),
        _fact("Account", "NetLiquidation ", words.unknown() if capital is None else str(capital)),
        _fact("Route", state.route, f", position source {state.position_source}"),
    ]
    return Section(_title("Position and PnL", engine), lines[:rows])


def _stop_and_target(engine: View) -> Text:
    if engine.whole("position") == 0:
        return Text("none: flat")
    return Text.assemble(words.price(engine.get("stop")), " / ", words.price(engine.get("target")))


def limits(state: DashboardState, _width: int, rows: int) -> Section:
    """Show how much of each risk limit is used and whether entries are allowed."""
    engine = state.view("engine")
    bound = {**state.limits, **engine.table("limits")}
    day = engine.whole("day_pnl_cents")
    loss = None if day is None else max(0, -day)
    refusals = ", ".join(f"{name} {n}" for name, n in engine.table("refusals").items())
    lines = [
        _fact("Entries", entries_words(state)),
        _fact("Day loss", words.used(loss, _limit(bound, "max_daily_loss_cents", "day_loss_cents"), money=True)),
        _fact("Trades", words.used(engine.whole("trades_today"), _limit(bound, "max_trades_day", "trades"))),
        _fact("Orders/h", words.used(engine.whole("orders_hour"), _limit(bound, "max_orders_hour", "orders_hour"))),
        _fact("Signals", words.count(engine.whole("signals")), ", refused ", _total(engine, "refusals")),
        _fact("Refusals", refusals or ("none" if engine.get("refusals") is not None else UNKNOWN)),
        _fact("Loss row", words.used(engine.whole("losses_streak"), _limit(bound, "max_consec_losses"))),
    ]
    return Section(_title("Limits used", engine), lines[:rows])


def bars(state: DashboardState, _width: int, rows: int) -> Section:
    """Show the engine's own work: mode, bars, how fast they come and orders follow, the journal."""
    engine, bridge = state.view("engine"), state.view("bridge")
    last_ns, head = engine.whole("last_bar_ts_ns"), engine.get("journal_head")
    last = words.unknown() if not last_ns else Text(f"{words.eastern(last_ns, '%H:%M')} (open time)")
    late = words.count(engine.whole("late_ticks"))
    lines = [
        _fact("Mode", str(engine.get("mode") or UNKNOWN)),
        _fact("Bars", words.count(engine.whole("bars")), ", last ", last),
        _fact("Edge to bar", quantiles(engine.table("edge_to_bar_ms"))),
        _fact("  to order", quantiles(engine.table("edge_to_order_ms"))),
        _fact("Late ticks", late, f", tape lag {_ms(engine.get('tape_lag_ms'))}"),
        _fact("Journal", words.count(engine.whole("journal_seq")), f", head {str(head)[:12] if head else UNKNOWN}"),
        _fact("Heartbeats", words.count(bridge.whole("heartbeats")), ", quotes ", words.count(bridge.whole("quotes"))),
    ]
    return Section(_title("Engine", engine), lines[:rows])


def _limit(bound: Mapping[str, Any], *names: str) -> Any:
    return next((bound[name] for name in names if name in bound), None)


def _total(view: View, gauge: str) -> Text:
    values = view.table(gauge).values()
    return (
        words.count(sum(values)) if view.stats and all(isinstance(value, int) for value in values) else words.unknown()
    )


def quantiles(table: Mapping[str, Any]) -> str:
    """Return measured durations, or that none was measured."""
    if not table.get("n"):
        return "not measured yet"
    return f"p50 {_ms(table.get('p50'))}, p95 {_ms(table.get('p95'))}, n {table['n']}"


def entries_words(state: DashboardState) -> Text:
    """Return whether an entry may be taken now, and if not why."""
    engine = state.view("engine")
    if state.killed is not None or engine.get("killed") is True:
        return Text(f"HALTED: {state.killed or 'kill switch'}", BAD)
    if engine.stats is None or not engine.fresh:
        return Text(f"UNKNOWN: engine {engine.note}", BAD)
    if engine.get("locked"):
        return Text(
            f"LOCKED: {engine.get('locked')}" if engine.get("locked") is not True else "LOCKED for the day", BAD
        )
    blocked = engine.get("entries_blocked")
    if blocked is None:
        return words.unknown()
    return Text(f"BLOCKED: {blocked}", DOUBT) if blocked else Text("allowed", GOOD)


def pools(state: DashboardState, _width: int, rows: int) -> Section:
    """Show the pools near the price as a ladder, highest first, the price in its place."""
    engine, bridge = state.view("engine"), state.view("bridge")
    counts = ", ".join(f"{name} {n}" for name, n in engine.table("pools").items())
    title = _title(f"Pools ({counts})" if counts else "Pools near the price", engine)
    near = [pool for pool in engine.rows("pools_near") if isinstance(pool, dict)]
    if not near:
        return Section(title, [Text("none near the price" if engine.get("pools_near") == [] else UNKNOWN, style=DOUBT)])
    here = _number(bridge.get("last_price"))
    nearest = sorted(near, key=lambda pool: abs(_number(pool.get("distance")) or Decimal(0)))[: max(1, rows - 1)]
    ladder = [(_number(pool.get("level")), _pool_line(pool)) for pool in nearest]
    if here is not None:
        ladder.append((here, Text(f"{'price':<6}{words.price(here).plain:>10}  {'-' * 9}", style="bold")))
    ladder.sort(key=lambda rung: (rung[0] is not None, rung[0] or Decimal(0)), reverse=True)
    return Section(title, [line for _, line in ladder][:rows])


def _number(value: Any) -> Decimal | None:
    try:
        return None if value is None or isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        return None


def _pool_line(pool: Mapping[str, Any]) -> Text:
    state = str(pool.get("state") or UNKNOWN)
    style = DOUBT if state in {"SWEPT", "RECLAIMED"} else FAINT if state == "DEAD" else ""
    return Text.assemble(
        f"{pool.get('kind') or UNKNOWN!s:<6.6}",
        f"{words.price(pool.get('level')).plain:>10}  ",
        (f"{state:<9.9}", style),
        f"{words.signed(pool.get('distance')):>10}",
    )


def processes(state: DashboardState, width: int, rows: int) -> Section:
    """Show each process: state, age of its heartbeat, restarts, phase."""
    lines = [_process_line(state, name, width) for name in PROCESSES]
    return Section("Processes: beat, restarts, phase", lines[:rows])


def _process_line(state: DashboardState, name: str, width: int) -> Text:
    view = state.view(name)
    child: Mapping[str, Any] = state.child.get(name, {})
    told, style = _process_state(state, name)
    restarts = child.get("restarts")
    phase = view.stats.phase if view.stats and view.stats.phase != told else ""
    line = Text.assemble(f"{name:<10}", (f"{told:<8.8} ", style), f"{words.age(view.age_s):>8} ")
    line.append(f"{restarts if restarts is not None else '-' if name == 'sentinel' else '?':>3} ")
    line.append(f"{phase:<11}" if width >= ROOMY else phase)
    if width >= ROOMY and child:
        pid = child.get("pid")
        took = child.get("last_restart_ms")
        line.append(f"  pid {pid if pid is not None else 'none'}")
        if child.get("last_reason"):
            line.append(f"  last: {child['last_reason']}")
        if took is not None:
            line.append(f" ({words.milliseconds(took)})")
    return line


def _process_state(state: DashboardState, name: str) -> tuple[str, str]:
    """Return one word for a process: the Sentinel's word while it beats, else what its own heartbeat proves."""
    view = state.view(name)
    told = state.child.get(name, {}).get("state") if state.view("sentinel").fresh else None
    if name == "scribe" and not state.sheets_enabled:
        return "OFF", FAINT
    if told is not None and told != "RUNNING":
        return str(told), BAD if told == "FATAL" else DOUBT
    if view.stats is None:
        return "NO DATA", DOUBT
    if not view.fresh:
        return "SILENT", BAD
    return ("RUNNING", GOOD) if view.stats.phase != "HALTED" else ("HALTED", BAD)


def fidelity(state: DashboardState, _width: int, rows: int) -> Section:
    """Show the audit of the trades' way: sent by IBKR, arrived, taped, read back from the sheet; loss in percent."""
    bridge, scribe, ticks = state.view("bridge"), state.view("scribe"), state.ticks
    lines = [
        _fact("IBKR sent", _sent(state)),
        _fact("Taped", words.unknown() if ticks is None else f"{ticks.taped:,}, quarantined {ticks.quarantined:,}"),
        _fact("Tape loss", _tape_loss(ticks)),
        *_sheet_lines(state, scribe),
    ]
    sources = [bridge] + ([scribe] if state.sheets_enabled else [])
    return Section(_title("Data fidelity", *sources), lines[:rows])


def _sent(state: DashboardState) -> Text:
    """Return what was sent and what arrived; only a simulated gateway tells what it sent, also to nobody's ear."""
    arrived = words.unknown() if state.ticks is None else Text(f"{state.ticks.delivered:,}")
    sent = state.view("gateway").whole("ticks_sent")
    return Text.assemble(arrived, " arrived" if sent is None else f" arrived of {sent:,}")


def _tape_loss(ticks: TickCount | None) -> Text:
    if ticks is None or not ticks.delivered:
        return Text("not measured yet", style=DOUBT)
    if ticks.counting:
        return Text("counting the day's rows", style=DOUBT)
    if ticks.missing < 0:
        return Text(f"{-ticks.missing:,} rows more than were sent", style=BAD)
    return Text(f"{words.percent(ticks.missing, ticks.delivered)} ({ticks.missing:,})", BAD if ticks.missing else GOOD)


def _sheet_lines(state: DashboardState, scribe: View) -> Iterable[Text]:
    if not state.sheets_enabled:
        return [_fact("Sheet", "off (sheets.enabled is false)")]
    acked, verified = scribe.whole("acked"), scribe.whole("verified")
    rows = scribe.table("rows")
    error = scribe.get("last_error")
    tabs = ", ".join(f"{name} {n:,}" if isinstance(n, int) else f"{name} {n}" for name, n in rows.items())
    sheet = words.unknown()
    if acked is not None:
        sheet = Text.assemble(words.count(verified), " verified of ", words.count(acked))
    return [
        _fact("Sheet", sheet),
        _fact("Sheet loss", _sheet_loss(scribe)),
        _fact("Tabs", tabs or UNKNOWN),
        _fact("Sheet error", str(error) if error else "none" if scribe.stats else UNKNOWN),
    ]


def _sheet_loss(scribe: View) -> Text:
    """Return the loss as far as it was verified by reading rows back; rows on their way are not lost."""
    produced, acked, verified = scribe.whole("produced"), scribe.whole("acked"), scribe.whole("verified")
    if not produced or not verified:
        return Text("not verified yet", style=DOUBT)
    lost = scribe.whole("lost") or 0
    if lost:
        return Text(f"{words.percent(lost, verified + lost)} ({lost:,} found missing)", style=BAD)
    if verified >= produced:
        return Text("0.000 % (all verified)", style=GOOD)
    waiting = max(0, produced - (acked or 0))
    return Text(f"0 lost; {produced - verified:,} unverified, {waiting:,} unsent", style=DOUBT)


def _alert_line(alert: Alert) -> Text:
    at = words.eastern(alert.ts_ns, "%m-%d %H:%M")
    return Text(f"alert     {at} {alert.code}: {alert.text}", style=BAD if words.urgent([alert]) else DOUBT)


def events(state: DashboardState, _width: int, rows: int) -> Section:
    """Show the open alerts, the engine's last decisions and the Sentinel's last deeds, newest first in each."""
    engine = state.view("engine")
    decided = [Text(f"engine    {line}") for line in reversed(engine.rows("last_events"))]
    done = [
        Text(f"sentinel  {line}", style=DOUBT if " WARNING " in line else "") for line in reversed(state.sentinel_lines)
    ]
    share = max(1, rows // 3)
    told = [_alert_line(alert) for alert in reversed(state.alerts.alerts)][:share]
    left = rows - len(told)
    kept = done[: max(left // 3, left - len(decided), 0 if told else 1)]
    lines = told + decided[: left - len(kept)] + kept
    return Section(_title("Last events", engine), lines[:rows] or [Text("none yet", style=DOUBT)])
