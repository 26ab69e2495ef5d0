"""Run ``pj VERB``: find the verb in the table, read its arguments, run it, turn errors into one sentence.

Nothing heavy is imported before the verb is known: ``pj --help`` answers at once.
"""

from __future__ import annotations

import difflib
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Final

from pj import __version__
from pj.channels.dumps import no_memory_dumps
from pj.verbs.schema import EXIT_CODES, INTERRUPTED, READER_LEFT, UsageError, Verb
from pj.verbs.table import VERBS

#: Errors that are the user's to mend, by qualified name (their modules stay unimported), and their exit codes.
USER_ERRORS: Final = {
    "pj.verbs.schema.UsageError": 2,
    "pj.verbs.common.Refusal": 2,
    "pj.verbs.common.Unavailable": 3,
    "pj.settings_text.ConfigError": 2,
    "pj.clock.ClockError": 2,
    "pj.contracts.ContractError": 2,
    "pj.calendar.CalendarError": 3,
    "pj.channels.files.Locked": 2,
    "pj.channels.files.WriteFailed": 3,
    "pj.demo.plan.DemoError": 2,
    "pj.demo.servers.ServerFailed": 3,
    "pj.sheets.client.CredentialsUnusable": 2,
    "pj.sheets.client.SheetFailure": 3,
    "live.params.ParamsError": 2,
    "strategies.mle.bar_file.BacktestInputError": 2,
    "pj.store.raw_bars.StoreError": 2,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    no_memory_dumps()
    try:
        code = _run(words)
        _write_out()
        return code
    except KeyboardInterrupt:
        verb = _named(words)
        done = verb is not None and verb[0].until_stopped
        sys.stderr.write("stopped by the operator\n" if done else "interrupted: it is not done\n")
        return 0 if done else INTERRUPTED
    except BrokenPipeError:  # cut off in the middle, so that nobody knows what its code would have been
        _say_no_more()
        return READER_LEFT
    except Exception as error:
        mendable = exit_code_of(error)
        if mendable is None:
            raise
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return mendable


def _write_out() -> None:
    """Write what is still in the buffer; a reader who left (`pj status | head -1`) changes nothing of what was done."""
    try:
        if sys.stdout is not None:  # pythonw has none
            sys.stdout.flush()
    except BrokenPipeError:
        _say_no_more()


def _say_no_more() -> None:
    """Send what is still to be printed nowhere, or the interpreter fails on it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def exit_code_of(error: BaseException) -> int | None:
    """Return the exit code of an error that the user can mend, None for a defect of ours."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
    return next((USER_ERRORS[name] for name in names if name in USER_ERRORS), None)


def _run(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help"}:
        print(overview(VERBS))
        return 0 if words else 2
    if words[0] == "--describe":
        print(json.dumps({verb.name: verb.describe() for verb in VERBS}, indent=2))
        return 0
    if words[0] == "--version":
        print(f"pj-engine {__version__}")
        return 0
    found = _find(words)
    if found is None:
        return 0
    verb, rest = found
    if "--describe" in rest:
        print(json.dumps(verb.describe(), indent=2))
        return 0
    parser = verb.parser()
    if {"-h", "--help"} & set(rest):
        print(parser.format_help())
        return 0
    module, _, function = verb.run.partition(":")
    options = vars(_parse(verb, rest))
    call = getattr(importlib.import_module(module), function)
    return _code(call(rest) if verb.forward else call(options))


def _parse(verb: Verb, rest: list[str]) -> object:
    parser = verb.parser()
    options, unknown = parser.parse_known_args(rest)
    if unknown:
        flags = [argument.name for argument in verb.arguments if argument.name.startswith("-")]
        near = difflib.get_close_matches(unknown[0].partition("=")[0], flags, 1)
        hint = f"did you mean {near[0]}?" if near else f"see '{parser.prog} --help'"
        raise UsageError(f"{parser.prog}: unknown argument {unknown[0]!r}; {hint}")
    del options.describe
    return options


def _named(words: list[str]) -> tuple[Verb, list[str]] | None:
    """Return the verb that the first words name, and what follows it."""
    names = {verb.name: verb for verb in VERBS}
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in names and len(words) >= count:
            return names[name], words[count:]
    return None


def _find(words: list[str]) -> tuple[Verb, list[str]] | None:
    """Return the verb and what follows it; None when a family's help was printed instead."""
    found = _named(words)
    if found is not None:
        return found
    names = {verb.name: verb for verb in VERBS}
    family = [verb for verb in VERBS if verb.name.startswith(f"{words[0]} ")]
    if family and (len(words) < 2 or words[1] in {"-h", "--help"}):
        print(overview(family))
        if len(words) < 2:
            raise UsageError(f"pj {words[0]} needs one of: {', '.join(verb.name.split()[1] for verb in family)}")
        return None
    said = " ".join(words[:2]) if family else words[0]
    near = difflib.get_close_matches(said, [*names, *(name.split()[0] for name in names)], 1)
    hint = f"did you mean 'pj {near[0]}'?" if near else "see 'pj --help'"
    raise UsageError(f"pj has no verb {said!r}; {hint}")


def overview(verbs: Sequence[Verb]) -> str:
    """Return the help over several verbs."""
    width = max(len(verb.name) for verb in verbs)
    lines = ["usage: pj VERB [arguments]", ""]
    lines += [f"  {verb.name:<{width}}  {verb.help}" for verb in verbs]
    lines += ["", "pj VERB --help says more, pj VERB --describe says it as JSON.", "", "exit codes:"]
    return "\n".join(lines + [f"  {code}  {text}" for code, text in EXIT_CODES.items()])


def _code(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a verb returned {value!r} and not an exit code")
    return value


if __name__ == "__main__":
    sys.exit(main())
