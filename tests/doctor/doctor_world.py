"""What the doctor's tests share: a patient, one check of it, the command as a process, the words of a time server."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pj.config import load_settings
from pj.simulators.sheets_faults import FaultPlan
from pj.simulators.sheets_service import SheetsService
from pj.verbs.doctor import patient_of
from pj.verbs.doctor.model import Finding, Patient
from pj.verbs.doctor.runner import examine
from pj.verbs.doctor.table import CHECKS

KEY = "BOOK1"
NTP = struct.Struct(">BBBBII4sQQQQ")
ORIGIN_S = int(datetime(2026, 11, 18, 14, 30, tzinfo=UTC).timestamp())  # 09:30 ET


def patient(env: dict[str, str] | None = None, **settings: object) -> Patient:
    """Return a patient of profile paper without Sheets; ``a__b`` names the setting a.b."""
    overrides = {"profile": "paper", "sheets.enabled": "false"}
    overrides |= {name.replace("__", "."): str(value) for name, value in settings.items()}
    secret = overrides.pop("traderspost.webhook_url", None)  # a secret is never an override
    variables = {**(env or {}), **({"PJ_TRADERSPOST_WEBHOOK_URL": secret} if secret is not None else {})}
    return patient_of(load_settings(variables, overrides), variables)


def look(check_id: str, who: Patient) -> Finding:
    """Run one check as the doctor does."""
    return examine(next(check for check in CHECKS if check.id == check_id), who)


def doctor(*words: str, env: dict[str, str] | None = None, **more: object) -> subprocess.CompletedProcess[str]:
    """Run ``pj doctor`` as a process."""
    command = [sys.executable, "-P", "-m", "pj.cli", "doctor", *words]
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command, env=os.environ | (env or {}), capture_output=True, text=True, timeout=60, check=False, **more
    )


@dataclass
class TimeServer:
    """Answer SNTP on loopback; ``reply`` makes the answer from the request."""

    port: int
    reply: Callable[[bytes], bytes | None]

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"


def sntp_answer(
    request: bytes, offset_s: float = 0.0, *, first: int = 0x24, stratum: int = 2, cookie: int = 0
) -> bytes:
    """Return the answer of a server whose clock is off by ``offset_s``."""
    now = int((time.time() + offset_s + 2_208_988_800) * 2**32)
    return NTP.pack(first, stratum, 6, 236, 0, 0, b"TEST", now, NTP.unpack(request)[10] ^ cookie, now, now)


@dataclass
class Book:
    """Hold the simulated workbook's server and its key."""

    base: str
    credentials: Path
    faults: FaultPlan
    service: SheetsService

    def settings(self, **more: object) -> dict[str, object]:
        return {
            "sheets__enabled": "true",
            "sheets__spreadsheet_id": KEY,
            "sheets__service_account_file": self.credentials,
            "sheets__api_base": self.base,
        } | more
