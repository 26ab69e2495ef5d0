"""Search a space of parameters: ``pj search``."""

from __future__ import annotations

import sys
from datetime import date

from pj.settings_text import parse_yaml, read_text
from pj.verbs.bars_quality import gap_policy, inspector
from pj.verbs.common import Options, Refusal, Unavailable, print_json


def search(options: Options) -> int:
    """Try every combination of the space and keep each trial in a folder; return 0, also when stopped by Ctrl-C.

    The folder then waits for --resume.
    """
    where = options["space"]
    raw = parse_yaml(read_text(where), str(where))
    from strategies.mle.search.progress import Progress, Stop
    from strategies.mle.search.unavailable import SearchUnavailable
    from strategies.mle.titan_search import BarChoice, read_space, run_search

    if options["threads"] is not None and options["threads"] < 1:
        raise Refusal(f"--threads is {options['threads']}; give at least 1")
    start, end = (date.fromisoformat(options[name]) if options[name] else None for name in ("from", "to"))
    choice = BarChoice(options["bars"], options["symbol"], start, end, options["front"], options["snap"])
    stop = Stop()
    with stop.on_interrupt():
        try:
            summary = run_search(
                choice,
                read_space(raw, choice.instrument()),
                options["out"],
                backend=options["backend"],
                resume=options["resume"],
                threads=options["threads"],
                say=_say,
                stop=stop,
                progress=Progress,
                inspect=inspector(gap_policy(options, "material")),
            )
        except SearchUnavailable as error:
            raise Unavailable(str(error)) from error
    if options["json"]:
        print_json(summary.as_dict())
        return 0
    for name, value in summary.as_dict().items():
        print(f"{name.replace('_', ' '):<16} {'-' if value in {None, ''} else value}")
    if summary.finished:
        print(f"The best of {summary.trials:,} tries looks good on noise too: 'pj validate --search' weighs it.")
    else:
        print(f"Stopped: {summary.stored:,} of {summary.trials:,} are stored. Go on: the same command with --resume.")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
