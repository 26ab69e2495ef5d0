"""Run the simulated IB gateway: a TWS-protocol server on loopback for unmodified clients."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pj.clock import Clock, ClockError, ScaledClock, SystemClock, clock_from_env
from pj.simulators import gateway_options
from pj.simulators.account import Account
from pj.simulators.eastern import at, closes, opens
from pj.simulators.gateway_core import Core
from pj.simulators.gateway_feed import Feed
from pj.simulators.gateway_options import GENERATOR, Options, UsageError
from pj.simulators.gateway_session import Session
from pj.simulators.ledger import Ledger
from pj.simulators.matching import Book
from pj.simulators.tapes import Library, Tape, TapeError, load

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Window:
    """Hold what is played: one tape, the file's other contracts, and [start, end) in ns UTC."""

    tape: Tape
    others: tuple[Tape, ...]
    start_ns: int
    end_ns: int


def choose(options: Options) -> Window:
    """Return the window that ``options`` name; raise TapeError or UsageError when there is nothing in it."""
    library = _library(options)
    day = options.day or library.days()[-1]
    tape = library.leading(day)
    start = at(day, options.start) if options.start else opens(day)
    end = at(day, options.end) if options.end else closes(day)
    if end <= start:
        raise UsageError(f"--to {options.end} is not after --from {options.start} in trade date {day}")
    if not tape.minutes(start, end):
        raise TapeError(f"the tape has no rows of {tape.future.local_symbol} in the window asked for on {day}")
    return Window(tape, tuple(other for other in library.tapes.values() if other is not tape), start, end)


def _library(options: Options) -> Library:
    if options.tape == GENERATOR:
        from pj.simulators.market import generate

        return generate(options.symbol, options.contract, options.day or gateway_options.DEFAULT_DATE, options.seed)
    return load(Path(options.tape), options.symbol, options.contract)


def make_clock(options: Options, start_ns: int, env: Mapping[str, str]) -> Clock:
    """Return the run's shared clock, or an own scaled one that starts now at the window's start."""
    clock = clock_from_env(env)
    if isinstance(clock, SystemClock):
        return ScaledClock(start_ns, time.time_ns(), options.speed or 1.0)
    if options.speed is not None and options.speed != clock.speed:
        raise UsageError(f"--speed {options.speed:g} differs from the run's clock, which runs at {clock.speed:g}")
    return clock


async def serve(options: Options, window: Window, env: Mapping[str, str]) -> None:
    """Serve clients and play the window until SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    _on_stop_signals(loop, stop)
    ledger_path = options.ledger
    if ledger_path is None and options.run_dir is not None:
        ledger_path = options.run_dir / "simulators" / "gateway_ledger.csv"
    account = Account(Fraction(options.cash_usd), options.commission_usd)
    ledger = Ledger(ledger_path, window.tape.future.local_symbol)
    core = Core(
        clock=make_clock(options, window.start_ns, env),
        tape=window.tape,
        others=window.others,
        # Order numbers begin at the real time, so that they never repeat over restarts of the gateway.
        book=Book(account, base_id=time.time_ns() // 1_000_000_000 % 2_000_000_000),
        ledger=ledger,
        master_client=options.master_client,
    )
    feed = Feed(core, window.start_ns, window.end_ns)
    server = await loop.create_server(lambda: Session(core), HOST, options.port)
    port = server.sockets[0].getsockname()[1]
    print(f"READY gateway {HOST}:{port}", flush=True)
    playing = asyncio.create_task(feed.run())
    try:
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
        await stop.wait()
    finally:
        playing.cancel()
        server.close()
        for session in list(core.clients.values()):
            session.drop()
        ledger.close()


def _on_stop_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def request_stop(*_: object) -> None:
        loop.call_soon_threadsafe(stop.set)

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), request_stop)


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] = os.environ) -> int:
    """Run the gateway; return 0 after a stop, 2 with one sentence on stderr when it cannot start."""
    try:
        options = gateway_options.read(argv)
        window = choose(options)
        asyncio.run(serve(options, window, env))
    except (UsageError, TapeError, ClockError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"gateway: port {options.port} cannot be used: {error.strerror or error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
