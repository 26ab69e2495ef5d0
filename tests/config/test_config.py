"""Settings: where a value comes from, and the one sentence that a wrong one gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from live.params import Params
from pj.config import ConfigError, Settings, load_settings, overrides_to_env, settings_with_origin, without_settings

WEBHOOK = "https://webhooks.traderspost.io/trading/webhook/11111111-2222/never-print-me"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, as a user without config.yaml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def origin_of(key: str, env: dict[str, str], overrides: dict[str, str] | None = None) -> tuple[object, str]:
    rows = {row.key: row for row in settings_with_origin(env, overrides)[1]}
    return rows[key].value, rows[key].origin


def test_defaults_without_any_file(folder: Path) -> None:
    settings = load_settings({})
    assert (settings.profile, settings.symbol, settings.execution.route) == ("sim", "MNQ", "paper")
    assert settings.run_dir == folder / "data" / "run"
    assert settings.params() == Params()
    assert settings.instrument.tick_cents == 50


def test_each_layer_wins_over_the_one_below(folder: Path) -> None:
    key = "ibkr.port"
    assert origin_of(key, {}) == (4002, "default")
    file = folder / "config.yaml"
    file.write_text("ibkr: {port: 7497}\n", encoding="utf-8")
    assert origin_of(key, {}) == (7497, str(file))
    (folder / ".env").write_text('# my own\nexport PJ__IBKR__PORT="7496"\n', encoding="utf-8")
    assert origin_of(key, {}) == (7496, ".env")
    env = {"PJ__IBKR__PORT": "4001"}
    assert origin_of(key, env) == (4001, "environment")
    assert origin_of(key, env, {key: "4003"}) == (4003, "command line")
    assert load_settings(env | overrides_to_env({key: "4004", "run_dir": "x"})).ibkr.port == 4004


def test_the_file_named_by_pj_config_and_its_relative_paths(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "an other place"
    other.mkdir()
    (other / "mine.yaml").write_text(
        "run_dir: runs\nsheets:\n  service_account_file: keys/g.json\n", encoding="utf-8-sig"
    )
    settings = load_settings({"PJ_CONFIG": str(other / "mine.yaml")})
    assert settings.run_dir == other / "runs"
    assert settings.sheets.service_account_file == other / "keys" / "g.json"
    assert load_settings({"PJ_CONFIG": str(other / "mine.yaml"), "PJ__RUN_DIR": "here"}).run_dir == folder / "here"


def test_secrets_come_by_their_own_variables_and_are_masked(folder: Path) -> None:
    (folder / ".env").write_text(f"PJ_TRADERSPOST_WEBHOOK_URL={WEBHOOK}\n", encoding="utf-8")
    settings, rows = settings_with_origin({"PJ_SHEETS_SERVICE_ACCOUNT": "robot.json"})
    assert settings.traderspost.webhook_url.get_secret_value() == WEBHOOK
    assert settings.sheets.service_account_file == folder / "robot.json"
    assert "never-print-me" not in f"{rows}{settings}{settings!r}"


def test_a_webhook_copied_with_its_newline_is_stripped() -> None:
    settings = load_settings({"PJ_TRADERSPOST_WEBHOOK_URL": f" {WEBHOOK}\n"})
    assert settings.traderspost.webhook_url.get_secret_value() == WEBHOOK


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ibkr: {prot: 1}", r"unknown key 'ibkr\.prot'.*config\.yaml.*did you mean 'ibkr\.port'"),
        ("port: 4001", r"unknown key 'port'.*did you mean 'ibkr\.port'"),
        ("ibrk: {port: 1}", r"unknown key 'ibrk'.*did you mean 'ibkr'"),
        ("nonsense: 1", r"unknown key 'nonsense'.*known here: profile, run_dir"),
        ("ibkr: {port: 99999}", r"ibkr\.port is 99999 .*less than or equal to 65535"),
        ("ibkr: {port: 0}", r"ibkr\.port is 0 .*greater than or equal to 1"),
        ("ibkr: {port: four}", r"ibkr\.port is 'four' .*valid integer"),
        ("ibkr: {port: true}", r"ibkr\.port is 'true' .*valid integer"),
        ("ibkr: 4002", r"ibkr is 4002 .*must be a block of keys"),
        ("ibkr: {backoff_min_s: 60}", r"backoff_min_s \(60\) is above backoff_max_s \(30\)"),
        ("engine: {bar_grace_s: .nan}", r"engine\.bar_grace_s is '\.nan'"),
        ("engine: {bar_grace_s: 1e999}", r"engine\.bar_grace_s is inf"),
        ("supervision: {check_s: -1}", r"supervision\.check_s is -1 .*greater than 0"),
        ("sheets: {enabled: maybe}", r"sheets\.enabled is 'maybe'"),
        ("sheets: {writes_per_min: 60}", r"sheets\.writes_per_min is 60"),
        ("execution: {route: papper}", r"execution\.route is 'papper' .*'paper', 'traderspost' or 'ibkr'"),
        ("symbol: CL", r"symbol is 'CL' .*unknown symbol; use one of NQ, MNQ, ES, MES"),
        ("symbol:", r"symbol has no value; give it one or remove the line"),
        ("contract: MNQZ2026", r"contract is 'MNQZ2026'.*write it like MNQZ6"),
        ("contract: ESZ6", r"contract is 'ESZ6', not a quarterly contract of MNQ"),
        ("strategy: {pj: {swing: 3}}", r"strategy\.pj: unknown parameter 'swing'; did you mean 'swing_n'"),
        ("strategy: {pj: {swing_n: 0}}", r"strategy\.pj: parameter swing_n is 0"),
        ("strategy: {pjj: {swing_n: 0}}", r"unknown key 'strategy\.pjj'"),
        ("traderspost: {webhook_url: https://secret}", r"holds the secret traderspost\.webhook_url; move it"),
        ("run_dir: a\nrun_dir: b", r"key 'run_dir' stands twice \(line 2\)"),
        ("limits: {live: {max_qyt: 1}}", r"unknown key 'limits\.live\.max_qyt'.*did you mean 'limits\.live\.max_qty'"),
        ("limits: {demo: {max_qty: 1}}", r"unknown key 'limits\.demo'.*did you mean 'limits'"),
        ("limits: {live: 3}", r"limits\.live is 3 .*must be a block of keys"),
        ("limits: {sim: {max_qty: 6}}", r"limits\.sim\.max_qty is 6, looser than the strategy's own 5; .*only tighten"),
        ("limits: {sim: {cooldown_min: 1}}", r"limits\.sim\.cooldown_min is 1, looser than the strategy's own 5"),
        ("limits: {sim: {max_qty: -1}}", r"limits\.sim\.max_qty is -1 .*greater than or equal to 0"),
        ("limits: {sim: {max_daily_loss_usd: 1.001}}", r"limits\.sim\.max_daily_loss_usd is .*decimal places"),
        ("limits: {sim: {max_qty: true}}", r"limits\.sim\.max_qty is 'true'"),
        ("limits: {sim: {max_qty:}}", r"limits\.sim\.max_qty has no value"),
        ("symbol: [MNQ", r"line \d+ is not valid YAML"),
        ("- symbol", r"holds list and not keys"),
        ("a: b: c", r"line 1 is not valid YAML"),
    ],
)
def test_a_wrong_file_gets_one_sentence(folder: Path, text: str, words: str) -> None:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings({})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PJ__IBKR__PORT": "abc"}, r"ibkr\.port is 'abc' \(environment\)"),
        ({"PJ__IBKRR__PORT": "1"}, r"unknown key 'ibkrr' \(environment\)"),
        ({"PJ__STRATEGY__PJ__SWING_N": "[1"}, r"strategy\.pj\.swing_n \(environment\).*not valid YAML"),
        ({"PJ_CONFIG": "absent.yaml"}, r"PJ_CONFIG names 'absent\.yaml', which is not a file"),
        ({"PJ_TRADERSPOST_WEBHOOK_URL": "http://x.io/never-print-me"}, r"webhook_url is \(secret\).*https://"),
        ({"PJ_TRADERSPOST_WEBHOOK_URL": "https://x.io/never-print-me"}, r"must end in /trading/webhook/"),
    ],
)
def test_a_wrong_variable_gets_one_sentence(env: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(env)
    assert "never-print-me" not in str(caught.value)


def test_a_wrong_line_of_dotenv_is_named(folder: Path) -> None:
    (folder / ".env").write_text("A=1\nPJ__IBKR__PORT 7\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"\.env line 2 is not NAME=value"):
        load_settings({})


def test_a_file_that_is_not_utf8_is_named(folder: Path) -> None:
    (folder / "config.yaml").write_bytes(b"symbol: \xff\xfe")
    with pytest.raises(ConfigError, match=r"config\.yaml cannot be read as UTF-8 text"):
        load_settings({})


def test_strategy_parameters_by_variable_are_numbers_and_lists() -> None:
    env = {"PJ__STRATEGY__PJ__SWING_N": "9", "PJ__STRATEGY__PJ__WINDOWS": '[["09:30", "10:00"]]'}
    params = load_settings(env).params()
    assert (params.swing_n, params.windows) == (9, ((930, 960),))


def test_times_in_yaml_stay_text(folder: Path) -> None:
    text = "strategy:\n  pj:\n    flat_at: 16:50\n    blackouts: [[2026-12-09T18:55:00Z, 2026-12-09T19:30:00Z]]\n"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    params = load_settings({}).params()
    assert params.flat_at_m == 1370
    assert params.blackouts == ((1796842500, 1796844600),)


def test_the_shipped_file_is_the_defaults_and_names_every_key(root: Path, folder: Path) -> None:
    shipped, rows = settings_with_origin({"PJ_CONFIG": str(root / "config.yaml")})
    relative = {"run_dir": root / "data" / "run", "session_overrides": root / "config" / "session_overrides.yaml"}
    plain = load_settings({})
    assert shipped.params() == plain.params() == Params()
    for key in Settings.model_fields:
        if key == "strategy":
            continue
        expected = relative.get(key, getattr(plain, key))
        if key == "sheets":
            expected = plain.sheets.model_copy(update={"service_account_file": root / "service_account.json"})
        assert getattr(shipped, key) == expected, key
    absent = {row.key for row in rows if row.origin == "default"}
    derived = {"strategy.pj.tick", "strategy.pj.tick_usd"}
    # Whose position is the true one is the operator's to say (pj.config.truth): the file explains it and sets nothing.
    assert absent == {"traderspost.webhook_url", "execution.position_source"} | derived
    assert "# position_source: " in (root / "config.yaml").read_text(encoding="utf-8")


def test_settings_do_not_change_after_loading() -> None:
    settings = load_settings({})
    with pytest.raises(ValueError, match="frozen"):
        settings.symbol = "NQ"  # type: ignore[misc]


def test_a_run_of_its_own_inherits_no_setting_and_no_secret() -> None:
    env = {
        "PATH": "x",
        "PJ__IBKR__PORT": "4001",
        "PJ_TRADERSPOST_WEBHOOK_URL": WEBHOOK,
        "PJ_CONFIG": "y",
        "PJ_INSTANCE": "z",
    }
    assert without_settings(env) == {"PATH": "x", "PJ_INSTANCE": "z"}


ACCOUNT = '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nnever-print-me\\n"}'


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PJ_SHEETS_SERVICE_ACCOUNT": ACCOUNT}, r"must be the path of the service account's file.*\(environment\)"),
        ({"PJ_SHEETS_SERVICE_ACCOUNT": WEBHOOK}, r"must be the path of the service account's file"),
        ({"PJ_SHEETS_SERVICE_ACCOUNT": "never-print-me" * 100}, r"must be the path of the service account's file"),
        ({"PJ__SHEETS__SERVICE_ACCOUNT_FILE__PRIVATE_KEY": "never-print-me"}, r"must be the path of the service"),
        ({"PJ__SHEETS__SPREADSHEET_ID": ACCOUNT}, r"sheets\.spreadsheet_id holds what looks like a secret"),
        ({"PJ__RUN_DIR": WEBHOOK}, r"run_dir holds what looks like a secret"),
        ({"PJ__STRATEGY__PJ__WINDOWS": f'"{WEBHOOK}"'}, r"strategy\.pj\.windows holds what looks like a secret"),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_shown(env: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(env)
    assert "never-print-me" not in str(caught.value)


def test_a_key_pasted_into_the_file_is_refused_and_not_shown(folder: Path) -> None:
    (folder / "config.yaml").write_text(f"sheets:\n  service_account_file: {ACCOUNT}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="must be the path of the service account's file") as caught:
        load_settings({})
    assert "never-print-me" not in str(caught.value)


def test_a_secret_on_the_command_line_is_refused() -> None:
    with pytest.raises(ConfigError, match="may not stand on a command line; use the variable PJ_TRADERSPOST") as caught:
        load_settings({}, {"traderspost.webhook_url": WEBHOOK})
    assert "never-print-me" not in str(caught.value)


@pytest.mark.parametrize("path", ["key.json", "some folder/key (2).json", "C:\\keys\\key.json", "~/https/key.json"])
def test_a_path_of_a_key_is_taken(path: str) -> None:
    assert str(load_settings({"PJ_SHEETS_SERVICE_ACCOUNT": path}).sheets.service_account_file).endswith(".json")


def test_a_settings_file_makes_no_objects(folder: Path) -> None:
    planted = folder / "planted"
    (folder / "config.yaml").write_text(f"run_dir: !!python/object/apply:os.mkdir ['{planted}']\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_settings({})
    assert not planted.exists()
