"""Let the tests of this folder import the oracle and its tapes, which are no test modules themselves."""

from __future__ import annotations

import sys
from pathlib import Path

ORACLE = str(Path(__file__).resolve().parents[1] / "oracle")
if ORACLE not in sys.path:
    sys.path.insert(0, ORACLE)
