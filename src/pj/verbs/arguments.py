"""Name the arguments that many verbs share, once."""

from __future__ import annotations

from typing import Final

from pj.verbs.schema import Argument

CONFIG: Final = Argument("--config", "the settings file to use instead of ./config.yaml", kind="path")
SET: Final = Argument("--set", "one setting, e.g. ibkr.port=4001; may be repeated", repeat=True, metavar="KEY=VALUE")
RUN_DIR: Final = Argument("--run-dir", "the run folder (setting run_dir)", kind="path", metavar="DIR")
JSON: Final = Argument("--json", "report as JSON on stdout", kind="flag")
SETTINGS: Final = (CONFIG, SET, RUN_DIR)
PROFILE: Final = (
    Argument("--profile", "setting profile", choices=("paper", "live")),
    Argument("--live", "confirm that real money is meant; needed with the live profile", kind="flag"),
)
ALLOW_GAPS: Final = Argument(
    "--allow-gaps", "go on whatever minutes the bars lack; they are listed and recorded", kind="flag"
)
REFUSE_GAPS: Final = Argument("--refuse-gaps", "refuse bars with any unexplained gap, however small", kind="flag")
GAP_SWITCHES: Final = (ALLOW_GAPS, REFUSE_GAPS)
