"""How a command line of `gom` can go on: from its own options, the verbs, and what the daemon knows now."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from gom.usages import SUMMARIES, options_of, usage_of
from gom.verb_words import VERBS
from libgomd.endpoints import Endpoint
from libgomd.errors import GomdError
from libgomd.linesocket import dial
from libgomd.wire.lines import BLOCK, Request

#: Seconds to wait for the daemon: somebody has pressed Tab.
LIVE_TIMEOUT: Final = 1.0
#: Candidates at most: a shell shows no more usefully.
MAX_CANDIDATES: Final = 2000
FILES, COMMANDS = (":files", ""), (":commands", "")

Candidate = tuple[str, str]
#: Asks the daemon for the rows of a verb; empty when it cannot be asked.
Live = Callable[[Request], Sequence[dict[str, Any]]]

_GLOBAL: Final = {"-c": "ENDPOINT", "-t": "TOKEN", "--json": "", "--help": "", "--version": ""}
_SIGNALS: Final = ("TERM", "KILL", "INT", "HUP", "STOP", "CONT", "USR1", "USR2", "QUIT", "ALRM")
_SUBCOMMANDS: Final = {
    "key": ("new",),
    "token": ("add", "list", "remove"),
    "completion": ("bash", "zsh", "fish"),
}
#: Arguments of usage texts whose words are files.
_FILE_WORDS: Final = ("FILE", "DIR", "TOKENS")
#: Options and positions of gom's own commands that take something the daemon knows.
_ARGUMENTS: Final = {"attach": ("JOB",), "doctor": ("PID", "NODE"), "run": ("COMMAND", "FILE")}
#: The tree of values that `ls`, `get` and `put` name.
_TREE: Final = "/proc/"
#: Words that a shell reads as text alone, as all nodes, jobs and paths of the tree are. Bash types a word as
#: it is, and while no daemon runs anybody may listen at its port and name a node ``$(...)``.
_PLAIN: Final = re.compile(r"[\w@%+=:,./-]+")
_WORD_IN_USAGE: Final = re.compile(r"\[[^\]]*\]|\S+")


def live(places: Callable[[], Sequence[Endpoint]]) -> Live:
    """Return a function that asks the first daemon that answers; without one, it returns nothing."""

    def ask(request: Request) -> Sequence[dict[str, Any]]:
        try:
            line = dial(places(), LIVE_TIMEOUT, request)
            try:
                line.ask(Request("format", ("json",)), LIVE_TIMEOUT)
                if line.ask(request, LIVE_TIMEOUT).code != BLOCK:
                    return []
                return [row for row in map(json.loads, line.rows(LIVE_TIMEOUT)) if isinstance(row, dict)]
            finally:
                line.close()
        except (GomdError, OSError, ValueError):
            return []

    return ask


def candidates(words: Sequence[str], ask: Live) -> list[Candidate]:
    """
    Return how the last of ``words`` can go on, each with a few words about it.

    :param words: what stands behind `gom`, the last one as far as it is typed, perhaps empty.
    """
    *before, current = words or [""]
    found = [each for each in _all(before, current, ask) if each[0].startswith((current, ":"))]
    clean = {word: about for word, about in found if _PLAIN.fullmatch(word)}
    return list(clean.items())[:MAX_CANDIDATES]


def _all(before: Sequence[str], current: str, ask: Live) -> Iterator[Candidate]:
    rest = list(before)
    node = ""
    while rest and rest[0].startswith(("-", "@")):
        word = rest.pop(0)
        if word.startswith("@"):
            node = word[1:]
        elif _GLOBAL.get(word):
            if not rest:
                return
            rest.pop(0)
    if not rest:
        yield from _verbs(current, node, ask)
        return
    command, *arguments = rest
    command = command.lower()
    if command == "watch" and (watched := _watched(arguments)):
        yield from _all(watched, current, ask)
        return
    usage = usage_of(command)
    options = options_of(usage) or _verb_options(command)
    if arguments and (value := options.get(arguments[-1], ("",))[0]):
        yield from _values(value, current, ask, node)
        return
    option, joined, typed = current.partition("=")
    if joined and option.startswith("--") and (value := options.get(option, ("",))[0]):
        yield from ((f"{option}={word}", about) for word, about in _values(value, typed, ask, node))
        return
    if current.startswith("-"):
        yield from ((option, about) for option, (_value, about) in options.items())
        yield "--help", "show how it is used"
        return
    plain = _plain(arguments, options)
    if command in _SUBCOMMANDS:
        if plain:
            yield FILES
        else:
            yield from ((word, "") for word in _SUBCOMMANDS[command])
    elif command in _ARGUMENTS:
        wanted = _ARGUMENTS[command]
        yield from _values(wanted[min(len(plain), len(wanted) - 1)], current, ask, node)
    elif command in VERBS:
        yield from _argument(command, plain, current, ask, node)


def _watched(arguments: Sequence[str]) -> list[str]:
    """Return the verb that `watch` repeats, with the words behind it; empty while none is typed."""
    rest = list(arguments)
    while rest and rest[0] in ("-n", "-c"):
        del rest[:2]
    return rest


def _plain(arguments: Iterable[str], options: dict[str, tuple[str, str]]) -> list[str]:
    """Return the arguments without options and their values."""
    plain, skips = [], False
    for word in arguments:
        if skips:
            skips = False
        elif word.startswith("-"):
            skips = bool(options.get(word, ("",))[0])
        else:
            plain.append(word)
    return plain


def _verbs(current: str, node: str, ask: Live) -> Iterator[Candidate]:
    if current.startswith("@"):
        yield "@all", "every node that is up"
        yield from ((f"@{name}", about) for name, about in _values("NODE", current, ask, ""))
        return
    if current.startswith("-"):
        yield from ((option, "") for option in _GLOBAL)
        return
    yield from ((name, summary) for name, (_usage, _role, summary) in VERBS.items())
    if not node:
        yield from SUMMARIES.items()


def _verb_options(verb: str) -> dict[str, tuple[str, str]]:
    """Return the options in the usage of a verb of the daemon: ``[--top=N]``."""
    usage = VERBS.get(verb, ("", "", ""))[0]
    if verb == "watch":
        return {"-n": ("SECONDS", "from round to round"), "-c": ("COUNT", "rounds")}
    found = re.findall(r"(--?[a-z-]+)(?:[= ]([^\]\s]+))?\]", usage)
    return {option: (value, "") for option, value in found}


def _argument(verb: str, plain: Sequence[str], current: str, ask: Live, node: str) -> Iterator[Candidate]:
    """Yield the words that are possible at this place of a verb."""
    words = [word.strip("[]") for word in _WORD_IN_USAGE.findall(VERBS[verb][0])[1:]]
    places = [word for word in words if not word.startswith("-")]
    if not places:
        return
    place = places[-1] if places[-1].endswith("...") else None
    wanted = places[len(plain)] if len(plain) < len(places) else place
    if wanted == "..." and len(places) > 1:
        wanted = places[-2]
    if wanted is not None:
        yield from _values(wanted.removesuffix(" ..."), current, ask, node)


def _values(wanted: str, current: str, ask: Live, node: str) -> Iterator[Candidate]:
    """Yield the values of a word of a usage: PID, NODE|home|best, SIG, text|json ..."""
    for word in wanted.split("|"):
        if word in ("NODE", "NODES"):
            for row in ask(Request("nodes")):
                yield str(row["name"]), f"node {row['id']}{'' if row['up'] else ', down'}"
        elif word == "PID":
            for row in ask(Request("ps", (), node)):
                yield str(row["pid"]), f"{row['user']} {str(row['command'])[:40]}"
        elif word == "JOB":
            for row in ask(Request("jobs", (), node)):
                yield str(row["job"]), f"{row['state']} {str(row['command'])[:40]}"
        elif word == "SIG":
            yield from ((name, "") for name in _SIGNALS)
        elif word == "VERB":
            yield from ((name, summary) for name, (_usage, _role, summary) in VERBS.items())
        elif word == "PATH":
            yield from _paths(current, ask, node)
        elif word == "KEY":
            yield from ((key, "") for key in _verb_options("ps")["--sort"][0].split("|"))
        elif word == "COMMAND":
            yield COMMANDS
        elif word in _FILE_WORDS:
            yield FILES
        elif word and word == word.lower() and word.isalpha():
            yield word, ""


def _paths(current: str, ask: Live, node: str) -> Iterator[Candidate]:
    """Yield the names in a directory of the tree; the only one that fits has a slash if it is a directory."""
    if _TREE.startswith(current):
        yield _TREE, ""
        return
    if not current.startswith(_TREE):
        return
    directory = current[: current.rindex("/") + 1]
    found = [directory + str(row["name"]) for row in ask(Request("ls", (directory.rstrip("/"),), node))]
    fitting = [path for path in found if path.startswith(current)]
    if len(fitting) == 1:
        inside = [str(row["name"]) for row in ask(Request("ls", (fitting[0],), node))]
        if inside not in ([], [fitting[0].removeprefix(directory)]):  # `ls` of a file names the file
            fitting = [f"{fitting[0]}/"]
    yield from ((path, "") for path in fitting)
