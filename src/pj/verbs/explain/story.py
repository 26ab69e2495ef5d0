"""Tell one pool's story from the journal: its life, the signal, the gates, the order, the money. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

from live.execution_bridge import key_of_ref
from live.market import NS_PER_S, Instrument
from live.params import Params, ParamsError
from pj.channels.journal import JournalLine
from pj.verbs.explain.gates import GateSaid, gates_said
from pj.verbs.explain.orders import order_text
from pj.verbs.explain.words import (
    CANCELS,
    ENDS,
    EXITS,
    eastern,
    moment_ns,
    points,
    pool_words,
    price,
    side_words,
    span,
    usd,
)

LIFE: Final = frozenset({"DEFINED", "SWEPT", "RECLAIMED", "DEAD"})
DECISIONS: Final = frozenset({"SIGNAL", "REJECT"})
CORRECTED: Final = "TRADE_CORRECTED"
#: What concerns the account while an order of ours lives, whoever caused it.
AROUND: Final = frozenset({"ALARM", "NOTED", "POSITION", "EXECUTION", "KILL", "THROWN", "TRUTH", "LOCK", "ORDERS"})
SETTLE_NS: Final = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class DayLine:
    """Hold a journal line with the trade date of its journal."""

    day: date
    line: JournalLine


@dataclass(frozen=True, slots=True)
class Beat:
    """Tell one thing that happened: journal and line, when (ns UTC), what."""

    day: str
    line: int
    at_ns: int
    kind: str
    text: str


@dataclass(slots=True)
class Story:
    """Hold everything the journal knows of one pool; ``verdict`` says in one sentence what became of it."""

    pool: str
    title: str
    verdict: str = ""
    taken: bool | None = False
    signal: str = ""
    life: list[Beat] = field(default_factory=list)
    gates: list[GateSaid] = field(default_factory=list)
    order: list[Beat] = field(default_factory=list)
    money: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the story as JSON-able values."""
        return asdict(self)


def tell(lines: Sequence[DayLine], pool: str, instrument: Instrument) -> Story:
    """Return the story of ``pool``; ``lines`` are the journals' in order, all days that may know of it."""
    story = Story(pool, f"the {pool_words(pool)} ({pool})")
    own = [item for item in lines if item.line.data.get("pool") == pool]
    life = [item for item in own if item.line.type in LIFE]
    decided = next((item for item in own if item.line.type in DECISIONS), None)
    trade = next((item for item in lines if item.line.type == "TRADE" and item.line.data["pool_id"] == pool), None)
    story.life = [_beat(item, _life_text(item.line, instrument)) for item in life]
    level = next((item.line.data["level"] for item in own if isinstance(item.line.data.get("level"), int)), None)
    if level is not None:
        story.title = f"the {pool_words(pool)} at {price(level, instrument)} ({pool})"
    if decided is not None:
        _tell_decision(story, decided, lines, instrument)
        story.order = _order_beats(decided, trade, lines, instrument)
    if trade is not None:
        corrections = [item.line for item in lines if _corrects(item, pool)]
        story.money = _money(trade.line.data)
        story.money += [order_text(line, instrument) for line in corrections]
        if corrections:
            story.money.append(f"net after corrections {usd(_net(trade, lines))}")
    story.taken, story.verdict = _verdict(story, decided, trade, lines)
    return story


def _beat(item: DayLine, text: str) -> Beat:
    return Beat(item.day.isoformat(), item.line.seq, _at_ns(item.line), item.line.type, text)


def _at_ns(line: JournalLine) -> int:
    data = line.data
    if isinstance(data.get("ts"), int):
        return int(data["ts"]) * NS_PER_S
    at_ns = data.get("at_ns")
    return at_ns if isinstance(at_ns, int) and at_ns > 0 else line.ts_ns


def _life_text(line: JournalLine, instrument: Instrument) -> str:
    data = line.data
    level, extreme = data["level"], data.get("extreme")
    match line.type:
        case "DEFINED":
            return f"defined at {price(level, instrument)}"
        case "SWEPT" | "RECLAIMED" if isinstance(extreme, int) and isinstance(level, int):
            beyond = abs(extreme - level)
            if line.type == "SWEPT":
                return f"swept: price traded {beyond} ticks beyond it, to {price(extreme, instrument)}"
            return f"reclaimed with displacement; the extreme was {price(extreme, instrument)} ({beyond} ticks beyond)"
        case "DEAD":
            return f"ended ({data['reason']}): {ENDS.get(data['reason'], 'see the rule of that name in the spec')}"
        case _:
            return line.type.lower()


def _tell_decision(story: Story, decided: DayLine, lines: Sequence[DayLine], instrument: Instrument) -> None:
    data = decided.line.data
    figures = data.get("figures") or {}
    plan = {name: figures.get(name, data.get(name)) for name in ("entry", "stop", "target")}
    side = figures.get("side") or _side_of(data, plan)
    story.signal = f"{eastern(_at_ns(decided.line))} ET, {side_words(side)}" if side else "direction not journaled"
    if isinstance(plan["entry"], int) and isinstance(plan["stop"], int):
        risk = abs(plan["entry"] - plan["stop"])
        story.signal += (
            f": entry near {price(plan['entry'], instrument)}, stop {price(plan['stop'], instrument)}"
            f" ({risk} ticks), target {price(plan['target'], instrument)}"
        )
    params = params_at(lines, decided, instrument)
    before = [item.line for item in lines if item.line.type == "KILL" and _is_before(item, decided)]
    reason = str(before[-1].data["reason"]) if before else ""
    if params is not None:
        story.gates = gates_said(data, params, reason)


def _side_of(data: Mapping[str, Any], plan: Mapping[str, Any]) -> int:
    """Return the side that stop and entry tell, else the one the pool's name tells (a swept low is bought)."""
    if isinstance(plan["entry"], int) and isinstance(plan["stop"], int):
        return 1 if plan["entry"] > plan["stop"] else -1
    name = str(data["pool"]).split(":")[1] if ":" in str(data["pool"]) else ""
    return {"H": -1, "L": 1}.get(name[-1:], 0)


def params_at(lines: Sequence[DayLine], at: DayLine, instrument: Instrument) -> Params | None:
    """Return the parameters that the last START before ``at`` names, None when they cannot be read."""
    starts = [item.line for item in lines if item.line.type == "START" and _is_before(item, at)]
    try:
        return Params.from_dict(starts[-1].data["params"], instrument) if starts else None
    except (ParamsError, KeyError, TypeError):
        return None


def _is_before(item: DayLine, other: DayLine) -> bool:
    return (item.day, item.line.seq) < (other.day, other.line.seq)


def _order_beats(
    decided: DayLine, trade: DayLine | None, lines: Sequence[DayLine], instrument: Instrument
) -> list[Beat]:
    """Return what befell our order, and what the account said while it lived."""
    pool = decided.line.data["pool"]
    stem = f"{pool}@"
    later = [item for item in lines if _is_before(decided, item)]
    ours = [item for item in later if key_of_item(item).startswith(stem)]
    if not ours:
        return []
    end = trade or ours[-1]
    until_ns = end.line.ts_ns + SETTLE_NS
    beats = []
    for item in later:
        mine = key_of_item(item).startswith(stem) or item is trade or _corrects(item, pool)
        near = item.line.type in AROUND and not key_of_item(item) and item.line.ts_ns <= until_ns
        if mine or near or (item.line.type == "ENTRY_CANCEL" and item.line.data["trade"] == pool):
            text = order_text(item.line, instrument)
            if text:
                beats.append(_beat(item, text))
    return beats


def _corrects(item: DayLine, pool: str) -> bool:
    return item.line.type == CORRECTED and item.line.data["pool_id"] == pool


def _net(trade: DayLine, lines: Sequence[DayLine]) -> str:
    """Return what a trade brought in dollars, corrections included."""
    pool = trade.line.data["pool_id"]
    later = [Decimal(item.line.data["net_usd"]) for item in lines if _corrects(item, pool)]
    return str(sum(later, Decimal(trade.line.data["net_usd"])))


def key_of_item(item: DayLine) -> str:
    """Return the idempotency key a line is about, empty when it names none."""
    data = item.line.data
    return key_of_ref(str(data.get("key") or data.get("order_ref") or ""))


def _money(data: Mapping[str, Any]) -> list[str]:
    held = (moment_ns(data["exit_ts"]) - moment_ns(data["entry_ts"])) // NS_PER_S
    entered, left = (eastern(moment_ns(data[name])) for name in ("entry_ts", "exit_ts"))
    out = EXITS.get(data["exit_reason"], data["exit_reason"])
    return [
        f"in {entered} ET at {points(data['entry_price'])}, out {left} ET at {points(data['exit_price'])} {out}",
        f"held {span(held)}",
        f"gross {usd(data['gross_usd'])}, costs {usd(data['cost_usd'])}, net {usd(data['net_usd'])} ({data['r']} R)",
        f"it went {data['mae_ticks']} ticks against and {data['mfe_ticks']} ticks for the position at most",
    ]


def _verdict(
    story: Story, decided: DayLine | None, trade: DayLine | None, lines: Sequence[DayLine]
) -> tuple[bool | None, str]:
    if decided is None:
        return False, _undecided(story)
    if decided.line.type == "REJECT":
        refused = next((gate for gate in story.gates if not gate.passed), None)
        why = (
            f"gate {refused.name} refused it: {refused.text}" if refused else f"refused: {decided.line.data['reason']}"
        )
        more = sum(not gate.passed for gate in story.gates) - 1
        also = f" ({more} more would have refused it)" if more > 0 else ""
        return False, f"Not taken: {why}{also}."
    if trade is not None:
        data = trade.line.data
        rehearsed = "" if data["mode"] == "LIVE" else " (rehearsed over history, no order was sent)"
        out = EXITS.get(data["exit_reason"], data["exit_reason"])
        return True, f"Taken{rehearsed}: {data['side']} {data['qty']}, out {out}, net {usd(_net(trade, lines))}."
    return _unfinished(decided, lines)


def _undecided(story: Story) -> str:
    if not story.life:
        return "The journal knows nothing of it."
    last = story.life[-1]
    if last.kind == "DEAD":
        return f"No signal: {last.text}."
    return f"No signal so far: the last thing that happened to it is '{last.text}'."


def _unfinished(decided: DayLine, lines: Sequence[DayLine]) -> tuple[bool | None, str]:
    """Return what became of a signal that has no closed trade."""
    stem, pool = f"{decided.line.data['pool']}@", decided.line.data["pool"]
    kinds = {item.line.type: item.line for item in lines if key_of_item(item).startswith(stem)}
    cancel = next(
        (item.line for item in lines if item.line.type == "ENTRY_CANCEL" and item.line.data["trade"] == pool), None
    )
    if cancel is not None:
        reason = str(cancel.data["reason"])
        return False, f"Not taken: the entry was given up ({reason}): {CANCELS.get(reason, 'see the order below')}."
    if "EXECUTION" in kinds:
        return True, "Taken, and still open as far as this journal goes."
    if "REFUSED" in kinds:
        return False, f"Not taken: the broker's side refused the order ({kinds['REFUSED'].data['code']})."
    if "UNKNOWN" in kinds:
        return None, f"Not known whether it was taken: {kinds['UNKNOWN'].data['why']}."
    if "ACKED" in kinds:
        return None, "The order was accepted; no fill is in this journal."
    if "INTENT" in kinds:
        return None, "The order was decided; this journal does not say what became of it."
    if decided.line.data.get("mode") == "REHEARSED":
        return False, "Not taken: it was rehearsed over history and had not closed by its end."
    return True, "Taken on paper (filled inside the engine), and not closed as far as this journal goes."
