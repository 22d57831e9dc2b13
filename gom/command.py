"""The `gom` command: parses its options, runs the verb, and turns errors into an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from libgomd.endpoints import Endpoint, default_endpoints, parse_endpoint
from libgomd.errors import ConfigError, ConnectionLost, GomdError, MalformedReply, MalformedRequest
from libgomd.stdfds import open_closed_streams
from libgomd.version import VERSION
from libgomd.wire.text import printable

DONE, REFUSED, WRONG_USAGE, NO_DAEMON, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 130, 141

MIGRATE_USAGE = """\
usage: gom migrate [--dry-run] PID NODE|home|best

  PID        the process, by its number here; its whole job moves with it
  NODE       the node to move it to, by id or name; home: where it was started; best: the best node now
  --dry-run  move nothing, only say whether it could, or every reason why not

The command returns when the process runs there, or says why it stays. Ctrl-C ends the waiting, not the move.
"""
USAGE = """\
usage: gom [-c ENDPOINT] [-t TOKEN] [--json] [@NODE] VERB [ARG ...]
       gom run [OPTION ...] COMMAND [ARG ...]
       gom attach [OPTION ...] JOB
       gom top [OPTION ...]
       gom mon [OPTION ...]
       gom page [--no-open]
       gom init [OPTION ...]
       gom doctor [OPTION ...] [PID NODE]
       gom completion bash|zsh|fish
       gom key new FILE
       gom token add NAME ROLE [--file TOKENS]
       gom token list [--file TOKENS]
       gom token remove NAME [--file TOKENS]

  -c ENDPOINT  the daemon to ask: unix:PATH or tcp:HOST:PORT. Default: $GOMD_ENDPOINT, else the
               unix socket of your own daemon or of root's, else tcp:127.0.0.1:2901, where any
               program may listen: only verbs that read are sent there unless you name it
  -t TOKEN     your token, for tcp; better in $GOMD_TOKEN, where `ps` does not show it
  --json       answer in JSON, one object a line
  @NODE        send the verb to that node, by id or name; @all sends it to every node that is up

  VERB         what to ask the daemon: `gom help` lists the verbs, such as nodes, ps, jobs and kill
  run          run a command on the best node, or on one you name; see `gom run --help`
  attach       connect to a job again, by its number in `gom jobs`
  mon          the nodes of the cluster as bars or a map, live; see `gom mon --help`
  migrate      move a process to another node; see `gom migrate --help`
  top          every process of the cluster, live on one screen; see `gom top --help`
  page         open the page in a browser, signed in as you; see `gom page --help`
  history      show values of a node over time; see `gom history --help`. `ps` and `nodes` take --at T,
               and `events` --since T, for what was then: T is 15m, 12h, 3d, HH:MM or a date
  report       write charts of some hours into an HTML file; see `gom report --help`
  init         configure this machine as a node of a cluster; see `gom init --help`
  doctor       what works on this node and in its cluster, and what mends the rest; see `gom doctor --help`
  completion   print what completes the words of gom in a shell; see `gom completion --help`
  key new      make the secret that all nodes of a cluster share
  token        give people and programs a role over tcp; ROLE is read, user or admin;
               TOKENS is the daemon's tokens file, by default the one in its state directory

Exit status: 0 done, 1 the daemon refused, 2 wrong usage, 3 no daemon there; `run` and `do` pass on
the command's own, 128 + the signal's number if one ended it.
"""


class WrongUsage(Exception):
    """The command line is wrong; the text says what is wrong."""


class GlobalOptions(NamedTuple):
    """The options before the verb, and the words from the verb on."""

    endpoint: str
    token: str
    json: bool
    words: tuple[str, ...]


def run() -> int:
    """Run the `gom` command: the entry point."""
    open_closed_streams()
    return main(sys.argv[1:])


def main(argv: Sequence[str]) -> int:
    """Do what ``argv`` says and return the exit status. Blocks."""
    try:
        return _do(argv)
    except WrongUsage as error:
        told = str(error)
        return _fail(told if "--help`" in told else f"{told}; see `{_help_for(argv, error)}`", WRONG_USAGE)
    except (ConnectionLost, MalformedReply) as error:
        return _fail(str(error), NO_DAEMON)
    except GomdError as error:
        return _fail(str(error), REFUSED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has closed it. Without this, Python reports its own buffer at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        return _fail(f"the answer cannot be written: {error.strerror}", REFUSED)


def _help_for(argv: Sequence[str], error: WrongUsage) -> str:
    """Return the command line that explains what was used wrongly: the verb's own help where it has one."""
    from gom.usages import usage_of

    try:
        words = parse(argv).words
    except WrongUsage:
        return "gom --help"
    verb = next((word for word in words if not word.startswith("@")), "").lower()
    is_own = verb in ("history", "report") or bool(usage_of(verb))
    return f"gom {verb} --help" if is_own and not isinstance(error.__cause__, ConfigError) else "gom --help"


def _fail(sentence: str, status: int) -> int:
    print(f"gom: {printable(sentence)}", file=sys.stderr)
    return status


def _wants_help(options: GlobalOptions) -> bool:
    return options.words[1:] in (("-h",), ("--help",))


def _do(argv: Sequence[str]) -> int:
    if argv and argv[0] in ("-h", "--help"):
        print(USAGE, end="", flush=True)
        return DONE
    if argv and argv[0] == "--version":
        print(f"gom {VERSION}", flush=True)
        return DONE
    options = parse(argv)
    verb = options.words[0].lower()
    if verb in ("run", "attach"):
        return _job(verb, options)
    if verb == "top":
        return _top(options)
    if verb == "mon":
        return _mon(options)
    if verb == "migrate" and _wants_help(options):
        print(MIGRATE_USAGE, end="", flush=True)
        return DONE
    if verb == "page":
        return _page(options)
    if verb == "history" or (
        [word.lower() for word in options.words[1:2]] == ["history"] and verb[:1] == "@"
    ):
        return _history(options)
    if verb == "report":
        return _report(options)
    if verb in ("init", "doctor", "completion"):
        return _administer(verb, options)
    if verb in _LOCAL:
        return _LOCAL[verb](options.words[1:])
    return _relay(options)


def parse(argv: Sequence[str]) -> GlobalOptions:
    """
    Return the options in ``argv``. Everything after the verb belongs to the verb.

    :raises WrongUsage: an option is unknown or lacks its value, or there is no verb.
    """
    words = list(argv)
    endpoint, token, json = "", os.environ.get("GOMD_TOKEN", ""), False
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--":
            break
        if option == "--json":
            json = True
        elif option in ("-c", "-t"):
            if not words:
                raise WrongUsage(f"{option} needs a value")
            if option == "-c":
                endpoint = words.pop(0)
            else:
                token = words.pop(0)
        else:
            raise WrongUsage(f"there is no option {option}")
    if not words:
        raise WrongUsage("a verb is missing")
    if words[0].startswith("@") and len(words) == 1:
        raise WrongUsage(f"a verb is missing after {words[0]}")
    return GlobalOptions(endpoint, token, json, tuple(words))


def _endpoints(options: GlobalOptions) -> tuple[Endpoint, ...]:
    if options.endpoint:
        return (parse_endpoint(options.endpoint),)
    return default_endpoints(os.environ, os.getuid())


def _job(verb: str, options: GlobalOptions) -> int:
    """Run or attach to a job, with this terminal as its terminal."""
    from gom import run, run_options

    if _wants_help(options):
        print(run_options.RUN_USAGE if verb == "run" else run_options.ATTACH_USAGE, end="", flush=True)
        return DONE
    try:
        endpoints = _endpoints(options)
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
        return _fail(str(error), code)


def _top(options: GlobalOptions) -> int:
    """Show the processes of the cluster, live or as one picture."""
    from gom.monitor import extra, top

    if _wants_help(options):
        print(top.USAGE, end="", flush=True)
        return DONE
    if options.json:
        raise WrongUsage("gom top draws pictures: for JSON, say `gom --json @all ps --top 20`")
    try:
        wanted, endpoints = top.parse(options.words[1:]), _endpoints(options)
    except (ConfigError, MalformedRequest) as error:
        raise WrongUsage(str(error)) from error
    try:
        return top.run(endpoints, options.token, wanted)
    except extra.NoScreen as error:
        return _fail(str(error), WRONG_USAGE)


def _mon(options: GlobalOptions) -> int:
    """Show the nodes of the cluster, live or as one picture."""
    from gom.monitor import extra, mon

    if _wants_help(options):
        print(mon.USAGE, end="", flush=True)
        return DONE
    if options.json:
        raise WrongUsage("gom mon draws pictures: for JSON, say `gom --json nodes`")
    try:
        wanted, endpoints = mon.parse(options.words[1:]), _endpoints(options)
    except (ConfigError, MalformedRequest) as error:
        raise WrongUsage(str(error)) from error
    try:
        return mon.run(endpoints, options.token, wanted)
    except extra.NoScreen as error:
        return _fail(str(error), WRONG_USAGE)


def _page(options: GlobalOptions) -> int:
    """Open the page, signed in as the user."""
    from gom import page

    words = options.words[1:]
    if _wants_help(options):
        print(page.USAGE, end="", flush=True)
        return DONE
    if words not in ((), ("--no-open",)):
        raise WrongUsage("usage: gom page [--no-open]")
    try:
        endpoints = _endpoints(options)
    except ConfigError as error:
        raise WrongUsage(str(error)) from error
    print(page.page(endpoints, opens=not words), flush=True)
    return DONE


def _history(options: GlobalOptions) -> int:
    """Print values over time; `--csv` and `--json` are about the output, and not sent."""
    from gom import history
    from gom.relay import request_of

    if _wants_help(options):
        print(history.HISTORY_USAGE, end="", flush=True)
        return DONE
    words = tuple(word for word in options.words if word not in ("--csv", "--json"))
    as_json = options.json or "--json" in options.words
    try:
        request = request_of(_with_moments(words))
        endpoints = _endpoints(options)
    except (ConfigError, MalformedRequest) as error:
        raise WrongUsage(str(error)) from error
    return history.history(endpoints, options.token, as_json, "--csv" in options.words, request)


def _report(options: GlobalOptions) -> int:
    """Write an HTML file about some hours."""
    from gom.report import command
    from libgomd.wallclock import wall_clock

    if _wants_help(options):
        print(command.REPORT_USAGE, end="", flush=True)
        return DONE
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
            options.words[1:], lambda: _endpoints(options), options.token, options.json
        )
    except MalformedRequest as error:
        raise WrongUsage(str(error)) from error


def _relay(options: GlobalOptions) -> int:
    from gom.relay import relay, request_of

    if options.words == ("help",) and not options.json:
        print(USAGE, flush=True)
    try:
        line = request_of(_with_moments(_with_plain_options(options.words)))
        endpoints = _endpoints(options)
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


def _key(words: Sequence[str]) -> int:
    from gom import key

    if len(words) != 2 or words[0] != "new":
        raise WrongUsage("usage: gom key new FILE")
    print(key.new(words[1]), flush=True)
    return DONE


def _token(words: Sequence[str]) -> int:
    from gom import token

    path, rest = _take_file(words)
    match rest:
        case ["add", name, role]:
            try:
                token.check(name, role)
            except ConfigError as error:
                raise WrongUsage(str(error)) from error
            print(token.add(path or token.default_file(), name, role), flush=True)
        case ["remove", name]:
            token.remove(path or token.default_file(), name)
        case ["list"]:
            lines, mistakes = token.listing(path or token.default_file())
            for mistake in mistakes:
                _fail(mistake, REFUSED)
            print("".join(f"{line}\n" for line in lines), end="", flush=True)
        case _:
            raise WrongUsage("usage: gom token add NAME ROLE | list | remove NAME [--file TOKENS]")
    return DONE


def _take_file(words: Sequence[str]) -> tuple[str, list[str]]:
    rest = list(words)
    if "--file" not in rest:
        return "", rest
    at = rest.index("--file")
    if at + 1 == len(rest):
        raise WrongUsage("--file needs the name of the tokens file")
    path = rest[at + 1]
    del rest[at : at + 2]
    return path, rest


#: Verbs that `gom` itself does, without a daemon.
_LOCAL: dict[str, Callable[[Sequence[str]], int]] = {"key": _key, "token": _token}
