"""The commands of `gom` for whoever administers a node: `init` and `doctor`. Each returns the exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from libgomd.endpoints import Endpoint
from libgomd.errors import ConfigError, MalformedRequest

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


COMMANDS: Final[Mapping[str, Callable[[Sequence[str], Places, str, bool], int]]] = {
    "init": _init,
    "doctor": _doctor,
}
