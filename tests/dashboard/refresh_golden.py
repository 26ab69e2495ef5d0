"""Write the golden frames anew; only by hand, and read the difference."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from test_frame import GOLDEN, SCENES

from pj.dashboard.app import text

for name, state in SCENES.items():
    for size in ((80, 24), (160, 50)):
        (GOLDEN / f"{name}_{size[0]}x{size[1]}.txt").write_text(text(state, size), encoding="utf-8")
