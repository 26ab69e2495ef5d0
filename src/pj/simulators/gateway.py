"""Run the simulated IB gateway: a TWS-protocol server on loopback for unmodified clients."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from pj.channels.rundir import RunDir
from pj.channels.stats import StatsWriter
from pj.clock import Clock, ClockError, ScaledClock, SystemClock, clock_from_env
from pj.simulators import answers_account, gateway_options
from pj.simulators.account import Account
from pj.simulators.eastern import at, closes, opens
from pj.simulators.gateway_control import Control, ControlPort, gauges
from pj.simulators.gateway_core import Core
from pj.simulators.gateway_feed import Feed
from pj.simulators.gateway_flood import flood
from pj.simulators.gateway_options import GENERATOR, Options, UsageError
from pj.simulators.gateway_session import Session
from pj.simulators.ledger import Ledger
from pj.simulators.matching import Book
from pj.simulators.paths import NS_PER_S
from pj.simulators.tapes import Library, Tape, TapeError, load

HOST: Final = "127.0.0.1"
_REVALUE_S: Final = 3.0


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


def _core(options: Options, window: Window, clock: Clock) -> Core:
    ledger_path = options.ledger
    if ledger_path is None and options.run_dir is not None:
        ledger_path = options.run_dir / "simulators" / "gateway_ledger.csv"
    try:
        ledger = Ledger(ledger_path, window.tape.future.local_symbol)
    except OSError as error:
        raise UsageError(f"ledger {ledger_path} cannot be written: {error.strerror or error}") from error
    return Core(
        clock=clock,
        tape=window.tape,
        others=window.others,
        book=Book(
            Account(Fraction(options.cash_usd), options.commission_usd),
            # Order numbers begin at the real time, so that they never repeat over restarts of the gateway.
            base_id=time.time_ns() // NS_PER_S % 2_000_000_000,
        ),
        ledger=ledger,
        master_client=options.master_client,
    )


async def serve(options: Options, window: Window, env: Mapping[str, str]) -> None:
    """Serve clients and play the window until SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    _on_stop_signals(loop, stop)
    clock = make_clock(options, window.start_ns, env)
    async with AsyncExitStack() as stack:
        # The ports come first: when one is taken, no file has been touched.
        server = await _listen(options.port, lambda: Session(core))
        stack.callback(server.close)
        control = None
        if options.control_port is not None:
            control = await _listen(options.control_port, lambda: ControlPort(Control(core, feed)))
            stack.callback(control.close)
        core = _core(options, window, clock)
        feed = Feed(core, window.start_ns, window.end_ns)
        stack.push_async_callback(_close, core)
        words = [f"READY gateway {HOST}:{_port(server)}", f"contract={core.future.local_symbol}"]
        await server.start_serving()
        if control is not None:
            await control.start_serving()
            words.append(f"control={_port(control)}")
        tasks = [_play(core, feed, options), _revalue(core)]
        if options.run_dir is not None:
            tasks.append(_beat(core, options.run_dir, env.get("PJ_INSTANCE", "")))
        print(" ".join(words), flush=True)
        await _until(stop, tasks)


async def _until(stop: asyncio.Event, parts: Sequence[Coroutine[None, None, None]]) -> None:
    """Run the parts until ``stop``; one that fails ends the gateway with its error, one that ends does not."""
    tasks = [asyncio.create_task(part) for part in parts]
    stopping = asyncio.create_task(stop.wait())
    pending: set[asyncio.Task[Any]] = {*tasks, stopping}
    try:
        while not stopping.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _close(core: Core) -> None:
    for session in list(core.clients.values()):
        session.drop()
    # One turn of the loop, so that the connections end before the ledger does.
    await asyncio.sleep(0)
    core.ledger.close()


async def _listen(port: int, factory: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    """Take a port without serving yet; raise UsageError when it cannot be taken."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(factory, HOST, port, start_serving=False)
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror or error}; choose another") from error


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def _play(core: Core, feed: Feed, options: Options) -> None:
    if options.rate:
        await flood(core, feed, options.rate, options.rate_seconds, options.rate_batch)
    else:
        await feed.run()
        await feed.quote_on()


async def _revalue(core: Core) -> None:
    """Tell account subscribers the open profit of the moment every few real seconds while there is a position."""
    while True:
        await asyncio.sleep(_REVALUE_S)
        if core.book.account.position(core.future).quantity:
            for session in list(core.clients.values()):
                answers_account.after_fill(core, session, core.future)


async def _beat(core: Core, run_dir: Path, instance: str) -> None:
    """Replace the stats file once per real second."""
    folder = RunDir(run_dir, core.future.instrument)
    writer = StatsWriter(folder.state("gateway"), "gateway", instance or secrets.token_hex(8))
    try:
        while True:
            writer.beat("RUNNING", **gauges(core))
            await asyncio.sleep(1.0)
    finally:
        writer.beat("STOPPING", **gauges(core))


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
    return 0


if __name__ == "__main__":
    sys.exit(main())
