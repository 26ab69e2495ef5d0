"""Make a throwaway service account and honour its tokens, as Google's OAuth endpoint does (services.md 2.2).

The assertion is a JWT signed RS256: form, signature, issuer, audience and times are all checked, by real
time, because google-auth stamps it with the machine's clock under every run clock.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE: Final = "https://oauth2.googleapis.com/token"
SCOPES: Final = (
    "https://www.googleapis.com/auth/spreadsheets",
    "https://www.googleapis.com/auth/drive",
)
MAX_LIFE_S: Final = 3600
SKEW_S: Final = 300


class CredentialsFileError(ValueError):
    """Report a file that is in the way of the throwaway credentials."""


class TokenRefused(Exception):
    """Carry the OAuth error answer: ``error`` and ``error_description``."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(slots=True)
class Account:
    """Hold the service account's identity and the public half of its key."""

    client_email: str
    key_id: str
    public_key: rsa.RSAPublicKey


def make_credentials(path: Path, token_uri: str) -> Account:
    """Write a service-account file for this server, or take up the one that it wrote before.

    A file that stands there and does not point to loopback is somebody's real key: it is never
    touched, CredentialsFileError is raised.
    """
    if path.exists():
        info = _read_own(path)
        if info["token_uri"] != token_uri:
            _write_private(path, {**info, "token_uri": token_uri})
    else:
        info = _new_info(token_uri)
        _write_private(path, info)
    private = serialization.load_pem_private_key(info["private_key"].encode(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise CredentialsFileError(f"{path} holds no RSA key; remove the file and start again")
    return Account(info["client_email"], info["private_key_id"], private.public_key())


def _read_own(path: Path) -> dict[str, str]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        loopback = urlsplit(info["token_uri"]).hostname in {"127.0.0.1", "localhost", "::1"}
        names = ("client_email", "private_key_id", "private_key")
        complete = all(isinstance(info[name], str) for name in names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CredentialsFileError(
            f"{path} is there but is no credentials file of this simulator; name a free path"
        ) from error
    if not loopback or not complete:
        raise CredentialsFileError(f"{path} holds credentials that are not this simulator's; name a free path")
    return dict(info)


def _new_info(token_uri: str) -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "type": "service_account",
        "project_id": "pj-simulated",
        "private_key_id": secrets.token_hex(20),
        "private_key": pem,
        "client_email": "scribe@pj-simulated.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }


def _write_private(path: Path, info: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(info, out, indent=1)
    temporary.replace(path)


@dataclass(slots=True)
class TokenDesk:
    """Issue access tokens for good assertions and tell whether a token is still good.

    ``life_s`` is how long a token works, in real seconds; callers pass real times.
    """

    account: Account | None
    token_uri: str
    life_s: int = 3599
    issued: int = 0
    _tokens: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def issue(self, form: dict[str, str], wall_s: float, mono_s: float) -> dict[str, Any]:
        """Return the token answer for a form post; raises TokenRefused."""
        if form.get("grant_type") != GRANT:
            raise TokenRefused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        self._check(form.get("assertion", ""), wall_s)
        token = "ya29.sim-" + secrets.token_urlsafe(32)
        with self._lock:
            self._tokens = {old: end for old, end in self._tokens.items() if end > mono_s}
            self._tokens[token] = mono_s + self.life_s
            self.issued += 1
        return {"access_token": token, "expires_in": self.life_s, "token_type": "Bearer"}

    def holds(self, header: str, mono_s: float) -> bool:
        """Tell whether an Authorization header carries a token that still works."""
        scheme, _, token = header.partition(" ")
        with self._lock:
            return scheme == "Bearer" and self._tokens.get(token, 0.0) > mono_s

    def revoke_all(self) -> None:
        """Let every token end now."""
        with self._lock:
            self._tokens.clear()

    def _check(self, assertion: str, wall_s: float) -> None:
        if self.account is None:
            raise TokenRefused("invalid_grant", "Invalid grant: account not found")
        parts = assertion.split(".")
        if len(parts) != 3:
            raise TokenRefused("invalid_grant", "Invalid JWT: must be three base64url parts")
        try:
            header, claims = (json.loads(_decode(part)) for part in parts[:2])
            signature = _decode(parts[2])
        except (ValueError, binascii.Error):
            raise TokenRefused("invalid_grant", "Invalid JWT: parts are not base64url JSON") from None
        if not isinstance(header, dict) or header.get("alg") != "RS256":
            raise TokenRefused("invalid_grant", "Invalid JWT: algorithm must be RS256")
        if not isinstance(claims, dict) or claims.get("iss") != self.account.client_email:
            raise TokenRefused("invalid_grant", "Invalid grant: account not found")
        signed = f"{parts[0]}.{parts[1]}".encode("ascii")
        try:
            self.account.public_key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise TokenRefused("invalid_grant", "Invalid JWT Signature.") from None
        self._check_claims(claims, wall_s)

    def _check_claims(self, claims: dict[str, Any], wall_s: float) -> None:
        if claims.get("aud") not in {AUDIENCE, self.token_uri}:
            raise TokenRefused("invalid_grant", f"Invalid JWT: wrong audience {claims.get('aud')}")
        try:
            issued, expires = float(claims["iat"]), float(claims["exp"])
        except (KeyError, TypeError, ValueError):
            raise TokenRefused("invalid_grant", "Invalid JWT: iat and exp must be numbers") from None
        if not (issued - SKEW_S <= wall_s <= expires + SKEW_S and 0 < expires - issued <= MAX_LIFE_S):
            raise TokenRefused(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
                " Check your iat and exp values in the JWT claim.",
            )
        if not set(str(claims.get("scope", "")).split()) & set(SCOPES):
            raise TokenRefused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")


def _decode(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
