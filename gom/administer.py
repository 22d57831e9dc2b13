"""The commands of `gom` for administrators, `init`, `invite` and others. Each returns the exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from libgomd.endpoints import Endpoint
from libgomd.errors import ConfigError, MalformedRequest
from libgomd.wire.text import printable

#: Gives the endpoints where the daemon may be. Raises ConfigError when an endpoint that was named is none.
Places = Callable[[], tuple[Endpoint, ...]]


def _init(words: Sequence[str], places: Places, token: str, json: bool) -> int:
    """Configure this node."""
    from gom import init, init_options

    if tuple(words) in (("-h",), ("--help",)):
        print(init_options.USAGE, end="", flush=True)
        return 0
    if json:
        raise MalformedRequest("gom init has no answer in JSON")
    options = init_options.parse(words)
    print(init.init(options, _ask if sys.stdin.isatty() and sys.stdout.isatty() else None), flush=True)
    return 0


def _ask(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        print()
        raise ConfigError(["no answer: nothing was written"]) from None


def _doctor(words: Sequence[str], places: Places, token: str, json: bool) -> int:
    """Say what does not work."""
    from gom import doctor

    if tuple(words) in (("-h",), ("--help",)):
        print(doctor.USAGE, end="", flush=True)
        return 0
    return doctor.doctor(places(), token, doctor.parse(words), json)


def _invite(words: Sequence[str], places: Places, token: str, json: bool) -> int:
    """Invite a node."""
    from gom import invite

    if tuple(words) in (("-h",), ("--help",)):
        print(invite.USAGE, end="", flush=True)
        return 0
    if json:
        raise MalformedRequest("gom invite has no answer in JSON")
    has_person = sys.stdin.isatty() and sys.stdout.isatty()
    return invite.invite(places(), token, invite.parse(words), _ask if has_person else None)


def _mount(words: Sequence[str], places: Places, token: str, json: bool) -> int:
    """Mount the tree."""
    from gom.mount import command

    if tuple(words) in (("-h",), ("--help",)):
        print(command.USAGE, end="", flush=True)
        return 0
    if json:
        raise MalformedRequest("gom mount has no answer in JSON")
    options, found = command.parse(words), places()
    return command.mount(str(found[0]) if len(found) == 1 else None, token, options)


def _completion(words: Sequence[str], places: Places, token: str, json: bool) -> int:
    """Print a script for a shell, or the words that it asks for."""
    from gom import completion

    if tuple(words) in (("-h",), ("--help",)):
        print(completion.USAGE, end="", flush=True)
        return 0
    if words[:1] == ("words",):
        from gom import candidates

        typed = words[2:] if words[1:2] == ("--",) else words[1:]
        for word, about in candidates.candidates(typed, candidates.live(places)):
            print(f"{word}\t{printable(about)}" if about else word)
        return 0
    if len(words) != 1 or words[0] not in completion.SCRIPTS:
        raise MalformedRequest("usage: gom completion bash|zsh|fish")
    print(completion.SCRIPTS[words[0]], end="", flush=True)
    return 0


COMMANDS: Final[Mapping[str, Callable[[Sequence[str], Places, str, bool], int]]] = {
    "init": _init,
    "invite": _invite,
    "mount": _mount,
    "doctor": _doctor,
    "completion": _completion,
}
