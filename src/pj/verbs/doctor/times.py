"""Check what time it is here: time zone data, this machine's clock, the gateway's clock."""

from __future__ import annotations

import importlib.metadata
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Final

from pj.verbs.doctor.model import Finding, Patient, fail, ok, skipped, unknown, warn

if TYPE_CHECKING:
    from pj.verbs.doctor.sntp import Sample

#: Used when the settings cannot be read; the same as the default of doctor.ntp_servers.
DEFAULT_SERVERS: Final = "time.cloudflare.com, time.nist.gov"
NTP_TIMEOUT_S: Final = 1.5
#: Ticks belong to a minute by this machine's clock: a quarter second moves prints across the edge.
TOLERATED_MS: Final = 250.0
#: The engine takes no entry beyond this (pj.processes.engine.judge.CLOCK_OFFSET_S; a test holds them equal).
ENTRIES_STOP_S: Final = 2.0
SET_CLOCK: Final = (
    "set this machine's clock: turn time synchronisation on"
    " (Windows: 'w32tm /resync' as administrator; Linux: 'timedatectl set-ntp true' or chrony)"
)
TZDATA: Final = "install the locked packages again (python3 scripts/pj.py --version, or pip install tzdata)"

#: Moments (UTC) around both changes of 2026 in New York (second Sunday of March, first of November), hours from UTC.
_KNOWN: Final = (
    (datetime(2026, 3, 8, 6, 59, tzinfo=UTC), -5),
    (datetime(2026, 3, 8, 7, 0, tzinfo=UTC), -4),
    (datetime(2026, 11, 1, 5, 59, tzinfo=UTC), -4),
    (datetime(2026, 11, 1, 6, 0, tzinfo=UTC), -5),
)


def time_zones(_patient: Patient) -> Finding:
    """Find New York's and Chicago's rules and try them on days whose answer is known."""
    from zoneinfo import TZPATH, ZoneInfo, ZoneInfoNotFoundError

    try:
        packaged = f"tzdata {importlib.metadata.version('tzdata')}"
    except importlib.metadata.PackageNotFoundError:
        packaged = "no tzdata package"
    for name, behind in (("America/New_York", 0), ("America/Chicago", 1)):
        try:
            zone = ZoneInfo.no_cache(name)
        except ZoneInfoNotFoundError:
            return fail(f"no time zone data for {name} ({packaged}; searched {list(TZPATH) or 'nothing else'})")
        # Chicago changes at its own 02:00, an hour later.
        wrong = [at for at, hours in _KNOWN if _hours(at, behind, zone) != hours - behind]
        if wrong:
            return fail(f"the time zone data is wrong: {name} at {wrong[0].isoformat()} ({packaged})")
    now = datetime.now(tz=ZoneInfo("America/New_York"))
    return ok(
        f"New York {now:%Y-%m-%d %H:%M %Z}, both changes of 2026 right, {packaged}", tzdata=packaged, path=list(TZPATH)
    )


def _hours(at: datetime, later: int, zone: object) -> float:
    moment = (at + timedelta(hours=later)).astimezone(zone)  # type: ignore[arg-type]
    return (moment.utcoffset() or timedelta()).total_seconds() / 3600


def clock(patient: Patient) -> Finding:
    """Ask the time servers, all at once, how far this machine's clock is off; nobody there = UNKNOWN."""
    text = patient.settings.doctor.ntp_servers if patient.settings else DEFAULT_SERVERS
    servers = [name.strip() for name in text.split(",") if name.strip()]
    if not servers:
        return skipped("doctor.ntp_servers is empty")
    samples, silent = _ask_all(servers)
    words = "; ".join(f"{server}: {why}" for server, why in silent.items())
    if not samples:
        remedy = "let UDP port 123 out, or name a server of this network in doctor.ntp_servers"
        return unknown(f"the clock's offset is unknown ({words})", remedy, servers=silent)
    best = min(samples, key=lambda sample: sample.delay_ms)
    spread_ms = max(s.offset_ms for s in samples) - min(s.offset_ms for s in samples)
    facts = {
        "offset_ms": round(best.offset_ms, 1),
        "tolerated_ms": TOLERATED_MS,
        "entries_stop_ms": ENTRIES_STOP_S * 1000,
        "samples": {s.server: {"offset_ms": round(s.offset_ms, 1), "delay_ms": round(s.delay_ms, 1)} for s in samples},
        "silent": silent,
    }
    if spread_ms > ENTRIES_STOP_S * 1000:
        said = ", ".join(f"{s.server} {-s.offset_ms:+.0f} ms" for s in samples)
        return warn(f"the time servers disagree by {spread_ms:.0f} ms ({said})", "name others in doctor.ntp_servers",
                    **facts)  # fmt: skip
    said = (
        f"this machine is {abs(best.offset_ms):.0f} ms {'behind' if best.offset_ms > 0 else 'ahead of'} {best.server}"
    )
    said += f" (round trip {best.delay_ms:.0f} ms; {TOLERATED_MS:.0f} ms are tolerated)"
    if abs(best.offset_ms) > ENTRIES_STOP_S * 1000:
        return fail(said, SET_CLOCK, **facts)
    if abs(best.offset_ms) > TOLERATED_MS + best.delay_ms / 2:
        return warn(said, SET_CLOCK, **facts)
    return ok(said, **facts)


def _ask_all(servers: list[str]) -> tuple[list[Sample], dict[str, str]]:
    """Return the answers and why the others gave none; name resolution may hang, so each has a thread."""
    from pj.verbs.doctor.sntp import NoTime, ask

    def work(server: str, answer: Future[Sample]) -> None:
        try:
            answer.set_result(ask(server, NTP_TIMEOUT_S))
        except Exception as error:  # noqa: BLE001 - handed over with the future
            answer.set_exception(error)

    answers: dict[str, Future[Sample]] = {server: Future() for server in servers}
    for server, answer in answers.items():
        Thread(target=work, args=(server, answer), name=f"doctor-ntp-{server}", daemon=True).start()
    samples: list[Sample] = []
    silent: dict[str, str] = {}
    for server, answer in answers.items():
        try:
            samples.append(answer.result(NTP_TIMEOUT_S + 1.0))
        except NoTime as error:
            silent[server] = str(error)
        except TimeoutError:
            silent[server] = "its name is not resolved"
    return samples, silent


def gateway_clock(patient: Patient) -> Finding:
    """Compare the gateway's time (whole seconds) with the run's clock."""
    from pj.ibkr.errors import GatewayError

    if patient.visit is None:
        return skipped("not in profile sim")
    try:
        visit = patient.visit.get()
    except GatewayError:
        return unknown("no gateway to ask (see above)")
    if visit.offset_s is None:
        return unknown("the gateway did not tell its time")
    side = "behind" if visit.offset_s > 0 else "ahead of"
    facts = {"offset_s": round(visit.offset_s, 2), "resolution_s": 1.0, "tolerated_s": ENTRIES_STOP_S}
    said = f"this machine is {abs(visit.offset_s):.1f} s {side} the gateway, which tells whole seconds"
    # Half a second of the difference may be the rounding.
    if abs(visit.offset_s) - 0.5 > ENTRIES_STOP_S:
        return fail(f"{said}: the engine takes no entry beyond {ENTRIES_STOP_S:g} s", SET_CLOCK, **facts)
    return ok(said, **facts)
