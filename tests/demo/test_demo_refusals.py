"""A demo that cannot be played says why in one sentence, exits 2 and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from pj.cli import main


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tape", "nowhere.parquet", "--date", "2026-04-15"], "does not exist"),
        (["--tape", "{broken}", "--date", "2026-04-15"], "cannot be read as Parquet"),
        (["--tape", "nowhere.parquet"], "--tape needs --date"),
        (["--date", "2026-11-21"], "2026-11-21"),
        (["--from", "10:00", "--to", "09:00"], "--to is not after --from"),
        (["--speed", "0"], "speed 0 is outside"),
        (["--contract", "MNQX6"], "MNQX6"),
        (["--symbol", "DAX"], "DAX"),
    ],
)
def test_refused_before_anything_starts(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_text("no parquet")
    folder = tmp_path / "run"
    words = [word.format(broken=broken) for word in arguments]
    assert main(["demo", *words, "--run-dir", str(folder), "--headless"]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert said.out == ""
    assert not folder.exists()


def test_a_used_folder_is_not_played_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert main(["demo", "--run-dir", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
