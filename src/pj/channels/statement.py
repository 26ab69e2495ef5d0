"""Keep what a human says of the account: ``state/position.json``, written by ``pj position set``, read by the engine.

The file says who stated which position when, and carries a checksum: a statement decides about real money, so one that
was torn or changed counts as none and is shown as such.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from live.market import NS_PER_S
from pj.channels.files import open_shared, replace_atomic
from pj.channels.redact import redact

#: A statement from the future is a clock that was wrong when it was made: it cannot be put in order with the orders.
AHEAD_NS: Final = 5 * NS_PER_S


class StatementDamaged(ValueError):
    """Report a position.json that is not what ``pj position set`` wrote: it states nothing."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Hold one statement: signed contracts, when (run time, UTC ns), by whom, and why."""

    qty: int
    said_ns: int
    by: str
    reason: str = ""

    @property
    def words(self) -> str:
        """Return the position as the operator would say it."""
        return f"{'long' if self.qty > 0 else 'short'} {abs(self.qty)}" if self.qty else "flat"

    def age_s(self, now_ns: int) -> float:
        """Return the run seconds since it was made; negative when the clocks disagree."""
        return (now_ns - self.said_ns) / NS_PER_S

    def to_dict(self) -> dict[str, Any]:
        """Return the statement as JSON-able values."""
        return asdict(self)


def write_statement(path: Path, statement: Statement) -> None:
    """Put the statement in place of the last one, on disk when it returns; raise WriteFailed."""
    body = {**statement.to_dict(), "by": redact(statement.by), "reason": redact(statement.reason)}
    text = json.dumps(body | {"sha256": _sum(body)}, ensure_ascii=False, separators=(",", ":"))
    replace_atomic(path, text.encode(), durable=True)


def read_statement(path: Path) -> Statement | None:
    """Return the last statement, None when there is none; raise StatementDamaged for anything else."""
    try:
        with open_shared(path) as file:
            found = json.loads(file.read())
        digest = found.pop("sha256")
        made = Statement(**found)
        whole = type(made.qty) is int and type(made.said_ns) is int and isinstance(made.by, str)
        if not whole or digest != _sum(found):
            raise ValueError("its checksum does not fit")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StatementDamaged(
            f"{path} is damaged ({error}) and states nothing; state it again: 'pj position set'"
        ) from (error)
    return made


def _sum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
