"""Say what stands in the way of a start, before anything is started."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pj.calendar import find_overrides, read_overrides
from pj.config import ConfigError, Settings, dotenv_path, unsaid

LIVE_PORTS = (4001, 7496)
PAPER_PORTS = (4002, 7497)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def problems(settings: Settings, env: Mapping[str, str] = os.environ) -> list[str]:
    """Return one sentence for each thing that keeps this configuration from running, most basic first."""
    return [
        *_open_files(settings, env),
        *_folder(settings),
        *_calendar(settings),
        *_gateway(settings),
        *_orders(settings),
        *_sheets(settings),
    ]


def _open_files(settings: Settings, env: Mapping[str, str]) -> Iterator[str]:
    """Name the files with secrets that others on this machine can read; with real money that is no warning."""
    if settings.profile != "live" or os.name != "posix":
        return
    for path in (dotenv_path(env), settings.sheets.service_account_file):
        if path.is_file() and path.stat().st_mode & 0o077:
            yield f"others on this machine can read {str(path)!r}, but profile is live; chmod 600 it"


def _folder(settings: Settings) -> Iterator[str]:
    folder = settings.run_dir
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir():
        yield f"run_dir is {str(folder)!r}, but {str(existing)!r} is a file; name another folder"
    elif not os.access(existing, os.W_OK):
        yield f"run_dir is {str(folder)!r}, but {str(existing)!r} may not be written; name another folder"


def _calendar(settings: Settings) -> Iterator[str]:
    try:
        read_overrides(find_overrides(settings.session_overrides))
    except ConfigError as error:
        yield str(error)


def _gateway(settings: Settings) -> Iterator[str]:
    port = settings.ibkr.port
    if settings.profile == "live" and port in PAPER_PORTS:
        yield f"ibkr.port is {port}, a paper port, but profile is live; use one of {_list(LIVE_PORTS)}"
    if settings.profile == "paper" and port in LIVE_PORTS:
        yield f"ibkr.port is {port}, a live port, but profile is paper; use one of {_list(PAPER_PORTS)}"


def _orders(settings: Settings) -> Iterator[str]:
    if settings.execution.route == "ibkr" and settings.execution.position_source != "ibkr":
        yield (
            f"execution.position_source is {settings.execution.position_source}, but route ibkr knows the position;"
            " set it to ibkr"
        )
    if settings.profile == "live" and settings.execution.position_source == "simulated":
        yield "execution.position_source is simulated, but profile is live; use ibkr (the same code), manual or none"
    if settings.execution.route != "traderspost":
        return
    if unsaid(settings):
        yield unsaid(settings)
    url = settings.traderspost.webhook_url.get_secret_value()
    if not url:
        yield (
            "execution.route is traderspost, but PJ_TRADERSPOST_WEBHOOK_URL is not set; put the webhook's address"
            " into the environment or into .env, or use execution.route: paper"
        )
    elif settings.profile == "live" and urlsplit(url).hostname in LOOPBACK:
        yield "PJ_TRADERSPOST_WEBHOOK_URL points to this machine, but profile is live; set the real webhook's address"


def _sheets(settings: Settings) -> Iterator[str]:
    sheets = settings.sheets
    if not sheets.enabled:
        return
    if not sheets.spreadsheet_id:
        yield (
            "sheets.spreadsheet_id is empty; copy it from the workbook's address (between /d/ and /edit),"
            " or set sheets.enabled: false"
        )
    if settings.profile == "live" and urlsplit(sheets.api_base).hostname in LOOPBACK:
        yield f"sheets.api_base is {sheets.api_base!r}, this machine, but profile is live; remove the line"
    trouble = _account_trouble(sheets.service_account_file)
    if trouble:
        yield (
            f"sheets.service_account_file is {str(sheets.service_account_file)!r}, {trouble}; download a key of the"
            " service account as JSON and name it there or in PJ_SHEETS_SERVICE_ACCOUNT, or set sheets.enabled: false"
        )


def _account_trouble(path: Path) -> str:
    """Return what is wrong with a service account's file, empty when nothing is; its content is never shown."""
    try:
        account = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "which is not there"
    except OSError as error:
        return f"which cannot be read ({error.strerror})"
    except ValueError:
        return "which is not JSON"
    needed = ("client_email", "private_key", "token_uri")
    missing = [name for name in needed if not isinstance(account, dict) or not account.get(name)]
    return f"which has no {missing[0]}" if missing else ""


def _list(ports: tuple[int, ...]) -> str:
    return " or ".join(map(str, ports))
