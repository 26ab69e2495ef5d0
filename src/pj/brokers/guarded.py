"""Put the kill switch between every adapter and its broker.

The Dispatcher takes a ``GuardedBroker`` and nothing else, so a new adapter cannot forget the switch: it never sees an
entry that the switch forbids. Engine, gate and dispatcher ask as well, earlier; this is the last look, at the disk,
right before the adapter sends (issue: the kill switch must work outside the engine).
"""

from __future__ import annotations

from typing import assert_never, final

from live.commands import CancelOrders, ClosePosition, PlaceBracket, PlaceExits
from pj.brokers.port import Answer, Broker, Order, Outcome
from pj.channels.rundir import RunDir
from pj.channels.switches import entry_forbidden


@final
class GuardedBroker:
    """Pass orders to ``adapter``; refuse entries while KILL_SWITCH or DISARMED stands, never exits and cancels."""

    def __init__(self, adapter: Broker, run_dir: RunDir) -> None:
        """Guard ``adapter`` by the switches of ``run_dir``; raise TypeError for an adapter that is guarded already."""
        if isinstance(adapter, GuardedBroker):
            raise TypeError(f"{adapter!r} is guarded already; hand over the adapter itself")
        self._adapter = adapter
        self._run_dir = run_dir

    @property
    def name(self) -> str:
        """Return the adapter's name."""
        return self._adapter.name

    def __repr__(self) -> str:
        """Show the adapter."""
        return f"GuardedBroker({self._adapter!r})"

    def send(self, order: Order, now_ns: int) -> Answer:
        """Send ``order`` once, or answer REFUSED with the switch's name: then no byte has left."""
        match order:
            case PlaceBracket():
                forbidden = entry_forbidden(self._run_dir)
                if forbidden:
                    return Answer(Outcome.REFUSED, forbidden)
            case ClosePosition() | CancelOrders() | PlaceExits():
                pass
            case _:
                assert_never(order)
        return self._adapter.send(order, now_ns)

    def warm(self) -> None:
        """Open the connection ahead of the next order, without sending one."""
        self._adapter.warm()

    def close(self) -> None:
        """Drop the connection."""
        self._adapter.close()
