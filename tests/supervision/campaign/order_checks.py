"""Check a finished demo's orders against the gateway's own account; each check asserts and returns figures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from order_scene import leg_of, stem_of

from live.execution_bridge import key_of_ref

Lines = Sequence[Mapping[str, Any]]


def check_placed(journal: Lines, handed: Lines, truth: Mapping[str, Any]) -> dict[str, int]:
    """No entry was handed to the bridge twice, none became two orders at the gateway; each was announced on disk."""
    intents = {line["data"]["key"] for line in journal if line["type"] == "INTENT"}
    entries = [row["key"] for row in handed if row["order"] == "ENTRY"]
    twice = [key for key, count in Counter(entries).items() if count > 1]
    assert not twice, f"entries were handed over twice: {twice}"
    unannounced = {row["key"] for row in handed} - intents
    assert not unannounced, f"orders were handed over that no intent on disk announced: {unannounced}"
    orders = [key_of_ref(ref) for ref, _, kind, _ in [*truth["orders"], *truth["completed"]] if kind == "MKT"]
    placed = Counter(key for key in orders if leg_of(key) == "ENTRY")
    doubled = [key for key, count in placed.items() if count > 1]
    assert not doubled, f"entries became two orders at the gateway: {doubled}"
    assert set(placed) <= set(entries), f"entries at the gateway that nobody handed over: {set(placed) - set(entries)}"
    return {"entries_handed": len(entries), "entries_placed": len(placed), "doubled": 0}


def check_unknown(journal: Lines) -> dict[str, int]:
    """Every order whose fate was unknown was found at the account, answered for, given up as lost, or is shouted about.

    An UNKNOWN exit is settled by an answer or by its position being booked.
    """
    settled: dict[str, str] = {}
    booked: set[str] = set()
    for line in journal:
        data = line["data"]
        match line["type"]:
            case "EXECUTION":
                settled.setdefault(stem_of(data["order_ref"]) + ":ENTRY", "adopted")
            case "ACKED" | "REFUSED":
                settled.setdefault(data["key"], "answered")
            case "TRADE":
                booked.add(data["pool_id"])
            case "ENTRY_CANCEL":
                booked.add(data["trade"])
            case _:
                pass
    ways: Counter[str] = Counter()
    halted = any(line["type"] == "ALARM" and line["data"]["code"] == "EXIT_STUCK" for line in journal)
    for key in sorted({line["data"]["key"] for line in journal if line["type"] == "UNKNOWN"}):
        pool = stem_of(key).rpartition("@")[0]
        way = settled.get(key) or ("given up or booked" if pool in booked else "halted" if halted else "")
        assert way, f"nobody ever said what became of {key}"
        ways[way] += 1
    return {"unknown": sum(ways.values())} | dict(ways)


def check_account(journal: Lines, truth: Mapping[str, Any]) -> dict[str, int]:
    """The journal holds each execution of the account exactly once; both add up to the same position, which is flat."""
    seen = [line["data"]["exec_id"] for line in journal if line["type"] == "EXECUTION"]
    twice = [exec_id for exec_id, count in Counter(seen).items() if count > 1]
    assert not twice, f"executions stand twice in the journal: {twice}"
    real = {fill["exec_id"]: fill for fill in truth["executions"]}
    missing = [fill for exec_id, fill in real.items() if exec_id not in seen]
    assert not missing, f"the journal lacks executions of the account: {missing}"
    assert set(seen) == set(real), f"the journal has executions that never were: {set(seen) - set(real)}"
    told = {line["data"]["exec_id"]: line["data"] for line in journal if line["type"] == "EXECUTION"}
    for exec_id, fill in real.items():
        row = told[exec_id]
        wanted = (fill["side"], fill["qty"], key_of_ref(fill["order_ref"]))
        assert (row["side"], row["qty"], row["order_ref"]) == wanted, fill
    position = sum(row["side"] * row["qty"] for row in told.values())
    assert position == sum(truth["positions"].values()), f"journal {position:+d}, gateway {truth['positions']}"
    assert position == 0, f"still {position:+d} after the demo had come to rest"
    assert not truth["orders"], f"orders still work at the gateway although it is flat: {truth['orders']}"
    return {"executions": len(real), "position": position}


def check_trades(journal: Lines, trades: Sequence[Mapping[str, str]], truth: Mapping[str, Any]) -> dict[str, int]:
    """Each order that was filled is one trade of its quantity, in trades.csv and in the journal; no other trade is."""
    entries = {stem_of(line["data"]["key"]): line["data"] for line in journal if _entry(line)}
    fills: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for fill in truth["executions"]:
        fills[stem_of(key_of_ref(fill["order_ref"]))].append(fill)
    assert set(fills) <= set(entries), f"fills of orders without an intent: {set(fills) - set(entries)}"
    by_pool = {stem.rpartition("@")[0]: stem for stem in entries}
    rows = Counter(row["pool_id"] for row in trades)
    lines = Counter(line["data"]["pool_id"] for line in journal if _booked(line))
    assert rows == lines, f"trades.csv and the journal differ: {rows - lines} {lines - rows}"
    assert max(rows.values(), default=1) == 1, f"trades stand twice: {rows}"
    traded = {by_pool[pool] for pool in rows}
    assert traded == set(fills), (
        f"filled but not booked: {set(fills) - traded}; booked, never filled: {traded - set(fills)}"
    )
    for row in trades:
        stem = by_pool[row["pool_id"]]
        side = entries[stem]["side"]
        opened = sum(fill["qty"] for fill in fills[stem] if fill["side"] == side)
        closed = sum(fill["qty"] for fill in fills[stem] if fill["side"] == -side)
        assert opened == closed == int(row["qty"]), f"{stem}: bought {opened}, sold {closed}, trades.csv {row['qty']}"
        assert opened <= entries[stem]["qty"], f"{stem}: {opened} filled of {entries[stem]['qty']} ordered"
    return {"trades": len(trades), "orders_filled": len(fills)}


def check_exits(journal: Lines, requests: Iterable[str]) -> dict[str, int]:
    """No exit that was decided was left unsent, unless its position was booked without it."""
    sent = set(requests)
    final = {line["data"]["key"] for line in journal if line["type"] in {"ACKED", "REFUSED"}}
    booked = {line["data"]["pool_id"] for line in journal if line["type"] == "TRADE"}
    exits = {
        line["data"]["key"] for line in journal if line["type"] == "INTENT" and leg_of(line["data"]["key"]) == "EXIT"
    }
    unsent = exits - sent
    lost = [key for key in exits - (sent & final) if stem_of(key).rpartition("@")[0] not in booked]
    assert not lost, f"exits that nobody answered and no trade followed: {lost}"
    return {"exits": len(exits), "exits_not_needed": len(unsent)}


def _entry(line: Mapping[str, Any]) -> bool:
    return line["type"] == "INTENT" and leg_of(line["data"]["key"]) == "ENTRY"


def _booked(line: Mapping[str, Any]) -> bool:
    return line["type"] == "TRADE" and line["data"]["mode"] != "REHEARSED"
