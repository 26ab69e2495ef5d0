"""Describe a verb as data: its parser, its help and its JSON description all come from here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

EXIT_CODES: Final[Mapping[int, str]] = {
    0: "done, healthy, or stopped by the operator",
    1: "the check failed",
    2: "usage or configuration is wrong; the Sentinel does not restart it",
    3: "an outside service is unavailable",
    4: "halted by a guard",
    130: "interrupted by Ctrl-C before it was done",
    141: "the reader of the output left before it was done",
}
#: What can befall any verb; the others are listed with the verbs that have them.
INTERRUPTED: Final = 130
READER_LEFT: Final = 141

Kind = Literal["text", "int", "float", "path", "date", "time", "flag", "switch"]
_JSON_TYPES: Final = {"int": "integer", "float": "number", "flag": "boolean", "switch": "boolean"}
_METAVARS: Final = {"int": "N", "float": "X", "path": "FILE", "date": "YYYY-MM-DD", "time": "HH:MM", "text": "TEXT"}


class UsageError(ValueError):
    """Report a command line that cannot be used, in one sentence."""


@dataclass(frozen=True, slots=True)
class Argument:
    """Describe one argument: no dashes = positional; a switch has a --no- form; ``repeat`` makes a list."""

    name: str
    help: str
    kind: Kind = "text"
    default: Any = None
    choices: tuple[str, ...] = ()
    required: bool = False
    repeat: bool = False
    metavar: str = ""

    @property
    def key(self) -> str:
        """Return the name under which the verb finds the value."""
        return self.name.lstrip("-").replace("-", "_")

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add this argument to a parser."""
        options: dict[str, Any] = {"help": self._help_text(), "default": self.default}
        if self.name.startswith("-"):
            options["required"] = self.required
            options["dest"] = self.key
        if self.kind == "flag":
            parser.add_argument(self.name, **(options | {"action": "store_true", "default": False}))
            return
        if self.kind == "switch":
            parser.add_argument(self.name, **(options | {"action": argparse.BooleanOptionalAction}))
            return
        options["type"] = _READERS[self.kind]
        if not self.choices:
            options["metavar"] = self.metavar or _METAVARS[self.kind]
        elif not self.name.startswith("-"):
            options["metavar"] = self.name  # argparse would show a positional argument as its choices alone
        if self.choices:
            options["choices"] = self.choices
        if self.repeat and not self.name.startswith("-"):
            options["nargs"] = "+" if self.required else "*"
        elif self.repeat:
            options |= {"action": "append", "default": []}
        elif not self.name.startswith("-") and not self.required:
            options["nargs"] = "?"
        parser.add_argument(self.name, **options)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the value."""
        schema: dict[str, Any] = {"type": _JSON_TYPES.get(self.kind, "string"), "description": self.help}
        if self.kind == "date":
            schema["format"] = "date"
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.repeat:
            schema = {"type": "array", "items": {"type": schema["type"]}, "description": self.help}
        elif self.kind == "flag" or self.default is not None:
            schema["default"] = bool(self.default) if self.kind == "flag" else self.default
        return schema

    def _help_text(self) -> str:
        known = "" if self.default is None or self.kind in {"flag", "switch"} else f" (default {self.default})"
        return (self.help + known).replace("%", "%%")


@dataclass(frozen=True, slots=True)
class Verb:
    """Describe one verb.

    ``run`` is ``module:function``, called with the options by name; with ``forward`` it gets the words themselves.
    ``until_stopped``: it serves until it is stopped, and Ctrl-C is how: that is done (0), not interrupted.
    """

    name: str
    help: str
    run: str
    arguments: tuple[Argument, ...] = ()
    output: Mapping[str, Any] = field(default_factory=lambda: TEXT_OUTPUT)
    codes: tuple[int, ...] = (0, 2)
    forward: bool = False
    detail: str = ""
    until_stopped: bool = False

    def parser(self) -> Parser:
        """Return the verb's argument parser."""
        parser = Parser(
            prog=f"pj {self.name}",
            description=f"{self.help}\n{self.detail}".strip(),
            epilog="exit codes:\n" + "\n".join(f"  {code}  {EXIT_CODES[code]}" for code in self.codes),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for argument in self.arguments:
            argument.add_to(parser)
        parser.add_argument("--describe", action="store_true", help="print this verb's description as JSON")
        return parser

    def describe(self) -> dict[str, Any]:
        """Return the verb's description: words, input schema, output schema, exit codes."""
        return {
            "name": self.name,
            "description": f"{self.help} {self.detail}".strip(),
            "input_schema": {
                "type": "object",
                "properties": {argument.key: argument.json_schema() for argument in self.arguments},
                "required": [argument.key for argument in self.arguments if argument.required],
                "additionalProperties": False,
            },
            "output_schema": dict(self.output),
            "exit_codes": {str(code): EXIT_CODES[code] for code in self.codes},
        }


class Parser(argparse.ArgumentParser):
    """Raise UsageError with one sentence where argparse would print its usage and leave."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{self.prog}: {message.replace('argument ', '')}; see '{self.prog} --help'")


TEXT_OUTPUT: Final[Mapping[str, Any]] = {"type": "string", "description": "lines for a person"}


def object_output(description: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of a JSON report."""
    return {"type": "object", "description": description, "properties": properties, "required": list(properties)}


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _time(text: str) -> str:
    hours, colon, minutes = text.partition(":")
    if not (colon and hours.isdecimal() and len(minutes) == 2 and minutes.isdecimal()):
        raise ValueError(text)
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(text)
    return text


def _date(text: str) -> str:
    return date.fromisoformat(text).isoformat()


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "text": str,
    "int": int,
    "float": float,
    "path": _path,
    "date": _date,
    "time": _time,
}
for _kind, _reader in _READERS.items():
    if _kind in {"path", "date", "time"}:
        _reader.__name__ = f"{_kind} ({_METAVARS[_kind]})"  # argparse says: invalid date (YYYY-MM-DD) value: 'x'
