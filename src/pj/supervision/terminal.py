"""Lend the terminal to the dashboard and put it right again when the dashboard is gone.

A dashboard that is killed leaves the alternate screen on, the cursor hidden and the keyboard in single-key mode. The
Sentinel, which outlives it, remembers how the terminal was and restores that after every death. On Windows the
dashboard has a console window of its own and nothing is lent.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any, Final

LEAVE_SCREEN: Final = "\x1b[?1049l\x1b[?25h\x1b[0m"


@dataclass(slots=True)
class Terminal:
    """Remember the terminal's settings; ``attributes`` is None where there is no terminal to lend.

    ``taken``: a dashboard has it, or died without leaving the alternate screen. Leaving that screen twice would put
    the cursor into text that stands there already.
    """

    attributes: list[Any] | None = None
    taken: bool = False

    @property
    def lent(self) -> bool:
        """Tell whether there is a terminal that a child can take."""
        return self.attributes is not None

    def say(self, text: str) -> None:
        """Print one line for the operator; nothing without a terminal."""
        if self.lent:
            sys.stdout.write(text + "\r\n")
            sys.stdout.flush()

    def restore(self, *, left_clean: bool = False) -> None:
        """Give the terminal back its keyboard, and its screen and cursor unless the dashboard has done so."""
        if self.attributes is None or sys.platform == "win32":
            return
        import termios

        try:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self.attributes)
            if self.taken and not left_clean:
                os.write(sys.stdout.fileno(), LEAVE_SCREEN.encode())
            self.taken = False
        except (OSError, termios.error):
            self.attributes = None  # the terminal was closed: there is nothing to restore


def open_terminal() -> Terminal:
    """Return the terminal if this process has one in the foreground, else one that lends nothing."""
    if sys.platform == "win32" or sys.stdin is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return Terminal()
    import termios

    try:
        foreground = os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        return Terminal(termios.tcgetattr(sys.stdin.fileno())) if foreground else Terminal()
    except (OSError, termios.error):
        return Terminal()
