"""Answer requests about the server and its contracts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from pj.simulators import replies
from pj.simulators.contracts import ContractQuery, good_friday
from pj.simulators.eastern import trade_date
from pj.simulators.gateway_core import Core
from pj.simulators.wire import Fields

if TYPE_CHECKING:
    from pj.simulators.gateway_session import Session

NO_DEFINITION: Final = "No security definition has been found for the request"
_DAYS_SHOWN: Final = 6


def query(fields: Fields) -> ContractQuery:
    """Read the 12 contract fields."""
    return ContractQuery(fields.integer(), *(fields.text() for _ in range(11)))


def _hours(day: date) -> tuple[str, str]:
    """Return the trading and liquid hours texts, Chicago time, of the next days."""
    trading, liquid = [], []
    for offset in range(_DAYS_SHOWN):
        here = day + timedelta(days=offset)
        if here.weekday() >= 5 or (here.month, here.day) in ((12, 25), (1, 1)) or here == good_friday(here.year):
            trading.append(f"{here:%Y%m%d}:CLOSED")
            liquid.append(f"{here:%Y%m%d}:CLOSED")
            continue
        before = here - timedelta(days=1)
        trading.append(f"{before:%Y%m%d}:1700-{here:%Y%m%d}:1600")
        liquid.append(f"{here:%Y%m%d}:0830-{here:%Y%m%d}:1600")
    return ";".join(trading), ";".join(liquid)


def contract_details(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqContractDetails."""
    fields.skip(1)
    request_id = fields.integer()
    wanted = query(fields)
    found = core.find(wanted)
    if not found:
        session.error(request_id, 200, NO_DEFINITION)
        return
    hours = _hours(trade_date(core.clock.now_ns()))
    sec_type = "CONTFUT" if wanted.sec_type == "CONTFUT" else "FUT"
    session.send(
        *(replies.contract_details(session.version, request_id, future, sec_type, hours) for future in found),
        replies.contract_details_end(request_id),
    )


def current_time(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqCurrentTime with the run's time; a deaf gateway does not."""
    del fields
    if core.faults.deaf:
        return
    session.send(replies.current_time(core.clock.now_ns() // 1_000_000_000))


def market_rule(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqMarketRule: one tick size for all prices."""
    session.send(replies.market_rule(fields.integer(), [("0", str(core.future.instrument.tick))]))


def managed_accounts(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqManagedAccts."""
    del fields
    session.send(replies.managed_accounts([core.book.account.account_id]))


def next_ids(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqIds."""
    del fields
    session.send(replies.next_valid_id(core.next_ids.get(session.client_id, 1)))


def nothing(core: Core, session: Session, fields: Fields) -> None:
    """Take a request that has no answer."""
    del core, session, fields


HANDLERS: Final[Mapping[int, Callable[[Core, Session, Fields], None]]] = {
    8: next_ids,
    9: contract_details,
    14: nothing,
    17: managed_accounts,
    49: current_time,
    91: market_rule,
}
