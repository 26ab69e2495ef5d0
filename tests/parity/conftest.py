"""Let the tests of this folder import its helpers, the oracle and its tapes, which are no test modules."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (str(HERE), str(HERE.parent / "oracle"), str(HERE.parent / "properties")):
    if folder not in sys.path:
        sys.path.insert(0, folder)
