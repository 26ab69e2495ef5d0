"""Show and check the configuration: ``pj config show`` and ``pj config check``."""

from __future__ import annotations

from pj.config import settings_with_origin, whose_position
from pj.verbs.common import Options, environment_of, overrides_of, print_json
from pj.verbs.readiness import problems


def show(options: Options) -> int:
    """Print every key, its value (secrets masked) and where the value came from."""
    _, rows = settings_with_origin(environment_of(options), overrides_of(options))
    if options["json"]:
        print_json({row.key: {"value": row.value, "origin": row.origin} for row in rows})
        return 0
    width = max(len(row.key) for row in rows)
    for row in rows:
        print(f"{row.key:<{width}}  {row.value!s:<24}  {row.origin}")
    return 0


def check(options: Options) -> int:
    """Print what keeps this configuration from running, and whose positions it goes by; 1 when something does."""
    settings, _ = settings_with_origin(environment_of(options), overrides_of(options))
    # The simulators of `pj demo` bring their own credentials.
    found = problems(settings, environment_of(options)) if settings.profile != "sim" else []
    whose = whose_position(settings)
    if options["json"]:
        print_json({"ok": not found, "profile": settings.profile, "problems": found, "positions": whose})
    else:
        print("\n".join(found) if found else f"the configuration can run (profile {settings.profile})")
        print(whose)
    return 1 if found else 0
