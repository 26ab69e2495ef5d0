"""Name what can go wrong between us and a gateway; each message is one sentence for the operator."""

from __future__ import annotations


class GatewayError(RuntimeError):
    """Report a failed exchange with the gateway."""


class GatewayUnavailable(GatewayError):
    """Report that no session could be made or that it ended: port closed, time-out, dropped."""


class ClientIdInUse(GatewayUnavailable):
    """Report error 326: another program holds our client id."""


class UnknownContract(GatewayError):
    """Report that the gateway does not know the contract we must trade."""


class OrderRefusedByGateway(GatewayError):
    """Report an order that the gateway rejected, with its code and words."""


class Misconfigured(RuntimeError):
    """Report what no retry can mend: the operator must change a setting or the installation."""


class LibraryUnusable(Misconfigured):
    """Report a missing client library or one without the decoder hook."""


class AccountMissing(Misconfigured):
    """Report that the configured account is not under this login."""


class FeedDead(RuntimeError):
    """Report a feed that neither a new subscription nor a new connection brought back: the process must restart."""
