"""Any history of imports, compactions and crashes leaves the archive equal to a plain table of what went in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from store_bars import Write, bars_of, minutes_of

from pj.channels.files import replace_atomic
from pj.store import archive as archive_module
from pj.store import importing
from pj.store.archive import Archive
from pj.store.importing import import_files
from pj.store.raw_bars import StoreError
from pj.store.upkeep import compact, verify

DAYS = [date(2026, 2, 27), date(2026, 3, 2), date(2026, 3, 31), date(2026, 4, 1), date(2026, 4, 2)]
Key = tuple[int, str]
Value = tuple[tuple[int, ...], bool]


class Crash(OSError):
    """Stand for the power going."""


@contextmanager
def dying(patch: pytest.MonkeyPatch, writes: int) -> Iterator[None]:
    """Let the power go after so many writes."""
    left = [writes]

    def write(path: Path, data: bytes, **more: Any) -> None:
        if left[0] == 0:
            raise Crash("power")
        left[0] -= 1
        replace_atomic(path, data, **more)

    with patch.context() as inner:
        inner.setattr(archive_module, "replace_atomic", write)
        inner.setattr(importing, "replace_atomic", write)
        yield


def made(rng: random.Random) -> dict[str, list[Any]]:
    """Return bars of a few minutes of some days; a value may differ from what another file says, a bar be degraded."""
    times = [at for day in DAYS if rng.random() < 0.6 for at in minutes_of(day, sorted(rng.sample(range(12), 5)))]
    columns = bars_of(times, rng.choice(["MNQM6", "MNQH6"]))
    columns["degraded"] = [rng.random() < 0.2 for _ in times]
    columns["volume"] = [rng.choice([5, 5, 5, 6]) if bad or rng.random() < 0.1 else 5 for bad in columns["degraded"]]
    return columns


def merged(model: dict[Key, Value], columns: dict[str, list[Any]], policy: str) -> dict[Key, Value] | None:
    """Return the table with the bars in it, None when the policy refuses them."""
    table = dict(model)
    for row, at in enumerate(columns["ts"]):
        name = columns["contract"][row].replace("6", "2026")
        key = int(at.timestamp()) * 10**9, name
        prices = tuple(round(columns[column][row] / 0.25) for column in ("open", "high", "low", "close"))
        new: Value = ((*prices, columns["volume"][row]), columns["degraded"][row])
        old = table.get(key)
        if old is None or (old[0] == new[0] and old[1] and not new[1]):
            table[key] = new
        elif old[0] == new[0] or (new[1] and not old[1]):
            continue
        elif old[1] and not new[1]:
            table[key] = new
        elif policy == "refuse":
            return None
        elif policy == "replace":
            table[key] = new
    return table


def content(golden: Archive) -> dict[Key, Value]:
    rows = golden.load_days()
    values = rows.values.T.tolist()
    return {
        (ts, name): (tuple(bar), degraded)
        for ts, name, bar, degraded in zip(
            rows.ts_ns.tolist(), rows.contract.tolist(), values, rows.degraded.tolist(), strict=True
        )
    }


@pytest.mark.parametrize("seed", range(25))
def test_any_history_equals_a_plain_table(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    golden = Archive.of(tmp_path / "gold", "MNQ")
    model: dict[Key, Value] = {}
    for step in range(14):
        columns = made(rng)
        if not columns["ts"]:
            continue
        path = write(f"{step}.parquet", columns)
        policy: Any = rng.choice(["refuse", "keep", "replace"])
        after = merged(model, columns, policy)
        if rng.random() < 0.4:
            with dying(monkeypatch, rng.randrange(4)):
                try:
                    import_files(golden, [path], conflicts=policy)
                except Crash:
                    assert content(golden) == model
                except StoreError:
                    assert after is None and content(golden) == model
                else:
                    model = after if after is not None else model
        elif after is None:
            with pytest.raises(StoreError, match="nothing was imported"):
                import_files(golden, [path], conflicts=policy)
        else:
            import_files(golden, [path], conflicts=policy)
            model = after
        if model and rng.random() < 0.3:
            with dying(monkeypatch, rng.randrange(3)):
                try:
                    compact(golden)
                except Crash:
                    print("died while compacting")
        assert content(golden) == model
    compact(golden)
    import_files(golden, [write("last.parquet", bars_of(minutes_of(DAYS[0], [50])))])
    assert verify(golden) == []
