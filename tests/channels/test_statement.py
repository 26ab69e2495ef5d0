"""What a human states: kept whole, and worth nothing once a byte of it is torn or flipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from pj.channels.statement import Statement, StatementDamaged, read_statement, write_statement

SAID = Statement(-2, 1_776_260_760_000_000_000, "Zoë", "seen in TWS")


def test_it_comes_back_as_it_was_said(tmp_path: Path) -> None:
    path = tmp_path / "position.json"
    assert read_statement(path) is None
    write_statement(path, SAID)
    assert read_statement(path) == SAID
    write_statement(path, Statement(0, 5, "b"))
    found = read_statement(path)
    assert found == Statement(0, 5, "b") and found.words == "flat"
    assert (SAID.words, SAID.age_s(SAID.said_ns + 1_500_000_000)) == ("short 2", 1.5)
    assert list(tmp_path.iterdir()) == [path]


def test_torn_at_any_byte_or_with_any_bit_flipped_it_states_nothing(tmp_path: Path) -> None:
    path = tmp_path / "position.json"
    write_statement(path, SAID)
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        with pytest.raises(StatementDamaged, match="state it again"):
            read_statement(path)
    for at in range(len(data)):
        for bit in range(8):
            wrong = bytearray(data)
            wrong[at] ^= 1 << bit
            path.write_bytes(wrong)
            with pytest.raises(StatementDamaged):
                read_statement(path)


def test_no_secret_gets_into_it(tmp_path: Path) -> None:
    path = tmp_path / "position.json"
    write_statement(
        path, Statement(0, 1, "me", "https://webhooks.traderspost.io/trading/webhook/11111111-2222-33/secret-pw")
    )
    assert b"secret-pw" not in path.read_bytes()
    assert read_statement(path) is not None
