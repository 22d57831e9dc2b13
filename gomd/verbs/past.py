"""The verbs `nodes`, `ps` and `events` about the past, by the rules of answers about now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

from gomd.history.moments import MAX_EVENTS
from gomd.history.nearby import MAX_RECORDED
from gomd.interfaces import RememberedEvent, RememberedTable
from gomd.verbs.context import ISession, Parts
from gomd.verbs.memory import ask_others, asked_by_daemon, in_order, memory_of, node_of, read, stamp
from gomd.verbs.replies import Reply
from gomd.verbs.selection import Selection
from libgomd.errors import NotFound, NotPossible
from libgomd.model import Caller, Event, EventKind, Node, Process, Role
from libgomd.wire.lines import Request
from libgomd.wire.moments import parse_moment

#: Seconds by which a moment may lie ahead of this node's clock and still mean now.
MAX_AHEAD: Final = 2.0


async def nodes_at(parts: Parts, caller: Caller, text: str) -> tuple[str, Sequence[Node]]:
    """Return the status text and the nodes that were known at the moment in ``text``."""
    now = parts.wall()
    moment = parse_moment(text, now, "--at")
    found: Sequence[Node] = ()
    if moment <= now + MAX_AHEAD:
        found = await read(parts, caller, parts.history.nodes_at, moment)
    own = parts.collector.own
    text = f"{len(found)} nodes, {sum(node.up for node in found)} up at {stamp(moment)}"
    text = f"{text}, as node {own.id} {own.name} remembers them"
    if found and len(parts.members.nodes()) > MAX_RECORDED:
        text += (
            f": it keeps the past of the {MAX_RECORDED} nodes up to its own id, ask another node for others"
        )
    return text, found


async def processes_at(
    parts: Parts, session: ISession, selection: Selection, words: tuple[str, ...]
) -> Reply | tuple[str, list[Process]]:
    """
    Return the status text and the processes of a moment, or the answer of a node that remembers them.

    :param words: the arguments of the request, for another node.
    :raises NotFound: one process was asked for, and it was not there then.
    """
    now = parts.wall()
    moment = parse_moment(selection.at, now, "--at")
    node = await node_of(parts, session.caller, selection.node) if selection.node else parts.collector.own
    table: RememberedTable | None = None
    if moment <= now + MAX_AHEAD:
        table = await read(parts, session.caller, parts.history.processes_at, node.id, moment)
        if table is None and node.id != parts.members.own_id and not asked_by_daemon(session):
            answer = await ask_others(parts, session, node, _for_others(words, node, moment))
            if answer is not None:
                return answer
    where = f"of node {node.id} {node.name} at {stamp(moment)}{memory_of(parts, node)}"
    if table is None:
        return f"0 processes {where}", []
    listed = seen_then(parts, session.caller, table)
    if selection.pids:
        listed = [process for process in listed if process.pid in selection.pids]
        if not listed and len(selection.pids) == 1:
            raise NotFound(f"there was no process {min(selection.pids)} {where}, or it is not remembered")
    chosen, _matched = selection.of(listed, lambda each: each.where != 0 or each.identity in table.in_jobs)
    age = round(max(0.0, moment - table.taken_at), 1)
    shown = [replace(process, age=age) for process in chosen]
    count = f"{len(shown)} of {len(listed)}" if selection.selects else str(len(shown))
    return f"{count} processes {where}", shown


def _for_others(words: tuple[str, ...], node: Node, moment: float) -> Request:
    """Return the same request with the moment as a number and the node's id, for another node's memory."""
    kept: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, is_joined, _value = word.partition("=")
        if option in ("--at", "--of"):
            if not is_joined and rest:
                rest.pop(0)
            continue
        kept.append(word)
    return Request("ps", (*kept, f"--at={moment:.3f}", f"--of={node.id}"))


def seen_then(parts: Parts, caller: Caller, table: RememberedTable) -> list[Process]:
    """
    Return those processes of ``table`` that ``caller`` may see, without what it may not.

    Processes of others are hidden when /proc hides them now, or did then. On another node, the owner has the
    same user name too.
    """
    if caller.role >= Role.ADMIN:
        return list(table.processes)
    hides = table.hidden or parts.hides_others()
    elsewhere = table.node != parts.members.own_id
    shown = []
    for process in table.processes:
        owns = caller.owns(process.uid) and (not elsewhere or caller.user == process.user)
        if hides and not owns:
            continue
        if not owns and (process.read_rate is not None or process.write_rate is not None):
            process = replace(process, read_rate=None, write_rate=None)
        shown.append(process)
    return shown


async def remembered_ps(
    parts: Parts, session: ISession, node: Node, words: tuple[str, ...], ps: Any
) -> Reply | None:
    """Answer `@NODE ps --at T` for a node that does not answer; None when the request is about now."""
    options = [word.partition("=")[0] for word in words]
    if "--at" not in options or "--of" in options:
        return None
    reply: Reply = await ps(parts, session, (*words, f"--of={node.id}"))
    return reply


async def events_since(
    parts: Parts, caller: Caller, given: dict[str, str], kinds: Collection[EventKind] = ()
) -> tuple[str, Sequence[Event]]:
    """
    Return a note for the status text and the events of a time, those of the last seconds included.

    :param kinds: only events of these kinds; empty for all.
    :raises MalformedRequest: a moment is none, or the time ends before it begins.
    """
    now = parts.wall()
    since = parse_moment(given["--since"], now, "--since") if "--since" in given else 0.0
    until = parse_moment(given["--until"], now, "--until") if "--until" in given else now + MAX_AHEAD
    if "--until" in given:
        in_order(since, until)
    hides = parts.hides_others()
    note = ""
    names = sorted(kind.value for kind in kinds)
    try:
        stored: Sequence[RememberedEvent] = await read(
            parts, caller, parts.history.events, since, until, names
        )
    except NotPossible as error:
        stored, note = (), f", only those since the start of this daemon: {error.text}"
    if len(stored) >= MAX_EVENTS:
        note = f", of the newest {MAX_EVENTS} of that time: --kind and --until find others"
    known = {_key(each.event) for each in stored}
    newest = [
        RememberedEvent(event, hides)
        for event in map(parts.kept_event, parts.events.recent())
        if since <= event.time <= until and (not kinds or event.kind in kinds) and _key(event) not in known
    ]
    found = [
        each.event
        for each in sorted((*stored, *newest), key=lambda each: each.event.time)
        if each.event.uid is None or not (hides or each.hidden) or _owns(parts, caller, each.event)
    ]
    return note, found


def _owns(parts: Parts, caller: Caller, event: Event) -> bool:
    """Return whether an event is about the caller's job; on another node a uid may be somebody else's."""
    own = event.by == parts.members.own_id or caller.role >= Role.ADMIN
    return own and event.uid is not None and caller.owns(event.uid)


def _key(event: Event) -> tuple[Any, ...]:
    return event.time, event.kind, event.node, event.reason
