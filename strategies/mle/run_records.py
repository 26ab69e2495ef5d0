"""Read what runs left behind: find run folders, hold outputs to their recorded hashes, compare runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from live.market import INSTRUMENTS
from live.params import Params
from strategies.mle.bar_file import BacktestInputError
from strategies.mle.registry import FORMAT, RUN_FILE, RunFileError, canonical, file_sha256

DEPTH: Final = 6
_FIELDS: Final = {
    "kind": str,
    "inputs": dict,
    "params": dict,
    "code": dict,
    "environment": dict,
    "inputs_sha256": str,
    "results": dict,
    "outputs": dict,
}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Hold one run.json; ``tree`` is all of it."""

    folder: Path
    tree: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Return backtest, search or validate."""
        return str(self.tree["kind"])

    @property
    def symbol(self) -> str:
        """Return what was traded and the files of bars, for a line of a table."""
        inputs = self.tree["inputs"]
        paths = [Path(str(one["path"])).name for one in inputs.values() if isinstance(one, dict) and "path" in one]
        return " ".join([str(inputs.get("symbol") or "-"), *paths])

    @property
    def changed_params(self) -> dict[str, Any]:
        """Return the parameters that differ from the specification's defaults; of a search, what it varied as well."""
        instrument = INSTRUMENTS.get(str(self.tree["inputs"].get("symbol")))
        defaults = json.loads(canonical(Params.from_dict({}, instrument).to_dict()))
        given = self.tree["params"]
        varied: dict[str, Any] = {}
        if isinstance(given.get("axes"), list) and isinstance(given.get("base"), dict):
            varied = {str(axis["name"]): axis["values"] for axis in given["axes"]}
            given = {name: value for name, value in given["base"].items() if name not in varied}
        return {**varied, **{name: value for name, value in given.items() if defaults.get(name, _NONE) != value}}

    @property
    def count(self) -> int | None:
        """Return the number of trials of a search, of trades otherwise; None when the run has none."""
        results = self.tree["results"]
        return next((results[name] for name in ("trials", "trades") if isinstance(results.get(name), int)), None)

    @property
    def net_usd(self) -> str:
        """Return the net result in dollars as recorded, empty when the run has none."""
        return str(self.tree["results"].get("net_usd", ""))

    @property
    def verdict(self) -> str:
        """Return PASS or FAIL, empty when the run judged nothing."""
        return str(self.tree["results"].get("verdict", ""))

    def changed_outputs(self) -> dict[str, str]:
        """Return the outputs that no longer are what was recorded: name to ``missing`` or ``changed``."""
        found: dict[str, str] = {}
        for name, sha256 in self.tree["outputs"].items():
            path = self.folder / name
            if not path.is_file():
                found[name] = "missing"
            elif file_sha256(path) != sha256:
                found[name] = "changed"
        return found


_NONE: Final = object()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold what differs between runs: dotted name to one value per run (None = not there).

    ``same_inputs`` says whether everything that decides the result was equal, ``same_outputs`` whether every recorded
    output file has equal bytes, ``broken`` that equal inputs gave other bytes, which must not happen.
    """

    folders: tuple[str, ...]
    inputs: Mapping[str, tuple[Any, ...]]
    params: Mapping[str, tuple[Any, ...]]
    code: Mapping[str, tuple[Any, ...]]
    environment: Mapping[str, tuple[Any, ...]]
    results: Mapping[str, tuple[Any, ...]]
    outputs: Mapping[str, tuple[Any, ...]]
    changed: Mapping[str, Mapping[str, str]]
    same_inputs: bool
    same_outputs: bool

    @property
    def broken(self) -> bool:
        """Tell whether equal inputs, code and environment gave other bytes."""
        return self.same_inputs and not self.environment and not self.same_outputs


def read_run(folder: Path) -> RunRecord:
    """Return the record of a run folder (or of its run.json); raise RunFileError naming what is wrong."""
    path = folder if folder.name == RUN_FILE else folder / RUN_FILE
    try:
        tree = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RunFileError(f"{path.parent} holds no {RUN_FILE}: no finished run; 'pj runs list' names them") from error
    except (OSError, ValueError) as error:
        raise RunFileError(f"{path} cannot be read ({error}); run it again") from error
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise RunFileError(f"{path} is not of format {FORMAT}; run it again with this version")
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(tree.get(name), kind)]
    if wrong:
        raise RunFileError(f"{path} lacks {', '.join(wrong)}; run it again")
    return RunRecord(path.parent, tree)


def find_runs(root: Path) -> Iterator[Path]:
    """Yield the folders below ``root`` (itself included, six levels deep) that hold a run.json, sorted by name.

    Raises RunFileError when ``root`` is no folder.
    """
    if not root.is_dir():
        raise RunFileError(f"{root} is not a folder; name the one that holds the runs with --root")
    for at, folders, files in os.walk(root):
        here = Path(at)
        deep = len(here.relative_to(root).parts) >= DEPTH
        folders[:] = [] if deep else sorted(name for name in folders if not name.startswith("."))
        if RUN_FILE in files:
            yield here


def resolve(name: Path, root: Path) -> Path:
    """Return the run folder meant by ``name``: a path, or a name below ``root``."""
    return root / name if not name.exists() and (root / name).exists() else name


def compare(runs: Sequence[RunRecord]) -> Comparison:
    """Compare two or more runs; raise BacktestInputError for fewer."""
    if len(runs) < 2:
        raise BacktestInputError("comparing needs two run folders; name another")
    trees = [run.tree for run in runs]
    outputs = _differences([tree["outputs"] for tree in trees])
    return Comparison(
        folders=tuple(str(run.folder) for run in runs),
        inputs=_differences([{"kind": tree["kind"], "seed": tree.get("seed"), **tree["inputs"]} for tree in trees]),
        params=_differences([tree["params"] for tree in trees]),
        code=_differences([tree["code"] for tree in trees]),
        environment=_differences([tree["environment"] for tree in trees]),
        results=_differences([tree["results"] for tree in trees]),
        outputs=outputs,
        changed={str(run.folder): changed for run in runs if (changed := run.changed_outputs())},
        same_inputs=len({tree["inputs_sha256"] for tree in trees}) == 1,
        same_outputs=not outputs,
    )


def _differences(trees: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    flat = [dict(_flat(tree)) for tree in trees]
    names = sorted({name for one in flat for name in one})
    rows = {name: tuple(one.get(name) for one in flat) for name in names}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values; a list is one value, an empty table none."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
