"""Do the three things that only Windows needs: a job that dies with us, a closing console, a CTRL_BREAK elsewhere.

Run as ``python -m pj.supervision.windows PID`` it presses CTRL_BREAK in the console of process PID: a console event
reaches only processes attached to the same console, and the Sentinel must not leave its own to send one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE = 0x2000
JOB_OBJECT_LIMIT_BREAKAWAY_OK = 0x0800
JOB_OBJECT_EXTENDED_LIMIT_INFORMATION = 9
CTRL_BREAK_EVENT = 1
CTRL_CLOSE_EVENT = 2

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _KERNEL = ctypes.WinDLL("kernel32", use_last_error=True)
    _KERNEL.CreateJobObjectW.restype = wintypes.HANDLE
    _KERNEL.CreateJobObjectW.argtypes = [wintypes.LPVOID, wintypes.LPCWSTR]
    _KERNEL.GetCurrentProcess.restype = wintypes.HANDLE
    _KERNEL.AssignProcessToJobObject.argtypes = [wintypes.HANDLE, wintypes.HANDLE]
    _KERNEL.SetInformationJobObject.argtypes = [wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD]
    _HANDLER = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)

    class _BasicLimits(ctypes.Structure):
        _fields_ = (
            ("PerProcessUserTimeLimit", wintypes.LARGE_INTEGER),
            ("PerJobUserTimeLimit", wintypes.LARGE_INTEGER),
            ("LimitFlags", wintypes.DWORD),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        _fields_ = (
            ("BasicLimitInformation", _BasicLimits),
            ("IoInfo", ctypes.c_ulonglong * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        )

    def enter_killing_job() -> int:
        """Put this process into a job whose members die when its last handle closes; return the handle.

        Children are born into the job; only what we start with leave to break away (flattening) escapes it. The
        handle is never closed by hand: the system does that when this process ends, however it ends. Raises OSError.
        """
        job = _KERNEL.CreateJobObjectW(None, None)
        limits = _ExtendedLimits()
        flags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_BREAKAWAY_OK
        limits.BasicLimitInformation.LimitFlags = flags
        kind, size = JOB_OBJECT_EXTENDED_LIMIT_INFORMATION, ctypes.sizeof(limits)
        if not job or not _KERNEL.SetInformationJobObject(job, kind, ctypes.byref(limits), size):
            raise ctypes.WinError(ctypes.get_last_error())
        if not _KERNEL.AssignProcessToJobObject(job, _KERNEL.GetCurrentProcess()):
            raise ctypes.WinError(ctypes.get_last_error())
        return int(job)

    def on_console_close(stop_and_wait: Callable[[], None]) -> object:
        """Call ``stop_and_wait`` when the console window is closed; keep the returned object alive.

        Windows ends the process when the handler returns or after 5 s, so the call returns when all is stopped.
        """

        def handler(kind: int) -> bool:
            if kind != CTRL_CLOSE_EVENT:
                return False
            stop_and_wait()
            return True

        wrapped = _HANDLER(handler)
        if not _KERNEL.SetConsoleCtrlHandler(wrapped, True):
            raise ctypes.WinError(ctypes.get_last_error())
        return wrapped

    def press_break(pid: int) -> int:
        """Press CTRL_BREAK in the console of process ``pid``; return 0, or 1 when there is no such console."""
        _KERNEL.FreeConsole()
        if not _KERNEL.AttachConsole(pid):
            return 1
        ignore_own_copy = _HANDLER(lambda _kind: True)
        _KERNEL.SetConsoleCtrlHandler(ignore_own_copy, True)
        return 0 if _KERNEL.GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, 0) else 1


def main(argv: list[str] | None = None) -> int:
    """Press CTRL_BREAK in the console of the process named on the command line."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or not arguments[0].isdigit():
        sys.stderr.write("usage: python -m pj.supervision.windows PID\n")
        return 2
    if sys.platform == "win32":
        return press_break(int(arguments[0]))
    sys.stderr.write("only Windows has consoles to press CTRL_BREAK in\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
