"""Name every setting, its kind, its limits and its default; what is wrong with one is said by ``pj.config.load``."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from live.market import INSTRUMENTS, Instrument
from live.params import Params, ParamsError
from pj.config.limits import SMALLER_IS_TIGHTER, beyond_spec, tightened

PARAMETERS: Final = tuple(Params().to_dict())

Port = Annotated[int, Field(ge=1, le=65535)]
PositiveS = Annotated[float, Field(gt=0, le=86_400)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Whole = Annotated[int, Field(ge=0, le=100_000)]
Money = Annotated[Decimal, Field(ge=0, le=10_000_000, max_digits=12, decimal_places=2)]


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
    position_source: Literal["ibkr", "simulated", "manual", "none"] = "ibkr"
    flatten_unknown: bool = False
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


class ProfileLimits(Section):
    """Tighten the strategy's risk limits in one profile; a limit left out stays the strategy's (pj.config.limits)."""

    max_daily_loss_usd: Money | None = None
    risk_per_trade_usd: Money | None = None
    max_qty: Whole | None = None
    max_trades_day: Whole | None = None
    max_consec_losses: Whole | None = None
    max_orders_hour: Whole | None = None
    max_risk_ticks: Annotated[int, Field(ge=1, le=100_000)] | None = None
    max_hold_min: Whole | None = None
    cooldown_min: Whole | None = None
    beyond_spec: bool = False

    def chosen(self) -> dict[str, Any]:
        """Return the limits that are set, as strategy parameters."""
        found = {name: getattr(self, name) for name in SMALLER_IS_TIGHTER}
        return {name: str(value) if isinstance(value, Decimal) else value for name, value in found.items()
                if value is not None}  # fmt: skip


class Limits(Section):
    """Hold each profile's own limits."""

    sim: ProfileLimits = ProfileLimits()
    paper: ProfileLimits = ProfileLimits()
    live: ProfileLimits = ProfileLimits()


class Settings(Section):
    """Hold every setting of a run."""

    profile: Literal["sim", "paper", "live"] = "sim"
    run_dir: Path = Path("data/run")
    symbol: str = "MNQ"
    contract: str = ""
    session_overrides: Path = Path("config/session_overrides.yaml")
    keyring: bool = False
    execution: Execution = Execution()
    ibkr: Ibkr = Ibkr()
    traderspost: TradersPost = TradersPost()
    sheets: Sheets = Sheets()
    engine: EngineSettings = EngineSettings()
    supervision: Supervision = Supervision()
    dashboard: Dashboard = Dashboard()
    doctor: Doctor = Doctor()
    limits: Limits = Limits()
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
        trouble = "" if self.profile_limits.beyond_spec else beyond_spec(self.params().to_dict(), self.profile)
        if trouble:
            raise ValueError(trouble)
        return self

    @property
    def instrument(self) -> Instrument:
        """Return the instrument that ``symbol`` names."""
        return INSTRUMENTS[self.symbol]

    @property
    def profile_limits(self) -> ProfileLimits:
        """Return the limits of the profile that runs."""
        found: ProfileLimits = getattr(self.limits, self.profile)
        return found

    def params(self) -> Params:
        """Return the parameters of strategy PJ-1 for this instrument (spec S13), tightened by the profile's limits."""
        plain = Params.from_dict(self.strategy.pj, self.instrument)
        chosen = self.profile_limits.chosen()
        if not chosen:
            return plain
        return Params.from_dict(tightened(self.strategy.pj, chosen, self.profile, plain.to_dict()), self.instrument)
