"""The verb `history`: the values of a node over time, as they are remembered here or by the node itself."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Final

from gomd.history.fields import KNOWN_FIELDS, NODE_FIELDS
from gomd.verbs import arguments as words
from gomd.verbs.context import ISession, Parts
from gomd.verbs.memory import (
    ask_others,
    asked_by_daemon,
    in_order,
    knows_nothing,
    memory_of,
    node_of,
    of_those_who_know,
    read,
)
from gomd.verbs.options import split_options
from gomd.verbs.replies import Relayed, Reply, Rows, TextColumn
from gomd.verbs.table import Verb
from libgomd.errors import GomdError, MalformedRequest, NotFound
from libgomd.model import HistoryRow, Node, Role
from libgomd.similar_names import most_similar
from libgomd.wire.lines import Request
from libgomd.wire.moments import parse_moment

#: Rows of a field in one answer, unless `--points` says how many; and at most. And fields in one request.
DEFAULT_POINTS: Final = 60
MAX_POINTS: Final = 100_000
MAX_FIELDS: Final = 32
#: Rows of all fields together in one answer.
MAX_ROWS: Final = 200_000
#: Seconds before now, where `--since` does not say when the answer begins.
DEFAULT_SINCE: Final = 3600.0
_OPTIONS: Final = {"--since": "--since 12h", "--until": "--until 1h", "--points": "--points 60"}
_USAGE: Final = "usage: history NODE FIELD[,FIELD...] [--since T] [--until T] [--points N]"


def _moment(row: HistoryRow) -> str:
    return datetime.fromtimestamp(row.time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(name: str) -> Any:
    def cell(row: HistoryRow) -> str:
        value = getattr(row, name)
        return "-" if value is None else f"{value:.2f}".removesuffix(".00")

    return cell


HISTORY_COLUMNS = (
    TextColumn("TIME", 20, _moment, left=True),
    TextColumn("FIELD", 16, lambda row: str(row.field), left=True),
    TextColumn("MIN", 14, _number("min")),
    TextColumn("MEAN", 14, _number("mean")),
    TextColumn("MAX", 14, _number("max")),
    TextColumn("BY", 5, lambda row: str(row.by)),
)


async def history(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Answer with the values of a node over time; the node itself is asked when it is up."""
    plain, given = split_options("history", arguments, _OPTIONS)
    if len(plain) != 2:
        raise MalformedRequest(_USAGE)
    now = parts.wall()
    since = parse_moment(given["--since"], now, "--since") if "--since" in given else None
    until = parse_moment(given["--until"], now, "--until") if "--until" in given else now
    if since is None:
        since = max(0.0, min(now, until) - DEFAULT_SINCE)
    if "--until" in given:
        in_order(since, until)
    fields = _fields(plain[1])
    most = min(MAX_POINTS, MAX_ROWS // len(fields))
    points = words.whole_number(given.get("--points", str(DEFAULT_POINTS)), "--points", 1, most)
    node = await node_of(parts, session.caller, plain[0])
    request = Request(
        "history",
        (
            str(node.id),
            ",".join(fields),
            f"--since={since:.3f}",
            f"--until={until:.3f}",
            f"--points={points}",
        ),
    )
    if node.id != parts.members.own_id and node.up:
        answer = await _asked(parts, session, node, request)
        if answer is not None and (since > now or not knows_nothing(answer)):
            return answer
        if answer is not None:
            remembered = _remembered(parts, session, node, fields, since, until, points, request)
            return await of_those_who_know(answer, remembered)
    return await _remembered(parts, session, node, fields, since, until, points, request)


def _fields(text: str) -> tuple[str, ...]:
    fields = tuple(text.split(","))
    if not all(fields) or len(set(fields)) < len(fields) or len(fields) > MAX_FIELDS:
        raise MalformedRequest(f"FIELD,FIELD... names 1 to {MAX_FIELDS} values, each once, not {text[:60]}")
    return fields


async def _asked(parts: Parts, session: ISession, node: Node, request: Request) -> Reply | None:
    """Return the answer of the node itself; None when it has none, so that another memory is needed."""
    try:
        code, text, rows = await parts.peers.ask(node, request, session.caller, session.json)
    except GomdError:
        return None
    if code == 405 or (code == 400 and "no verb" in text):  # it keeps none, or is an older gomd
        if rows is not None:
            await rows.aclose()
        return None
    return Relayed(code, text, rows)


async def _remembered(
    parts: Parts,
    session: ISession,
    node: Node,
    fields: tuple[str, ...],
    since: float,
    until: float,
    points: int,
    request: Request,
) -> Reply:
    known = await read(parts, session.caller, parts.history.fields, node.id)
    own = node.id == parts.members.own_id
    possible = {*known, *(KNOWN_FIELDS if own else NODE_FIELDS)}
    there = [field for field in fields if field in possible]
    if unknown := [field for field in fields if field not in possible and field not in KNOWN_FIELDS]:
        near = most_similar(unknown[0][:40], [*possible, *KNOWN_FIELDS])
        hint = f"did you mean {near}?" if near else f"there are {', '.join(sorted(possible))}"
        raise MalformedRequest(f"there is no value {unknown[0][:40]}: {hint}")
    if not there:
        raise NotFound(
            f"of other nodes only {', '.join(NODE_FIELDS)} are remembered, and node {node.id} does not answer"
        )
    rows = await read(parts, session.caller, parts.history.values, node.id, there, since, until, points)
    if not rows and not own and not asked_by_daemon(session):
        answer = await ask_others(parts, session, node, request)
        if answer is not None:
            return answer
    return Rows(
        f"{len(rows)} rows of node {node.id} {node.name}{memory_of(parts, node)}", rows, HISTORY_COLUMNS
    )


async def history_of_lost(
    parts: Parts, session: ISession, node: Node, arguments: tuple[str, ...]
) -> Reply | None:
    """Answer `@NODE history ...` for a node that does not answer: from memory, when it is about itself."""
    return await history(parts, session, arguments)


VERBS = (
    Verb(
        "history", "NODE FIELD[,FIELD...] [--since=T] [--until=T] [--points=N]", Role.READ,
        "show values of a node over time: load, mem, ...; docs/history.md lists them", history,
        fields=HistoryRow.JSON, slow=True, remembered=history_of_lost,
    ),
)  # fmt: skip
