"""Let the tests of this folder import their material, and write files of bars."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

HERE = str(Path(__file__).resolve().parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Return a function that writes columns as Parquet or, by its name, as CSV."""

    def make(name: str, columns: dict[str, list[Any]]) -> Path:
        path = tmp_path / name
        if path.suffix == ".csv":
            shown = {**columns, "ts": [at if isinstance(at, str) else at.isoformat() for at in columns["ts"]]}
            lines = [",".join(shown), *(",".join(map(str, row)) for row in zip(*shown.values(), strict=True))]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            pq.write_table(pa.table(columns), path)
        return path

    return make
