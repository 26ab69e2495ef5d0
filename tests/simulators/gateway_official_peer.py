"""Be IB's own (old) API client of the simulated gateway; print one JSON line of verdicts. Usage: PORT."""

from __future__ import annotations

import json
import sys
import threading
import time

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.wrapper import EWrapper


class Peer(EWrapper, EClient):
    def __init__(self):
        EClient.__init__(self, self)
        self.seen = []
        self.ids = threading.Event()

    def nextValidId(self, orderId):
        self.next_id = orderId
        self.ids.set()

    def contractDetails(self, reqId, contractDetails):
        self.seen.append(("details", contractDetails))

    def contractDetailsEnd(self, reqId):
        self.seen.append(("details end", reqId))

    def tickByTickAllLast(self, reqId, tickType, time, price, size, *rest):
        self.seen.append(("print", (price, size)))

    def tickPrice(self, reqId, tickType, price, attrib):
        self.seen.append(("price", (tickType, price)))

    def tickReqParams(self, tickerId, minTick, bboExchange, snapshotPermissions):
        self.seen.append(("params", minTick))

    def historicalData(self, reqId, bar):
        self.seen.append(("bar", bar))

    def historicalDataEnd(self, reqId, start, end):
        self.seen.append(("bars end", start))

    def openOrder(self, orderId, contract, order, orderState):
        self.seen.append(("open", (orderId, contract.localSymbol, order, orderState.status)))

    def orderStatus(self, orderId, status, filled, remaining, avgFillPrice, *rest):
        self.seen.append(("status", (orderId, status, filled, remaining)))

    def execDetails(self, reqId, contract, execution):
        self.seen.append(("exec", (reqId, execution)))

    def execDetailsEnd(self, reqId):
        self.seen.append(("exec end", reqId))

    def commissionReport(self, commissionReport):
        self.seen.append(("commission", commissionReport.commission))

    def position(self, account, contract, position, avgCost):
        self.seen.append(("position", (contract.localSymbol, position, avgCost)))

    def completedOrder(self, contract, order, orderState):
        self.seen.append(("completed", (contract.localSymbol, orderState.completedStatus)))

    def completedOrdersEnd(self):
        self.seen.append(("completed end", None))

    def currentTime(self, time):
        self.seen.append(("time", time))

    def all(self, kind):
        return [value for name, value in list(self.seen) if name == kind]

    def wait(self, kind, count=1, seconds=8.0):
        deadline = time.monotonic() + seconds
        while len(self.all(kind)) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"only {len(self.all(kind))} of {count} {kind}")
            time.sleep(0.01)
        return self.all(kind)


def future():
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = "MNQ", "FUT", "CME", "USD"
    contract.lastTradeDateOrContractMonth = "202612"
    return contract


def order(action, kind="MKT", limit=0.0):
    made = Order()
    made.action, made.totalQuantity, made.orderType, made.tif = action, 1, kind, "DAY"
    if limit:
        made.lmtPrice = limit
    made.eTradeOnly = made.firmQuoteOnly = False
    return made


def main():
    verdicts = {}
    peer = Peer()
    peer.connect("127.0.0.1", int(sys.argv[1]), 50)
    threading.Thread(target=peer.run, daemon=True).start()
    assert peer.ids.wait(5)
    verdicts["version"] = "ok" if peer.serverVersion() == 157 else str(peer.serverVersion())
    peer.reqContractDetails(1, future())
    peer.wait("details end")
    (found,) = peer.all("details")
    facts = (found.contract.localSymbol, found.contract.multiplier, found.minTick, found.realExpirationDate)
    verdicts["details"] = "ok" if facts == ("MNQZ6", "2", 0.25, "20261218") else str(facts)
    peer.reqMktData(2, future(), "", False, False, [])
    peer.reqTickByTickData(3, future(), "AllLast", 0, False)
    prints = peer.wait("print", 5)
    peer.wait("price", 4)
    good = all(price % 0.25 == 0 and size > 0 for price, size in prints) and peer.all("params") == [0.25]
    verdicts["ticks"] = "ok" if good else str(prints)
    peer.cancelTickByTickData(3)
    peer.cancelMktData(2)
    # 30 bars: a short answer keeps clear of this client's reader, which loses reads of 4096 bytes.
    peer.reqHistoricalData(4, future(), "", "1800 S", "1 min", "TRADES", 0, 2, False, [])
    peer.wait("bars end")
    bars = peer.all("bar")
    good = len(bars) in (29, 30) and all(bar.low <= bar.open <= bar.high for bar in bars)
    verdicts["history"] = "ok" if good else str(len(bars))
    verdicts["order"] = _trade(peer)
    verdicts["lists"] = _lists(peer)
    peer.disconnect()
    print(json.dumps(verdicts))


def _trade(peer):
    peer.reqPositions()
    number = peer.next_id
    peer.placeOrder(number, future(), order("BUY"))
    peer.wait("commission")
    peer.placeOrder(number + 1, future(), order("SELL"))
    peer.wait("commission", 2)
    states = [status for name, status, *_ in peer.all("status") if name == number]
    opened = [(symbol, sent.orderType, sent.action) for name, symbol, sent, _ in peer.all("open") if name == number]
    sides = [execution.side for _, execution in peer.all("exec")]
    positions = [quantity for _, quantity, _ in peer.wait("position", 2)]
    facts = (states, set(opened), sides, positions, peer.all("commission"))
    wanted = (["PreSubmitted", "Submitted", "Filled"], {("MNQZ6", "MKT", "BUY")}, ["BOT", "SLD"], [1, 0], [0.62, 0.62])
    return "ok" if facts == wanted else str(facts)


def _lists(peer):
    peer.seen.clear()
    peer.reqExecutions(9, ExecutionFilter())
    peer.reqCompletedOrders(False)
    peer.reqCurrentTime()
    peer.wait("exec end")
    peer.wait("completed end")
    peer.wait("time")
    rows = {request for request, _ in peer.all("exec")}
    return "ok" if rows == {9} and ("MNQZ6", "Filled Size: 1") in peer.all("completed") else str(peer.seen)


if __name__ == "__main__":
    main()
