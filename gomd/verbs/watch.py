"""The verbs that go on: `watch` repeats another verb, `events` lists what happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timezone
from typing import Any

from gomd.verbs import arguments as words
from gomd.verbs.context import ISession, Parts
from gomd.verbs.quotas import Group, Quotas, ReleasingRows
from gomd.verbs.replies import Reply, Rows, TextColumn, WatchReply
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


def events(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """List the latest events, oldest first."""
    found = [event for event in parts.events.recent() if _is_shown(event, parts, session)]
    return Rows(f"{len(found)} events", found, EVENT_COLUMNS)


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
#: Verbs that change the connection or the daemon, or that never change.
_UNWATCHABLE_VERBS = ("watch", "quit", "auth", "format", "shutdown", "do", "help")


def make_watch(find: Callable[[str], Verb], ask: Callable[[Parts, ISession, Request], Any]) -> Verb:
    """Return the verb `watch` for a table that contains it."""
    watches = Watches()
    places = Quotas("watches", MAX_WATCHES, MAX_WATCHES_PER_CALLER)

    def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        period, count, rest = _options(arguments)
        if not rest:
            raise MalformedRequest("usage: watch [-n SECONDS] [-c COUNT] VERB ...")
        request = Request(rest[0].lower(), rest[1:])
        verb = find(request.verb)
        if verb.name in _UNWATCHABLE_VERBS or verb.role > Role.READ:
            raise MalformedRequest(f"`{verb.name}` cannot be watched: watch a verb that only reads")
        if verb.follow is not None and not request.arguments:
            return Rows(
                f"watching {verb.name}: send a line to stop",
                ReleasingRows(verb.follow(parts, session), places.take(session.caller)),
                EVENT_COLUMNS,
                lasts=True,
            )
        if period is None:
            period = parts.periods()[1 if verb.slow else 0]
        least = MIN_PERIOD[session.caller.role]
        often = f", as often as {session.caller.role.word} may" if period < least else ""
        period = max(period, least)
        release = places.take(session.caller)
        try:
            answers = watches.join(
                parts.clock, session, None if verb.name in _UNSHARED_VERBS else request, period, count,
                lambda watcher: ask(parts, watcher, request),
            )  # fmt: skip
        except Exception:
            release()
            raise
        text = f"watching {verb.name} every {period:g} s{often}: send a line to stop"
        return WatchReply(text, ReleasingRows(answers, release))

    return Verb("watch", "VERB ...", Role.READ, "repeat a verb that reads: [-n SECONDS] [-c COUNT]", answer)


def _options(arguments: tuple[str, ...]) -> tuple[float | None, int | None, tuple[str, ...]]:
    period: float | None = None
    count: int | None = None
    while len(arguments) > 1 and arguments[0] in ("-n", "-c"):
        if arguments[0] == "-n":
            period = words.seconds(arguments[1], "SECONDS", 0.1, 86400)
        else:
            count = words.whole_number(arguments[1], "COUNT", 1, 1_000_000_000)
        arguments = arguments[2:]
    return period, count, arguments


EVENTS = Verb(
    "events", "", Role.READ, "list what happened to nodes and processes", events,
    fields=Event.JSON, follow=_next_events,
)  # fmt: skip
