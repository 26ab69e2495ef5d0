"""Write what the broker says about the account to broker_events.csv: positions, orders, fills, commissions.

On the ibkr route the order desk adds ANSWER (``order_ref`` = key, ``status`` = TAKEN, REFUSED:why or UNKNOWN:why) and a
snapshot of the working orders: WORKING rows (``order_ref`` = our key or empty, ``status`` = the leg) and ORDERS_END
(``status`` = REREAD when a complete re-read of the account ends with it).

Read from the wire by taps, account-wide: a fill placed by another client of the account (the TradersPost route)
shows as a position change first, whereupon the session asks for executions. A fill is written once, by its
``exec_id``, also after a restart: ids and positions of this and the previous trade date are read back from the files,
so that a position that is gone by then is reported flat.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from live.market import Instrument
from pj.channels.csvlog import CsvLog, read_rows
from pj.channels.files import WriteFailed
from pj.channels.formats import BROKER_EVENT_COLUMNS
from pj.channels.orders import REREAD
from pj.channels.rundir import DayPaths, RunDir
from pj.ibkr.account_wire import (
    MalformedMessage,
    OpenOrderSeen,
    read_commission,
    read_execution,
    read_open_order,
    read_order_status,
    read_position,
)
from pj.ibkr.client import Tap

VALUES_SHOWN: Final = frozenset(
    {"NetLiquidation", "TotalCashValue", "AvailableFunds", "BuyingPower", "RealizedPnL", "UnrealizedPnL"}
)
DAYS_READ_BACK: Final = 2
log = logging.getLogger("pj.bridge")
OrderKey = tuple[int, int, int]


class AccountRecorder:
    """Turn account messages into rows; the last known state is kept for the gauges."""

    def __init__(self, run: RunDir, instrument: Instrument, stamp: Callable[[], int], account: str = "") -> None:
        """Record for ``account`` (all accounts of the login when empty), stamped by ``stamp``."""
        self.positions: dict[str, int] = {}
        self.values: dict[str, str] = {}
        self.malformed = 0
        self.rows = 0
        self.position_changes = 0
        self.write_error = ""
        self._run = run
        self._instrument = instrument
        self._stamp = stamp
        self._account = account
        self._log: CsvLog | None = None
        self._day: DayPaths | None = None
        self._pending: list[dict[str, str]] = []
        self._fills: set[str] = set()
        self._charged: set[str] = set()
        self._orders: dict[OrderKey, OpenOrderSeen] = {}
        self._order_rows: dict[OrderKey, tuple[str, ...]] = {}
        self._reported: set[str] = set()
        self._told = ""
        self._read_back()

    def taps(self) -> dict[int, Tap]:
        """Return the taps to install on a connection."""
        readers = {
            3: self._on_order_status,
            5: self._on_open_order,
            6: self._on_value,
            11: self._on_execution,
            59: self._on_commission,
            61: self._on_position,
        }
        return {msg_id: self._tolerant(reader) for msg_id, reader in readers.items()}

    def connecting(self) -> None:
        """Forget what a new connection will report anew, so that the full re-read is written.

        A bridge that died could not say that it was disconnected: its successor says so.
        """
        self._reported.clear()
        self.status("disconnected")

    def connected(self, contract: str) -> None:
        """End the re-read of a new session: what was not reported is flat, then the STATUS row connected."""
        for name in sorted({contract, *self.positions} - self._reported):
            self._position(name, 0, "")
        self.status("connected", contract)

    def status(self, text: str, contract: str = "") -> None:
        """Write a STATUS row (connected, disconnected) when it changes; nothing is disconnected before it was there."""
        if text == self._told or (text == "disconnected" and not self._told):
            return
        self._told = text
        self._add("STATUS", status=text, contract=contract)

    def answer(self, key: str, text: str, order_id: int) -> None:
        """Write what became of an order that the engine handed over."""
        self._add("ANSWER", order_ref=key, status=text, order_id=str(order_id) if order_id else "")

    def working_orders(self, rows: Sequence[Mapping[str, str]], *, reread: bool = False) -> None:
        """Write one whole snapshot of the working orders; ``reread`` when it ends a complete re-read of the account."""
        for row in rows:
            self._add("WORKING", **row)
        self._add("ORDERS_END", status=REREAD if reread else "")

    def flush(self) -> None:
        """Write the pending rows with one write; what a full disk refuses stays pending and is tried again."""
        if not self._pending:
            return
        try:
            self._write()
        except WriteFailed as error:
            if not self.write_error:
                log.error("WRITE_FAILED error=%r", str(error))  # noqa: TRY400 - one sentence
            self.write_error = str(error)
        else:
            self.write_error = ""

    def _write(self) -> None:
        day = self._run.day_at(self._stamp())
        if self._log is None or self._day != day:
            if self._log is not None:
                self._log.close()
            self._log, self._day = CsvLog(day.broker_events, BROKER_EVENT_COLUMNS), day
        self._log.append(*self._pending)
        self.rows += len(self._pending)
        self._pending.clear()

    def close(self) -> None:
        """Write the rest and give the file back."""
        try:
            if self._pending:
                self._write()
        finally:
            if self._log is not None:
                self._log.close()

    # -- taps --------------------------------------------------------------------------------------

    def _tolerant(self, reader: Callable[[list[str]], None]) -> Tap:
        def tap(fields: list[str]) -> bool:
            try:
                reader(fields)
            except MalformedMessage as error:
                self.malformed += 1
                log.error("ACCOUNT_MESSAGE_MALFORMED error=%r", str(error))  # noqa: TRY400 - the sentence says it all
            return False

        return tap

    def mine(self, account: str) -> bool:
        """Tell whether a message is about the account we record."""
        return not self._account or account == self._account

    def _on_position(self, fields: list[str]) -> None:
        seen = read_position(fields)
        if not self.mine(seen.account):
            return
        if self.positions.get(seen.contract, 0) != seen.qty:
            self.position_changes += 1
        elif seen.contract in self._reported:
            return
        self._position(seen.contract, seen.qty, self._points(seen.contract, seen.avg_cost))

    def _position(self, contract: str, qty: int, avg_price: str) -> None:
        self.positions[contract] = qty
        self._reported.add(contract)
        self._add("POSITION", position=str(qty), avg_price=avg_price, contract=contract)

    def _on_open_order(self, fields: list[str]) -> None:
        seen = read_open_order(fields)
        if self.mine(seen.account):
            self._orders[_key(seen.order_id, seen.client_id, seen.perm_id)] = seen

    def _on_order_status(self, fields: list[str]) -> None:
        seen = read_order_status(fields)
        key = _key(seen.order_id, seen.client_id, seen.perm_id)
        order = self._orders.get(key)
        if order is None and self._account:
            return
        state = (seen.status, seen.filled, seen.remaining, seen.avg_price)
        if self._order_rows.get(key) == state:
            return
        self._order_rows[key] = state
        self._add(
            "ORDER",
            order_id=str(seen.order_id),
            perm_id=str(seen.perm_id),
            client_id=str(seen.client_id),
            status=seen.status,
            filled=seen.filled,
            remaining=seen.remaining,
            avg_price=seen.avg_price,
            **_terms(order),
        )

    def _on_execution(self, fields: list[str]) -> None:
        seen = read_execution(fields)
        if seen.exec_id in self._fills or not self.mine(seen.account):
            return
        self._fills.add(seen.exec_id)
        self._add(
            "EXECUTION",
            order_id=str(seen.order_id),
            perm_id=str(seen.perm_id),
            order_ref=seen.order_ref,
            client_id=str(seen.client_id),
            status="LIVE" if seen.req_id < 0 else "READ_BACK",
            side=_side(seen.side),
            qty=seen.qty,
            price=seen.price,
            filled=seen.cum_qty,
            avg_price=seen.avg_price,
            exec_id=seen.exec_id,
            contract=seen.contract,
        )

    def _on_commission(self, fields: list[str]) -> None:
        seen = read_commission(fields)
        if seen.exec_id not in self._charged and seen.exec_id in self._fills:
            self._charged.add(seen.exec_id)
            self._add("COMMISSION", exec_id=seen.exec_id, commission=seen.commission)

    def _on_value(self, fields: list[str]) -> None:
        _, _, tag, value, currency, account, *_ = [*fields, "", "", "", ""]
        if tag in VALUES_SHOWN and self.mine(account) and currency in {"USD", "BASE", ""}:
            self.values[tag] = value

    # -- rows --------------------------------------------------------------------------------------

    def _add(self, kind: str, **cells: str) -> None:
        self._pending.append({"recv_ns": str(self._stamp()), "kind": kind, **cells})

    def _points(self, contract: str, avg_cost: str) -> str:
        """Return the average price in points: IBKR's average cost is price times multiplier."""
        if not contract.startswith(self._instrument.symbol):
            return ""
        try:
            return f"{(Decimal(avg_cost) / self._instrument.multiplier).normalize():f}"
        except InvalidOperation:
            return ""

    def _read_back(self) -> None:
        for day in self._run.days()[-DAYS_READ_BACK:]:
            for row in read_rows(self._run.day(day).broker_events, BROKER_EVENT_COLUMNS):
                if row["kind"] == "EXECUTION":
                    self._fills.add(row["exec_id"])
                elif row["kind"] == "COMMISSION":
                    self._charged.add(row["exec_id"])
                elif row["kind"] == "POSITION":
                    self.positions[row["contract"]] = int(row["position"])
                elif row["kind"] == "STATUS":
                    self._told = row["status"]


def _key(order_id: int, client_id: int, perm_id: int) -> OrderKey:
    """Return what names an order: its permanent id, or client and order id while it has none."""
    return (0, 0, perm_id) if perm_id else (client_id, order_id, 0)


def _side(side: int) -> str:
    return "BUY" if side > 0 else "SELL"


def _terms(order: OpenOrderSeen | None) -> dict[str, str]:
    if order is None:
        return {}
    price = order.limit_price if order.order_type.startswith("LMT") else order.stop_price
    return {
        "order_ref": order.order_ref,
        "side": _side(order.side),
        "qty": order.qty,
        "price": "" if order.order_type == "MKT" else price,
        "contract": order.contract,
    }
