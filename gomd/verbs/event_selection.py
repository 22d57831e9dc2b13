"""Which events the verb `events` lists: the options behind it."""

from __future__ import annotations

from typing import Final

from gomd.verbs import arguments as words
from libgomd.errors import MalformedRequest
from libgomd.model import EventKind

USAGE: Final = "[--kind=KIND,...] [--newest=N]"
#: Most events that `--newest` takes.
MAX_NEWEST: Final = 100_000
_EXAMPLES: Final = {"--kind": "--kind migrated,down", "--newest": "--newest 20"}


def parse(arguments: tuple[str, ...]) -> tuple[frozenset[EventKind], int | None]:
    """
    Return which kinds of events are wanted, empty for all, and how many of the newest, None for all.

    :raises MalformedRequest: an option is unknown, is given twice, or has no value or a wrong one.
    """
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        option, is_joined, value = rest.pop(0).partition("=")
        if option not in _EXAMPLES:
            raise MalformedRequest(f"events has no option {option[:40]}: it has {' '.join(_EXAMPLES)}")
        if option in given:
            raise MalformedRequest(f"{option} is given twice: give it once")
        if not is_joined:
            if not rest:
                raise MalformedRequest(f"{option} takes a value: {_EXAMPLES[option]}")
            value = rest.pop(0)
        given[option] = value
    newest = given.get("--newest")
    return (
        frozenset(map(_kind, given["--kind"].split(","))) if "--kind" in given else frozenset(),
        None if newest is None else words.whole_number(newest, "--newest", 1, MAX_NEWEST),
    )


def _kind(text: str) -> EventKind:
    try:
        return EventKind(text.lower())
    except ValueError:
        kinds = ", ".join(kind.value for kind in EventKind)
        raise MalformedRequest(f"there is no kind of event {text[:40]}: there is {kinds}") from None
