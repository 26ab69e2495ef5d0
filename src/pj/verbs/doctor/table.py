"""List every check. What a check is called, what mends it and how long it may take stand here and nowhere else."""

from __future__ import annotations

from typing import Final

from pj.verbs.doctor import credentials, folder, install, outside, runs, times
from pj.verbs.doctor.model import Check, Status

_INSTALL: Final = "start with 'python3 scripts/pj.py' (it installs the lock), or run 'uv sync --frozen'"
_WEBHOOK: Final = "put the address that TradersPost shows for the webhook into PJ_TRADERSPOST_WEBHOOK_URL or .env"
_TRUTH: Final = (
    "set execution.position_source: manual (pj position set), none (UNVERIFIED, entries stop at the first doubt),"
    " or ibkr where TradersPost trades the very account that the gateway shows"
)
_KEY: Final = (
    "download a JSON key of the service account and name it in sheets.service_account_file"
    " or PJ_SHEETS_SERVICE_ACCOUNT, or set sheets.enabled: false"
)
_NETWORK: Final = "see that this machine may open connections to port 443 (network, firewall; no proxy is used)"
_LOOK: Final = "look at 'pj status' and the files in state/ of the run folder"

CHECKS: Final[tuple[Check, ...]] = (
    Check("python", "Python", install.python, _INSTALL, needs_settings=False),
    Check("lock", "packages", install.lock, _INSTALL, needs_settings=False),
    Check("time_zones", "time zones", times.time_zones, times.TZDATA, needs_settings=False),
    Check("clock", "clock", times.clock, times.SET_CLOCK, 5.0, needs_settings=False, overdue=Status.UNKNOWN),
    Check("settings", "settings", runs.settings, "correct config.yaml", needs_settings=False),
    Check("folder", "run folder", folder.writable, folder.OTHER_FOLDER, 12.0),
    Check("space", "disk space", folder.space, "free the disk, or name a run_dir on another one"),
    Check("calendar", "calendar", runs.calendar, "the words say what failed; mend that, then ask again", 13.0),
    Check("instance", "instances", runs.instance, _LOOK),
    Check("switches", "entries", runs.switches, _LOOK),
    Check("secret_files", "secret files", credentials.secret_files, "chmod 600 the file"),
    Check("gateway", "gateway", outside.gateway, outside.ENABLE_API, 5.0),
    Check("account", "IBKR account", outside.account, outside.ENABLE_API, 13.0),
    Check("client_id", "client id", outside.client_id, outside.ENABLE_API, 8.0),
    Check("market_data", "market data", outside.market_data, outside.SUBSCRIBE, 13.0, overdue=Status.UNKNOWN),
    Check("gateway_clock", "gateway clock", times.gateway_clock, times.SET_CLOCK, 13.0, overdue=Status.UNKNOWN),
    Check("webhook", "webhook", credentials.webhook, _WEBHOOK),
    Check("positions", "positions", credentials.positions, _TRUTH),
    Check("webhook_host", "TradersPost", outside.webhook_host, _NETWORK, 8.0),
    Check("service_account", "Google key", credentials.service_account, _KEY, 10.0),
    Check("workbook", "Google Sheet", outside.workbook, _NETWORK, 12.0),
)
