"""Look at what experiments left behind: ``pj runs list|show|compare``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pj.verbs.common import Options, print_json

if TYPE_CHECKING:
    from strategies.mle.run_records import Comparison, RunRecord

_HEAD: Final = ("RUN", "KIND", "SYMBOL AND BARS", "N", "NET USD", "VERDICT", "PARAMETERS THAT DIFFER")
_SHOWN: Final = 60
_HASH: Final = 16


def list_runs(options: Options) -> int:
    """Print one line per run folder below the root; return 1 when a run.json cannot be read."""
    from strategies.mle.registry import RunFileError
    from strategies.mle.run_records import find_runs, read_run

    root: Path = options["root"]
    runs: list[RunRecord] = []
    unreadable: list[str] = []
    for folder in find_runs(root):
        try:
            runs.append(read_run(folder))
        except RunFileError as error:
            unreadable.append(str(error))
    if options["json"]:
        print_json({"runs": [_brief(run, root) for run in runs], "unreadable": unreadable})
    elif runs:
        _print_table(_HEAD, [[str(value) for value in _cells(run, root)] for run in runs])
    else:
        print(f"No run below {root}: 'pj backtest', 'pj search' and 'pj validate' leave a run.json in --out.")
    for text in unreadable:
        sys.stderr.write(f"{text}\n")
    return 1 if unreadable else 0


def show_run(options: Options) -> int:
    """Print one run; return 1 when an output is no longer what was recorded."""
    from strategies.mle.run_records import read_run, resolve

    run = read_run(resolve(Path(options["run"]), options["root"]))
    changed = run.changed_outputs()
    if options["json"]:
        print_json({**run.tree, "folder": str(run.folder), "changed_outputs": changed})
        return 1 if changed else 0
    print(f"{run.folder}: {run.kind}, {run.symbol}")
    for part in ("inputs", "params", "code", "environment", "results", "outputs"):
        print(f"\n{part}")
        _print_tree(run.tree[part])
    print(f"\nseed {run.tree.get('seed')}   inputs {run.tree['inputs_sha256']}")
    if run.changed_params:
        print("parameters that differ from the defaults: " + _words(run.changed_params))
    for line in _changed_lines({str(run.folder): changed} if changed else {}):
        print(line)
    return 1 if changed else 0


def compare_runs(options: Options) -> int:
    """Print what differs between runs.

    Return 1 when an output is no longer what was recorded, or equal inputs gave other bytes.
    """
    from strategies.mle.run_records import compare, read_run, resolve

    runs = [read_run(resolve(Path(name), options["root"])) for name in options["run"]]
    found = compare(runs)
    if options["json"]:
        print_json({**_parts(found), "folders": found.folders, "changed_outputs": found.changed, **_judgement(found)})
    else:
        _print_comparison(found)
    return 1 if found.changed or found.broken else 0


def _parts(found: Comparison) -> dict[str, Mapping[str, tuple[Any, ...]]]:
    return {
        "inputs": found.inputs,
        "params": found.params,
        "code": found.code,
        "environment": found.environment,
        "results": found.results,
        "outputs": found.outputs,
    }


def _judgement(found: Comparison) -> dict[str, bool]:
    return {"same_inputs": found.same_inputs, "same_outputs": found.same_outputs, "broken": found.broken}


def _print_comparison(found: Comparison) -> None:
    for number, folder in enumerate(found.folders, start=1):
        print(f"[{number}] {folder}")
    for part, rows in _parts(found).items():
        if not rows:
            print(f"{part}: the same")
            continue
        print(f"{part}:")
        for name, values in rows.items():
            hashes = part == "outputs" or name.endswith("sha256")
            shown = [_short(value)[:_HASH] if hashes and value else _short(value) for value in values]
            print(f"  {name:<28} " + "  |  ".join(shown))
    print("Everything that decides the result is the same." if found.same_inputs else "The inputs were not the same.")
    print("The outputs were equal, byte for byte." if found.same_outputs else "The outputs differed.")
    for line in _changed_lines(found.changed):
        print(line)
    if found.broken:
        print("Equal inputs, code and environment gave other bytes: that must not happen; report it with both folders.")


def _changed_lines(changed: Mapping[str, Mapping[str, str]]) -> list[str]:
    if not changed:
        return ["Every recorded output is on disk as it was written."]
    return [
        f"{folder}: {name} is {what} since the run was recorded; run it again"
        for folder, names in changed.items()
        for name, what in names.items()
    ]


def _name(run: RunRecord, root: Path) -> str:
    name = run.folder.relative_to(root).as_posix()
    return str(root) if name == "." else name


def _brief(run: RunRecord, root: Path) -> dict[str, Any]:
    return {
        "run": _name(run, root),
        "kind": run.kind,
        "bars": run.symbol,
        "n": run.count,
        "net_usd": run.net_usd,
        "verdict": run.verdict,
        "params": run.changed_params,
        "inputs_sha256": run.tree["inputs_sha256"],
    }


def _cells(run: RunRecord, root: Path) -> tuple[object, ...]:
    count = "-" if run.count is None else run.count
    params = _words(run.changed_params) or "-"
    return _name(run, root), run.kind, run.symbol, count, run.net_usd or "-", run.verdict or "-", params


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[at]) for line in (head, *rows)) for at in range(len(head))]
    for line in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_tree(tree: Mapping[str, Any], indent: str = "  ") -> None:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            print(f"{indent}{name}")
            _print_tree(value, indent + "  ")
        else:
            print(f"{indent}{name:<20} {value if value not in ('', {}, []) else '-'}")


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in values.items())


def _short(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
