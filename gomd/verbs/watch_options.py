"""The options of `watch`, which verbs it repeats, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gomd.verbs import arguments as words
from gomd.verbs.context import ISession, Parts
from gomd.verbs.round_times import RoundTimes, of_node
from gomd.verbs.table import Verb
from libgomd.errors import MalformedRequest
from libgomd.model import Role

if TYPE_CHECKING:
    from gomd.verbs.first_rows import PinnedProcess

#: The word for every node.
ALL: Final = "@all"
_OPTIONS: Final = ("-n", "-c", "--most", "--with")
#: Verbs whose answer is about the connection, so that no two callers share it.
UNSHARED_VERBS = ("whoami", "format")
#: Shortest period in seconds, by the caller's role; a shorter one is replaced by it.
MIN_PERIOD = {Role.NONE: 1.0, Role.READ: 1.0, Role.USER: 0.5, Role.ADMIN: 0.1}
#: Verbs whose answer has a row for each node, and how many rows a second their watch makes at most: a row
#: costs 15 us.
_OF_ALL_NODES = ("nodes", "map")
NODES_PER_SECOND = 2500
#: Verbs that change the connection or the daemon, or that never change.
_UNWATCHABLE_VERBS = ("watch", "quit", "auth", "format", "shutdown", "do", "help", "page")
#: Verbs that only read, although they are not for everybody who reads.
_READING_VERBS = ("jobs",)


def can_be_watched(verb: Verb) -> bool:
    """Return whether `watch` repeats ``verb``, or follows it."""
    reads = verb.role <= Role.READ or verb.name in _READING_VERBS
    return reads and verb.name not in _UNWATCHABLE_VERBS


def allowed(period: float | None, verb: Verb, parts: Parts, session: ISession) -> tuple[float, str]:
    """Return the period for this caller, and a note when it is longer than the one asked for."""
    if period is None:
        period = parts.periods()[1 if verb.slow else 0]
    least, why = MIN_PERIOD[session.caller.role], f"{session.caller.role.word} may"
    if verb.name in _OF_ALL_NODES:
        count = len(parts.members.nodes())
        if count / NODES_PER_SECOND > least:
            least, why = count / NODES_PER_SECOND, f"{count} nodes allow"
    return max(period, least), f", as often as {why}" if period < least else ""


def own_times(parts: Parts) -> RoundTimes:
    """Return when this node makes rounds of its own."""
    return of_node(parts.members.own_id, parts.clock, parts.wall)


class WatchOptions(NamedTuple):
    """
    The options of `watch`, None where not given.

    :ivar period: seconds. :ivar rounds: how many. :ivar most: rows of all nodes in a round.
    :ivar wanted: processes that are shown besides.
    """

    period: float | None = None
    rounds: int | None = None
    most: int | None = None
    wanted: tuple[PinnedProcess, ...] = ()


def node_word(arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the word that names nodes, and the other words; an empty word when the first one does not."""
    if arguments and arguments[0].startswith("@") and len(arguments[0]) > 1:
        word = arguments[0]
        return (ALL if word.lower() == ALL else word), arguments[1:]
    return "", arguments


def parse_options(arguments: tuple[str, ...]) -> tuple[WatchOptions, tuple[str, ...]]:
    """Return the options, and the words behind them. :raises MalformedRequest: one has no such value."""
    options = WatchOptions()
    while arguments:
        option, is_joined, value = arguments[0].partition("=")
        if option not in _OPTIONS:
            if option.startswith("-"):
                raise MalformedRequest(f"watch has no option {option[:40]}: it has {', '.join(_OPTIONS)}")
            break
        if not is_joined and len(arguments) == 1:
            raise MalformedRequest(
                f"{option} needs a value, and a verb behind it: watch {option} VALUE VERB ..."
            )
        if not is_joined:
            value = arguments[1]
        if option == "-n":
            options = options._replace(period=words.seconds(value, "SECONDS", 0.1, 86400))
        elif option == "-c":
            options = options._replace(rounds=words.whole_number(value, "COUNT", 1, 1_000_000_000))
        elif option == "--with":
            from gomd.verbs.first_rows import wanted_in

            options = options._replace(wanted=wanted_in(value))
        else:
            from gomd.verbs.first_rows import MAX_MOST

            options = options._replace(most=words.whole_number(value, "--most", 1, MAX_MOST))
        arguments = arguments[1 if is_joined else 2 :]
    if options.wanted and options.most is None:
        raise MalformedRequest("--with adds to --most: watch --most N --with IDENTITY @all ps ...")
    return options, arguments
