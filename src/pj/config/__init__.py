"""Read the settings: command line > environment > .env > config.yaml > default.

``load_settings`` is what every process calls; ``settings_with_origin`` is for ``pj config show``.
Whatever is wrong raises ConfigError with one sentence that names the key, the value and what
to do. Secrets come from the environment or ``.env`` only and are never printed.
"""

from pj.config.load import (
    ENV_CONFIG,
    ENV_PREFIX,
    PATH_KEYS,
    Origin,
    dotenv_path,
    load_settings,
    overrides_to_env,
    settings_with_origin,
    without_settings,
)
from pj.config.models import Settings, Sheets, Supervision
from pj.config.secrets import SECRET_KEYS, SECRET_VARIABLES
from pj.config.truth import AT_GATEWAY, unsaid, whose_position
from pj.settings_text import ConfigError

__all__ = [
    "AT_GATEWAY",
    "ENV_CONFIG",
    "ENV_PREFIX",
    "PATH_KEYS",
    "SECRET_KEYS",
    "SECRET_VARIABLES",
    "ConfigError",
    "Origin",
    "Settings",
    "Sheets",
    "Supervision",
    "dotenv_path",
    "load_settings",
    "overrides_to_env",
    "settings_with_origin",
    "unsaid",
    "whose_position",
    "without_settings",
]
