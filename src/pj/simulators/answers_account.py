"""Answer requests about the account: positions, values, portfolio, summary, profit and loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from pj.simulators import replies
from pj.simulators.contracts import Future
from pj.simulators.eastern import ET, stamp
from pj.simulators.gateway_core import Core
from pj.simulators.wire import Field, Fields

if TYPE_CHECKING:
    from pj.simulators.gateway_session import Session


def _mark(core: Core, future: Future) -> int:
    """Return the mark of ``future`` in ticks: the last print, or its average price where no market is played."""
    held = core.book.account.position(future)
    return core.market.last if future == core.future and core.market.last else round(held.average_ticks)


def _values(core: Core) -> dict[str, tuple[str, str]]:
    return core.book.account.values(core.future, _mark(core, core.future))


def _position_frame(core: Core, future: Future) -> bytes:
    held = core.book.account.position(future)
    cost = float(held.average_ticks * future.instrument.tick_cents / 100)
    return replies.position(core.book.account.account_id, future, _reported(core, future), cost)


def _reported(core: Core, future: Future) -> int:
    stale = core.faults.stale
    return core.book.account.position(future).quantity if stale is None else stale.get(future, 0)


def _portfolio_frame(core: Core, future: Future) -> bytes:
    account = core.book.account
    held, mark = account.position(future), _mark(core, future)
    per_tick = future.instrument.tick_cents / 100
    figures: list[Field] = [
        held.quantity,
        future.instrument.to_points(mark),
        held.quantity * mark * per_tick,
        float(held.average_ticks) * per_tick,
        float(account.unrealized_usd(future, mark)),
        float(held.realized_usd),
    ]
    return replies.portfolio(account.account_id, future, figures)


def _account_frames(core: Core) -> list[bytes]:
    account = core.book.account
    frames = [
        replies.account_value(tag, value, currency, account.account_id)
        for tag, (value, currency) in _values(core).items()
    ]
    frames += [_portfolio_frame(core, future) for future in account.positions]
    frames.append(replies.account_time(stamp(core.clock.now_ns(), ET, "%H:%M")))
    return frames


def account_updates(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqAccountUpdates: all values and portfolio lines, then changes after every fill."""
    fields.skip(1)
    session.account_updates = fields.flag()
    if session.account_updates:
        session.send(*_account_frames(core), replies.account_download_end(core.book.account.account_id))


def positions(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqPositions: the open positions, then changes."""
    del fields
    session.positions = True
    held = [future for future in core.book.account.positions if _reported(core, future)]
    session.send(*(_position_frame(core, future) for future in held), replies.position_end())


def cancel_positions(core: Core, session: Session, fields: Fields) -> None:
    """Answer cancelPositions."""
    del core, fields
    session.positions = False


def account_updates_multi(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqAccountUpdatesMulti."""
    fields.skip(1)
    request_id = fields.integer()
    account = core.book.account.account_id
    values = _values(core).items()
    session.send(
        *(replies.account_update_multi(request_id, account, tag, value, unit) for tag, (value, unit) in values),
        replies.account_update_multi_end(request_id),
    )


def account_summary(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqAccountSummary for the tags asked for, then changes."""
    fields.skip(1)
    request_id = fields.integer()
    fields.skip(1)
    session.summary_ids[request_id] = frozenset(fields.text().split(","))
    session.send(*_summary_frames(core, session, request_id), replies.account_summary_end(request_id))


def _summary_frames(core: Core, session: Session, request_id: int) -> list[bytes]:
    tags = session.summary_ids[request_id]
    every = any(tag.startswith("$LEDGER") for tag in tags)
    account = core.book.account.account_id
    return [
        replies.account_summary(request_id, account, tag, value, unit)
        for tag, (value, unit) in _values(core).items()
        if every or tag in tags
    ]


def cancel_account_summary(core: Core, session: Session, fields: Fields) -> None:
    """Answer cancelAccountSummary."""
    del core
    fields.skip(1)
    session.summary_ids.pop(fields.integer(), None)


def profit(core: Core, session: Session, fields: Fields) -> None:
    """Answer reqPnL, then changes."""
    request_id = fields.integer()
    session.pnl_ids.add(request_id)
    session.send(_pnl_frame(core, request_id))


def cancel_profit(core: Core, session: Session, fields: Fields) -> None:
    """Answer cancelPnL."""
    del core
    session.pnl_ids.discard(fields.integer())


def _pnl_frame(core: Core, request_id: int) -> bytes:
    values = _values(core)
    unrealized, realized = (float(values[tag][0]) for tag in ("UnrealizedPnL", "RealizedPnL"))
    return replies.pnl(request_id, unrealized + realized, unrealized, realized)


def after_fill(core: Core, session: Session, future: Future) -> None:
    """Tell one client the new position, values and portfolio line, as far as it subscribed to them."""
    frames: list[bytes] = []
    if session.positions:
        frames.append(_position_frame(core, future))
    if session.account_updates:
        frames += _account_frames(core)
    for request_id in session.summary_ids:
        frames += _summary_frames(core, session, request_id)
    frames += [_pnl_frame(core, request_id) for request_id in session.pnl_ids]
    if frames:
        session.send(*frames)


HANDLERS: Final[Mapping[int, Callable[[Core, Session, Fields], None]]] = {
    6: account_updates,
    61: positions,
    62: account_summary,
    63: cancel_account_summary,
    64: cancel_positions,
    76: account_updates_multi,
    92: profit,
    93: cancel_profit,
}
