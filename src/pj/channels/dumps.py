"""Keep a crash from writing this process's memory, and the secrets in it, to a disk."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes

    _NO_BOX_NO_REPORT = 0x0001 | 0x0002

    def no_memory_dumps() -> None:
        """End at once when crashing: no error report, which may hold memory; children inherit it."""
        ctypes.windll.kernel32.SetErrorMode(_NO_BOX_NO_REPORT)

else:
    import resource

    def no_memory_dumps() -> None:
        """Write no core file; children inherit it.

        The limit is one byte where it can be: too small for any core file, and the one value at which Linux does not
        hand the memory to a crash reporter's pipe either (0 is ignored there; see core(5), fs/coredump.c).
        """
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        limit = 1 if sys.platform == "linux" and (hard == resource.RLIM_INFINITY or hard >= 1) else 0
        resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
