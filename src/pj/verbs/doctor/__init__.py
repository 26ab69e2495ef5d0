"""Look at everything a start depends on and say what to mend: ``pj doctor``.

Every check runs at the same time with a limit of its own; the whole answers within 15 s whatever hangs. Nothing is
changed, nothing is sent to the webhook, no secret is shown. Rooms that touch a service lend one small function each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pj import __version__
from pj.verbs.doctor.masking import Masker, account_secrets, address_secrets
from pj.verbs.doctor.model import Patient

if TYPE_CHECKING:
    from pj.config import Settings

#: Stands for a value that is no path, wherever the path would be shown.


def run(options: Mapping[str, Any]) -> int:
    """Run every check and print what was found; 0 when none failed, 1 when one did, 2 without readable settings."""
    from pj.verbs.doctor import report
    from pj.verbs.doctor.runner import exit_code, run_checks
    from pj.verbs.doctor.table import CHECKS

    patient, unusable = examine_settings(options)
    results = run_checks(CHECKS, patient)
    about = {
        "version": __version__,
        "profile": patient.settings.profile if patient.settings else None,
        "run_dir": str(patient.settings.run_dir) if patient.settings else None,
        "trouble": patient.trouble,
    }
    tree = masker_of(patient, options).tree(report.as_tree(results, about))
    if options["json"]:
        from pj.verbs.common import print_json

        print_json(tree)
    else:
        print(report.as_text(tree))
    sys.stdout.flush()
    return exit_code(results, settings_read=not unusable)


def examine_settings(options: Mapping[str, Any]) -> tuple[Patient, bool]:
    """Return what the checks look at, and whether the settings are unusable (exit code 2).

    Settings that cannot be loaded for another reason (no time zone data) are a failed check like any other.
    """
    try:
        from pj.settings_text import ConfigError
        from pj.verbs.common import Refusal, environment_of, overrides_of
    except Exception as error:  # noqa: BLE001 - without time zone data our own modules do not import
        return Patient(dict(os.environ), None, f"the settings cannot be read: {_words(error)}"), False
    try:
        env = environment_of(options)
    except Refusal as error:
        return Patient(dict(os.environ), None, str(error)), True
    overrides = overrides_of(options)
    try:
        from pj.config import load_settings

        return patient_of(load_settings(env, overrides), env), False
    except ConfigError as error:
        return Patient(env, None, str(error)), True


def patient_of(settings: Settings, env: Mapping[str, str]) -> Patient:
    """Return the patient with its shared probes; the gateway is asked for in profiles paper and live only."""
    patient = Patient(env, settings)
    if settings.profile != "sim":
        from pj.verbs.doctor.outside import probes

        patient.greeting, patient.visit = probes(settings)
    return patient


def masker_of(patient: Patient, options: Mapping[str, Any]) -> Masker:
    """Return the masker that knows every secret this command line can reach."""
    variables = _variables(patient.env)
    addresses = address_secrets(variables, _addresses(patient, options))
    return Masker([*addresses, *_keys(patient)])


def _variables(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with what ``.env`` adds to it."""
    dotenv = Path(env.get("PJ_CONFIG") or "config.yaml").expanduser().absolute().parent / ".env"
    try:
        lines = dotenv.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = (line.strip().removeprefix("export ").partition("=") for line in lines)
    found = {name.strip(): value.strip().strip("'\"") for name, equals, value in pairs if equals}
    # A variable may stand in both, with different values: both are secret.
    return dict(env) | {name: f"{env[name]}\n{value}" if env.get(name) else value for name, value in found.items()}


def _addresses(patient: Patient, options: Mapping[str, Any]) -> Iterable[str]:
    if patient.settings is not None:
        yield patient.settings.traderspost.webhook_url.get_secret_value()
    for text in options.get("set") or ():
        key, _, value = text.partition("=")
        if key.strip() == "traderspost.webhook_url":
            yield value


def _keys(patient: Patient) -> Iterable[str]:
    if patient.settings is not None:
        yield from account_secrets(patient.settings.sheets.service_account_file)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
