"""The `gom` command: runs the verb, and turns errors into a sentence and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from gom.global_options import (
    BROKEN_PIPE,
    DONE,
    INTERRUPTED,
    NO_DAEMON,
    REFUSED,
    WRONG_USAGE,
    GlobalOptions,
    WrongUsage,
    endpoints_of,
    fail,
    parse,
    wants_help,
)
from libgomd.errors import ConfigError, ConnectionLost, GomdError, MalformedReply, MalformedRequest
from libgomd.stdfds import discard_output, open_closed_streams


def run() -> int:
    """Run the `gom` command: the entry point."""
    open_closed_streams()
    code = main(sys.argv[1:], _hand_over)
    if not _has_more_to_end():
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            return code  # Python says so at its end
        os._exit(code)  # Python's own end takes some milliseconds, a tenth of what a short command takes
    return code


def _has_more_to_end() -> bool:
    """Return whether this process may have to do something at its end, besides writing what was printed."""
    return any(name in sys.modules for name in ("atexit", "threading"))


def _hand_over(name: str, words: Sequence[str]) -> None:
    from gom.compiled import hand_over

    hand_over(name, words)


def main(argv: Sequence[str], hand_over: Callable[[str, Sequence[str]], None] | None = None) -> int:
    """
    Do what ``argv`` says and return the exit status. Blocks.

    :param hand_over: see `gom.compiled.hand_over`; None: everything is done in this process.
    """
    try:
        return _do(argv, hand_over)
    except WrongUsage as error:
        told = str(error)
        return fail(told if "--help`" in told else f"{told}; see `{_help_for(argv, error)}`", WRONG_USAGE)
    except (ConnectionLost, MalformedReply) as error:
        return fail(str(error), NO_DAEMON)
    except GomdError as error:
        return fail(_with_help(argv, error), REFUSED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return BROKEN_PIPE
    except OSError as error:
        discard_output()
        return fail(f"the answer cannot be written: {error.strerror}", REFUSED)


def _with_help(argv: Sequence[str], error: GomdError) -> str:
    """Return the sentence of an error; a line of usage from the daemon also says where the help of gom is."""
    told = str(error)
    if not isinstance(error, MalformedRequest) or not told.startswith("usage: ") or "--help`" in told:
        return told
    return f"{told}; see `{_help_for(argv, error)}`"


def _help_for(argv: Sequence[str], error: Exception) -> str:
    """Return the command line that explains what was used wrongly: the verb's own help where it has one."""
    from gom.usages import usage_of

    try:
        words = parse(argv).words
    except WrongUsage:
        return "gom --help"
    verb = next((word for word in words if not word.startswith("@")), "").lower()
    is_own = verb in ("history", "report") or bool(usage_of(verb))
    return f"gom {verb} --help" if is_own and not isinstance(error.__cause__, ConfigError) else "gom --help"


def _do(argv: Sequence[str], hand_over: Callable[[str, Sequence[str]], None] | None) -> int:
    options = parse(argv)
    if wants_help(options):
        from gom.help_command import help_text

        if text := help_text(options):
            print(text, end="", flush=True)
            return DONE
    verb = options.words[0].lower()
    if verb in ("run", "attach"):
        if hand_over is not None:
            hand_over("gom", argv)
        return _job(verb, options)
    if verb == "top":
        return _top(options)
    if verb == "mon":
        return _mon(options)
    if verb == "page":
        return _page(options)
    if verb == "history" or (
        [word.lower() for word in options.words[1:2]] == ["history"] and verb[:1] == "@"
    ):
        return _history(options)
    if verb == "report":
        return _report(options)
    if verb in ("init", "invite", "doctor", "mount", "completion"):
        return _administer(verb, options)
    if verb == "do" and len(options.words) > 2:
        return _do_everywhere(options)
    if verb in ("key", "token"):
        from gom.secret_commands import key_command, token_command

        return (key_command if verb == "key" else token_command)(options.words[1:])
    return _relay(options)


def _job(verb: str, options: GlobalOptions) -> int:
    """Run or attach to a job, with this terminal as its terminal."""
    from gom import run, run_options

    try:
        endpoints = endpoints_of(options)
        if verb == "run":
            wanted = run_options.parse(options.words[1:])
        else:
            attached = run_options.parse_attachment(options.words[1:])
    except (ConfigError, MalformedRequest) as error:
        raise WrongUsage(str(error)) from error
    try:
        if verb == "run":
            return run.run(endpoints, options.token, wanted)
        return run.attach(endpoints, options.token, attached)
    except GomdError as error:
        code = getattr(error, "code", 0)
        if code not in run.SHELL_CODES:
            raise
        return fail(str(error), code)


def _top(options: GlobalOptions) -> int:
    """Show the processes of the cluster, live or as one picture."""
    from gom.monitor import extra, top

    if options.json:
        raise WrongUsage(top.NO_JSON)
    try:
        wanted, endpoints = top.parse(options.words[1:]), endpoints_of(options)
    except (ConfigError, MalformedRequest) as error:
        raise WrongUsage(str(error)) from error
    try:
        return top.run(endpoints, options.token, wanted)
    except extra.NoScreen as error:
        return fail(str(error), WRONG_USAGE)


def _mon(options: GlobalOptions) -> int:
    """Show the nodes of the cluster, live or as one picture."""
    from gom.monitor import extra, mon

    if options.json:
        raise WrongUsage(mon.NO_JSON)
    try:
        wanted, endpoints = mon.parse(options.words[1:]), endpoints_of(options)
    except (ConfigError, MalformedRequest) as error:
        raise WrongUsage(str(error)) from error
    try:
        return mon.run(endpoints, options.token, wanted)
    except extra.NoScreen as error:
        return fail(str(error), WRONG_USAGE)


def _page(options: GlobalOptions) -> int:
    """Open the page, signed in as the user."""
    from gom import page

    words = options.words[1:]
    if words not in ((), ("--no-open",)):
        raise WrongUsage("usage: gom page [--no-open]")
    try:
        endpoints = endpoints_of(options)
    except ConfigError as error:
        raise WrongUsage(str(error)) from error
    print(page.page(endpoints, opens=not words), flush=True)
    return DONE


def _history(options: GlobalOptions) -> int:
    """Print values over time; `--csv` and `--json` are about the output, and not sent."""
    from gom import history
    from gom.relay import request_of

    words = tuple(word for word in options.words if word not in ("--csv", "--json"))
    as_json = options.json or "--json" in options.words
    try:
        request = request_of(_with_moments(words))
        endpoints = endpoints_of(options)
    except (ConfigError, MalformedRequest) as error:
        raise WrongUsage(str(error)) from error
    return history.history(endpoints, options.token, as_json, "--csv" in options.words, request)


def _do_everywhere(options: GlobalOptions) -> int:
    """Run a command of [commands] on many nodes."""
    from gom import do_options

    try:
        wanted, endpoints = do_options.parse(options.words[1:]), endpoints_of(options)
    except (ConfigError, MalformedRequest) as error:
        raise WrongUsage(str(error)) from error
    if wanted is None:
        return _relay(options)
    from gom import do_everywhere

    return do_everywhere.run(endpoints, options.token, options.json, wanted)


def _report(options: GlobalOptions) -> int:
    """Write an HTML file about some hours."""
    from gom.report import command
    from libgomd.wallclock import wall_clock

    try:
        words = _with_moments(options.words)[1:]
        print(command.report(options.endpoint, options.token, words, wall_clock), flush=True)
    except (ConfigError, MalformedRequest) as error:
        raise WrongUsage(str(error)) from error
    return DONE


def _with_moments(words: tuple[str, ...]) -> tuple[str, ...]:
    from gom.moments import MOMENT_OPTIONS, with_moments

    if not any(word.startswith(MOMENT_OPTIONS) for word in words):
        return words
    from libgomd.wallclock import wall_clock

    return with_moments(words, wall_clock())


def _administer(verb: str, options: GlobalOptions) -> int:
    """Do what does not need a daemon and is no answer of one: init, doctor or completion."""
    from gom import administer

    try:
        return administer.COMMANDS[verb](
            options.words[1:], lambda: endpoints_of(options), options.token, options.json
        )
    except MalformedRequest as error:
        raise WrongUsage(str(error)) from error


def _relay(options: GlobalOptions) -> int:
    from gom.relay import relay, request_of

    if options.words == ("help",) and not options.json:
        from gom.help_texts import USAGE

        print(USAGE, flush=True)
    try:
        line = request_of(_with_moments(_with_plain_options(options.words)))
        endpoints = endpoints_of(options)
    except (ConfigError, MalformedRequest) as error:
        raise WrongUsage(str(error)) from error
    return relay(endpoints, options.token, options.json, line)


def _with_plain_options(words: tuple[str, ...]) -> tuple[str, ...]:
    """
    Return the words as the line protocol expects them: ``--dry-run`` becomes the last word.

    :raises WrongUsage: `migrate` has no such option.
    """
    at = 2 if words[0].startswith("@") else 1
    if words[at - 1].lower() != "migrate":
        return words
    options = [word for word in words[at:] if word.startswith("-")]
    if unknown := [option for option in options if option != "--dry-run"]:
        raise WrongUsage(f"there is no option {unknown[0]} of migrate")
    rest = tuple(word for word in words[at:] if not word.startswith("-"))
    return (*words[:at], *rest, *(("dry-run",) if options else ()))
