"""List every verb. Help, parsing, ``--describe`` and the documents come from this table and nowhere else."""

from __future__ import annotations

from typing import Final

from pj.verbs.arguments import JSON, PROFILE, SETTINGS
from pj.verbs.schema import Argument, Verb, object_output
from pj.verbs.table_data import DATA_VERBS
from pj.verbs.table_orders import ORDER_VERBS
from pj.verbs.table_research import RESEARCH_VERBS
from pj.verbs.table_runs import RUN_VERBS
from pj.verbs.table_service import SERVICE_VERBS

_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer"}
_TRUTH: Final = {"type": "boolean"}
_OBJECT: Final = {"type": "object"}
_CHECK: Final = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("id", "title", "status", "says", "remedy"), _TEXT),
        "facts": _OBJECT,
        "took_ms": _WHOLE,
    },
}
_TEXTS: Final = {"type": "array", "items": _TEXT}

_TAPE: Final = (
    Argument("--tape", "Parquet file of bars or trades to replay, or 'generator'", default="generator", metavar="FILE"),
    Argument("--date", "CME trade date to play; needed with a file", kind="date"),
    Argument("--from", "ET time at which to begin; 18:00 and later = the evening before the date", kind="time"),
    Argument("--to", "ET time at which to end", kind="time"),
    Argument("--symbol", "what is traded", choices=("NQ", "MNQ", "ES", "MES")),
    Argument("--contract", "contract as IBKR names it, e.g. MNQZ6", metavar="NAME"),
    Argument("--seed", "seed of the market generator", kind="int"),
)

_PROCESS_DETAIL: Final = "It stops on Ctrl-C. Usually the Sentinel starts it ('pj up')."


def _process(name: str, words: str, *more: Argument) -> Verb:
    return Verb(
        name,
        words,
        f"pj.verbs.daemon:{name}",
        (*SETTINGS, *more),
        codes=(0, 1, 2, 3, 4),
        detail=_PROCESS_DETAIL,
        until_stopped=True,
    )


VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "demo",
        "Run the whole pipeline against simulators on this machine, then print what happened.",
        "pj.demo.run:run",
        (
            *_TAPE,
            Argument("--speed", "run seconds per real second", kind="float"),
            Argument("--route", "where orders go", choices=("paper", "traderspost", "ibkr")),
            Argument("--run-dir", "new or empty folder for the run", kind="path", metavar="DIR"),
            Argument("--headless", "no console, only the report", kind="flag"),
            Argument("--sheets", "write the audit to the simulated spreadsheet", kind="switch", default=True),
            JSON,
        ),
        object_output(
            "what was sent, taped, decided and traded; ok = the books are equal",
            ok=_TRUTH,
            ticks=_OBJECT,
            bars=_OBJECT,
            orders=_OBJECT,
            trades=_WHOLE,
            refusals=_OBJECT,
            run_dir=_TEXT,
        ),
        codes=(0, 1, 2),
        detail="Needs no account and no network. No edge is claimed.",
        until_stopped=True,
    ),
    Verb(
        "up",
        "Start the Sentinel, which starts and watches bridge, engine, scribe and dashboard.",
        "pj.verbs.daemon:up",
        (
            *SETTINGS,
            *PROFILE,
            Argument("--headless", "no dashboard on this terminal", kind="flag"),
        ),
        codes=(0, 2, 3, 4),
        detail="Credentials and ports are checked before anything is started. It stops on Ctrl-C or 'pj stop'.",
        until_stopped=True,
    ),
    Verb(
        "stop",
        "Stop the Sentinel and everything it started.",
        "pj.verbs.daemon:stop",
        SETTINGS,
        codes=(0, 2, 3),
    ),
    Verb(
        "status",
        "Say how the run and each of its processes is.",
        "pj.verbs.daemon:status",
        (*SETTINGS, JSON, Argument("--seen", "mark the alerts as seen: they are not listed any more", kind="flag")),
        object_output(
            "state of the run folder's processes",
            run_dir=_TEXT,
            state={"enum": ["stopped", "starting", "healthy", "unhealthy", "halted", "stopping"]},
            healthy=_TRUTH,
            beating=_TRUTH,
            halted_by=_TEXTS,
            kill_switch=_TRUTH,
            disarmed=_TRUTH,
            looping=_TEXTS,
            alerts={"type": "array", "items": _OBJECT},
            alerts_open=_WHOLE,
            alerts_upto=_WHOLE,
            processes={"type": "object", "additionalProperties": _OBJECT},
        ),
        codes=(0, 1, 2, 4),
    ),
    Verb(
        "restart",
        "Restart one process and wait until it beats again.",
        "pj.verbs.daemon:restart",
        (
            Argument(
                "name",
                "bridge, engine, scribe or dashboard",
                choices=("bridge", "engine", "scribe", "dashboard"),
                required=True,
            ),
            *SETTINGS,
        ),
        codes=(0, 1, 2, 3),
        detail="The Sentinel does it; a process that was given up because of its configuration starts again too.",
    ),
    Verb(
        "doctor",
        "Look at everything a start depends on; every failure comes with its remedy.",
        "pj.verbs.doctor:run",
        (*SETTINGS, Argument("--profile", "setting profile", choices=("sim", "paper", "live")), JSON),
        object_output(
            "ok = no check failed; status is OK, INFO, WARN, FAIL, UNKNOWN or SKIPPED",
            ok=_TRUTH,
            version=_TEXT,
            profile={"type": ["string", "null"]},
            run_dir={"type": ["string", "null"]},
            trouble=_TEXT,
            counts=_OBJECT,
            checks={"type": "array", "items": _CHECK},
        ),
        codes=(0, 1, 2),
        detail="It takes at most 15 s, changes nothing, sends nothing to the webhook and shows no secret.",
    ),
    Verb(
        "halt",
        "Throw the kill switch: no entries until resume; exits go on.",
        "pj.verbs.daemon:halt",
        (*SETTINGS, Argument("--reason", "why, for the log")),
        codes=(0, 1, 2, 3),
    ),
    Verb(
        "resume",
        "Release the kill switch and mark alerts as seen; processes that failed too often are tried at once.",
        "pj.verbs.daemon:resume",
        SETTINGS,
        codes=(0, 1, 2, 3),
    ),
    Verb(
        "arm",
        "Give a live run, which starts disarmed, leave to send entries.",
        "pj.verbs.daemon:arm",
        SETTINGS,
        codes=(0, 1, 2, 3),
    ),
    Verb(
        "flatten",
        "Close what is open at the broker, without engine or bridge, and verify it.",
        "pj.verbs.flatten:flatten",
        (
            *SETTINGS,
            Argument("--yes", "do not ask", kind="flag"),
            Argument("--all", "also the other symbols: every future is closed, every order cancelled", kind="flag"),
            Argument("--timeout", "real seconds in all", kind="float", default=30.0, metavar="S"),
            JSON,
        ),
        object_output(
            "how it ended (FLAT NOTHING NOT_FLAT UNVERIFIED DECLINED INTERRUPTED UNREACHABLE), what was seen first",
            end=_TEXT,
            verified=_TRUTH,
            why=_TEXT,
            route=_TEXT,
            position_source=_TEXT,
            seen=_OBJECT,
            kill_switch=_TRUTH,
            record=_TEXT,
            seconds={"type": "number"},
        ),
        codes=(0, 1, 2, 3),
        detail=(
            "It throws the kill switch, shows what the broker holds and asks; 0 only when flat is verified"
            " (paper: nothing to verify), 1 not flat or UNVERIFIED, 3 broker unreachable."
        ),
    ),
    _process("bridge", "Run only the bridge: IBKR's feed to files."),
    _process("engine", "Run only the engine: files to decisions and orders."),
    _process("scribe", "Run only the scribe: files to Google Sheets."),
    _process(
        "dashboard",
        "Show the console of a run.",
        Argument("--once", "print one frame and leave", kind="flag"),
    ),
    *SERVICE_VERBS,
    *RESEARCH_VERBS,
    *RUN_VERBS,
    *DATA_VERBS,
    Verb(
        "simulate gateway",
        "Serve the IB gateway's wire protocol on loopback from a tape or a generator.",
        "pj.simulators.gateway:main",
        (
            Argument("--port", "port on 127.0.0.1; 0 takes any free one", "int", default=4002),
            *_TAPE,
            Argument("--speed", "run seconds per real second", "float", default=1.0),
            Argument("--ledger", "CSV of every tick sent", "path"),
            Argument("--run-dir", "run folder for ledger and stats", "path", metavar="DIR"),
            Argument("--cash", "the account's USD at the start", default="100000", metavar="USD"),
            Argument("--commission", "USD per contract and side", default="0.62", metavar="USD"),
            Argument("--master-client", "client id that is told every client's orders and fills", "int", default=0),
            Argument("--control-port", "TCP port for fault commands, one JSON object per line", "int"),
            Argument("--rate", "flood: synthetic ticks per second instead of the tape's", "float", default=0.0),
            Argument("--rate-seconds", "length of the flood in real seconds, 0 = endless", "float", default=0.0),
            Argument("--rate-batch", "most ticks per write in a flood", "int", default=50),
        ),
        codes=(0, 2),
        forward=True,
        until_stopped=True,
    ),
    Verb(
        "simulate traderspost",
        "Serve TradersPost's webhook on loopback and trade on a gateway's account.",
        "pj.simulators.traderspost:main",
        (
            Argument("--port", "port on 127.0.0.1; 0 takes any free one", "int", default=8990),
            Argument("--gateway", "HOST:PORT of the gateway to trade on, or none for a dry run", required=True),
            Argument("--client-id", "API client id at the gateway", "int", default=900),
            Argument("--run-dir", "run folder for ledger and stats", "path", metavar="DIR"),
            Argument("--state", "another place for the ledger", "path"),
            Argument("--side-swapping", "let a buy while short go long after closing", "flag"),
            Argument("--allow-add", "let a buy while long add to the position", "flag"),
        ),
        codes=(0, 2),
        forward=True,
        detail="The webhook's secret: PJ_SIM_WEBHOOK_UUID and PJ_SIM_WEBHOOK_PASSWORD; made when they are not set.",
        until_stopped=True,
    ),
    Verb(
        "simulate sheets",
        "Serve Google's token endpoint and Sheets API on loopback.",
        "pj.simulators.sheets:main",
        (
            Argument("--port", "port on 127.0.0.1; 0 takes any free one", "int", default=8765),
            Argument("--run-dir", "run folder: keeps the tabs as CSV and survives a restart", "path", metavar="DIR"),
            Argument("--make-credentials", "write a throwaway service account here", "path"),
            Argument("--spreadsheet-id", "id of the one workbook", default="SIMSHEET"),
            Argument("--quota", "reads and writes per 60 s of the run's clock", "int", default=60),
            Argument("--token-life-s", "real seconds that an access token works", "int", default=3599),
            Argument("--cell-limit", "cells of the workbook", "int", default=10_000_000),
        ),
        codes=(0, 2),
        forward=True,
        until_stopped=True,
    ),
    Verb(
        "config show",
        "Print every setting and where its value came from.",
        "pj.verbs.settings:show",
        (*SETTINGS, JSON),
        {
            "type": "object",
            "description": "dotted key to value and origin; secrets are masked",
            "additionalProperties": {"type": "object", "properties": {"value": {}, "origin": _TEXT}},
        },
    ),
    Verb(
        "config check",
        "Say whether this configuration can run, and what stands in its way.",
        "pj.verbs.settings:check",
        (*SETTINGS, Argument("--profile", "setting profile", choices=("sim", "paper", "live")), JSON),
        object_output(
            "ok, one sentence per problem, and whose positions are taken for the true ones",
            ok=_TRUTH,
            profile=_TEXT,
            problems=_TEXTS,
            positions=_TEXT,
        ),
        codes=(0, 1, 2),
    ),
    Verb(
        "audit verify",
        "Check the journals' hash chain and the anchors found elsewhere; name the first bad line.",
        "pj.verbs.audit:verify_journals",
        (
            *SETTINGS,
            Argument("--date", "only this trade date", "date"),
            Argument(
                "--sheet",
                "where to read the sheet's anchors: the simulator's files if there are any (auto), the service, or not",
                choices=("auto", "files", "service", "none"),
                default="auto",
            ),
            JSON,
        ),
        object_output(
            "ok, what each journal holds, and the first bad line",
            ok=_TRUTH,
            journals={"type": "array", "items": _OBJECT},
            trouble=_TEXT,
        ),
        codes=(0, 1, 2, 3),
    ),
    Verb(
        "audit fidelity",
        "Compare what the feed sent, what was taped and what stands in the sheet, row by row.",
        "pj.verbs.audit:fidelity",
        (
            *SETTINGS,
            Argument(
                "--sheet",
                "where to read the sheet: the simulator's files, the service, or not at all",
                choices=("auto", "files", "service", "none"),
                default="auto",
            ),
            JSON,
        ),
        object_output(
            "ticks at each station; null = not known",
            sent={"type": ["integer", "null"]},
            taped_raw=_WHOLE,
            taped=_WHOLE,
            rejected=_WHOLE,
            sheet={"type": ["integer", "null"]},
            missing=_WHOLE,
            doubled=_WHOLE,
            equal=_TRUTH,
            sheet_read_from=_TEXT,
        ),
        codes=(0, 1, 2, 3),
    ),
    *ORDER_VERBS,
)
