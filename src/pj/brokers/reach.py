"""See whether a webhook's host can be reached, without sending it a single byte of a request.

Name, TCP connection and, for https, the TLS handshake with the certificates that the route itself trusts. Nothing
HTTP is said: no GET, never a POST.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from pj.brokers.secret_url import SecretUrl


class Unreachable(Exception):
    """Report a host that cannot be reached, in one sentence without the secret."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Carry where the connection went; ``tls`` is empty for a simulator on this machine (http)."""

    host: str
    address: str
    tls: str


def reach(url: SecretUrl, timeout_s: float) -> Reached:
    """Return where the host answers; raise Unreachable within ``timeout_s`` per step (plus name look-up)."""
    scheme, _, netloc = url.origin.partition("://")
    host, port = _host_and_port(netloc, 443 if scheme == "https" else 80)
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"the name {host} cannot be resolved ({error.strerror or error})") from None
    try:
        with socket.create_connection((host, port), timeout_s) as plain:
            address = str(plain.getpeername()[0])
            if scheme != "https":
                return Reached(host, address, "")
            context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
            plain.settimeout(timeout_s)
            with context.wrap_socket(plain, server_hostname=host) as secure:
                return Reached(host, address, secure.version() or "")
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(f"{host} shows a certificate that is not trusted ({error.verify_message})") from None
    except TimeoutError:
        raise Unreachable(f"{host} ({places[0][4][0]}) does not answer within {timeout_s:g} s") from None
    except OSError as error:
        why = error.strerror or getattr(error, "reason", "") or type(error).__name__
        raise Unreachable(f"no connection to {host}:{port} ({why})") from None


def _host_and_port(netloc: str, usual: int) -> tuple[str, int]:
    host, colon, port = netloc.rpartition(":")
    if colon and port.isdecimal():
        return host.strip("[]"), int(port)
    return netloc.strip("[]"), usual
