"""Build the gateway's messages about orders and executions (field lists: reference tws 3).

openOrder and completedOrder have some 150 fields. They are kept by name, in wire order, with the value a
plain order on a future has; what the gateway knows is filled in by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pj.simulators.eastern import CT, stamp
from pj.simulators.matching import Fill, Order, Status
from pj.simulators.replies import contract_fields
from pj.simulators.wire import UNSET_DOUBLE, UNSET_INT, Field, frame

_CODES: Final = {1: "BUY", -1: "SELL"}
_TIME: Final = "%Y%m%d %H:%M:%S US/Central"
# Names whose usual value is not the empty text; the deltaNeutral type must stay empty, else 8 fields follow it.
_USUAL: Final[Mapping[str, Field]] = {
    "origin": 0,
    "outsideRth": False,
    "hidden": False,
    "discretionaryAmt": 0,
    "shortSaleSlot": 0,
    "exemptCode": -1,
    "auctionStrategy": 0,
    "blockOrder": False,
    "sweepToFill": False,
    "allOrNone": False,
    "ocaType": 3,
    "eTradeOnly": False,
    "firmQuoteOnly": False,
    "parentId": 0,
    "triggerMethod": 0,
    "volatilityType": 0,
    "continuousUpdate": False,
    "referencePriceType": 0,
    "comboLegs": 0,
    "orderComboLegs": 0,
    "smartComboParams": 0,
    "optOutSmartRouting": False,
    "notHeld": False,
    "deltaNeutralContract": False,
    "solicited": False,
    "whatIf": False,
    "randomizeSize": False,
    "randomizePrice": False,
    "conditions": 0,
    "adjustedOrderType": "None",
    "triggerPrice": UNSET_DOUBLE,
    "adjustedStopPrice": UNSET_DOUBLE,
    "adjustedStopLimitPrice": UNSET_DOUBLE,
    "adjustedTrailingAmount": UNSET_DOUBLE,
    "adjustableTrailingUnit": 0,
    "cashQty": 0,
    "dontUseAutoPriceForHedge": False,
    "isOmsContainer": False,
    "discretionaryUpToLimitPrice": False,
    "usePriceMgmtAlgo": 0,
    "duration": UNSET_INT,
    "postToAts": UNSET_INT,
    "autoCancelParent": False,
    "filledQuantity": 0,
    "refFuturesConId": 0,
    "imbalanceOnly": False,
    "routeMarketableToBbo": False,
    "parentPermId": 0,
    "competeAgainstBestOffset": UNSET_DOUBLE,
    **{
        f"{margin}{when}": UNSET_DOUBLE
        for margin in ("initMargin", "maintMargin", "equityWithLoan")
        for when in ("Before", "Change", "After")
    },
}
_MARGINS: Final = (
    "initMarginBefore maintMarginBefore equityWithLoanBefore initMarginChange maintMarginChange equityWithLoanChange"
    " initMarginAfter maintMarginAfter equityWithLoanAfter"
)
_TERMS: Final = "action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin orderRef"
_FA: Final = "faGroup faMethod faPercentage faProfile modelCode goodTillDate rule80A percentOffset settlingFirm"
_PEGS: Final = "minTradeQty minCompeteSize competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf"
_LEGS: Final = "comboLegs orderComboLegs smartComboParams scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement"

_OPEN: Final = (
    f"{_TERMS} clientId permId outsideRth hidden discretionaryAmt goodAfterTime sharesAllocation {_FA} shortSaleSlot"
    " designatedLocation exemptCode auctionStrategy startingPrice stockRefPrice delta stockRangeLower stockRangeUpper"
    " displaySize blockOrder sweepToFill allOrNone minQty ocaType eTradeOnly firmQuoteOnly nbboPriceCap parentId"
    " triggerMethod volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice continuousUpdate"
    f" referencePriceType trailStopPrice trailingPercent basisPoints basisPointsType comboLegsDescrip {_LEGS} hedgeType"
    " optOutSmartRouting clearingAccount clearingIntent notHeld deltaNeutralContract algoStrategy solicited whatIf"
    f" status {_MARGINS} commission minCommission maxCommission commissionCurrency warningText randomizeSize"
    " randomizePrice conditions adjustedOrderType triggerPrice trailStopPrice2 lmtPriceOffset adjustedStopPrice"
    " adjustedStopLimitPrice adjustedTrailingAmount adjustableTrailingUnit softName softValue softDisplay cashQty"
    " dontUseAutoPriceForHedge isOmsContainer discretionaryUpToLimitPrice usePriceMgmtAlgo duration postToAts"
    f" autoCancelParent {_PEGS}"
).split()
_COMPLETED: Final = (
    f"{_TERMS} permId outsideRth hidden discretionaryAmt goodAfterTime {_FA} shortSaleSlot designatedLocation"
    " exemptCode startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize sweepToFill allOrNone"
    " minQty ocaType triggerMethod volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice"
    f" continuousUpdate referencePriceType trailStopPrice trailingPercent comboLegsDescrip {_LEGS} hedgeType"
    " clearingAccount clearingIntent notHeld deltaNeutralContract algoStrategy solicited status randomizeSize"
    " randomizePrice conditions trailStopPrice2 lmtPriceOffset cashQty dontUseAutoPriceForHedge isOmsContainer"
    " autoCancelDate filledQuantity refFuturesConId autoCancelParent shareholder imbalanceOnly routeMarketableToBbo"
    f" parentPermId completedTime completedStatus {_PEGS}"
).split()
_NO_STATE: Final[Mapping[str, Field]] = {}
_SINCE: Final = {"duration": 159, "postToAts": 160, **dict.fromkeys(_PEGS.split(), 170)}


def average(order: Order) -> float:
    """Return the average fill price in points."""
    return float(order.average_ticks) * float(order.future.instrument.tick)


def _price(order: Order, ticks: int | None) -> str:
    return "0.0" if ticks is None else order.future.instrument.to_points(ticks)


def _known(account: str, order: Order) -> dict[str, Field]:
    """Return what the gateway knows of an order, by wire name."""
    return {
        "action": _CODES[order.side],
        "totalQuantity": order.quantity,
        "orderType": order.kind,
        "lmtPrice": _price(order, order.limit_ticks),
        "auxPrice": _price(order, order.stop_ticks),
        "tif": order.tif,
        "ocaGroup": order.oca_group,
        "account": account,
        "openClose": order.open_close,
        "orderRef": order.order_ref,
        "clientId": order.client_id,
        "permId": order.perm_id,
        "outsideRth": order.outside_rth,
        "ocaType": order.oca_type or 3,
        "parentId": order.parent_id,
        "status": str(order.status),
        "filledQuantity": order.filled,
        "completedTime": stamp(order.done_ns, CT, _TIME),
        "completedStatus": f"{order.status} Size: {order.filled}",
    }


def _listed(names: Iterable[str], known: Mapping[str, Field], dropped: Iterable[str]) -> list[Field]:
    gone = frozenset(dropped)
    return [known.get(name, _USUAL.get(name, "")) for name in names if name not in gone]


def _dropped(version: int, *, completed: bool) -> list[str]:
    """Return the names the message has not at ``version``."""
    dropped = [name for name, since in _SINCE.items() if version < since]
    if version >= 177:
        dropped.append("faProfile")
    if version < 162 and not completed:
        dropped.append("autoCancelParent")
    return dropped


def order_status(order: Order) -> bytes:
    """Return the order's status."""
    held = "child" if order.status is Status.PRE_SUBMITTED and order.parent_id else ""
    last = _price(order, order.last_fill_ticks or None)
    head: list[Field] = [3, order.order_id, str(order.status), order.filled, order.remaining, average(order)]
    return frame(*head, order.perm_id, order.parent_id, last, order.client_id, held, 0)


def open_order(version: int, account: str, order: Order, state: Mapping[str, Field] = _NO_STATE) -> bytes:
    """Return the order with its state; ``state`` adds or replaces fields by wire name."""
    head: list[Field] = [5, order.order_id, *contract_fields(order.future, "CME")]
    return frame(*head, *_listed(_OPEN, {**_known(account, order), **state}, _dropped(version, completed=False)))


def open_order_end() -> bytes:
    """Return the end of the open orders."""
    return frame(53, 1)


def completed_order(version: int, account: str, order: Order) -> bytes:
    """Return a finished order of the day; an order refused after it was taken counts as cancelled."""
    head: list[Field] = [101, *contract_fields(order.future, "CME")]
    known = _known(account, order)
    if order.status is Status.INACTIVE:
        known |= {"status": str(Status.CANCELLED), "completedStatus": "Cancelled by System"}
    return frame(*head, *_listed(_COMPLETED, known, _dropped(version, completed=True)))


def completed_orders_end() -> bytes:
    """Return the end of the finished orders."""
    return frame(102)


def execution(version: int, account: str, request_id: int, fill: Fill) -> bytes:
    """Return one execution; ``request_id`` is -1 for a live one."""
    order = fill.order
    side = "BOT" if order.side > 0 else "SLD"
    price = order.future.instrument.to_points(fill.price_ticks)
    fields: list[Field] = [11, request_id, order.order_id, *contract_fields(order.future, "CME"), fill.exec_id]
    fields += [stamp(fill.time_ns, CT, _TIME), account, "CME", side, fill.quantity, price]
    fields += [order.perm_id, order.client_id, 0, order.filled, average(order), order.order_ref, "", "", "", 1]
    if version >= 178:
        fields.append(False)
    return frame(*fields)


def executions_end(request_id: int) -> bytes:
    """Return the end of an executions answer."""
    return frame(55, 1, request_id)


def commission(fill: Fill) -> bytes:
    """Return the commission of one execution; realized profit is unset for an opening fill."""
    realized: Field = UNSET_DOUBLE if fill.realized_usd is None else float(fill.realized_usd)
    return frame(59, 1, fill.exec_id, fill.commission_usd, "USD", realized, UNSET_DOUBLE, "")
