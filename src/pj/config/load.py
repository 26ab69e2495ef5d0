"""Put the layers of settings together, name where each value came from, and say in one sentence what is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from pj.config.models import Section, Settings, Sheets
from pj.config.secrets import SECRET_KEYS, SECRET_VARIABLES, from_keyring, misplaced
from pj.settings_text import ConfigError, parse_yaml, read_dotenv, read_text

ENV_CONFIG: Final = "PJ_CONFIG"
ENV_PREFIX: Final = "PJ__"
DEFAULT_FILE: Final = "config.yaml"
PATH_KEYS: Final = ("run_dir", "session_overrides", "sheets.service_account_file")
OPEN_BLOCK: Final = "strategy.pj"


@dataclass(frozen=True, slots=True)
class Origin:
    """Tell one setting, safe to print, and where its value came from."""

    key: str
    value: Any
    origin: str


def load_settings(env: Mapping[str, str] = os.environ, overrides: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this run.

    ``overrides`` are the command line's, dotted keys to text (``{"ibkr.port": "4001"}``).
    Raises ConfigError with one sentence for whatever cannot be used.
    """
    return _load(env, overrides)[0]


def settings_with_origin(
    env: Mapping[str, str] = os.environ, overrides: Mapping[str, str] | None = None
) -> tuple[Settings, list[Origin]]:
    """Return the settings and, key by key, value (secrets masked) and origin. Raises ConfigError."""
    settings, origins = _load(env, overrides)
    tree = settings.model_dump(mode="json")
    tree["strategy"]["pj"] = settings.params().to_dict()
    chosen = settings.profile_limits.chosen()
    by_profile = {f"{OPEN_BLOCK}.{name}": f"limits.{settings.profile}" for name in chosen}
    rows = [Origin(key, value, by_profile.get(key) or origins.get(key, "default")) for key, value in _leaves(tree)]
    return settings, [row for row in rows if row.value is not None]


def dotenv_path(env: Mapping[str, str]) -> Path:
    """Return where ``.env`` stands, beside the settings file; raise ConfigError."""
    return _config_path(env)[1] / ".env"


def overrides_to_env(overrides: Mapping[str, str]) -> dict[str, str]:
    """Return ``overrides`` as the PJ__ variables by which child processes get the same settings."""
    return {ENV_PREFIX + key.upper().replace(".", "__"): value for key, value in overrides.items()}


def without_settings(env: Mapping[str, str]) -> dict[str, str]:
    """Return ``env`` without any of our settings or secrets, for a run that must not inherit the operator's own."""
    own = {ENV_CONFIG, *SECRET_VARIABLES}
    return {name: value for name, value in env.items() if name not in own and not name.startswith(ENV_PREFIX)}


def _load(env: Mapping[str, str], overrides: Mapping[str, str] | None) -> tuple[Settings, dict[str, str]]:
    path, base = _config_path(env)
    layers: list[tuple[str, Path, dict[str, Any]]] = [
        ("default", base, {key: str(Settings.model_fields[key].default) for key in ("run_dir", "session_overrides")}),
        ("default", base, {"sheets.service_account_file": str(Sheets().service_account_file)}),
        (str(path), base, _file_values(path) if path else {}),
        (".env", base, _variables(read_dotenv(base / ".env"), ".env")),
        ("environment", Path.cwd(), _variables(env, "environment")),
        ("command line", Path.cwd(), _command_line(overrides or {})),
    ]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, folder, values in layers:
        for key, value in values.items():
            wrong = misplaced(key, value)
            if wrong:
                raise ConfigError(f"{wrong} ({origin})")
            merged[key] = _rooted(value, folder) if key in PATH_KEYS else value
            origins[key] = origin
    if str(merged.get("keyring", "")).lower() == "true":
        _add_from_keyring(merged, origins)
    tree: dict[str, Any] = {}
    for key, value in merged.items():
        _put(tree, key, value)
    try:
        return Settings.model_validate(tree), origins
    except ValidationError as error:
        raise ConfigError(_sentence(error, origins)) from None


def _add_from_keyring(merged: dict[str, Any], origins: dict[str, str]) -> None:
    """Take the secrets that no variable holds from the keyring."""
    for variable, key in SECRET_VARIABLES.items():
        value = from_keyring(variable) if key in SECRET_KEYS and key not in merged else ""
        if value:
            merged[key], origins[key] = value, "keyring"


def _config_path(env: Mapping[str, str]) -> tuple[Path | None, Path]:
    """Return config.yaml (None = there is none, all defaults) and the folder its relative paths start from."""
    named = env.get(ENV_CONFIG, "")
    path = Path(named or DEFAULT_FILE).expanduser().absolute()
    if named and not path.is_file():
        raise ConfigError(f"{ENV_CONFIG} names {named!r}, which is not a file; correct the path or unset the variable")
    return (path if path.is_file() else None), path.parent


def _file_values(path: Path) -> dict[str, Any]:
    tree = parse_yaml(read_text(path), str(path))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} holds {type(tree).__name__} and not keys with values; write lines like 'symbol: MNQ'"
        )
    values = dict(_leaves(tree))
    for key, value in values.items():
        if key in SECRET_KEYS:
            variable = next(name for name, target in SECRET_VARIABLES.items() if target == key)
            raise ConfigError(f"{path} holds the secret {key}; move it to the variable {variable} or to .env")
        if value is None:
            raise ConfigError(f"{path}: {key} has no value; give it one or remove the line to get the default")
    return values


def _leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of every leaf; a block without lines (None) is no leaf."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{key}.")
        elif value is not None or not _is_block(key):
            yield key, value


def _is_block(key: str) -> bool:
    if key == OPEN_BLOCK:
        return True
    kind: type[Section] | None = Settings
    for name in key.split("."):
        default = getattr(kind.model_fields.get(name), "default", None) if kind else None
        kind = type(default) if isinstance(default, Section) else None
    return kind is not None


def _variables(env: Mapping[str, str], origin: str) -> dict[str, Any]:
    """Return what ``env`` sets: PJ__SECTION__KEY and the secrets by their own names."""
    pairs = [(key, env[name]) for name, key in SECRET_VARIABLES.items() if env.get(name, "").strip()]
    pairs += [
        (name.removeprefix(ENV_PREFIX).lower().replace("__", "."), value)
        for name, value in env.items()
        if name.startswith(ENV_PREFIX)
    ]
    return _texts(pairs, origin)


def _command_line(overrides: Mapping[str, str]) -> dict[str, Any]:
    """Return what the command line sets; raise ConfigError for a secret, which every process of the machine sees."""
    for name, key in SECRET_VARIABLES.items():
        if key in overrides and key in SECRET_KEYS:
            raise ConfigError(f"{key} is a secret and may not stand on a command line; use the variable {name} or .env")
    return _texts(overrides.items(), "command line")


def _texts(pairs: Iterable[tuple[str, str]], origin: str) -> dict[str, Any]:
    """Return text values by key; parameters of the open block are read as YAML (numbers, lists)."""
    return {
        key: parse_yaml(text, f"{key} ({origin})") if key.startswith(f"{OPEN_BLOCK}.") else text for key, text in pairs
    }


def _rooted(value: Any, folder: Path) -> Any:
    return folder / Path(value).expanduser() if isinstance(value, str) and value else value


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *blocks, name = key.split(".")
    for block in blocks:
        inner = tree.setdefault(block, {})
        if not isinstance(inner, dict):
            return  # a plain value stands where a block belongs: validation names it
        tree = inner
    tree[name] = value


def _sentence(error: ValidationError, origins: Mapping[str, str]) -> str:
    """Return one sentence for the first thing that is wrong: key, value, what to do."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    where = f" ({origins[key]})" if key in origins else ""
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        known = [name for name, _ in _leaves(Settings().model_dump(mode="json"))]
        block, dot, _ = key.rpartition(".")
        blocks = [name for name in Settings.model_fields if _is_block(name)]
        from difflib import get_close_matches

        near = get_close_matches(key, known + blocks, 1, 0.5) or [
            name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]
        ]
        inside = ", ".join(name for name in known if name.rpartition(".")[:2] == (block, dot))
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {inside}"
        where = where or next((f" ({origin})" for name, origin in origins.items() if name.startswith(f"{key}.")), "")
        return f"unknown key {key!r}{where}; {hint} ('pj config show' lists every key)"
    if not key or (_is_block(key) and first["type"] == "value_error"):
        return f"{key + ': ' if key else ''}{message}"
    if _is_block(key):
        return f"{key} is {first['input']!r}{where}: it must be a block of keys; indent its keys below it"
    shown = "(secret)" if key in SECRET_KEYS else repr(first["input"])
    return f"{key} is {shown}{where}: {message.replace('Input should', 'it must')}; correct it there"
