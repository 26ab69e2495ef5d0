"""Ask a gateway, through the vendor's own client library, what the account did and holds: PORT. Prints one JSON object.

It is the campaign's second witness: it shares no code with the product and reads none of its files.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

CLIENT_ID: Final = 4711
LIMIT_S: Final = 20


def ask(port: int, env: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return executions, positions by contract, working and completed orders of the account behind ``port``."""
    command = [sys.executable, "-P", __file__, str(port)]
    done = subprocess.run(command, env=dict(env), capture_output=True, text=True, timeout=2 * LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def _look(library: Any, port: int) -> dict[str, Any]:
    ib = library.IB()
    await ib.connectAsync("127.0.0.1", port, clientId=CLIENT_ID, timeout=LIMIT_S)
    fills = await ib.reqExecutionsAsync(library.ExecutionFilter())
    trades = await ib.reqAllOpenOrdersAsync()
    completed = await ib.reqCompletedOrdersAsync(False)
    positions = await ib.reqPositionsAsync()
    found = {
        "executions": [_fill(fill) for fill in fills],
        "positions": {row.contract.localSymbol: int(row.position) for row in positions if row.position},
        "orders": [_order(trade) for trade in trades],
        "completed": [_order(trade) for trade in completed],
    }
    ib.disconnect()
    return found


def _order(trade: Any) -> list[str]:
    return [trade.order.orderRef, trade.order.action, trade.order.orderType, trade.orderStatus.status]


def _fill(fill: Any) -> dict[str, Any]:
    seen = fill.execution
    return {
        "exec_id": seen.execId,
        "order_ref": seen.orderRef,
        "side": 1 if seen.side == "BOT" else -1,
        "qty": int(seen.shares),
        "price": float(seen.price),
        "perm_id": seen.permId,
        "time_s": seen.time.timestamp(),
    }


def main() -> None:
    """Look once."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    library = importlib.import_module("ib_insync")
    print(json.dumps(loop.run_until_complete(_look(library, int(sys.argv[1])))))


if __name__ == "__main__":
    main()
