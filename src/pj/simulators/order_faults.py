"""Plant what goes wrong with orders at a real gateway (reference/tws.md section 1), one planted fault at a time.

Each verb takes ``count`` (default 1): how many orders, cancels or fills it befalls.
``tif_note``: the order is taken and lives, but error 10349 comes with it, which both libraries read as a cancel.
``late_reject``: the order is taken, then ends Inactive with error 201. ``lose_order``: the order never reaches the
gateway, the connection breaks. ``drop_on_order``: it is processed, and the connection breaks before a word is said.
``drop_on_fill``: the next fill happens, and its owner's connection breaks before it is told. ``fill_on_cancel``: the
order fills while the cancel is on its way, which is answered with 10148. ``repeat_fills``: each execution is told
twice. ``slow_status`` (``ms``, 0 = off): order states come that much later than executions and positions.
``roll_ids`` (``to``, default 1): the gateway names this as its next valid id, whatever was used before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pj.simulators.gateway_session import Session

COUNTED: Final = (
    "tif_note",
    "late_reject",
    "lose_order",
    "drop_on_order",
    "drop_on_fill",
    "fill_on_cancel",
    "repeat_fills",
)
TIF_NOTE: Final = (10349, "Order TIF was set to DAY based on order preset.")


@dataclass(slots=True)
class OrderFaults:
    """Count down what is planted; ``slow_status_ms`` stays until it is taken back."""

    tif_note: int = 0
    late_reject: int = 0
    lose_order: int = 0
    drop_on_order: int = 0
    drop_on_fill: int = 0
    fill_on_cancel: int = 0
    repeat_fills: int = 0
    slow_status_ms: int = 0

    def takes(self, name: str) -> bool:
        """Tell whether the fault of that name befalls now, and count it down."""
        left: int = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return bool(left)

    def status_frames(self, session: Session, frames: Iterable[bytes]) -> None:
        """Send frames that tell an order's state, late when that is planted."""
        if self.slow_status_ms:
            asyncio.get_running_loop().call_later(self.slow_status_ms / 1000, session.send, *frames)
        else:
            session.send(*frames)
