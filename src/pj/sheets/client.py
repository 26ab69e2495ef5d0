"""Call the Sheets API through gspread and name every failure by what the Scribe must do about it.

Never gspread's BackOffHTTPClient: it doubles rows and never gives up (services.md 2.4). Messages of the exceptions
here hold no key, token or file content.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from gspread.http_client import HTTPClient

GOOGLE: Final = "https://sheets.googleapis.com"
#: The only right the key needs: no Drive access.
SCOPE: Final = "https://www.googleapis.com/auth/spreadsheets"
CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 20.0
_NEEDED: Final = ("client_email", "private_key", "token_uri")
T = TypeVar("T")


class CredentialsUnusable(Exception):
    """Report a service-account file that cannot be used, in one sentence."""


class SheetFailure(Exception):
    """Report a call that did not succeed; ``transient`` = the same call may succeed later."""

    transient = True


class Throttled(SheetFailure):
    """Report 429: the quota of the minute is used up."""


class Unavailable(SheetFailure):
    """Report 5xx, a time-out, a broken connection or an answer that is none: applied or not, nobody knows."""


class AccessDenied(SheetFailure):
    """Report 401, 403, 404 or a refused key (status 0): the operator has to act."""

    transient = False

    def __init__(self, text: str, client_email: str = "", status: int = 0) -> None:
        super().__init__(text)
        self.client_email = client_email
        self.status = status


class GridTooSmall(SheetFailure):
    """Report a range outside the grid: grow it, never repeat the call as it is."""


class TabMissing(SheetFailure):
    """Report a range of a tab that is not there."""


class CellsUsedUp(SheetFailure):
    """Report that the workbook holds no more cells (10 million)."""


class RequestRefused(SheetFailure):
    """Report any other 400: a defect, or somebody changed the sheet."""


class SheetsApi:
    """Hold one spreadsheet's connection; every method is one HTTP call (and a token call when one is due).

    Raises CredentialsUnusable when made, SheetFailure when called.
    """

    def __init__(
        self,
        service_account_file: Path,
        spreadsheet_id: str,
        api_base: str = GOOGLE,
        timeout_s: tuple[float, float] = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
    ) -> None:
        self.spreadsheet_id = spreadsheet_id
        self.client_email = check_credentials(service_account_file)
        self._http = _connect(service_account_file, api_base.rstrip("/"), timeout_s)

    def describe(self) -> dict[str, Any]:
        """Return titles, ids and grids of the tabs (1 read)."""
        return self._call(lambda: self._http.fetch_sheet_metadata(self.spreadsheet_id))

    def change_tabs(self, requests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Apply batchUpdate requests, all or none (1 write)."""
        return self._call(lambda: self._http.batch_update(self.spreadsheet_id, {"requests": list(requests)}))

    def write(self, ranges: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> list[dict[str, Any]]:
        """Write all ranges with one values.batchUpdate, RAW (1 write); return one response each."""
        data = [{"range": name, "majorDimension": "ROWS", "values": list(rows)} for name, rows in ranges]
        body = {"valueInputOption": "RAW", "includeValuesInResponse": False, "data": data}
        answer = self._call(lambda: self._http.values_batch_update(self.spreadsheet_id, body))
        return list(answer.get("responses", []))

    def read(self, ranges: Sequence[str]) -> list[list[list[Any]]]:
        """Return the unformatted values of every range (1 read)."""
        options = {"valueRenderOption": "UNFORMATTED_VALUE", "majorDimension": "ROWS"}
        answer = self._call(lambda: self._http.values_batch_get(self.spreadsheet_id, list(ranges), dict(options)))
        found = answer.get("valueRanges", [])
        if len(found) != len(ranges):
            raise Unavailable(f"{len(ranges)} ranges were asked for, {len(found)} came back")
        return [part.get("values", []) for part in found]

    def close(self) -> None:
        """Close the connections."""
        self._http.session.close()

    def _call(self, work: Callable[[], Any]) -> dict[str, Any]:
        import requests
        from google.auth import exceptions as auth
        from gspread.exceptions import APIError

        try:
            answer = work()
        except APIError as error:
            raise self._named(error.response.status_code, str(error.error.get("message", ""))) from None
        except auth.RefreshError as error:
            raise self._refresh_failure(error) from None
        except (auth.TransportError, requests.RequestException) as error:
            raise Unavailable(f"no answer: {type(error).__name__}") from None
        if not isinstance(answer, dict):
            raise Unavailable("the answer is not a JSON object")
        return answer

    def _named(self, code: int, message: str) -> SheetFailure:
        text = f"{code}: {' '.join(message.split())[:300]}"
        if code == 429:
            return Throttled(text)
        if code in {401, 403, 404}:
            return AccessDenied(
                f"the Sheets service answers {text}; check sheets.spreadsheet_id"
                f" and share the spreadsheet with {self.client_email} as Editor",
                self.client_email,
                code,
            )
        if code != 400:
            return Unavailable(text)
        if "exceeds grid limits" in message:
            return GridTooSmall(text)
        if "number of cells" in message:
            return CellsUsedUp(text)
        if "Unable to parse range" in message or "No grid with id" in message:
            return TabMissing(text)
        return RequestRefused(text)

    def _refresh_failure(self, error: Exception) -> SheetFailure:
        words = str(error.args[0]) if error.args else ""
        if "invalid_grant" in words or "invalid_client" in words or "unauthorized" in words:
            return AccessDenied(
                f"Google refuses the key of {self.client_email} ({words[:120]});"
                " make a new key, or set this machine's clock right",
                self.client_email,
            )
        return Unavailable("the token service gives no token")


def check_credentials(path: Path) -> str:
    """Return the client_email of a service-account file; raises CredentialsUnusable naming file and key."""
    hint = "set PJ_SHEETS_SERVICE_ACCOUNT or sheets.service_account_file"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CredentialsUnusable(f"the service-account file {path} is missing; {hint} to it") from None
    except OSError as error:
        raise CredentialsUnusable(f"the service-account file {path} cannot be read: {error.strerror}; {hint}") from None
    except ValueError:
        raise CredentialsUnusable(
            f"the service-account file {path} is not JSON; {hint} to the key from Google"
        ) from None
    if not isinstance(info, dict) or info.get("type") != "service_account":
        raise CredentialsUnusable(
            f"the service-account file {path} is of another kind (key 'type' must be service_account); {hint}"
        )
    for name in _NEEDED:
        if not isinstance(info.get(name), str) or not info[name]:
            raise CredentialsUnusable(
                f"the service-account file {path} has no {name!r}; take the key file from Google anew"
            )
    return str(info["client_email"])


def _connect(path: Path, api_base: str, timeout_s: tuple[float, float]) -> HTTPClient:
    import gspread
    from google.oauth2.service_account import Credentials
    from gspread.http_client import HTTPClient

    class BasedClient(HTTPClient):
        """Send every call to the configured base."""

        def request(self, method: str, endpoint: str, *args: Any, **named: Any) -> Any:
            return super().request(method, endpoint.replace(GOOGLE, api_base, 1), *args, **named)

    try:
        credentials = Credentials.from_service_account_file(str(path), scopes=[SCOPE])  # type: ignore[no-untyped-call]
    except ValueError:
        raise CredentialsUnusable(
            f"the private_key of {path} is no usable RSA key; take the file from Google anew"
        ) from None
    if api_base != GOOGLE:
        # google-auth would ask iamcredentials.googleapis.com about a token that means nothing there.
        credentials._is_regional_access_boundary_lookup_required = lambda: False  # noqa: SLF001
    http = gspread.authorize(credentials, http_client=BasedClient).http_client
    http.set_timeout(timeout_s)
    if urlsplit(api_base).hostname in {"127.0.0.1", "localhost", "::1"}:
        # A proxy of the environment cannot reach this machine's own loopback.
        http.session.trust_env = False
        token_session = getattr(http.session, "_auth_request_session", None)  # google-auth gives no other way
        if token_session is not None:
            token_session.trust_env = False
    return http
