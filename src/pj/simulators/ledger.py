"""Keep the gateway's ledger: one CSV row per market-data message handed to a connected client.

Order of the two writes: the socket first, the ledger's row and its flush right after, in one step of the
event loop and only while the connection is open. So the ledger never claims a tick that was not handed
to the system; a gateway killed between the two leaves at worst a tick on the tape without a row, which an
audit reads as a surplus of that last batch and never as a loss. Rows of the last instant before a
DISCONNECT may lie in a dead client's socket: they were sent while it was connected as far as anyone can
know, and an audit allows for them by ``sent_ns``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

COLUMNS: Final = "seq,sent_ns,kind,price,size,bid,ask,exch_ns,contract,client_id,req_id"


@dataclass(frozen=True, slots=True)
class Entry:
    """Carry one row less its sequence number and time; empty text = not applicable.

    ``kind`` is TRADE, QUOTE, LAST, VOLUME, STATUS, CONNECT, DISCONNECT, SUBSCRIBE or UNSUBSCRIBE.
    """

    kind: str
    price: str = ""
    size: str = ""
    bid: str = ""
    ask: str = ""
    exch_ns: str = ""
    req_id: str = ""


class Ledger:
    """Append rows to the ledger file; without a path it only counts."""

    def __init__(self, path: Path | None, contract: str) -> None:
        """Open ``path`` for appending: a torn last row is cut, the sequence goes on."""
        self.seq = 0
        self.counts: dict[str, int] = {}
        self._contract = contract
        self._file = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.seq = _mend(path)
            self._file = path.open("a", encoding="utf-8", newline="")
            if self._file.tell() == 0:
                self._file.write(COLUMNS + "\n")
                self._file.flush()

    def write(self, sent_ns: int, client_id: int, entries: Iterable[Entry]) -> None:
        """Append one batch and flush it."""
        lines: list[str] = []
        tail = f"{self._contract},{client_id}"
        for entry in entries:
            self.seq += 1
            self.counts[entry.kind] = self.counts.get(entry.kind, 0) + 1
            lines.append(
                f"{self.seq},{sent_ns},{entry.kind},{entry.price},{entry.size},{entry.bid},{entry.ask},"
                f"{entry.exch_ns},{tail},{entry.req_id}\n"
            )
        if self._file is not None and lines:
            self._file.write("".join(lines))
            self._file.flush()

    def close(self) -> None:
        """Close the file; what is written later is only counted."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _mend(path: Path) -> int:
    """Cut a row without newline from an earlier life's file and return the last sequence number."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end < len(data):
        with path.open("r+b") as file:
            file.truncate(end)
    last = data[:end].rstrip(b"\n").rpartition(b"\n")[2].split(b",")[0]
    return int(last) if last.isdigit() else 0
