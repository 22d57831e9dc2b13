"""The verbs that keep answering: `watch` repeats another verb, `events` lists what happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from gomd.verbs import event_selection
from gomd.verbs.context import ISession, Parts
from gomd.verbs.event_selection import EventSelection
from gomd.verbs.past import events_since
from gomd.verbs.quotas import Group, Quotas, ReleasingRows
from gomd.verbs.replies import Reply, Replying, Rows, TextColumn, WatchReply
from gomd.verbs.rounds import Watches
from gomd.verbs.table import Verb
from gomd.verbs.watch_options import (
    UNSHARED_VERBS,
    WatchOptions,
    allowed,
    can_be_watched,
    node_word,
    own_times,
    parse_options,
)
from libgomd.errors import MalformedRequest
from libgomd.model import Event, Role
from libgomd.wire.lines import Request

if TYPE_CHECKING:
    from gomd.verbs.merging import Merging


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
    note, found = await events_since(parts, session.caller, wanted.times, wanted.kinds)
    found = wanted.of(found)
    return Rows(f"{len(found)} events{note}", found, EVENT_COLUMNS)


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


#: Largest number of watches at once, of each group and of one caller.
MAX_WATCHES = {Group.READERS: 1024, Group.USERS: 1024, Group.ADMINS: 4096}
MAX_WATCHES_PER_CALLER = {Group.READERS: 512, Group.USERS: 256, Group.ADMINS: 4096}


def make_watch(
    find: Callable[[str], Verb],
    ask: Callable[[Parts, ISession, Request], Any],
    check: Callable[[ISession, Request], Verb],
) -> Verb:
    """Return the verb `watch` for a table that contains it."""
    watches = Watches()
    places = Quotas("watches", MAX_WATCHES, MAX_WATCHES_PER_CALLER)

    merging: list[Merging] = []

    def merge(parts: Parts, session: ISession, node: str, request: Request, options: WatchOptions) -> Reply:
        """Watch a verb on one node or all of them."""
        # A daemon that nobody asks for this has no need of what it takes, about ten modules.
        from gomd.verbs.merging import Merging

        if not merging:
            merging.append(Merging(watches, find, ask, check))
        return merging[0].reply(parts, session, node, request, options)

    def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        node, arguments = node_word(arguments)
        options, rest = parse_options(arguments)
        if not node:
            node, rest = node_word(rest)
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
        period, often = allowed(options.period, verb, parts, session)
        release = places.take(session.caller)
        try:
            answers = watches.join(
                parts.clock, session, None if verb.name in UNSHARED_VERBS else request, period,
                options.rounds, lambda watcher: ask(parts, watcher, request), times=own_times(parts),
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


EVENTS = Verb(
    "events", event_selection.USAGE, Role.READ, "list what happened to nodes and processes", events,
    fields=Event.JSON, follow=_next_events,
)  # fmt: skip
