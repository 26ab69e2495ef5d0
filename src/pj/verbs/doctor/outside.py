"""Check the services outside: the gateway by a real handshake, the webhook's host, the workbook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pj.verbs.doctor.model import Finding, Once, Patient, Status, fail, ok, skipped, unknown, warn

if TYPE_CHECKING:
    from datetime import date

    from pj.config import Settings
    from pj.ibkr.handshake import Greeting, Visit

GREET_S: Final = 3.0
#: Ids for the doctor's own short session, tried in turn; the bridge's own id is never among them.
DOCTOR_IDS: Final = (7_100, 7_101, 7_102)
SIM: Final = "not in profile sim"
NO_GATEWAY: Final = "no gateway to ask (see above)"
START_GATEWAY: Final = (
    "start TWS or IB Gateway, log in, and compare ibkr.host and ibkr.port with its socket port"
    " (gateway 4002 paper, 4001 live; TWS 7497, 7496)"
)
ENABLE_API: Final = (
    "in TWS or Gateway: Configure > API > Settings: enable socket clients, add this machine to the trusted IPs,"
    " compare the socket port with ibkr.port; then answer any dialog that waits there"
)
SUBSCRIBE: Final = "subscribe to real-time CME data at IBKR (market data for this login), or close the other session"


def probes(settings: Settings) -> tuple[Once[Greeting], Once[Visit]]:
    """Return the two probes of the gateway that several checks share."""
    from pj.ibkr.handshake import greet

    greeting = Once(lambda: greet(settings.ibkr.host, settings.ibkr.port, GREET_S))

    def look() -> Visit:
        from pj.clock import clock_from_env
        from pj.contracts import front_contract
        from pj.ibkr.client import Endpoint
        from pj.ibkr.handshake import visit

        ibkr = settings.ibkr
        # By the address that answered: a name may hang, and its look-up could not be given up in time.
        address = greeting.get().address
        own = [number for number in DOCTOR_IDS if number != ibkr.client_id]
        # Without ibkr.account: a login that has not got it would not answer, and we could not say why.
        endpoint = Endpoint(address, ibkr.port, own[0], "", ibkr.library, min(ibkr.connect_timeout_s, 4.0))
        clock = clock_from_env()
        contract = settings.contract or front_contract(settings.symbol, _trade_date(clock.now_ns()))
        return visit(endpoint, settings.symbol, contract, clock.now_ns, other_ids=tuple(own[1:]))

    return greeting, Once(look)


def _trade_date(now_ns: int) -> date:
    from live.trading_day import trade_date

    return trade_date(now_ns)


def gateway(patient: Patient) -> Finding:
    """Shake hands with the gateway: an open port alone proves nothing."""
    from pj.ibkr.handshake import NoHandshake, PortClosed

    if patient.greeting is None:
        return skipped(SIM)
    settings = patient.known.ibkr
    try:
        greeting = patient.greeting.get()
    except PortClosed as error:
        return fail(str(error), START_GATEWAY)
    except NoHandshake as error:
        return fail(str(error), ENABLE_API)
    said = f"the gateway at {settings.host}:{settings.port} speaks version {greeting.server_version}"
    return ok(f"{said}, its time is {greeting.server_time}", server_version=greeting.server_version)


def account(patient: Patient) -> Finding:
    """Log in by the API with an id of our own and compare the account with profile and settings."""
    if patient.visit is None:
        return skipped(SIM)
    visit = _visited(patient)
    if isinstance(visit, Finding):
        return visit
    settings = patient.known
    shown = ", ".join(visit.accounts) or "none"
    facts = {"accounts": list(visit.accounts), "client_id": visit.client_id, "library": visit.library}
    said = f"account {shown}, by {visit.library} as client {visit.client_id}"
    if not visit.accounts:
        return fail("the gateway names no account", "log in again at the gateway", **facts)
    if settings.ibkr.account and settings.ibkr.account not in visit.accounts:
        remedy = "correct ibkr.account or log in with the other user"
        return fail(f"ibkr.account is {settings.ibkr.account}, but this login has {shown}", remedy, **facts)
    if len(visit.accounts) > 1 and not settings.ibkr.account:
        return fail(f"this login has several accounts ({shown})", "name the one to use in ibkr.account", **facts)
    # IBKR names paper accounts DU... or DF... and live ones U... or F...: its habit, promised nowhere. A paper
    # account of another name costs a FAIL too many; a live one that began with D would pass for paper.
    used = settings.ibkr.account or visit.accounts[0]
    paper = used.startswith("D")
    if paper and settings.profile == "live":
        remedy = "log in with the live user, or use --profile paper"
        return fail(f"{said}: a paper account, but profile is live", remedy, **facts)
    if not paper and settings.profile == "paper":
        return fail(f"{said}: a live account, but profile is paper", "log in with the paper user", **facts)
    return ok(f"{said}: {'paper' if paper else 'live'}, as the profile says", **facts)


def _visited(patient: Patient) -> Visit | Finding:
    """Return the session's result, or what to say when there is none."""
    from pj.ibkr.errors import ClientIdInUse, GatewayUnavailable
    from pj.ibkr.handshake import NoHandshake, PortClosed

    try:
        if patient.visit is None:
            return skipped(SIM)
        return patient.visit.get()
    except (PortClosed, NoHandshake):
        return unknown(NO_GATEWAY)
    except ClientIdInUse:
        return unknown(f"the ids {DOCTOR_IDS} are in use: is another doctor running?", "wait a minute, then ask again")
    except GatewayUnavailable as error:
        return fail(f"the gateway answers the handshake, but opens no session: {error}", ENABLE_API)


def client_id(patient: Patient) -> Finding:
    """Tell whether another program holds the bridge's client id."""
    from pj.channels.files import is_locked
    from pj.channels.stats import read_stats
    from pj.ibkr.errors import GatewayError
    from pj.ibkr.handshake import id_in_use

    if patient.greeting is None:
        return skipped(SIM)
    settings = patient.known
    number = settings.ibkr.client_id
    bridge = read_stats(patient.folder.state("bridge"))
    if bridge is not None and bridge.phase != "STOPPED" and bridge.age_s() <= settings.supervision.silent_s:
        return ok(f"id {number} belongs to our own bridge, which runs (pid {bridge.pid})", client_id=number)
    if is_locked(patient.folder.state_folder / "sentinel.lock"):
        # Its bridge may be starting this very moment: we must not hold its id then.
        return unknown(f"a Sentinel runs here and its bridge is not up; id {number} is left to it")
    try:
        address = patient.greeting.get().address
    except GatewayError:
        return unknown(NO_GATEWAY)
    try:
        taken = id_in_use(address, settings.ibkr.port, number, GREET_S)
    except GatewayError as error:
        return unknown(f"the gateway does not say whether client id {number} is free: {error}")
    if taken:
        remedy = "close the other program, or set another ibkr.client_id; after a crash the gateway may hold it a while"
        return fail(f"client id {number} is in use by another program", remedy, client_id=number)
    return ok(f"client id {number} is free", client_id=number)


def market_data(patient: Patient) -> Finding:
    """Tell whether this login gets live prices of the contract."""
    if patient.visit is None:
        return skipped(SIM)
    visit = _visited(patient)
    if isinstance(visit, Finding):
        return unknown("no session to ask in (see above)") if visit.status is Status.FAIL else visit
    from pj.ibkr.handshake import NO_LIVE_DATA

    facts = {"contract": visit.contract, "data_type": visit.data_type, "notes": [list(note) for note in visit.notes]}
    refused = [text for code, text in visit.notes if code in NO_LIVE_DATA]
    judge = fail if patient.known.profile == "live" else warn
    if not visit.contract:
        remedy = "set contract in config.yaml to one that this login may see, like MNQZ6"
        return judge(f"the gateway does not know the contract of {patient.known.symbol}", remedy, **facts)
    if refused:
        return judge(f"no live prices of {visit.contract}: {refused[0]}", SUBSCRIBE, **facts)
    if visit.data_type in {3, 4}:
        return judge(f"{visit.contract} comes delayed: the engine takes no entry", SUBSCRIBE, **facts)
    if visit.data_type in {1, 2}:
        kind = "live" if visit.data_type == 1 else "frozen (the market is closed)"
        return ok(f"{visit.contract} comes {kind}", **facts)
    return unknown(f"no price of {visit.contract} came within 2 s; ask again while the market is open", "", **facts)


def webhook_host(patient: Patient) -> Finding:
    """Resolve TradersPost's host and open a TLS connection; nothing is sent."""
    from pj.brokers.reach import Unreachable, reach
    from pj.brokers.secret_url import SecretUrl

    settings = patient.known
    if settings.profile == "sim":
        return skipped(SIM)
    if settings.execution.route != "traderspost":
        return skipped(f"execution.route is {settings.execution.route}")
    text = settings.traderspost.webhook_url.get_secret_value()
    if not text:
        return skipped("there is no webhook address")
    try:
        reached = reach(SecretUrl(text), 3.0)
    except Unreachable as error:
        return fail(str(error))
    how = f"by {reached.tls} with a trusted certificate" if reached.tls else "without TLS (this machine)"
    return ok(f"{reached.host} ({reached.address}) answers {how}; nothing was sent", host=reached.host)


def workbook(patient: Patient) -> Finding:
    """Open the workbook as the service account, by one read."""
    from pj.sheets.access import look
    from pj.sheets.client import AccessDenied, CredentialsUnusable, SheetFailure, Throttled

    sheets = patient.known.sheets
    if patient.known.profile == "sim" or not sheets.enabled:
        return skipped("sheets.enabled is false" if not sheets.enabled else SIM)
    if not sheets.spreadsheet_id:
        return fail("sheets.spreadsheet_id is empty", "copy it from the workbook's address, between /d/ and /edit")
    try:
        access = look(sheets.service_account_file, sheets.spreadsheet_id, sheets.api_base)
    except CredentialsUnusable:
        return skipped("the service account's key cannot be used (see above)")
    except AccessDenied as error:
        return _denied(error)
    except Throttled as error:
        return warn(f"Google's quota of this minute is used up ({error})", "wait a minute, then ask again")
    except SheetFailure as error:
        return fail(f"the Sheets service does not answer: {error}")
    facts = {"title": access.title, "tabs": list(access.tabs), "client_email": access.client_email}
    if access.locked_tabs:
        return fail(f"{access.client_email} may not write to the protected tab {access.locked_tabs[0]!r}",
                    "remove the protection, or add the account to it", **facts)  # fmt: skip
    said = f"{access.title!r} opens for {access.client_email} ({len(access.tabs)} tabs)"
    return ok(f"{said}; only reading was tried, so see that it is shared as Editor", **facts)


def _denied(error: Exception) -> Finding:
    """Return what a refusal means, by its HTTP status."""
    status = getattr(error, "status", 0)
    email = getattr(error, "client_email", "")
    share = f"share the workbook with {email} as Editor"
    if status == 403:
        return fail(f"the workbook is not shared with {email}", share, status=status)
    if status == 404:
        remedy = f"correct sheets.spreadsheet_id (between /d/ and /edit in the workbook's address), then {share}"
        return fail("there is no workbook with sheets.spreadsheet_id", remedy, status=status)
    return fail(str(error), f"take a new key of the service account from Google; then {share}", status=status)
