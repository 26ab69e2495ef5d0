"""The experiment registry: what a run leaves behind, that it is the same again, and that changes are seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import live
from live.params import Params
from strategies.mle.bar_file import BacktestInputError
from strategies.mle.registry import RUN_FILE, RunFileError, RunFolder, canonical, code_version, describe_input
from strategies.mle.run_records import RunRecord, compare, find_runs, read_run, resolve

Made = Callable[..., RunRecord]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Return a function that runs a made-up backtest into a folder and reads its record."""
    bars = tmp_path / "bars.parquet"
    bars.write_bytes(b"bars")

    def make(name: str, text: str = "1", params: dict[str, Any] | None = None, **results: Any) -> RunRecord:
        out = tmp_path / "runs" / name
        out.mkdir(parents=True)
        given = Params.from_dict(params or {}).to_dict()
        run = RunFolder.create(out, "backtest", {"bars": bars, "symbol": "MNQ"}, given)
        (out / "trades.csv").write_text(text)
        run.finish({"trades": 7, "net_usd": "1.00", **results})
        return read_run(out)

    return make


def test_the_same_inputs_give_the_same_bytes_in_any_folder(made: Made) -> None:
    one, two = made("a"), made("deep/er/b")
    assert (one.folder / RUN_FILE).read_bytes() == (two.folder / RUN_FILE).read_bytes()
    found = compare([one, two])
    assert found.same_inputs and found.same_outputs and not found.broken and not found.changed
    assert not any((found.inputs, found.params, found.code, found.environment, found.results, found.outputs))


def test_a_record_holds_what_makes_the_run_again(made: Made, tmp_path: Path) -> None:
    tree = made("a", params={"target_r": "3"}).tree
    assert tree["inputs"]["bars"]["path"] == str(tmp_path / "bars.parquet") and tree["inputs"]["bars"]["bytes"] == 4
    assert len(tree["inputs"]["bars"]["sha256"]) == 64
    assert tree["params"]["target_r"] == "3" and tree["seed"] is None and tree["kind"] == "backtest"
    assert set(tree["environment"]) >= {"python", "numpy", "numba", "pyarrow", "system", "machine"}
    assert tree["outputs"].keys() == {"trades.csv"}
    assert not {"time", "created", "host", "started"} & set(tree)


def test_changed_parameters_are_those_that_differ_from_the_defaults(made: Made) -> None:
    assert made("a").changed_params == {}
    assert made("b", params={"target_r": "3", "swing_n": 4}).changed_params == {"swing_n": 4, "target_r": "3"}


def test_the_tick_value_of_another_symbol_is_no_changed_parameter(tmp_path: Path) -> None:
    from live.market import INSTRUMENTS

    params = Params.from_dict({}, INSTRUMENTS["NQ"]).to_dict()
    RunFolder.create(tmp_path, "backtest", {"symbol": "NQ"}, params).finish({})
    assert read_run(tmp_path).changed_params == {}


def test_of_a_search_the_varied_parameters_are_shown(tmp_path: Path) -> None:
    base = Params.from_dict({"swing_n": 4, "max_qty": 2}).to_dict()
    space = {"axes": [{"name": "swing_n", "values": [4, 5]}], "base": base, "seed": 1}
    RunFolder.create(tmp_path, "search", {"symbol": "MNQ"}, space, 1).finish({"trials": 2})
    assert read_run(tmp_path).changed_params == {"swing_n": [4, 5], "max_qty": 2}


def test_compare_names_each_difference(made: Made) -> None:
    found = compare([made("a"), made("b", "2", {"target_r": "3"}, trades=9)])
    assert found.params == {"target_r": ("2", "3")} and found.results == {"trades": (7, 9)}
    assert set(found.outputs) == {"trades.csv"} and not found.same_inputs and not found.same_outputs
    assert not found.broken


def test_equal_inputs_with_other_bytes_are_broken(made: Made) -> None:
    assert compare([made("a"), made("b", "2")]).broken


def test_other_data_under_the_same_name_is_another_input(made: Made, tmp_path: Path) -> None:
    one = made("a")
    (tmp_path / "bars.parquet").write_bytes(b"cars")
    found = compare([one, made("b")])
    assert list(found.inputs) == ["bars.sha256"] and not found.same_inputs


def test_the_same_data_under_another_name_is_the_same_input(tmp_path: Path) -> None:
    hashes = set()
    for name in ("one.parquet", "two.parquet"):
        (tmp_path / name).write_bytes(b"bars")
        hashes.add(RunFolder.create(tmp_path, "search", {"bars": tmp_path / name}, {}, seed=1).inputs_sha256)
    hashes.add(RunFolder.create(tmp_path, "search", {"bars": tmp_path / name}, {}, seed=2).inputs_sha256)
    assert len(hashes) == 2


@pytest.mark.parametrize(("harm", "said"), [("change", "changed"), ("remove", "missing")])
def test_an_output_that_changed_later_is_seen(made: Made, harm: str, said: str) -> None:
    one, two = made("a"), made("b")
    trades = two.folder / "trades.csv"
    if harm == "change":
        trades.write_text("9")
    else:
        trades.unlink()
    assert two.changed_outputs() == {"trades.csv": said} and one.changed_outputs() == {}
    assert compare([one, two]).changed == {str(two.folder): {"trades.csv": said}}


def test_a_changed_source_line_is_another_code_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version_of(text: bytes) -> str:
        root = tmp_path / "copy"
        shutil.rmtree(root, ignore_errors=True)
        (root / "sub").mkdir(parents=True)
        (root / "__init__.py").write_bytes(b"")
        (root / "sub" / "rules.py").write_bytes(text)
        monkeypatch.setattr(live, "__file__", str(root / "__init__.py"))
        code_version.cache_clear()
        try:
            return code_version()["sources_sha256"]
        finally:
            code_version.cache_clear()

    plain = version_of(b"x = 1\ny = 2\n")
    assert version_of(b"x = 1\r\ny = 2\r\n") == plain
    assert version_of(b"x = 1\ny = 3\n") != plain


def test_only_files_of_this_run_count_as_outputs(tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "part-0.parquet").write_bytes(b"0")
    (tmp_path / ".half").write_bytes(b"")
    inner = tmp_path / "judged"
    inner.mkdir()
    (inner / "report.html").write_bytes(b"")
    RunFolder.create(inner, "validate", {}, {}).finish({"verdict": "FAIL"})
    RunFolder.create(tmp_path, "search", {}, {}, seed=3).finish({"trials": 12})
    run = read_run(tmp_path)
    assert list(run.tree["outputs"]) == ["trials/part-0.parquet"] and run.count == 12
    assert [read_run(folder).verdict for folder in find_runs(tmp_path)] == ["", "FAIL"]


def test_a_folder_of_bars_is_described_by_its_parquet_files(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"a")
    (tmp_path / "notes.txt").write_bytes(b"n")
    before = describe_input(tmp_path)
    assert [one["name"] for one in before["files"]] == ["a.parquet"]
    (tmp_path / "b.parquet").write_bytes(b"b")
    assert describe_input(tmp_path)["sha256"] != before["sha256"]


def test_values_of_every_kind_have_one_text() -> None:
    value = {
        "b": np.int64(3),
        "a": [np.float64("nan"), float("inf"), Decimal("0.10"), Fraction(1, 3), date(2026, 4, 3)],
        "c": np.asarray([1, 2], dtype=np.int32),
        "d": frozenset({"y", "x"}),
    }
    assert json.loads(canonical(value)) == {
        "a": ["nan", "inf", "0.10", "1/3", "2026-04-03"],
        "b": 3,
        "c": [1, 2],
        "d": ["x", "y"],
    }


def test_a_missing_input_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(BacktestInputError, match="does not exist"):
        RunFolder.create(tmp_path / "out", "backtest", {"bars": tmp_path / "no.parquet"}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "cannot be read"), ("{}", "format"), ('{"format": 1, "kind": "search"}', "lacks inputs"), ("[]", "format")],
)
def test_a_bad_record_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / RUN_FILE).write_text(text)
    with pytest.raises(RunFileError, match=said):
        read_run(tmp_path)


def test_runs_are_found_by_name_below_the_root(made: Made, tmp_path: Path) -> None:
    made("a")
    root = tmp_path / "runs"
    assert resolve(Path("a"), root) == root / "a" and resolve(root / "a", tmp_path) == root / "a"
    with pytest.raises(RunFileError, match=r"holds no run\.json"):
        read_run(resolve(Path("b"), root))
    with pytest.raises(RunFileError, match="not a folder"):
        list(find_runs(tmp_path / "none"))
