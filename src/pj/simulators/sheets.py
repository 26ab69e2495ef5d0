"""Run the simulated Google Sheets as a process: ``pj simulate sheets``.

Prints ``READY sheets 127.0.0.1:PORT`` when it listens. Everything kept in ``RUN_DIR/simulators``:
``sheet_<tab>.csv`` per tab, ``sheets_book.json``, and a stats file in ``RUN_DIR/state``.
Exit codes: 0 stopped, 2 usage, port taken, or files in the way.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pj.channels.files import replace_atomic
from pj.clock import ClockError, clock_from_env
from pj.simulators.sheets_auth import CredentialsFileError, TokenDesk, make_credentials
from pj.simulators.sheets_book import CELL_LIMIT, Workbook
from pj.simulators.sheets_http import SheetsServer, serve_in_thread, stop
from pj.simulators.sheets_service import QUOTA_LIMIT, SheetsService
from pj.simulators.sheets_store import BookStore, StoreError, grids_of

if TYPE_CHECKING:
    from collections.abc import Sequence

STORE_EVERY_S = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit code."""
    options = _parser().parse_args(argv)
    try:
        clock = clock_from_env()
        server = SheetsServer(options.port)
    except ClockError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"port {options.port} cannot be used: {error.strerror or error}; choose another with --port")
    token_uri = f"http://127.0.0.1:{server.port}/token"
    book = Workbook(options.spreadsheet_id, cell_limit=options.cell_limit)
    store = BookStore(options.run_dir / "simulators") if options.run_dir else None
    try:
        account = make_credentials(options.make_credentials, token_uri) if options.make_credentials else None
        if store is not None:
            store.load(book)
    except (CredentialsFileError, StoreError) as error:
        server.server_close()
        return _refuse(str(error))
    desk = TokenDesk(account, token_uri, life_s=options.token_life_s)
    server.service = SheetsService(book, desk, clock, quota=options.quota)
    _serve(server, server.service, store, options.run_dir)
    return 0


class Beat:
    """Write the simulator's stats file; nothing without a run folder."""

    def __init__(self, run_dir: Path | None) -> None:
        self._path = run_dir / "state" / "sheets.stats.json" if run_dir else None
        self._seq = 0
        self._started_ns = time.time_ns()
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, phase: str, service: SheetsService) -> None:
        """Replace the stats file."""
        if self._path is None:
            return
        self._seq += 1
        head = {
            "process": "sheets",
            "pid": os.getpid(),
            "instance": os.environ.get("PJ_INSTANCE", ""),
            "started_ns": self._started_ns,
            "beat_seq": self._seq,
            "beat_ns": time.time_ns(),
            "run_ns": service.clock.now_ns(),
            "phase": phase,
        }
        replace_atomic(self._path, json.dumps({**head, **service.gauges()}).encode())


def _serve(server: SheetsServer, service: SheetsService, store: BookStore | None, run_dir: Path | None) -> None:
    ended = threading.Event()
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: ended.set())
    beat = Beat(run_dir)
    serve_in_thread(server)
    print(f"READY sheets 127.0.0.1:{server.port}", flush=True)
    while not ended.wait(STORE_EVERY_S):
        _store(service, store)
        beat.write("RUNNING", service)
    stop(server)
    _store(service, store)
    beat.write("STOPPING", service)


def _store(service: SheetsService, store: BookStore | None) -> None:
    if store is None:
        return
    with service.lock:
        work = store.snapshot(service.book)
        grids = grids_of(service.book)
    store.write(work, grids)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pj simulate sheets", description="Serve a simulated Google Sheets v4.")
    parser.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1; 0 = any free one")
    parser.add_argument("--run-dir", type=Path, help="run folder: keeps the tabs as CSV and survives a restart")
    parser.add_argument("--make-credentials", type=Path, metavar="FILE", help="write a throwaway service account here")
    parser.add_argument("--spreadsheet-id", default="SIMSHEET", help="id of the one workbook")
    parser.add_argument("--quota", type=int, default=QUOTA_LIMIT, help="reads and writes per 60 s of the run's clock")
    parser.add_argument("--token-life-s", type=int, default=3599, help="real seconds that an access token works")
    parser.add_argument("--cell-limit", type=int, default=CELL_LIMIT, help="cells of the workbook")
    return parser


def _refuse(sentence: str) -> int:
    print(f"pj simulate sheets: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
