"""See whether the workbook opens for the service account, by one read; nothing is written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pj.sheets.client import SheetsApi
from pj.sheets.opening import grids_in
from pj.sheets.rows import ONE_MINUTE, RAW_TICKS, TRADE_LOG

#: Short: a person waits (connect, read; real seconds).
TIMEOUT_S: Final = (2.0, 4.0)
OURS: Final = frozenset({RAW_TICKS, ONE_MINUTE, TRADE_LOG})


@dataclass(frozen=True, slots=True)
class Access:
    """Carry what the read showed."""

    client_email: str
    title: str
    tabs: tuple[str, ...]
    locked_tabs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """Carry what of a service account's key is no secret."""

    client_email: str
    token_host: str


def check_key(path: Path) -> Key:
    """Return whose key stands in the file after loading its private key; raise CredentialsUnusable."""
    api = SheetsApi(path, "")
    api.close()
    info = json.loads(path.read_text(encoding="utf-8"))
    return Key(api.client_email, urlsplit(info["token_uri"]).hostname or "")


def look(path: Path, spreadsheet_id: str, api_base: str) -> Access:
    """Open the workbook by its id; raise CredentialsUnusable or SheetFailure (AccessDenied names the account)."""
    api = SheetsApi(path, spreadsheet_id, api_base, TIMEOUT_S)
    try:
        described = api.describe()
    finally:
        api.close()
    title = str(described.get("properties", {}).get("title", ""))
    return Access(api.client_email, title, tuple(grids_in(described)), _locked(described))


def _locked(described: dict[str, Any]) -> tuple[str, ...]:
    """Return our tabs that carry a protection which shuts this account out (``requestingUserCanEdit``)."""
    found = []
    for sheet in described.get("sheets", []):
        title = sheet["properties"]["title"]
        shut = [part for part in sheet.get("protectedRanges", []) if not part.get("requestingUserCanEdit", False)]
        if title in OURS and any(not part.get("warningOnly", False) for part in shut):
            found.append(title)
    return tuple(found)
