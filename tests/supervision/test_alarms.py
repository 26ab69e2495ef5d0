"""Prove that every alarm of the engine's journal becomes one alert, whatever is killed, cut, full or damaged."""

from __future__ import annotations

import re
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from live.market import INSTRUMENTS
from live.reconciliation import NOTED, QUIET, Verdict
from pj.channels.alarm_table import SEVERITY, Severity, severity_of
from pj.channels.alerts import Alert, AlertCode, mark_seen, open_alerts, raise_alert, read_alerts
from pj.channels.files import WriteFailed, lock_file
from pj.channels.journal import Journal, open_journal
from pj.channels.logs import EventLog, open_log
from pj.channels.rundir import RunDir
from pj.supervision import alarms
from pj.supervision.alarms import AlarmWatch

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DAY, NEXT = date(2026, 4, 15), date(2026, 4, 16)


class House:
    """Hold a run folder with a journal, and the Sentinel's watch over it on a clock of its own."""

    def __init__(self, root: Path, log: EventLog) -> None:
        self.folder = RunDir(root, INSTRUMENTS["MNQ"]).create()
        self.log = log
        self.now_s = 100.0
        self.said: list[str] = []
        self.watch = self.new_watch()
        self.journal: Journal

    def new_watch(self) -> AlarmWatch:
        """Return the watch of a Sentinel that has just been born."""
        self.watch = AlarmWatch(self.folder, self.log, self.said.append, lambda: self.now_s)
        return self.watch

    def open(self, day: date = DAY) -> Journal:
        self.journal = open_journal(self.folder, self.folder.day(day).create())
        return self.journal

    def alarm(self, code: str, text: str = "look", ts_ns: int = 7) -> None:
        self.journal.append("ALARM", {"code": code, "text": text}, ts_ns, fsync=False)

    def look(self, times: int = 1, apart_s: float = 0.25) -> list[str]:
        """Let the watch look, and return the codes that alerts.jsonl holds."""
        for _ in range(times):
            self.watch.step()
            self.now_s += apart_s
        return [alert.code for alert in read_alerts(self.folder.alerts, 10_000)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    log = open_log(tmp_path / "run", "sentinel", libraries=False)
    house = House(tmp_path / "run", log)
    yield house
    log.close()


def test_each_alarm_is_one_alert_in_order_with_its_place(house: House) -> None:
    journal = house.open()
    house.journal.append("START", {"text": '"type":"ALARM"'}, 1)
    house.alarm("NAKED", "no stop stands", 5)
    assert house.look() == ["NAKED"]
    house.alarm("PARTIAL")
    house.alarm("OVERFILL")
    assert house.look(8) == ["NAKED", "PARTIAL", "OVERFILL"]
    (first, *_rest) = read_alerts(house.folder.alerts)
    second = journal.append("ALARM", {"code": "X", "text": ""}, 9)
    assert (first.ts_ns, first.name, first.text) == (5, "engine", "no stop stands")
    assert re.fullmatch(r"2026-04-15/2/[0-9a-f]{12}", first.place)
    house.look()
    assert read_alerts(house.folder.alerts)[-1].place == f"2026-04-15/{second.seq}/{second.hash[:12]}"
    assert house.said == ["ALERT NAKED: no stop stands", "ALERT OVERFILL: look", "ALERT X: "], "INFO rings no bell"


def test_a_new_sentinel_tells_nothing_twice_and_nothing_less(house: House) -> None:
    house.open()
    house.alarm("NAKED")
    assert house.look() == ["NAKED"]
    house.alarm("REVERSED")
    house.new_watch()
    assert house.look(3) == ["NAKED", "REVERSED"]
    house.new_watch()
    (house.folder.state_folder / "alarms.mark.json").unlink()
    assert house.look(3) == ["NAKED", "REVERSED"], "without its mark it begins at the newest day"


def test_the_days_are_read_out_one_after_the_other_also_by_a_later_sentinel(house: House) -> None:
    assert house.look() == []
    house.open()
    house.alarm("NAKED")
    assert house.look(8) == ["NAKED"]
    house.alarm("ENTRY_LOST")
    house.journal.close()
    house.open(NEXT)
    house.alarm("REVERSED")
    house.new_watch()  # it was dead while the day turned
    assert house.look(40) == ["NAKED", "ENTRY_LOST", "REVERSED"]
    house.new_watch()
    assert house.look(40) == ["NAKED", "ENTRY_LOST", "REVERSED"]
    assert "2026-04-16" in house.watch.mark.read_text()


def test_an_old_folder_is_not_told_from_its_beginning(house: House) -> None:
    for day in (DAY, NEXT):
        house.open(day)
        house.alarm(f"OF_{day.day}")
        house.journal.close()
    assert house.look(8) == ["OF_16"]


def test_a_line_lost_by_a_power_cut_does_not_hide_the_one_in_its_place(house: House) -> None:
    house.open()
    house.alarm("NAKED", ts_ns=5)
    assert house.look() == ["NAKED"]
    house.journal.close()
    house.folder.day(DAY).journal.write_bytes(b"")  # the alert was synced, the line was not
    house.open()
    house.alarm("REVERSED", ts_ns=6)
    house.new_watch()
    assert house.look(2) == ["NAKED", "REVERSED"]
    house.new_watch()
    assert house.look(2) == ["NAKED", "REVERSED"]


def test_an_unfinished_line_waits_until_it_is_whole(house: House) -> None:
    house.open()
    house.alarm("NAKED")
    house.journal.close()
    path = house.folder.day(DAY).journal
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        assert house.look() == []
    path.write_bytes(whole)
    assert house.look() == ["NAKED"]


def test_a_torn_alert_is_told_again(house: House) -> None:
    house.open()
    house.alarm("NAKED")
    house.alarm("REVERSED")
    house.look()
    whole = house.folder.alerts.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        house.folder.alerts.write_bytes(whole[:cut])
        house.new_watch()
        codes = [code for code in house.look() if code != "UNREADABLE"]
        assert codes == ["NAKED", "REVERSED"], f"torn at byte {cut}"


def test_a_disk_that_fails_half_way_costs_no_alert_and_doubles_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.open()
    house.look()
    for code in ("NAKED", "REVERSED", "OVERFILL"):
        house.alarm(code)
    right = alarms.raise_alerts

    def half(path: Path, rows: list[Alert], lock_wait_s: float) -> None:
        right(path, rows[:1], lock_wait_s)
        raise WriteFailed(path, OSError(28, "No space left on device"))

    monkeypatch.setattr(alarms, "raise_alerts", half)
    assert house.look(4) == ["NAKED"]
    monkeypatch.setattr(alarms, "raise_alerts", right)
    assert house.look(1, apart_s=6.0) == ["NAKED"], "it is tried again after five seconds, not at each look"
    assert house.look() == ["NAKED", "REVERSED", "OVERFILL"]
    text = (house.folder.logs / "sentinel.log").read_text()
    assert text.count(" ALARMS_UNTOLD ") == text.count(" ALARMS_TOLD") == 1
    assert text.count(" ALERT ") == 3, "an alert that cannot be written is logged at once, and once"


def test_a_held_file_is_not_waited_for(house: House) -> None:
    house.open()
    house.alarm("NAKED")
    with lock_file(house.folder.alerts):
        began_s = time.monotonic()
        house.look()
        assert time.monotonic() - began_s < 0.5
    assert house.look(1, apart_s=6.0) == []
    assert house.look() == ["NAKED"]


def test_a_damaged_journal_neither_stops_nor_slows_the_watch(house: House) -> None:
    house.open()
    house.alarm("NAKED")
    house.journal.close()
    path = house.folder.day(DAY).journal
    line = path.read_bytes()
    wrong = [line.replace(b'"seq":1', b'"seq":\xff'), b'"type":"ALARM"\n' * 100_000, b"\n" * 1000, b"{" * 3_000_000]
    path.write_bytes(b"".join(wrong) + b"\n" + line)
    began_s = time.process_time()
    longest_s = 0.0
    for _ in range(40):
        look_s = time.process_time()
        codes = house.look()
        longest_s = max(longest_s, time.process_time() - look_s)
    assert codes == ["UNREADABLE", "NAKED"], "one alert for the damage, and what can be read is told"
    assert "pj audit verify" in read_alerts(house.folder.alerts)[0].text
    assert time.process_time() - began_s < 3
    assert longest_s < 1


def test_a_flood_is_told_in_portions(house: House) -> None:
    house.open()
    for number in range(500):
        house.alarm("KEY_REUSED", f"order {number}")
    assert len(house.look()) == alarms.MOST_AT_ONCE
    assert len(house.look(20)) == 500
    assert len({alert.place for alert in read_alerts(house.folder.alerts, 1000)}) == 500


def test_looking_at_what_did_not_grow_costs_next_to_nothing(house: House) -> None:
    house.open()
    for number in range(200):
        house.journal.append("ANCHOR", {"n": number}, number, fsync=False)
    house.look(20)
    began_s = time.process_time()
    house.look(400)  # 100 s of a Sentinel's life, with its looks for a later day
    per_look_us = (time.process_time() - began_s) / 400 * 1e6
    print(f"one idle look: {per_look_us:.0f} us")
    assert per_look_us < 1000


# -- who has seen what -----------------------------------------------------------------------------------------


def test_alerts_are_open_until_they_are_seen_and_later_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    assert open_alerts(path).count == 0
    for code in ("NAKED", "PARTIAL", "CRASH_LOOP"):
        raise_alert(path, Alert(1, code, "engine", "x"))
    found = open_alerts(path)
    assert [alert.code for alert in found.alerts] == ["NAKED", "CRASH_LOOP"], "INFO asks nothing of anybody"
    raise_alert(path, Alert(2, "REVERSED", "engine", "raised while the operator read"))
    mark_seen(path, found.upto, "pj resume", 3)
    assert [alert.code for alert in open_alerts(path).alerts] == ["REVERSED"]
    mark_seen(path, 10**9, "a hand", 4)  # nobody can have seen what did not stand there
    raise_alert(path, Alert(5, "NAKED", "engine", "again"))
    assert [alert.ts_ns for alert in open_alerts(path).alerts] == [5]
    assert [alert.code for alert in read_alerts(path)] == ["NAKED", "PARTIAL", "CRASH_LOOP", "REVERSED", "NAKED"]


def test_what_was_seen_holds_in_a_file_longer_than_its_tail(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    for number in range(600):
        raise_alert(path, Alert(number, "NAKED", "engine", "x" * 200))
    mark_seen(path, open_alerts(path).upto, "pj resume", 1)
    assert open_alerts(path).count == 0
    for number in range(600):
        raise_alert(path, Alert(number, "REVERSED", "engine", "x" * 200))
        if not number:
            assert open_alerts(path).count == 1
    assert {alert.code for alert in open_alerts(path, 1000).alerts} == {"REVERSED"}


def test_a_damaged_row_seen_opens_what_it_closed(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    raise_alert(path, Alert(1, "NAKED", "engine", "x"))
    mark_seen(path, open_alerts(path).upto, "pj resume", 3)
    path.write_bytes(path.read_bytes().replace(b'"code":"SEEN"', b'"code":"SEEM"'))
    assert [alert.code for alert in open_alerts(path).alerts] == ["NAKED", "UNREADABLE"]


# -- the table ---------------------------------------------------------------------------------------------------


def test_every_alarm_that_the_sources_can_raise_has_a_severity() -> None:
    raised = {verdict.value for verdict in Verdict if verdict not in QUIET} - set(NOTED)
    raised |= {code.value for code in AlertCode}
    sources = [*(ROOT / "live").rglob("*.py"), *(ROOT / "src" / "pj" / "processes").rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    constants = dict(re.findall(r'^([A-Z_]+): Final = "([A-Z_]+)"$', text, re.MULTILINE)) | {"FENCED": "FENCED"}
    literals = re.findall(r'RaiseAlarm\("([A-Z_]+)"', text) + re.findall(r'_say\(\s*book, "([A-Z_]+)"', text)
    noted = re.findall(r'note\(\s*"ALARM", \{"code": ([^,]+),', text)
    assert len(literals) >= 7
    assert len(noted) >= 5
    literals += [constants[name] if name in constants else name.strip('"') for name in noted if name != "code"]
    raised |= set(literals)
    assert raised == set(SEVERITY), "the table has exactly the codes that can be raised"


def test_a_code_nobody_judged_is_taken_for_the_gravest() -> None:
    assert severity_of("SOMETHING_NEW") is Severity.ACT
    assert severity_of("PARTIAL") is Severity.INFO
