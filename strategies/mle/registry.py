"""Leave beside every result the facts that make it again: parameters, data hashes, code, seed, environment.

A run folder holds its outputs and ``run.json``, which is written last and in one replacement: a folder without it holds
an unfinished run. There is no clock in it and no path but those the user gave, so the same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from importlib import metadata
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal, get_args

import live
import strategies
from strategies.mle.bar_file import BacktestInputError

FORMAT: Final = 1
RUN_FILE: Final = "run.json"
DISTRIBUTION: Final = "pj-engine"
LIBRARIES: Final = ("arch", "distributed", "numba", "numpy", "pandas", "pyarrow", "scipy")
_SOURCES: Final = {".py", ".j2"}
_CHUNK: Final = 1 << 20

Kind = Literal["backtest", "search", "validate"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)


class RunFileError(BacktestInputError):
    """Report a run folder that cannot be used; the text names it and what to do."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Hold what a run was given; ``finish`` writes it down beside what came out."""

    folder: Path
    kind: Kind
    inputs: Mapping[str, Any]
    params: Mapping[str, Any]
    seed: int | None

    @classmethod
    def create(
        cls, out: Path, kind: Kind, inputs: Mapping[str, Any], params: Mapping[str, Any], seed: int | None = None
    ) -> RunFolder:
        """Return the record of a run that begins now; a Path among ``inputs`` is replaced by its name and SHA-256.

        Touches nothing on disk, so that a run which is then refused leaves an older one whole. ``params`` are what the
        user may vary (``Params.to_dict()``, or a search's space). Raises BacktestInputError for an input that cannot
        be read.
        """
        described = {
            name: describe_input(value) if isinstance(value, Path) else value for name, value in inputs.items()
        }
        return cls(Path(out), kind, _plain(described), _plain(dict(params)), seed)

    @property
    def inputs_sha256(self) -> str:
        """Return the hash of everything that decides the result: kind, inputs without paths, params, seed, code."""
        return _inputs_sha256(self.kind, self.inputs, self.params, self.seed, code_version())

    def finish(self, results: Mapping[str, Any], outputs: Iterable[str] | None = None) -> Path:
        """Write run.json in one replacement and return its path.

        ``results`` may hold ``trades`` or ``trials``, ``net_usd`` and ``verdict``, which ``pj runs list`` shows; what a
        clock or the place of the folder decides has no place in it. ``outputs`` are names of files in the folder;
        without it every file counts that is neither hidden nor inside another run's folder. Raises BacktestInputError.
        """
        names = _files_below(self.folder) if outputs is None else sorted(outputs)
        record = {
            "format": FORMAT,
            "kind": self.kind,
            "inputs": self.inputs,
            "params": self.params,
            "seed": self.seed,
            "code": code_version(),
            "environment": environment(),
            "inputs_sha256": self.inputs_sha256,
            "results": _plain(dict(results)),
            "outputs": {name: file_sha256(self.folder / name) for name in names},
        }
        path = self.folder / RUN_FILE
        _replace(path, canonical(record))
        return path


def canonical(value: Any) -> str:
    """Return JSON text with sorted keys and a final newline: equal values give equal bytes."""
    return json.dumps(_plain(value), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def describe_input(path: Path) -> dict[str, Any]:
    """Return path as given, SHA-256 and size of a file; of a folder, of every Parquet file below it, sorted by name.

    Raises BacktestInputError when it cannot be read.
    """
    if path.is_dir():
        parquet = [name for name in _files_below(path) if name.endswith(".parquet")]
        files = [{"name": name, **_file_facts(path / name)} for name in parquet]
        names_too = canonical(files).encode()
        return {"path": str(path), "files": files, "sha256": hashlib.sha256(names_too).hexdigest()}
    return {"path": str(path), **_file_facts(path)}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hex; raise BacktestInputError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except FileNotFoundError as error:
        raise BacktestInputError(f"{path} does not exist; correct the path") from error
    except OSError as error:
        raise BacktestInputError(f"{path} cannot be read ({error.strerror}); correct the path") from error
    return digest.hexdigest()


@lru_cache(maxsize=1)
def code_version() -> dict[str, str]:
    """Return the package's version and the SHA-256 over the sources of live/ and strategies/, sorted by name.

    Line ends are those of the repository (LF), so that checkout and wheel on every system agree.
    """
    digest = hashlib.sha256()
    for name, data in sorted(_sources()):
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return {"package": _version(DISTRIBUTION), "sources_sha256": digest.hexdigest()}


def environment() -> dict[str, str]:
    """Return the versions that could change a result: Python, libraries, operating system, processor."""
    versions = {name: _version(name) for name in LIBRARIES}
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"python": python, "system": sys.platform, "machine": platform.machine(), **versions}


def _inputs_sha256(kind: str, inputs: Any, params: Any, seed: int | None, code: Mapping[str, str]) -> str:
    decisive = {"kind": kind, "inputs": _without_paths(inputs), "params": params, "seed": seed}
    return hashlib.sha256(canonical({**decisive, "code": code["sources_sha256"]}).encode()).hexdigest()


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        hashed = "sha256" in value
        return {name: _without_paths(one) for name, one in value.items() if not (hashed and name == "path")}
    return [_without_paths(one) for one in value] if isinstance(value, list) else value


def _sources() -> Iterator[tuple[str, bytes]]:
    for package in (live, strategies):
        root = Path(str(package.__file__)).resolve().parent
        for path in root.rglob("*"):
            if path.suffix in _SOURCES:
                yield path.relative_to(root.parent).as_posix(), path.read_bytes().replace(b"\r\n", b"\n")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _file_facts(path: Path) -> dict[str, Any]:
    sha256 = file_sha256(path)
    return {"sha256": sha256, "bytes": path.stat().st_size}


def _files_below(folder: Path) -> list[str]:
    """Return the names of all files below, but hidden ones, run.json, and folders of other runs."""
    found: list[str] = []
    for at, folders, files in os.walk(folder):
        here = Path(at)
        folders[:] = [name for name in folders if not name.startswith(".") and not (here / name / RUN_FILE).exists()]
        inside = [name for name in files if not name.startswith(".") and name != RUN_FILE]
        found += [(here / name).relative_to(folder).as_posix() for name in inside]
    return sorted(found)


def _plain(value: Any) -> Any:  # noqa: PLR0911 (one line per kind of value)
    """Return the value as JSON has it; numbers that are none (nan, inf) become text, exact numbers stay exact."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_plain(one) for one in value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal | Fraction | Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return _plain(value.tolist())
    return [_plain(one) for one in value]


def _replace(path: Path, text: str) -> None:
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        temporary.replace(path)
    except OSError as error:
        raise BacktestInputError(f"{path} cannot be written ({error.strerror}); choose another folder") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
