"""Read settings as a person writes them: strict YAML and ``.env`` files.

YAML's surprises are taken out: 16:55 and 2026-04-15T13:30:00Z stay text, ``yes`` and ``on`` are
words, and a key given twice is an error and not a silent choice of the last one.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yaml import MappingNode, SafeLoader


class ConfigError(ValueError):
    """Report settings that cannot be used, in one sentence for the operator."""


@cache
def _loader() -> type[SafeLoader]:
    """Return YAML 1.2's plain scalars (16:55 and 2026-04-15 stay text) with a key given twice refused.

    Made when the first text is parsed: a process that reads no YAML does not carry the library.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[Any] = set()
            for key_node, _ in node.value:
                if key_node.value in seen:
                    line = key_node.start_mark.line + 1
                    raise ConfigError(f"key {key_node.value!r} stands twice (line {line}); remove one of them")
                seen.add(key_node.value)
            return super().construct_mapping(node, deep)

    Loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
        ("int", r"[-+]?[0-9]+", "-+0123456789"),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ):
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), list(first))
    return Loader


def parse_yaml(text: str, where: str) -> Any:
    """Return the value that YAML ``text`` holds; raise ConfigError naming ``where`` and the line."""
    import yaml

    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506 (a SafeLoader with fewer implicit types)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigError(f"{where}{at} is not valid YAML: {problem}; correct that line") from None


def read_text(path: Path) -> str:
    """Return a file's UTF-8 text (a byte order mark is dropped); raise ConfigError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}; correct or remove it") from None


def read_dotenv(path: Path) -> dict[str, str]:
    """Return NAME=value lines of a ``.env`` file, empty when there is none; raise ConfigError naming a bad line."""
    if not path.is_file():
        return {}
    values: dict[str, str] = {}
    for number, raw in enumerate(read_text(path).splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigError(f"{path} line {number} is not NAME=value; correct it or begin it with #")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return values
