"""Let the campaigns import their helper modules, which are no test modules themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).resolve().parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where a campaign's run folder is to lie; its path holds a space, as a user's may."""
    return tmp_path / "run dir"
