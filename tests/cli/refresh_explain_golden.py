"""Write the golden stories anew; only by hand, and read the difference."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from test_explain import GOLDEN, stories

with tempfile.TemporaryDirectory() as folder:
    for name, text in stories(Path(folder)).items():
        (GOLDEN / f"explain_{name}.txt").write_text(text, encoding="utf-8")
