"""Let the tests of this folder import the oracle's tapes and the pairs of engines."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in (
    Path(__file__).resolve().parent,
    Path(__file__).resolve().parents[2] / "oracle",
    Path(__file__).resolve().parents[1],
):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
