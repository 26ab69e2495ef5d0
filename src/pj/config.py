"""Read the settings: command line > environment > .env > config.yaml > default.

``load_settings`` is what every process calls; ``settings_with_origin`` is for ``pj config show``.
Whatever is wrong raises ConfigError with one sentence that names the key, the value and what
to do. Secrets come from the environment or ``.env`` only and are never printed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from live.market import INSTRUMENTS, Instrument
from live.params import Params, ParamsError
from pj.settings_text import ConfigError, parse_yaml, read_dotenv, read_text

__all__ = [
    "ConfigError",
    "Origin",
    "Settings",
    "load_settings",
    "overrides_to_env",
    "settings_with_origin",
    "without_settings",
]

ENV_CONFIG: Final = "PJ_CONFIG"
ENV_PREFIX: Final = "PJ__"
DEFAULT_FILE: Final = "config.yaml"
#: Variables with a name of their own: secrets and paths of secrets, which never stand in config.yaml.
SECRET_VARIABLES: Final = {
    "PJ_TRADERSPOST_WEBHOOK_URL": "traderspost.webhook_url",
    "PJ_SHEETS_SERVICE_ACCOUNT": "sheets.service_account_file",
}
SECRET_KEYS: Final = frozenset({"traderspost.webhook_url"})
PATH_KEYS: Final = ("run_dir", "session_overrides", "sheets.service_account_file")
OPEN_BLOCK: Final = "strategy.pj"
PARAMETERS: Final = tuple(Params().to_dict())

Port = Annotated[int, Field(ge=1, le=65535)]
PositiveS = Annotated[float, Field(gt=0, le=86_400)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Section(BaseModel):
    """Refuse unknown keys, truth values where a number is meant, and change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_truth_for_number(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, value in data.items():
                field = cls.model_fields.get(name)
                if isinstance(value, bool) and field is not None and field.annotation is not bool:
                    data = {**data, name: str(value).lower()}
        return data

    @model_validator(mode="after")
    def _order_of_backoff(self) -> Section:
        low, high = getattr(self, "backoff_min_s", 0), getattr(self, "backoff_max_s", 0)
        if low > high:
            raise ValueError(f"backoff_min_s ({low:g}) is above backoff_max_s ({high:g}); make it the smaller one")
        return self


class Execution(Section):
    """Say where orders go and what limits their sending."""

    route: Literal["paper", "traderspost", "ibkr"] = "paper"
    position_source: Literal["ibkr", "none"] = "ibkr"
    max_signal_age_s: PositiveS = 5.0
    requests_per_min: Annotated[int, Field(ge=1, le=60)] = 60
    requests_per_hour: Annotated[int, Field(ge=1, le=500)] = 500


class Ibkr(Section):
    """Say how the bridge reaches the gateway or TWS."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 4002
    client_id: Annotated[int, Field(ge=0, le=2**31 - 1)] = 11
    flatten_client_id: Annotated[int, Field(ge=0, le=2**31 - 100)] = 61
    library: Literal["auto", "ib_insync", "ib_async"] = "auto"
    account: str = ""
    connect_timeout_s: PositiveS = 4.0
    backoff_min_s: Seconds = 0.5
    backoff_max_s: Seconds = 30.0
    probe_s: PositiveS = 5.0
    probe_timeout_s: PositiveS = 2.0
    history_days: Annotated[int, Field(ge=1, le=30)] = 5


class TradersPost(Section):
    """Say how the webhook is called; its address is the secret."""

    connect_timeout_s: PositiveS = 2.0
    read_timeout_s: PositiveS = 5.0
    webhook_url: SecretStr = SecretStr("")

    @field_validator("webhook_url")
    @classmethod
    def _looks_like_a_webhook(cls, secret: SecretStr) -> SecretStr:
        text = secret.get_secret_value().strip()
        if text:
            url = urlsplit(text)
            loopback = url.hostname in {"127.0.0.1", "localhost", "::1"}
            if url.scheme != "https" and not (url.scheme == "http" and loopback):
                raise ValueError("must begin with https:// (http:// only for a simulator on this machine)")
            if not re.fullmatch(r"/trading/webhook/[^/]+/[^/]+", url.path):
                raise ValueError("must end in /trading/webhook/<uuid>/<password> as TradersPost shows it")
        return SecretStr(text)


class Sheets(Section):
    """Say where the Scribe writes and how fast; flush_s is run time, the others real time."""

    enabled: bool = True
    spreadsheet_id: str = ""
    service_account_file: Path = Path("service_account.json")
    api_base: Annotated[str, Field(pattern=r"^https?://[^/\s]+/?$")] = "https://sheets.googleapis.com"
    flush_s: PositiveS = 1.1
    min_flush_real_s: PositiveS = 0.25
    writes_per_min: Annotated[int, Field(ge=1, le=59)] = 55
    verify_s: PositiveS = 60.0


class EngineSettings(Section):
    """Say how long the engine waits and when it calls its input stale."""

    bar_grace_s: PositiveS = 1.0
    stale_tick_s: PositiveS = 5.0
    stale_bridge_s: PositiveS = 15.0
    last_minute_s: Seconds = 60.0


class Supervision(Section):
    """Say how the Sentinel watches and restarts; all real time."""

    check_s: PositiveS = 5.0
    silent_s: PositiveS = 5.0
    stop_s: PositiveS = 5.0
    start_grace_s: PositiveS = 15.0
    backoff_min_s: Seconds = 0.0
    backoff_max_s: Seconds = 30.0
    max_restarts: Annotated[int, Field(ge=1, le=100_000)] = 5
    window_s: PositiveS = 120.0
    slow_retry_s: PositiveS = 60.0
    slow_retry_closed_s: PositiveS = 900.0
    on_halt: Literal["hold", "flatten"] = "hold"


class Dashboard(Section):
    """Say how often the console is drawn."""

    refresh_s: Annotated[float, Field(ge=0.1, le=60)] = 0.5


class Doctor(Section):
    """Say whom ``pj doctor`` asks for the time: host or host:port, parted by commas."""

    ntp_servers: str = "time.cloudflare.com, time.nist.gov"


class Strategy(Section):
    """Hold the strategies' parameters by name; ``pj`` is spec S13, an empty block means all defaults."""

    pj: dict[str, Any] = Field(default_factory=dict)


class Settings(Section):
    """Hold every setting of a run."""

    profile: Literal["sim", "paper", "live"] = "sim"
    run_dir: Path = Path("data/run")
    symbol: str = "MNQ"
    contract: str = ""
    session_overrides: Path = Path("config/session_overrides.yaml")
    execution: Execution = Execution()
    ibkr: Ibkr = Ibkr()
    traderspost: TradersPost = TradersPost()
    sheets: Sheets = Sheets()
    engine: EngineSettings = EngineSettings()
    supervision: Supervision = Supervision()
    dashboard: Dashboard = Dashboard()
    doctor: Doctor = Doctor()
    strategy: Strategy = Strategy()

    @field_validator("symbol")
    @classmethod
    def _known_symbol(cls, symbol: str) -> str:
        if symbol not in INSTRUMENTS:
            raise ValueError(f"unknown symbol; use one of {', '.join(INSTRUMENTS)}")
        return symbol

    @model_validator(mode="after")
    def _contract_of_symbol(self) -> Settings:
        if self.contract and not re.fullmatch(rf"{self.symbol}[HMUZ]\d", self.contract):
            raise ValueError(
                f"contract is {self.contract!r}, not a quarterly contract of {self.symbol};"
                f" write it like {self.symbol}Z6, or leave it empty for the front contract"
            )
        return self

    @model_validator(mode="after")
    def _parameters_of_strategy(self) -> Settings:
        try:
            self.params()
        except ParamsError as error:
            unknown = [name for name in self.strategy.pj if name not in PARAMETERS]
            from difflib import get_close_matches  # here and below: only a mistake needs it

            near = get_close_matches(unknown[0], PARAMETERS, 1) if unknown else []
            if near:
                raise ValueError(f"strategy.pj: unknown parameter {unknown[0]!r}; did you mean {near[0]!r}?") from None
            raise ValueError(f"strategy.pj: {error}") from None
        return self

    @property
    def instrument(self) -> Instrument:
        """Return the instrument that ``symbol`` names."""
        return INSTRUMENTS[self.symbol]

    def params(self) -> Params:
        """Return the parameters of strategy PJ-1 for this instrument (spec S13)."""
        return Params.from_dict(self.strategy.pj, self.instrument)


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
    return settings, [Origin(key, value, origins.get(key, "default")) for key, value in _leaves(tree)]


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
        ("command line", Path.cwd(), _texts((overrides or {}).items(), "command line")),
    ]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, folder, values in layers:
        for key, value in values.items():
            merged[key] = _rooted(value, folder) if key in PATH_KEYS else value
            origins[key] = origin
    tree: dict[str, Any] = {}
    for key, value in merged.items():
        _put(tree, key, value)
    try:
        return Settings.model_validate(tree), origins
    except ValidationError as error:
        raise ConfigError(_sentence(error, origins)) from None


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
    return key == OPEN_BLOCK or isinstance(getattr(Settings.model_fields.get(key), "default", None), Section)


def _variables(env: Mapping[str, str], origin: str) -> dict[str, Any]:
    """Return what ``env`` sets: PJ__SECTION__KEY and the secrets by their own names."""
    pairs = [(key, env[name]) for name, key in SECRET_VARIABLES.items() if env.get(name, "").strip()]
    pairs += [
        (name.removeprefix(ENV_PREFIX).lower().replace("__", "."), value)
        for name, value in env.items()
        if name.startswith(ENV_PREFIX)
    ]
    return _texts(pairs, origin)


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
