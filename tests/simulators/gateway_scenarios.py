"""Be an unmodified API client of the simulated gateway: run every scenario and print one JSON line of verdicts.

Usage: ``python gateway_scenarios.py ib_insync|ib_async PORT``. A verdict is "ok" or the traceback.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import logging
import sys
import traceback
from datetime import UTC, date, datetime

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
ibx = importlib.import_module(sys.argv[1])
PORT = int(sys.argv[2])
LOST: list[str] = []


class Lost(logging.Handler):
    """Collect what the library's decoder could not read: the simulator's mistake, whatever else passed."""

    def emit(self, record):
        if record.name.endswith(".Decoder"):
            LOST.append(record.getMessage())


logging.getLogger().addHandler(Lost())


async def connect(client_id, seconds=4):
    ib = ibx.IB()
    ib.errors = []
    ib.errorEvent += lambda rid, code, text, contract: ib.errors.append(code)
    await ib.connectAsync("127.0.0.1", PORT, clientId=client_id, timeout=seconds)
    return ib


async def mnq(ib):
    (contract,) = await ib.qualifyContractsAsync(ibx.Future("MNQ", localSymbol="MNQZ6", exchange="CME"))
    return contract


async def until(condition, what, seconds=5.0):
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


def market(action, quantity, **extra):
    return ibx.MarketOrder(action, quantity, tif="DAY", **extra)


async def handshake():
    ib = await connect(1)
    assert ib.client.serverVersion() == ib.client.MaxClientVersion
    assert ib.managedAccounts() == ["DU000001"]
    now = await ib.reqCurrentTimeAsync()
    assert now.date() == date(2026, 11, 18), now
    assert {value.tag for value in ib.accountValues()} >= {"NetLiquidation", "AvailableFunds", "RealizedPnL"}
    summary = await ib.accountSummaryAsync()
    assert "100000.00" in {value.value for value in summary if value.tag == "TotalCashValue"}
    assert 2104 in ib.errors
    ib.disconnect()


async def details():
    ib = await connect(2)
    found = await ib.reqContractDetailsAsync(ibx.Future("MNQ", exchange="CME"))
    names = [one.contract.localSymbol for one in found]
    assert names == ["MNQZ6", "MNQH7", "MNQM7", "MNQU7", "MNQZ7"], names
    front = found[0]
    assert front.contract.lastTradeDateOrContractMonth == "20261218"
    assert (front.contract.multiplier, front.minTick, front.realExpirationDate) == ("2", 0.25, "20261218")
    assert front.timeZoneId == "US/Central" and ":CLOSED" in front.tradingHours and front.underSymbol == "NDX"
    for symbol, multiplier in (("NQ", "20"), ("ES", "50"), ("MES", "5")):
        (one,) = await ib.reqContractDetailsAsync(ibx.Future(symbol, "202612", "CME"))
        assert one.contract.multiplier == multiplier
    (same,) = await ib.qualifyContractsAsync(ibx.Contract(conId=front.contract.conId, exchange="CME"))
    assert same.localSymbol == "MNQZ6"
    (current,) = await ib.reqContractDetailsAsync(ibx.ContFuture("MNQ", "CME"))
    assert current.contract.localSymbol == "MNQZ6"
    ib.errors.clear()
    assert not await ib.reqContractDetailsAsync(ibx.Future("MYM", "202612", "CBOT"))
    assert ib.errors == [200], ib.errors
    ib.disconnect()


async def ticks():
    ib = await connect(3)
    contract = await mnq(ib)
    ticker = ib.reqMktData(contract)
    prints = []
    ib.pendingTickersEvent += lambda tickers: prints.extend(t for one in tickers for t in one.tickByTicks)
    ib.reqTickByTickData(contract, "AllLast")
    await until(lambda: len(prints) > 8, "prints")
    assert all(tick.price % 0.25 == 0 and tick.size >= 1 and tick.exchange == "CME" for tick in prints)
    assert ticker.ask - ticker.bid == 0.25
    assert ticker.marketDataType == 1 and ticker.minTick == 0.25 and ticker.volume > 100_000
    assert ticker.low <= ticker.last <= ticker.high
    ib.cancelTickByTickData(contract, "AllLast")
    ib.cancelMktData(contract)
    await asyncio.sleep(0.1)
    count = len(prints)
    await asyncio.sleep(0.7)
    assert len(prints) == count, "prints after cancel"
    quotes = []
    second = await mnq(ib)
    ib.reqTickByTickData(second, "BidAsk")
    ib.pendingTickersEvent += lambda tickers: quotes.extend(t for one in tickers for t in one.tickByTicks)
    await until(lambda: len(quotes) > 3, "quotes")
    assert all(quote.askPrice - quote.bidPrice == 0.25 for quote in quotes)
    ib.errors.clear()
    (other,) = await ib.qualifyContractsAsync(ibx.Future("ES", "202612", "CME"))
    ib.reqMktData(other)
    await until(lambda: 354 in ib.errors, "354 for a market that is not played")
    ib.disconnect()


async def history():
    ib = await connect(4)
    contract = await mnq(ib)

    async def ask(duration, size, style=2, end="", regular=False, what="TRADES"):
        return await ib.reqHistoricalDataAsync(contract, end, duration, size, what, regular, style)

    minutes = await ask("2 D", "1 min")
    now = await ib.reqCurrentTimeAsync()
    assert minutes[0].date == datetime(2026, 11, 16, 23, tzinfo=UTC), minutes[0].date
    assert minutes[-1].date.timestamp() + 60 <= now.timestamp() + 1 < minutes[-1].date.timestamp() + 200
    assert all((b.date - a.date).total_seconds() in (60, 3660) for a, b in itertools.pairwise(minutes))
    zoned = await ask("2 D", "1 min", style=1)
    assert [bar.date.timestamp() for bar in zoned][:900] == [bar.date.timestamp() for bar in minutes][:900]
    fives = await ask("1 D", "5 mins")
    first = [bar for bar in minutes if 0 <= (bar.date - fives[0].date).total_seconds() < 300]
    assert fives[0].open == first[0].open and fives[0].close == first[-1].close
    assert fives[0].high == max(bar.high for bar in first) and fives[0].volume == sum(bar.volume for bar in first)
    days = await ask("5 D", "1 day", style=1)
    assert [bar.date for bar in days] == [date(2026, 11, day) for day in (12, 13, 16, 17)], days
    past = await ask("3600 S", "1 min", end="20261117 15:00:00 UTC")
    assert len(past) == 60 and past[-1].date == datetime(2026, 11, 17, 14, 59, tzinfo=UTC)
    assert len(await ask("1 W", "1 hour")) > 100
    regular = await ask("1 D", "30 mins", end="20261117-23:00:00", regular=True)
    assert len(regular) == 15, len(regular)
    head = await ib.reqHeadTimeStampAsync(contract, "TRADES", False, 2)
    assert head.date() < date(2026, 11, 1)
    ib.errors.clear()
    assert not await ask("1 D", "1 min", what="MIDPOINT") and ib.errors == [162], ib.errors
    for bad in (("1 D", "7 secs"), ("one day", "1 min")):
        ib.errors.clear()
        # ib_async takes 321 for a warning and waits on; the answer is what counts.
        await asyncio.wait([asyncio.ensure_future(ask(*bad))], timeout=0.3)
        assert ib.errors == [321], ib.errors
    ib.disconnect()


async def bracket():
    ib = await connect(5)
    contract = await mnq(ib)
    ticker = ib.reqMktData(contract)
    await until(lambda: ticker.ask > 0, "a quote")
    entry = market("BUY", 2, orderId=ib.client.getReqId(), transmit=False, orderRef="sig-1")
    target = ibx.LimitOrder(
        "SELL",
        2,
        round(ticker.ask + 500),
        orderId=ib.client.getReqId(),
        parentId=entry.orderId,
        transmit=False,
        tif="DAY",
    )
    stop = ibx.StopOrder(
        "SELL",
        2,
        round(ticker.ask - 500),
        orderId=ib.client.getReqId(),
        parentId=entry.orderId,
        transmit=True,
        tif="DAY",
    )
    trades = [ib.placeOrder(contract, order) for order in (entry, target)]
    await asyncio.sleep(0.2)
    assert [trade.orderStatus.status for trade in trades] == ["PendingSubmit"] * 2, "transmit=0 must hold"
    trades.append(ib.placeOrder(contract, stop))
    await until(lambda: all(trade.orderStatus.status == "Submitted" for trade in trades[1:]), "children at work")
    assert [entry.status for entry in trades[0].log][:4] == ["PendingSubmit", "PreSubmitted", "Submitted", "Filled"]
    assert [entry.status for entry in trades[1].log] == ["PendingSubmit", "PreSubmitted", "Submitted"]
    (fill,) = trades[0].fills
    assert fill.execution.side == "BOT" and fill.execution.shares == 2 and fill.execution.orderRef == "sig-1"
    await until(lambda: fill.commissionReport.commission == 1.24, "the commission")
    (position,) = ib.positions()
    assert position.position == 2 and position.avgCost == fill.execution.price * 2
    await until(lambda: ib.portfolio() and ib.portfolio()[0].position == 2, "the portfolio")
    # The target moved to where it can be hit at once: it fills, its sibling is cancelled.
    target.lmtPrice = round(ticker.bid - 50)
    ib.placeOrder(contract, target)
    await until(lambda: trades[1].orderStatus.status == "Filled", "the target")
    await until(lambda: trades[2].orderStatus.status == "Cancelled", "the stop cancelled")
    assert ib.positions() == [] and trades[2].orderStatus.filled == 0
    realized = trades[1].fills[0].commissionReport.realizedPNL
    assert realized == (trades[1].fills[0].execution.price - fill.execution.price) * 4
    ib.disconnect()


async def oca_and_cancel():
    ib = await connect(6)
    contract = await mnq(ib)
    ticker = ib.reqMktData(contract)
    await until(lambda: ticker.ask > 0, "a quote")
    low = round(ticker.bid - 800)
    pair = [ibx.LimitOrder("BUY", 1, low - i, ocaGroup="pair", ocaType=1, tif="GTC") for i in range(2)]
    trades = [ib.placeOrder(contract, order) for order in pair]
    await until(lambda: all(trade.orderStatus.status == "Submitted" for trade in trades), "two working orders")
    pair[0].lmtPrice = round(ticker.ask + 20)
    ib.placeOrder(contract, pair[0])
    await until(
        lambda: [trade.orderStatus.status for trade in trades] == ["Filled", "Cancelled"], "one cancels the other"
    )
    parent = ibx.LimitOrder("BUY", 1, low, orderId=ib.client.getReqId(), transmit=False, tif="DAY")
    child = ibx.StopOrder("SELL", 1, low - 50, parentId=parent.orderId, tif="DAY")
    family = [ib.placeOrder(contract, order) for order in (parent, child)]
    await until(lambda: family[0].orderStatus.status == "Submitted", "the parent")
    assert family[1].orderStatus.status == "PreSubmitted"
    ib.cancelOrder(parent)
    await until(lambda: all(trade.orderStatus.status == "Cancelled" for trade in family), "the family cancelled")
    closing = ib.placeOrder(contract, market("SELL", 1))
    await until(lambda: closing.orderStatus.status == "Filled", "the close")
    ib.disconnect()


async def executions_of_everyone():
    one, two = await connect(7), await connect(8)
    contract = await mnq(one)
    trade = one.placeOrder(contract, market("SELL", 1))
    await until(lambda: trade.orderStatus.status == "Filled", "the sale")
    await until(lambda: [item.position for item in two.positions()] == [-1], "the other client's position")
    seen = await two.reqExecutionsAsync()
    assert trade.fills[0].execution.execId in {fill.execution.execId for fill in seen}
    own = await two.reqExecutionsAsync(ibx.ExecutionFilter(clientId=8))
    assert not own
    resting = one.placeOrder(contract, ibx.LimitOrder("SELL", 1, 40_000, tif="GTC"))
    await until(lambda: resting.orderStatus.status == "Submitted", "the resting order")
    assert await two.reqOpenOrdersAsync() == []
    everyone = await two.reqAllOpenOrdersAsync()
    assert [item.order.permId for item in everyone] == [resting.order.permId]
    done = await two.reqCompletedOrdersAsync(False)
    assert trade.order.permId in {item.order.permId for item in done}
    one.cancelOrder(resting.order)
    back = one.placeOrder(contract, market("BUY", 1))
    await until(lambda: back.orderStatus.status == "Filled" and two.positions() == [], "flat again")
    one.disconnect()
    two.disconnect()


async def refusals():
    ib = await connect(9)
    contract = await mnq(ib)

    async def refused(order, code, on=contract):
        ib.errors.clear()
        order.orderId = order.orderId or ib.client.getReqId()
        ib.client.placeOrder(order.orderId, on, order)
        await until(lambda: code in ib.errors, f"error {code}")

    await refused(ibx.Order(action="BUY", totalQuantity=1, orderType="TRAIL", auxPrice=5, tif="DAY"), 201)
    await refused(market("BUY", 1000), 201)
    await refused(ibx.LimitOrder("BUY", 1, 25_000.1, tif="DAY"), 110)
    await refused(market("BUY", 1, parentId=999_999), 10006)
    await refused(market("BUY", 1), 200, ibx.Future("MYM", "202612", "CBOT"))
    trade = ib.placeOrder(contract, market("BUY", 1))
    await until(lambda: trade.orderStatus.status == "Filled", "the purchase")
    await refused(market("BUY", 2, orderId=trade.order.orderId), 104)
    ib.errors.clear()
    ib.client.cancelOrder(trade.order.orderId)
    ib.client.cancelOrder(777_777)
    await until(lambda: ib.errors == [10148, 10147], "cancel refusals")
    assert ib.positions()[0].position == 1
    state = await ib.whatIfOrderAsync(contract, market("BUY", 3))
    assert float(state.initMarginChange) > 0 and ib.positions()[0].position == 1, "a what-if must not trade"
    closing = ib.placeOrder(contract, market("SELL", 1))
    await until(lambda: closing.orderStatus.status == "Filled", "the close")
    ib.errors.clear()
    ib.client.send(3000, 1)
    await until(lambda: 505 in ib.errors, "unknown message")
    ib.disconnect()


async def reconnect():
    ib = await connect(10)
    contract = await mnq(ib)
    resting = ib.placeOrder(contract, ibx.LimitOrder("BUY", 1, 20_000, tif="GTC"))
    await until(lambda: resting.orderStatus.status == "Submitted", "the resting order")
    number = resting.order.orderId
    try:
        await connect(10, seconds=0.5)
        raise AssertionError("a client id was given twice")
    except TimeoutError:
        pass
    assert ib.isConnected()
    ib.disconnect()
    await asyncio.sleep(0.05)
    again = await connect(10)
    (open_trade,) = again.openTrades()
    assert open_trade.order.orderId == number and open_trade.order.lmtPrice == 20_000
    assert again.client.getReqId() > number
    again.errors.clear()
    again.client.placeOrder(number - 1 if number > 1 else 0, await mnq(again), market("BUY", 1))
    await until(lambda: 103 in again.errors, "an old order id")
    again.cancelOrder(open_trade.order)
    await until(lambda: open_trade.orderStatus.status == "Cancelled", "the cancel")
    again.disconnect()


SCENARIOS = [
    handshake, details, ticks, history, bracket, oca_and_cancel, executions_of_everyone, refusals, reconnect,
]  # fmt: skip


async def main():
    verdicts = {}
    for scenario in SCENARIOS:
        LOST.clear()
        try:
            await asyncio.wait_for(scenario(), 30)
            verdicts[scenario.__name__] = f"decoder lost messages: {LOST}" if LOST else "ok"
        except BaseException:
            verdicts[scenario.__name__] = traceback.format_exc()
    print(json.dumps(verdicts))


if __name__ == "__main__":
    loop.run_until_complete(main())
