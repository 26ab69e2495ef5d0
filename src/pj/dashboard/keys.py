"""Read single keys from the console: termios on POSIX, msvcrt on Windows, nothing where there is no keyboard.

Signals keep their keys (Ctrl-C works), and the console is put right on the way out.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

WINDOWS_POLL_S: Final = 0.05


class Keyboard(Protocol):
    """Wait for a key."""

    present: bool

    def wait(self, timeout_s: float) -> str:
        """Return a key pressed within ``timeout_s`` real seconds, or ''."""
        ...

    def __enter__(self) -> Self:
        """Take the keyboard."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the console right."""
        ...


class NoKeyboard:
    """Stand in where nobody can press a key: only the time passes."""

    present = False

    def wait(self, timeout_s: float) -> str:
        """Sleep and return ''."""
        time.sleep(max(0.0, timeout_s))
        return ""

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


if sys.platform == "win32":
    import msvcrt

    from pj.channels.logs import never_pause_console

    class ConsoleKeyboard:
        """Read keys of the Windows console; it has no wait with a time-out, so it is asked often."""

        present = True

        def wait(self, timeout_s: float) -> str:
            """Return a key or ''."""
            deadline_s = time.monotonic() + timeout_s
            while not msvcrt.kbhit():
                if time.monotonic() >= deadline_s:
                    return ""
                time.sleep(WINDOWS_POLL_S)
            return msvcrt.getwch()

        def __enter__(self) -> Self:
            """See that a click into the window does not stop the dashboard; single keys come at any time."""
            never_pause_console()
            return self

        def __exit__(self, *_: object) -> None:
            """Do nothing."""

else:
    import os
    import select
    import termios
    import tty

    class ConsoleKeyboard:
        """Read keys of a terminal in single-key mode, without echo."""

        present = True

        def __init__(self) -> None:
            """Remember the terminal as it is."""
            self._fd = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._fd)

        def wait(self, timeout_s: float) -> str:
            """Return a key or ''; a terminal that was closed has no more keys."""
            if not self.present:
                return NoKeyboard().wait(timeout_s)
            readable, _, _ = select.select([self._fd], [], [], max(0.0, timeout_s))
            if not readable:
                return ""
            try:
                data = os.read(self._fd, 1)
            except OSError:
                data = b""
            self.present = bool(data)
            return data.decode(errors="replace")

        def __enter__(self) -> Self:
            """Switch the terminal to single keys; Ctrl-C stays a signal, Ctrl-S no longer stops the output."""
            tty.setcbreak(self._fd)
            mode = termios.tcgetattr(self._fd)
            mode[0] &= ~termios.IXON
            termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
            return self

        def __exit__(self, *_: object) -> None:
            """Put the terminal back as it was."""
            if self.present:
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)


def open_keyboard() -> Keyboard:
    """Return the console's keyboard, or one without keys where input is not a console."""
    return ConsoleKeyboard() if sys.stdin is not None and sys.stdin.isatty() else NoKeyboard()
