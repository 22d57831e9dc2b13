"""Which events the verb `events` lists: the options behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gomd.verbs import arguments as words
from gomd.verbs.options import split_options
from libgomd.errors import MalformedRequest
from libgomd.model import Event, EventKind

USAGE: Final = "[--kind=KIND,...] [--newest=N] [--since=T] [--until=T]"
#: Most events that `--newest` takes.
MAX_NEWEST: Final = 100_000
_EXAMPLES: Final = {
    "--kind": "--kind migrated,down", "--newest": "--newest 20",
    "--since": "--since 12h", "--until": "--until 1h",
}  # fmt: skip
_TIMES: Final = ("--since", "--until")


class EventSelection(NamedTuple):
    """
    What is wanted.

    :ivar kinds: of events, empty for all. :ivar newest: that many of the newest at most, None for all.
    :ivar times: ``--since`` and ``--until`` with their values, where they are given.
    """

    kinds: frozenset[EventKind] = frozenset()
    newest: int | None = None
    times: dict[str, str] = {}

    def of(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events that are wanted, by kind and number."""
        found = [event for event in events if not self.kinds or event.kind in self.kinds]
        return found if self.newest is None else found[-self.newest :]


def parse(arguments: tuple[str, ...]) -> EventSelection:
    """
    Return which events are wanted.

    :raises MalformedRequest: an option is unknown, is given twice, or has no value or a wrong one.
    """
    plain, given = split_options("events", arguments, _EXAMPLES)
    if plain:
        raise MalformedRequest(f"events has no option {plain[0][:40]}: it has {' '.join(_EXAMPLES)}")
    newest = given.get("--newest")
    return EventSelection(
        frozenset(map(_kind, given["--kind"].split(","))) if "--kind" in given else frozenset(),
        None if newest is None else words.whole_number(newest, "--newest", 1, MAX_NEWEST),
        {name: given[name] for name in _TIMES if name in given},
    )


def _kind(text: str) -> EventKind:
    try:
        return EventKind(text.lower())
    except ValueError:
        kinds = ", ".join(kind.value for kind in EventKind)
        raise MalformedRequest(f"there is no kind of event {text[:40]}: there is {kinds}") from None
