"""The archive: imports that change nothing twice, refuse contradictions, quarantine faults and survive a crash."""

from __future__ import annotations

import csv
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from store_bars import Write, bars_of, minutes_of

from live.market import INSTRUMENTS
from pj.channels.files import lock_file, replace_atomic
from pj.store import archive as archive_module
from pj.store.archive import Archive, export_rows
from pj.store.importing import bars_of_run, import_files
from pj.store.raw_bars import StoreError
from pj.store.upkeep import compact, verify
from strategies.mle.bar_file import load_columns

DAY, NEXT = date(2026, 4, 14), date(2026, 4, 15)


@pytest.fixture
def golden(tmp_path: Path) -> Archive:
    return Archive.of(tmp_path / "GOLDEN DATA", "MNQ")


def everything(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def two_days(length: int = 40) -> list[datetime]:
    return minutes_of(DAY, range(100, 100 + length)) + minutes_of(NEXT, range(length))


def test_an_import_makes_one_file_per_trade_date_and_reads_back(golden: Archive, write: Write, tmp_path: Path) -> None:
    path = write("a.parquet", bars_of(two_days()))
    report = import_files(golden, [path])
    assert (report.rows, report.added, report.units) == (80, 80, ("2026-04-14", "2026-04-15"))
    assert verify(golden) == []
    export_rows(golden.load_days(), tmp_path / "out.parquet")
    mine, theirs = (load_columns(one, INSTRUMENTS["MNQ"]) for one in (tmp_path / "out.parquet", path))
    assert all(
        (getattr(mine, n) == getattr(theirs, n)).all() for n in ("ts_ns", "open_", "high", "low", "close", "volume")
    )
    assert list(mine.contract) == list(theirs.contract)


def test_the_same_import_twice_changes_nothing(golden: Archive, write: Write) -> None:
    columns = bars_of(two_days())
    import_files(golden, [write("a.parquet", columns)])
    before = everything(golden.root)
    report = import_files(golden, [write("a.parquet", columns)])
    assert (report.added, report.equal, report.units) == (0, 80, ())
    assert everything(golden.root) == before


def test_the_order_of_imports_does_not_matter(write: Write, tmp_path: Path) -> None:
    columns = bars_of(two_days())
    third = [row for row in range(80) if row % 3 == 0]
    rest = [row for row in range(80) if row % 3]
    halves = [{name: [values[row] for row in rows] for name, values in columns.items()} for rows in (third[:9], rest)]
    paths = [write(f"{at}.parquet", half) for at, half in enumerate(halves)]
    contents = []
    for number, order in enumerate(([0, 1], [1, 0])):
        golden = Archive.of(tmp_path / str(number), "MNQ")
        for at in order:
            import_files(golden, [paths[at]])
        contents.append({unit: one.sha256 for unit, one in golden.manifest().units.items()})
    assert contents[0] == contents[1] and len(contents[0]) == 2


@pytest.mark.parametrize("name", ["MNQM6", "MNQ 06-26", "202606", "MNQM2026"])
def test_one_contract_has_one_name(golden: Archive, write: Write, name: str) -> None:
    import_files(golden, [write("a.parquet", bars_of(two_days(), name))])
    assert set(golden.load_days().contract) == {"MNQM2026"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NQM6", "holds contract NQM6, not MNQ"),
        ("what", "no futures contract"),
        ("", "names no contract"),
        ("202613", "202613"),
    ],
)
def test_another_contract_is_refused(golden: Archive, write: Write, name: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        import_files(golden, [write("a.parquet", bars_of(two_days(), name))])
    assert not golden.root.exists()


def test_rows_without_a_contract_take_the_one_given(golden: Archive, write: Write) -> None:
    columns = bars_of(two_days())
    del columns["contract"]
    import_files(golden, [write("a.csv", columns)], "MNQM6")
    assert set(golden.load_days().contract) == {"MNQM2026"}


def changed(columns: dict[str, list[Any]], row: int, **values: Any) -> dict[str, list[Any]]:
    copy = {name: list(column) for name, column in columns.items()}
    for name, value in values.items():
        copy[name][row] = value
    return copy


def test_a_contradiction_is_refused_with_both_rows_and_nothing_changes(golden: Archive, write: Write) -> None:
    columns = bars_of(two_days())
    import_files(golden, [write("a.parquet", columns)])
    before = everything(golden.root)
    other = write("b.parquet", changed(columns, 45, volume=777))
    with pytest.raises(StoreError, match=r"b\.parquet, row 45 .*volume 777; but .*nothing was imported"):
        import_files(golden, [other])
    assert everything(golden.root) == before


@pytest.mark.parametrize(("policy", "volume"), [("keep", 10), ("replace", 777)])
def test_a_contradiction_is_settled_as_asked(golden: Archive, write: Write, policy: Any, volume: int) -> None:
    columns = changed(bars_of(two_days()), 45, volume=10)
    import_files(golden, [write("a.parquet", columns)])
    report = import_files(golden, [write("b.parquet", changed(columns, 45, volume=777))], conflicts=policy)
    assert (report.kept, report.replaced) == ((1, 0) if policy == "keep" else (0, 1))
    rows = golden.load_days()
    assert rows.values[4, 45] == volume and len(rows) == 80 and verify(golden) == []


def test_a_contradiction_within_one_file_is_refused(golden: Archive, write: Write) -> None:
    columns = bars_of([*two_days(), two_days()[3]])
    columns["volume"][-1] = 5
    with pytest.raises(StoreError, match=r"row 80 .* but .*row 3 "):
        import_files(golden, [write("a.parquet", columns)])


def test_faulty_rows_go_into_quarantine_with_their_reason(golden: Archive, write: Write) -> None:
    columns = changed(changed(bars_of(two_days()), 7, open=20000.1), 9, close=float("nan"))
    report = import_files(golden, [write("a.parquet", columns)])
    assert (report.added, report.quarantined, len(report.quarantine)) == (78, 2, 1)
    with Path(report.quarantine[0]).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["row"], row["reason"]) for row in rows] == [
        ("7", "open is not a multiple of the tick 0.25"),
        ("9", "close is not a number"),
    ]
    assert rows[0]["open"] == "20000.1"


def test_what_is_no_file_of_minute_bars_is_refused(golden: Archive, write: Write) -> None:
    five = bars_of(minutes_of(DAY, range(0, 500, 5)))
    with pytest.raises(StoreError, match="5 minutes apart"):
        import_files(golden, [write("five.parquet", five)])
    mostly = bars_of(two_days(10))
    mostly["open"][:15] = [20000.1] * 15
    with pytest.raises(StoreError, match="15 of 20 rows are no 1-minute bars"):
        import_files(golden, [write("mostly.parquet", mostly)])


def run_folder(folder: Path, rows: list[str], tail: str = "") -> Path:
    day = folder / "2026-04-14"
    day.mkdir(parents=True)
    head = "seq,ts,open,high,low,close,volume,ticks,heartbeat,degraded,closed_by,contract\n"
    (day / "bars.csv").write_text(head + "".join(rows) + tail)
    return folder


def test_the_daemons_bars_accumulate(golden: Archive, write: Write, tmp_path: Path) -> None:
    rows = [
        "1,2026-04-14T14:00:00Z,20000,20001,19999,20000.5,12,9,0,0,edge,MNQM6\n",
        "2,2026-04-14T14:01:00Z,20000.5,20001,20000,20000.5,3,4,0,1,grace,MNQM6\n",
        "3,2026-04-14T14:02:00Z,20000.5,20000.5,20000.5,20000.5,0,0,1,0,edge,MNQM6\n",
    ]
    run = run_folder(tmp_path / "run", rows, tail="4,2026-04-14T14:03:00Z,200")
    assert bars_of_run(run) == bars_of_run(run / "2026-04-14")
    report = import_files(golden, bars_of_run(run), torn=True)
    assert (report.added, report.quarantined) == (3, 0)
    assert golden.load_days().degraded.tolist() == [False, True, False]
    whole = bars_of(minutes_of(DAY, [1200 + 1, 1200 + 2]))
    del whole["contract"]
    whole["ts"] = ["2026-04-14T14:01:00Z", "2026-04-14T14:04:00Z"]
    mended = import_files(golden, [write("vendor.csv", whole)], "MNQM2026")
    assert (mended.added, mended.mended, mended.kept, mended.replaced) == (1, 1, 0, 0)
    rows_now = golden.load_days()
    assert not rows_now.degraded.any() and rows_now.values[4, 1] == whole["volume"][0]
    again = import_files(golden, bars_of_run(run), torn=True)
    assert (again.added, again.units) == (0, ())


def test_a_folder_without_bars_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no bars\.csv"):
        bars_of_run(tmp_path)


def months(write: Write) -> list[Path]:
    days = [date(2026, 3, 30), date(2026, 3, 31), date(2026, 4, 1), DAY]
    return [write(f"{day}.parquet", bars_of(minutes_of(day, range(30)))) for day in days]


def test_compact_merges_finished_months_and_keeps_every_row(golden: Archive, write: Write) -> None:
    import_files(golden, months(write))
    before = golden.load_days()
    assert compact(golden) == {"2026-03": 60}
    assert sorted(golden.manifest().units) == ["2026-03", "2026-04-01", "2026-04-14"]
    assert golden.load_days().same_as(before) and verify(golden) == [] and compact(golden) == {}
    late = bars_of(minutes_of(date(2026, 3, 31), range(60, 90)))
    assert import_files(golden, [write("late.parquet", late)]).units == ("2026-03",)
    assert len(golden.load_days(date(2026, 3, 31), date(2026, 3, 31))) == 60 and verify(golden) == []


@pytest.mark.parametrize("step", ["file", "manifest", "unlink"])
def test_a_crash_at_any_step_leaves_one_whole_archive(
    golden: Archive, write: Write, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    import_files(golden, months(write))
    before = golden.load_days()
    real = replace_atomic

    def crash(path: Path, data: bytes, **more: Any) -> None:
        if step == "manifest" and path.name == "manifest.json":
            raise OSError("power cut")
        real(path, data, **more)
        if step == "file":
            raise OSError("power cut")

    def no_unlink(_path: Path) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(archive_module, "replace_atomic", crash)
        if step == "unlink":
            patch.setattr(Path, "unlink", no_unlink)
        with pytest.raises(OSError, match="power cut"):
            compact(golden)
    assert golden.load_days().same_as(before)
    assert all("is not in the manifest" in line for line in verify(golden))
    compact(golden)
    more = bars_of(minutes_of(DAY, range(500, 510)))
    import_files(golden, [write("more.parquet", more)])
    assert verify(golden) == [] and len(golden.load_days()) == len(before) + 10


def harm(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
        return
    if how == "flipped":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        return
    table = pq.read_table(path)
    pq.write_table(table.slice(1) if how == "shorter" else table.take(list(reversed(range(len(table))))), path)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "is missing"),
        ("flipped", "SHA-256"),
        ("shorter", "the manifest says 40"),
        ("reversed", "order of time"),
    ],
)
def test_verify_names_the_file_that_is_wrong_and_imports_do_not_build_on_it(
    golden: Archive, write: Write, how: str, said: str
) -> None:
    columns = bars_of(two_days())
    import_files(golden, [write("a.parquet", columns)])
    unit = golden.manifest().units["2026-04-15"]
    harm(golden.root / unit.file, how)
    found = verify(golden)
    assert any(said in line for line in found) and all(unit.file in line or "cannot be read" in line for line in found)
    with pytest.raises(StoreError, match="restore it from a backup"):
        import_files(golden, [write("b.parquet", bars_of(minutes_of(NEXT, range(90, 99))))])


def test_no_archive_is_no_clean_archive(golden: Archive) -> None:
    for look in (verify, compact):
        with pytest.raises(StoreError, match="holds no archive"):
            look(golden)
    assert not golden.root.exists()


def test_a_damaged_manifest_is_refused(golden: Archive, write: Write) -> None:
    import_files(golden, [write("a.parquet", bars_of(two_days()))])
    (golden.root / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest\.json cannot be used"):
        golden.load_days()


def test_two_imports_at_once_wait_for_each_other(
    golden: Archive, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "_LOCK_WAIT_S", 0.0)
    golden.root.mkdir(parents=True)
    held = lock_file(golden.root / ".lock")
    try:
        with pytest.raises(RuntimeError, match="held by another writer"):
            import_files(golden, [write("a.parquet", bars_of(two_days()))])
    finally:
        held.release()


def test_the_front_contract_is_chosen_per_trade_date(golden: Archive, write: Write) -> None:
    june, september = (bars_of(two_days(), name) for name in ("MNQM2026", "MNQU2026"))
    september["volume"] = [1] * 40 + [100] * 40
    import_files(golden, [write("m.parquet", june), write("u.parquet", september)])
    rows = golden.load_days()
    assert rows.overlapping() and len(rows) == 160
    front = rows.front()
    assert front.contract.tolist() == ["MNQM2026"] * 40 + ["MNQU2026"] * 40 and not front.overlapping()


def test_the_real_file_goes_in_and_comes_out_the_same(golden: Archive, market_data: Path, tmp_path: Path) -> None:
    path = market_data / "mnq_1m_2026-03_2026-05.parquet"
    assert import_files(golden, [path]).added == 63_797
    compact(golden)
    assert verify(golden) == []
    export_rows(golden.load_days(), tmp_path / "out.parquet")
    mine, theirs = (load_columns(one, INSTRUMENTS["MNQ"]) for one in (tmp_path / "out.parquet", path))
    assert all(
        (getattr(mine, n) == getattr(theirs, n)).all() for n in ("ts_ns", "open_", "high", "low", "close", "volume")
    )
