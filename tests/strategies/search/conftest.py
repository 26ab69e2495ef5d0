"""Let the tests of this folder import the oracle's tapes, the pairs of engines and their own helpers."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent, HERE.parents[1] / "oracle"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
