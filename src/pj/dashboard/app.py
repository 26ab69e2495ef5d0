"""Show the dashboard: live on a console, as a file when headless, once for scripts, as an SVG picture.

Keys: ``h`` throws the kill switch at once; ``r`` releases it when pressed twice, for entries are not to come back by a
slip; ``q`` closes the view. q exits with 0, which the Sentinel takes as the operator's wish: trading goes on,
``pj dashboard`` shows it in any terminal, and the control verb ``restart dashboard`` brings it back into its own.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live

from pj.channels.alerts import mark_seen
from pj.channels.control import ControlAnswer, ControlFile, ControlReader
from pj.channels.files import Locked, WriteFailed, replace_atomic
from pj.channels.stats import StatsWriter
from pj.channels.tailer import TailBroken
from pj.dashboard.collect import Collector
from pj.dashboard.frame import frame
from pj.dashboard.keys import NoKeyboard, open_keyboard

if TYPE_CHECKING:
    from pathlib import Path

    from pj.clock import Clock
    from pj.config import Settings
    from pj.dashboard.keys import Keyboard
    from pj.dashboard.state import DashboardState

HEADLESS_SIZE: Final = (160, 50)
HEADLESS_EVERY_S: Final = 1.0
CONFIRM_S: Final = 3.0
MESSAGE_S: Final = 5.0
SETTLE_LOOKS: Final = 4
SETTLE_STEP_S: Final = 0.15


def once(settings: Settings, clock: Clock, size: tuple[int, int] | None, svg: Path | None) -> int:
    """Print one frame, or write it as SVG; return 0 when the system runs, 1 when it does not."""
    collector = Collector(settings, clock)
    state = collector.look()
    for _ in range(SETTLE_LOOKS):  # rows on their way between two files are no loss: look again
        if state.ticks is None or not (state.ticks.missing or state.ticks.counting):
            break
        time.sleep(SETTLE_STEP_S)
        state = collector.look()
    collector.close()
    if svg is not None:
        replace_atomic(svg, picture(state, size or (100, 30)).encode())
    else:
        console = Console()
        width, height = size or (console.size if console.is_terminal else (80, 24))
        console = Console(width=width, height=height)
        console.print(frame(state, width, height))
    return 0 if state.running else 1


def text(state: DashboardState, size: tuple[int, int]) -> str:
    """Return a frame as plain text, one line per row."""
    console = Console(width=size[0], height=size[1], file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(frame(state, *size))
    return "\n".join(line.rstrip() for line in captured.get().split("\n"))


def picture(state: DashboardState, size: tuple[int, int]) -> str:
    """Return a frame as SVG that fetches nothing: the viewer's own monospace font is used."""
    from rich._export_format import CONSOLE_SVG_FORMAT

    console = Console(width=size[0], height=size[1], file=io.StringIO(), record=True, color_system="truecolor")
    console.print(frame(state, *size))
    start = CONSOLE_SVG_FORMAT.index("@font-face")
    end = CONSOLE_SVG_FORMAT.index(".{unique_id}-matrix")
    own_font = CONSOLE_SVG_FORMAT[:start] + CONSOLE_SVG_FORMAT[end:]
    return console.export_svg(title="PJ Engine", code_format=own_font)


@dataclass(slots=True)
class Desk:
    """Act on keys through the control file and keep the answer for the banner."""

    collector: Collector
    message: str = ""
    closed: bool = False
    _until_s: float = 0.0
    _resume_by_s: float = 0.0
    _seen_upto: int = 0
    _sent: dict[str, str] = field(default_factory=dict)
    _answers: ControlReader = field(init=False)

    def __post_init__(self) -> None:
        """Begin to listen for answers."""
        self._answers = ControlReader(self.collector.folder.control)

    def press(self, key: str) -> None:
        """Act on one key."""
        match key.lower():
            case "q":
                self.closed = True
            case "h":
                self._halt()
            case "r" if time.monotonic() < self._resume_by_s:
                self._resume_by_s = 0.0
                self._seen_upto = self.collector.alerts.upto if self.collector.alerts.count else 0
                self._send("resume")
            case "r":
                self._resume_by_s = time.monotonic() + CONFIRM_S
                self._say("Press r again to allow entries")

    def listen(self) -> None:
        """Take answers, and let an old message go."""
        if self.message and time.monotonic() > self._until_s:
            self.message = ""
        try:
            rows = self._answers.poll()
        except (TailBroken, OSError):
            self._answers.close()
            self._answers = ControlReader(self.collector.folder.control)
            return
        for row in rows:
            if isinstance(row, ControlAnswer) and row.id in self._sent:
                verb = self._sent.pop(row.id)
                self._say(f"{verb}: {row.text}" if row.ok else f"REFUSED: {row.text}")
                if row.ok and verb == "resume" and self._seen_upto:
                    self._mark_seen()

    def _mark_seen(self) -> None:
        """Mark what the frame showed when r was pressed as seen."""
        folder, upto, self._seen_upto = self.collector.folder, self._seen_upto, 0
        try:
            mark_seen(folder.alerts, upto, "dashboard", self.collector.clock.now_ns())
        except (Locked, WriteFailed) as error:
            self._say(f"resumed, but the alerts could not be marked as seen: {error}")

    def _halt(self) -> None:
        """Throw the kill switch by hand as well: it must not depend on a Sentinel that is alive."""
        try:
            replace_atomic(self.collector.folder.kill_switch, b"halt (by dashboard)\n", durable=True)
        except WriteFailed as error:
            self._say(f"HALT FAILED: {error}")
            return
        self._send("halt")

    def _send(self, verb: str) -> None:
        folder = self.collector.folder
        try:
            now_ns = self.collector.clock.now_ns()
            self._sent[ControlFile(folder.control).send(verb, sender="dashboard", ts_ns=now_ns)] = verb
        except (Locked, WriteFailed) as error:
            self._say(f"{verb} could not be sent: {error}")
            return
        self._say(f"{verb} sent, waiting for the Sentinel")

    def _say(self, message: str) -> None:
        self.message = message
        self._until_s = time.monotonic() + MESSAGE_S


@dataclass(slots=True)
class Stopper:
    """Take stop signals for a loop."""

    asked: bool = False

    def bind(self) -> None:
        """Let SIGTERM, SIGINT and a Windows CTRL_BREAK end the loop."""
        for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.asked = True


def run(settings: Settings, clock: Clock, *, headless: bool) -> int:
    """Show frames until q or a stop signal; return 0."""
    stopper = Stopper()
    stopper.bind()
    keyboard: Keyboard = NoKeyboard() if headless else open_keyboard()
    collector = Collector(settings, clock, keys=keyboard.present)
    stats = StatsWriter(
        collector.folder.state("dashboard"), "dashboard", os.environ.get("PJ_INSTANCE") or uuid.uuid4().hex
    )
    stats.beat("STARTING")
    try:
        if headless:
            _run_headless(collector, stats, stopper)
        else:
            _run_console(collector, stats, stopper, keyboard, settings.dashboard.refresh_s)
        stats.beat("STOPPING")
    finally:
        collector.close()
    return 0


def _run_headless(collector: Collector, stats: StatsWriter, stopper: Stopper) -> None:
    path = collector.folder.state_folder / "dashboard.txt"
    frames = 0
    while not stopper.asked:
        begun_s = time.monotonic()
        replace_atomic(path, text(collector.look(), HEADLESS_SIZE).encode())
        frames += 1
        render_ms = (time.monotonic() - begun_s) * 1000
        stats.beat("RUNNING", frames=frames, render_ms=round(render_ms, 1), headless=True)
        _nap(stopper, begun_s + HEADLESS_EVERY_S)


def _nap(stopper: Stopper, until_s: float) -> None:
    """Sleep in short steps: a signal is answered within a fifth of a second on every system."""
    while not stopper.asked and (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(0.2, left_s))


def _run_console(
    collector: Collector, stats: StatsWriter, stopper: Stopper, keyboard: Keyboard, refresh_s: float
) -> None:
    console = Console()
    desk = Desk(collector)
    frames = 0
    screen = sys.stdout.isatty()
    with keyboard, Live(console=console, screen=screen, auto_refresh=False, vertical_overflow="crop") as live:
        while not (stopper.asked or desk.closed):
            begun_s = time.monotonic()
            desk.listen()
            width, height = console.size
            live.update(frame(collector.look(desk.message), width, height), refresh=True)
            frames += 1
            render_ms = round((time.monotonic() - begun_s) * 1000, 1)
            stats.beat_if_due("RUNNING", frames=frames, render_ms=render_ms, headless=False)
            _wait_key(keyboard, desk, stopper, begun_s + refresh_s)


def _wait_key(keyboard: Keyboard, desk: Desk, stopper: Stopper, until_s: float) -> None:
    """Wait for the next frame's time; a key is acted on and shown at once."""
    while not stopper.asked and (left_s := until_s - time.monotonic()) > 0:
        key = keyboard.wait(min(0.2, left_s))
        if key:
            desk.press(key)
            return
