"""Put events into the core and its commands onto paper, in the only legal order.

input line (if it is an input) -> ``Engine.step`` -> output lines -> intents -> disk -> sending.
"""

from __future__ import annotations

from collections.abc import Callable

from live.commands import Command
from live.engine import Engine
from live.events import BarClosed, Event, Mode, ModeChanged
from live.market import Bar
from pj.processes.engine.book import DayBook
from pj.processes.engine.rows import Order

Issue = Callable[[list[Order]], None]


class Core:
    """Own the engine and the day's book; ``issue`` takes the orders that come out."""

    def __init__(self, engine: Engine, book: DayBook, issue: Issue) -> None:
        """Start with the engine as it is."""
        self.engine = engine
        self.book = book
        self.issue = issue

    @property
    def mode(self) -> Mode:
        """Return what the core does with reclaims now."""
        return self.engine.mode

    def set_mode(self, mode: Mode, **more: object) -> None:
        """Journal and take a change of mode; nothing when it is that mode already and nothing else is to be said."""
        if mode is not self.engine.mode or more:
            self.take(ModeChanged(mode), **more)

    def take(self, event: Event, **more: object) -> None:
        """Journal ``event`` as an input, step it, write and issue what comes out."""
        self.book.note_input(event, **more)
        self._out(self.engine.step(event))

    def take_if_it_matters(self, event: Event) -> None:
        """Step ``event`` and journal it only when something came of it (clock, repeated positions and orders).

        What comes of it is a command, or a sight that a later judgement can depend on: a replay without the event would
        judge otherwise.
        """
        before = self.engine.desk.material
        commands = self.engine.step(event)
        if commands or self.engine.desk.material != before:
            self.book.note_input(event)
            self._out(commands)

    def take_bar(self, bar: Bar) -> None:
        """Step one bar that bars.csv holds."""
        self.book.after_bar += 1
        self._out(self.engine.step(BarClosed(bar)))

    def rehearse_bar(self, bar: Bar) -> None:
        """Step one bar of history.csv, which is no bar of ours and is not counted."""
        self._out(self.engine.step(BarClosed(bar)))

    def _out(self, commands: list[Command]) -> None:
        if commands:
            orders = self.book.record_durably(commands, self.engine.mode)
            if orders:
                self.issue(orders)
