"""Prove that the client library comes without numpy, and that numpy is itself for whoever wants it."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import asyncio, sys
from pj.ibkr.library import load_library
async def load():
    return load_library("auto")
library = asyncio.run(load())
assert not [name for name in sys.modules if name.split(".")[0] == "numpy"]
from eventkit.ops import array
assert array.np.asarray([1, 2]).tolist() == [1, 2]
import numpy
assert numpy.__version__ and numpy.nan != numpy.nan
import numpy.linalg
event = library.Event()
event.array(3).std().connect(print)
for value in (1.0, 2.0, 3.0):
    event.emit(value)
"""


def test_the_library_comes_without_numpy_and_its_array_operators_still_work() -> None:
    command = [sys.executable, "-P", "-W", "ignore", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert [float(word) for word in done.stdout.split()][-1] == 1.0
