"""Check that the credentials are there and well-formed; none is ever shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pj.verbs.doctor.model import Finding, Patient, fail, info, ok, skipped, warn

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_OTHER_TRUTH: Final = "set execution.position_source: manual (pj position set) or none, if another broker executes"
SIM: Final = "not in profile sim"


def webhook(patient: Patient) -> Finding:
    """See that there is a webhook address of the right shape when orders go to TradersPost."""
    from pj.brokers.secret_url import SecretUrl

    settings = patient.known
    if settings.profile == "sim":
        return skipped(SIM)
    if settings.execution.route != "traderspost":
        return skipped(f"execution.route is {settings.execution.route}")
    text = settings.traderspost.webhook_url.get_secret_value()
    if not text:
        return fail("PJ_TRADERSPOST_WEBHOOK_URL is not set")
    host = urlsplit(SecretUrl(text).origin).hostname or ""
    if host in LOOPBACK and settings.profile == "live":
        return fail(f"the webhook points to this machine ({host}), but profile is live")
    return ok(f"there is a webhook address at {host}, of the right shape", host=host)


def positions(patient: Patient) -> Finding:
    """Say whose positions are taken for the true ones, and warn where they can hardly be those that are traded."""
    from pj.config import AT_GATEWAY, unsaid, whose_position

    settings = patient.known
    if settings.profile == "sim":
        return skipped(SIM)
    execution = settings.execution
    facts = {"route": execution.route, "source": execution.position_source}
    if unsaid(settings):
        return fail(unsaid(settings).partition("; ")[0], **facts)
    whose = whose_position(settings)
    hook = urlsplit(settings.traderspost.webhook_url.get_secret_value()).hostname
    if execution.route == "traderspost" and execution.position_source in AT_GATEWAY and hook not in LOOPBACK:
        return warn(f"{whose}, but TradersPost does not route futures to IBKR", _OTHER_TRUTH, **facts)
    return info(whose, **facts)


def service_account(patient: Patient) -> Finding:
    """Load the service account's private key, as the Scribe will."""
    from pj.sheets.access import check_key
    from pj.sheets.client import CredentialsUnusable

    settings = patient.known
    if settings.profile == "sim":
        return skipped(SIM)
    if not settings.sheets.enabled:
        return skipped("sheets.enabled is false")
    path = settings.sheets.service_account_file
    try:
        key = check_key(path)
    except CredentialsUnusable as error:
        return fail(str(error).partition("; ")[0])
    if key.token_host in LOOPBACK and settings.profile == "live":
        return fail(f"{path} is a simulator's key (its token_uri is {key.token_host}), but profile is live")
    return ok(f"the key of {key.client_email} in {path} loads", client_email=key.client_email)


def secret_files(patient: Patient) -> Finding:
    """See that nobody else on this machine can read the files that hold secrets."""
    if os.name != "posix":
        return skipped("Windows keeps a user's files to the user; see that they lie in the user's own folders")
    settings = patient.known
    files = [file for file in (_dotenv(patient), settings.sheets.service_account_file) if file.is_file()]
    if not files:
        return ok("no secret stands in a file")
    open_to = {file: stat.S_IMODE(file.stat().st_mode) for file in files}
    wide = [file for file, mode in open_to.items() if mode & 0o077]
    facts = {"modes": {str(file): f"{mode:04o}" for file, mode in open_to.items()}}
    if not wide:
        return ok(f"only their owner reads {' and '.join(file.name for file in files)}", **facts)
    judge = fail if settings.profile == "live" else warn
    names = " ".join(f"'{file}'" if " " in str(file) else str(file) for file in wide)
    return judge(f"others on this machine can read {wide[0]} (mode {open_to[wide[0]]:04o})", f"chmod 600 {names}",
                 **facts)  # fmt: skip


def _dotenv(patient: Patient) -> Path:
    """Return where ``.env`` stands: beside config.yaml."""
    return Path(patient.env.get("PJ_CONFIG") or "config.yaml").expanduser().absolute().parent / ".env"
