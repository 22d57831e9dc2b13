"""The verbs that keep answering: `watch` repeats another verb, `events` lists what happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timezone
from typing import Any, NamedTuple

from gomd.verbs import arguments as words
from gomd.verbs import event_selection
from gomd.verbs.context import ISession, Parts
from gomd.verbs.event_selection import EventSelection
from gomd.verbs.first_rows import MAX_MOST, PinnedProcess, first_rows, wanted_in
from gomd.verbs.merged_watch import (
    ALL,
    MAX_MERGED,
    MAX_MERGED_PER_CALLER,
    MergedRequest,
    MergedWatches,
    refusal,
)
from gomd.verbs.past import events_since
from gomd.verbs.quotas import Group, Quotas, ReleasingRows
from gomd.verbs.replies import Reply, Replying, Rows, TextColumn, WatchReply
from gomd.verbs.round_times import RoundTimes, of_node
from gomd.verbs.rounds import Watches
from gomd.verbs.table import Verb
from libgomd.errors import MalformedRequest
from libgomd.model import Event, Role
from libgomd.wire.lines import Request


def _moment(event: Event) -> str:
    return datetime.fromtimestamp(event.time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


EVENT_COLUMNS = (
    TextColumn("TIME", 20, _moment, left=True),
    TextColumn("KIND", 8, lambda event: str(event.kind.value), left=True),
    TextColumn("NODE", 5, lambda event: str(event.node)),
    TextColumn("NAME", 16, lambda event: str(event.name), left=True),
    TextColumn("BY", 5, lambda event: str(event.by)),
    TextColumn("REASON", 1, lambda event: str(event.reason), left=True),
)


def events(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Replying:
    """List the latest events, oldest first: all, or those that the options select."""
    wanted = event_selection.parse(arguments)
    if wanted.times:
        return _events_then(parts, session, wanted)
    found = wanted.of([event for event in parts.events.recent() if _is_shown(event, parts, session)])
    return Rows(f"{len(found)} events", found, EVENT_COLUMNS)


async def _events_then(parts: Parts, session: ISession, wanted: EventSelection) -> Reply:
    text, found = await events_since(parts, session.caller, wanted.times)
    found = wanted.of(found)
    return Rows(f"{len(found)} events{text.partition(' events')[2]}", found, EVENT_COLUMNS)


async def _next_events(parts: Parts, session: ISession) -> AsyncGenerator[Event, None]:
    followed = parts.events.follow()
    try:
        async for event in followed:
            if _is_shown(event, parts, session):
                yield event
    finally:
        await followed.aclose()


def _is_shown(event: Event, parts: Parts, session: ISession) -> bool:
    """Whether the caller may know of it: where /proc hides the processes of others, so are their jobs."""
    return event.uid is None or session.caller.owns(event.uid) or not parts.hides_others()


#: Verbs whose answer is about the connection, so that no two callers share it.
_UNSHARED_VERBS = ("whoami", "format")
#: Shortest period in seconds, by the caller's role; a shorter one is replaced by it.
MIN_PERIOD = {Role.NONE: 1.0, Role.READ: 1.0, Role.USER: 0.5, Role.ADMIN: 0.1}
#: Largest number of watches at once, of each group and of one caller.
MAX_WATCHES = {Group.READERS: 1024, Group.USERS: 1024, Group.ADMINS: 4096}
MAX_WATCHES_PER_CALLER = {Group.READERS: 512, Group.USERS: 256, Group.ADMINS: 4096}
#: Verbs whose answer has a row for each node, and how many rows a second their watch makes at most: a row
#: costs 15 us.
_OF_ALL_NODES = ("nodes", "map")
NODES_PER_SECOND = 2500
#: Verbs that change the connection or the daemon, or that never change.
_UNWATCHABLE_VERBS = ("watch", "quit", "auth", "format", "shutdown", "do", "help", "page")


def can_be_watched(verb: Verb) -> bool:
    """Return whether `watch` repeats ``verb``, or follows it."""
    return verb.name not in _UNWATCHABLE_VERBS and verb.role <= Role.READ


def make_watch(
    find: Callable[[str], Verb],
    ask: Callable[[Parts, ISession, Request], Any],
    check: Callable[[ISession, Request], Verb],
) -> Verb:
    """Return the verb `watch` for a table that contains it."""
    watches = Watches()
    merged_watches = MergedWatches(watches)
    places = Quotas("watches", MAX_WATCHES, MAX_WATCHES_PER_CALLER)
    merged_places = Quotas("watches of other nodes", MAX_MERGED, MAX_MERGED_PER_CALLER)

    def merge(parts: Parts, session: ISession, node: str, request: Request, options: WatchOptions) -> Reply:
        """Watch a verb on one node or all of them."""
        if request.verb.startswith("@"):
            raise refusal(request.verb, node)
        verb = find(request.verb)
        goes_on = verb.follow is not None and not request.arguments
        if not can_be_watched(verb) or goes_on:
            raise refusal(verb.name, node)
        check(session, request)
        first = None
        if options.most is not None:
            first = first_rows(options.most, options.wanted, request)
            if not session.json:
                raise MalformedRequest("--most is for JSON: say `format json` first")
        period, often = _allowed(options.period, verb, parts, session)
        release = merged_places.take(session.caller)

        def watch_here(watcher: ISession, asked: Request) -> WatchReply:
            rounds = watches.join(
                parts.clock, watcher, asked if verb.name not in _UNSHARED_VERBS else None, period, None,
                lambda inner: ask(parts, inner, asked), times=_times(parts),
            )  # fmt: skip
            return WatchReply("", rounds)

        try:
            answers = merged_watches.join(
                parts, session, MergedRequest(node, request, first), period, options.rounds,
                verb.name not in _UNSHARED_VERBS, lambda watcher, asked: ask(parts, watcher, asked),
                watch_here,
            )  # fmt: skip
        except Exception:
            release()
            raise
        text = f"watching {verb.name} of {node} every {period:g} s{often}: send a line to stop"
        return WatchReply(text, ReleasingRows(answers, release))

    def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        node, arguments = _node(arguments)
        options, rest = _options(arguments)
        if not node:
            node, rest = _node(rest)
        if not rest:
            raise MalformedRequest(
                "usage: watch [-n SECONDS] [-c COUNT] [--most N [--with IDENTITY,...]] [@NODE] VERB ..."
            )
        request = Request(rest[0].lower(), rest[1:])
        if node:
            return merge(parts, session, node, request, options)
        if options.most is not None:
            raise MalformedRequest(
                "--most is of several nodes: watch --most N @all ps ...; of one say --top N"
            )
        if request.verb.startswith("@"):
            raise MalformedRequest("name a node behind @, or all: watch @all VERB ...")
        verb = find(request.verb)
        if not can_be_watched(verb):
            raise MalformedRequest(f"`{verb.name}` cannot be watched: watch a verb that only reads")
        if verb.follow is not None and not request.arguments:
            return Rows(
                f"watching {verb.name}: send a line to stop",
                ReleasingRows(verb.follow(parts, session), places.take(session.caller)),
                EVENT_COLUMNS,
                lasts=True,
            )
        period, often = _allowed(options.period, verb, parts, session)
        release = places.take(session.caller)
        try:
            answers = watches.join(
                parts.clock, session, None if verb.name in _UNSHARED_VERBS else request, period,
                options.rounds, lambda watcher: ask(parts, watcher, request), times=_times(parts),
            )  # fmt: skip
        except Exception:
            release()
            raise
        text = f"watching {verb.name} every {period:g} s{often}: send a line to stop"
        return WatchReply(text, ReleasingRows(answers, release))

    return Verb(
        "watch",
        "VERB ...",
        Role.READ,
        "repeat a verb that reads: [-n SECONDS] [-c COUNT] [--most N] [@NODE or @all]",
        answer,
        web="",
    )


def _allowed(period: float | None, verb: Verb, parts: Parts, session: ISession) -> tuple[float, str]:
    """Return the period for this caller, and a note when it is longer than the one asked for."""
    if period is None:
        period = parts.periods()[1 if verb.slow else 0]
    least, why = MIN_PERIOD[session.caller.role], f"{session.caller.role.word} may"
    if verb.name in _OF_ALL_NODES:
        count = len(parts.members.nodes())
        if count / NODES_PER_SECOND > least:
            least, why = count / NODES_PER_SECOND, f"{count} nodes allow"
    return max(period, least), f", as often as {why}" if period < least else ""


def _times(parts: Parts) -> RoundTimes:
    return of_node(parts.members.own_id, parts.clock, parts.wall)


def _node(arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the word that names nodes, and the other words; an empty word when the first one does not."""
    if arguments and arguments[0].startswith("@") and len(arguments[0]) > 1:
        word = arguments[0]
        return (ALL if word.lower() == ALL else word), arguments[1:]
    return "", arguments


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


def _options(arguments: tuple[str, ...]) -> tuple[WatchOptions, tuple[str, ...]]:
    options = WatchOptions()
    while arguments:
        option, is_joined, value = arguments[0].partition("=")
        if option not in ("-n", "-c", "--most", "--with") or not (is_joined or len(arguments) > 1):
            break
        if not is_joined:
            value = arguments[1]
        if option == "-n":
            options = options._replace(period=words.seconds(value, "SECONDS", 0.1, 86400))
        elif option == "-c":
            options = options._replace(rounds=words.whole_number(value, "COUNT", 1, 1_000_000_000))
        elif option == "--with":
            options = options._replace(wanted=wanted_in(value))
        else:
            options = options._replace(most=words.whole_number(value, "--most", 1, MAX_MOST))
        arguments = arguments[1 if is_joined else 2 :]
    if options.wanted and options.most is None:
        raise MalformedRequest("--with adds to --most: watch --most N --with IDENTITY @all ps ...")
    return options, arguments


EVENTS = Verb(
    "events", event_selection.USAGE, Role.READ, "list what happened to nodes and processes", events,
    fields=Event.JSON, follow=_next_events,
)  # fmt: skip
