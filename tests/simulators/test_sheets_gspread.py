"""Unmodified gspread 6.2.1 and google-auth over real HTTP against the simulated Sheets (services.md 2)."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google.auth.exceptions
import gspread
import gspread.http_client
import pytest

from pj.clock import ScaledClock
from pj.simulators.sheets_auth import CredentialsFileError, TokenDesk, make_credentials
from pj.simulators.sheets_book import Workbook
from pj.simulators.sheets_http import SheetsServer, serve_in_thread, stop
from pj.simulators.sheets_service import SheetsService

KEY = "SHEETID"


@dataclass
class Sim:
    server: SheetsServer
    service: SheetsService
    credentials: Path
    client: gspread.client.Client

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.base + path, data=data), timeout=10) as answer:
            return json.loads(answer.read())

    def fault(self, kind: str, **more: Any) -> None:
        self.call("/_fault", {"kind": kind, **more})

    def tab(self, title: str) -> list[list[Any]]:
        return list(self.call(f"/_tab/{title}")["values"])


def client_for(base: str, credentials: Path) -> gspread.client.Client:
    class LoopClient(gspread.http_client.HTTPClient):
        def request(self, method: str, endpoint: str, *args: Any, **named: Any) -> Any:
            return super().request(method, endpoint.replace("https://sheets.googleapis.com", base, 1), *args, **named)

    client = gspread.service_account(filename=str(credentials), http_client=LoopClient)
    client.set_timeout((3, 10))
    client.http_client.session.trust_env = False
    # google-auth would ask Google where the token may be used; the throwaway account is unknown there.
    client.http_client.auth._is_regional_access_boundary_lookup_required = lambda: False  # type: ignore[attr-defined]
    return client


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Sim]:
    server = SheetsServer(0)
    credentials = tmp_path / "service_account.json"
    uri = f"http://127.0.0.1:{server.port}/token"
    desk = TokenDesk(make_credentials(credentials, uri), uri)
    clock = ScaledClock(0, time.time_ns(), 1.0)
    server.service = SheetsService(Workbook(KEY), desk, clock)
    serve_in_thread(server)
    client = client_for(f"http://127.0.0.1:{server.port}", credentials)
    yield Sim(server, server.service, credentials, client)
    client.http_client.session.close()
    stop(server)


def test_every_captured_call_works(sim: Sim) -> None:
    book = sim.client.open_by_key(KEY)
    tab = book.add_worksheet("Raw Ticks", rows=2, cols=5)
    assert [sheet.title for sheet in book.worksheets()] == ["Sheet1", "Raw Ticks"]
    answer = tab.append_rows([["h1", "h2"], ["1", "2"]], table_range="A1")
    assert answer["updates"]["updatedRange"] == "'Raw Ticks'!A1:B2"
    assert "tableRange" not in answer
    answer = tab.append_rows([["3", "4"]], table_range="A1", insert_data_option="INSERT_ROWS")
    assert answer["tableRange"] == "'Raw Ticks'!A1:B2"
    assert answer["updates"] == {
        "spreadsheetId": KEY,
        "updatedRange": "'Raw Ticks'!A3:B3",
        "updatedRows": 1,
        "updatedColumns": 2,
        "updatedCells": 2,
    }
    assert tab.get_all_values() == [["h1", "h2"], ["1", "2"], ["3", "4"]]
    assert tab.row_values(2) == ["1", "2"]
    assert tab.col_values(1) == ["h1", "1", "3"]
    assert tab.get("A2:E") == [["1", "2"], ["3", "4"]]
    tab.update([["a", None, 1.5]], "A2:E2")
    assert tab.get("A2:E2", value_render_option="UNFORMATTED_VALUE") == [["a", "2", 1.5]]
    tab.batch_update([{"range": "A1:B1", "values": [["x", "y"]]}, {"range": "C3", "values": [[7]]}])
    assert tab.batch_get(["A1:B1", "C3"], value_render_option="UNFORMATTED_VALUE") == [[["x", "y"]], [[7]]]
    tab.resize(rows=50, cols=6)
    assert sim.service.book.by_title("Raw Ticks").row_count == 50  # type: ignore[union-attr]
    tab.delete_rows(2, 3)
    assert tab.get_all_values() == [["x", "y"]]
    tab.batch_clear(["A1:A1"])
    assert tab.get_all_values() == [["", "y"]]
    tab.clear()
    assert tab.get("A1:B2") == [[]]
    book.del_worksheet(tab)
    assert [sheet.title for sheet in book.worksheets()] == ["Sheet1"]


def test_numbers_are_doubles_and_raw_text_stays_text(sim: Sim) -> None:
    tab = sim.client.open_by_key(KEY).sheet1
    ns = 1_776_254_400_123_456_789
    tab.update([[ns, str(ns), "=1+1", True, 25000.25]], "A1", raw=True)
    unformatted = tab.get("A1:E1", value_render_option="UNFORMATTED_VALUE")
    assert unformatted == [[int(float(ns)), str(ns), "=1+1", True, 25000.25]]
    assert unformatted[0][0] != ns
    assert tab.get("A1:E1") == [["1.78E+18", str(ns), "=1+1", "TRUE", "25000.25"]]


@pytest.mark.parametrize(
    ("area", "words"),
    [
        ("Sheet1!A1001:B1001", "exceeds grid limits. Max rows: 1000, max columns: 26"),
        ("Nope!A1", "Unable to parse range: Nope!A1"),
        ("Sheet1!??", "Unable to parse range"),
        ("Sheet1!A1:A1", "tried writing to column [2]"),
    ],
)
def test_refused_writes_change_nothing_and_say_why(sim: Sim, area: str, words: str) -> None:
    book = sim.client.open_by_key(KEY)
    body = {
        "valueInputOption": "RAW",
        "data": [{"range": "Sheet1!A1:B1", "values": [["ok", "ok"]]}, {"range": area, "values": [["no", "no"]]}],
    }
    with pytest.raises(gspread.exceptions.APIError) as refused:
        book.values_batch_update(body)
    assert refused.value.code == 400
    assert words in refused.value.error["message"]
    assert sim.tab("Sheet1") == []


def test_errors_map_to_gspread_exceptions(sim: Sim) -> None:
    with pytest.raises(gspread.exceptions.SpreadsheetNotFound):
        sim.client.open_by_key("OTHER")
    with pytest.raises(gspread.exceptions.WorksheetNotFound):
        sim.client.open_by_key(KEY).worksheet("none")


def test_a_foreign_key_gets_no_token(sim: Sim, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    make_credentials(other, sim.service.tokens.token_uri)
    client = client_for(sim.base, other)
    with pytest.raises(google.auth.exceptions.RefreshError, match="invalid_grant: Invalid JWT Signature"):
        client.open_by_key(KEY)
    client.http_client.session.close()


def test_a_call_without_token_is_401(sim: Sim) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        sim.call(f"/v4/spreadsheets/{KEY}")
    with refused.value as error:
        assert error.code == 401
        assert json.loads(error.read())["error"]["status"] == "UNAUTHENTICATED"


def test_an_ended_token_is_renewed_by_the_client(sim: Sim) -> None:
    tab = sim.client.open_by_key(KEY).sheet1
    assert sim.service.tokens.issued == 1
    sim.fault("401", on="any", count=1)
    tab.update([["x"]], "A1")
    assert sim.service.tokens.issued == 2
    assert sim.tab("Sheet1") == [["x"]]


def test_own_credentials_are_kept_and_foreign_ones_never_touched(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine.json", tmp_path / "theirs.json"
    first = make_credentials(mine, "http://127.0.0.1:1/token")
    second = make_credentials(mine, "http://127.0.0.1:2/token")
    assert first.key_id == second.key_id
    assert json.loads(mine.read_text())["token_uri"] == "http://127.0.0.1:2/token"
    text = json.dumps({**json.loads(mine.read_text()), "token_uri": "https://oauth2.googleapis.com/token"})
    theirs.write_text(text)
    with pytest.raises(CredentialsFileError, match="not this simulator's"):
        make_credentials(theirs, "http://127.0.0.1:2/token")
    assert theirs.read_text() == text


def test_quotas_are_per_run_minute_and_bucket(sim: Sim) -> None:
    book = sim.client.open_by_key(KEY)
    for _ in range(60):
        book.values_batch_update({"valueInputOption": "RAW", "data": [{"range": "A1", "values": [["x"]]}]})
    with pytest.raises(gspread.exceptions.APIError) as refused:
        book.values_batch_update({"valueInputOption": "RAW", "data": [{"range": "A1", "values": [["y"]]}]})
    assert refused.value.code == 429
    detail = refused.value.response.json()["error"]["details"][0]["metadata"]
    assert detail["quota_limit"] == "WriteRequestsPerMinutePerUser"
    assert book.values_get("A1")["values"] == [["x"]]
    sim.service.clock = ScaledClock(61_000_000_000, time.time_ns(), 1.0)
    book.values_batch_update({"valueInputOption": "RAW", "data": [{"range": "A1", "values": [["z"]]}]})
    assert sim.tab("Sheet1") == [["z"]]


def test_the_workbook_has_ten_million_cells(sim: Sim) -> None:
    book = sim.client.open_by_key(KEY)
    tab = book.add_worksheet("big", rows=390_000, cols=25)
    with pytest.raises(gspread.exceptions.APIError, match="above the limit of 10000000 cells"):
        tab.resize(rows=400_000)
    assert sim.service.book.cells() == 26_000 + 390_000 * 25


@pytest.mark.parametrize(
    ("kind", "applied", "error"),
    [
        ("429", False, gspread.exceptions.APIError),
        ("503_not_applied", False, gspread.exceptions.APIError),
        ("503_applied", True, gspread.exceptions.APIError),
        ("drop_after_apply", True, OSError),
        ("slow:5", True, OSError),
        ("html500", False, Exception),
    ],
)
def test_each_fault_does_what_its_name_says(sim: Sim, kind: str, applied: bool, error: type[Exception]) -> None:
    tab = sim.client.open_by_key(KEY).sheet1
    sim.client.set_timeout((3, 0.4))
    sim.fault(kind, on="write", count=1)
    with pytest.raises(error):
        tab.update([["x"]], "A1")
    assert sim.tab("Sheet1") == ([["x"]] if applied else [])
    tab.update([["x"]], "A1")
    assert sim.tab("Sheet1") == [["x"]]


def test_the_log_holds_no_secret(sim: Sim) -> None:
    sim.client.open_by_key(KEY).sheet1.update([["x"]], "A1")
    text = json.dumps(sim.call("/_log"))
    token = sim.client.http_client.auth.token
    assert "batchUpdate" in text or "values" in text
    assert token not in text
    assert "assertion" not in text
    assert json.loads(sim.credentials.read_text())["private_key"].splitlines()[1] not in text
