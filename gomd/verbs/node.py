"""The verbs about nodes: their status, load, speed, memory and processors."""

from __future__ import annotations

from collections.abc import Callable

from gomd.cluster.map_ranges import ranges_of
from gomd.verbs.context import ISession, Parts
from gomd.verbs.options import split_options
from gomd.verbs.past import nodes_at
from gomd.verbs.replies import Reply, Replying, Rows, TextColumn, ValueReply
from gomd.verbs.table import Verb
from libgomd.errors import MalformedRequest, SourceUnavailable
from libgomd.model import DOWN_VALUE, Node, NodeRange, Role


def _cell(name: str) -> Callable[[Node], str]:
    def text(node: Node) -> str:
        value = getattr(node, name)
        return "-" if value is None else str(value)

    return text


NODE_COLUMNS = (
    TextColumn("ID", 5, _cell("id")),
    TextColumn("NAME", 16, _cell("name"), left=True),
    TextColumn("ADDRESS", 15, _cell("address"), left=True),
    TextColumn("STATUS", 12, lambda node: node.status.words(), left=True),
    TextColumn("LOAD", 6, _cell("load")),
    TextColumn("SPEED", 6, _cell("speed")),
    TextColumn("CPUS", 4, _cell("cpus")),
    TextColumn("UTIL", 5, _cell("util")),
    TextColumn("MEM", 13, _cell("mem")),
    TextColumn("RMEM", 13, _cell("rmem")),
    TextColumn("TMEM", 13, _cell("tmem")),
    TextColumn("AGE", 7, _cell("age")),
)


def _asked(parts: Parts, arguments: tuple[str, ...]) -> Node:
    return parts.members.find(arguments[0] if arguments else str(parts.members.own_id))


def nodes(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Replying:
    """List every configured node, including those that are down; with `--at`, those that were known then."""
    if arguments:
        return _nodes_then(parts, session, arguments)
    found = parts.members.nodes()
    return Rows(f"{len(found)} nodes, {sum(node.up for node in found)} up", found, NODE_COLUMNS)


async def _nodes_then(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    plain, given = split_options("nodes", arguments, {"--at": "--at 15m"})
    if plain or not given:
        raise MalformedRequest("usage: nodes [--at T]")
    text, found = await nodes_at(parts, session.caller, given["--at"])
    return Rows(text, found, NODE_COLUMNS)


async def _nodes_of_lost(
    parts: Parts, session: ISession, node: Node, arguments: tuple[str, ...]
) -> Reply | None:
    """Answer `@NODE nodes --at T` for a node that cannot be reached: other nodes remember the same."""
    return await _nodes_then(parts, session, arguments) if arguments else None


def node(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Show one node as `nodes` does."""
    found = _asked(parts, arguments)
    trouble = parts.trouble() if found.id == parts.members.own_id else ""
    text = f"node {found.id} {found.name}" + (f": no other node can reach it, {trouble}" if trouble else "")
    return Rows(text, [found], NODE_COLUMNS)


def _number(name: str) -> Callable[[Parts, ISession, tuple[str, ...]], Reply]:
    """Return the work of a verb that answers with the value ``name`` of a node."""

    def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        found = _asked(parts, arguments) if arguments else parts.collector.own
        value = _known(found, name)
        return ValueReply(str(value), value if found.up else None)

    return answer


def _known(node: Node, name: str) -> int:
    """Return a value of ``node``; -101, as in openMosix, if it is down."""
    value = getattr(node, name)
    if not node.up:
        return DOWN_VALUE
    if value is None:
        raise SourceUnavailable(f"the {name} of node {node.id} is not known now: ask again in a second")
    assert isinstance(value, int)
    return value


def mem(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Answer with the memory that a new process could get, free memory and total memory, in bytes."""
    found = _asked(parts, arguments)
    values = {name: _known(found, name) for name in ("mem", "rmem", "tmem")}
    return ValueReply(
        " ".join(str(value) for value in values.values()),
        values if found.up else dict.fromkeys(values),
    )


def status(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Answer with the status bits and their names."""
    bits = _asked(parts, arguments).status
    return ValueReply(f"{int(bits)} {bits.words()}", {"status": int(bits), "words": bits.words()})


_MAP_COLUMNS = (
    # The heading begins with #, so that the block is a valid map file.
    TextColumn("# FIRST-ID", 10, lambda each: str(each.first)),
    TextColumn("ADDRESS", 15, lambda each: str(each.address), left=True),
    TextColumn("COUNT", 5, lambda each: str(each.count)),
)


def map_(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """List the nodes as in a map file of openMosix."""
    ranges = [NodeRange(*each) for each in ranges_of(parts.members.nodes())]
    return Rows(f"{len(ranges)} ranges of nodes", ranges, _MAP_COLUMNS)


VERBS = (
    Verb(
        "nodes",
        "[--at=T]",
        Role.READ,
        "list every node of the cluster and its values, or those of a moment",
        nodes,
        fields=Node.JSON,
        remembered=_nodes_of_lost,
    ),
    Verb("node", "[NODE]", Role.READ, "show one node and its values", node, fields=Node.JSON),
    Verb(
        "load",
        "[NODE]",
        Role.READ,
        "show the load: 100 is one busy process on a standard CPU",
        _number("load"),
    ),
    Verb("speed", "[NODE]", Role.READ, "show the speed of a CPU: a standard one has 15000", _number("speed")),
    Verb("mem", "[NODE]", Role.READ, "show memory in bytes: available, free, total", mem),
    Verb("util", "[NODE]", Role.READ, "show the usable share of the CPUs: 100 for each", _number("util")),
    Verb("cpus", "[NODE]", Role.READ, "show how many CPUs are online", _number("cpus")),
    Verb("status", "[NODE]", Role.READ, "show the status bits and their names", status),
    Verb("map", "", Role.READ, "list the nodes as in a map file of openMosix", map_, fields=NodeRange.JSON),
)
