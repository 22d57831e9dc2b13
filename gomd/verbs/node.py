"""The verbs about nodes: what each is, how busy, how fast, how full."""

from __future__ import annotations

from collections.abc import Callable

from gomd.cluster.map_file import ranges_of
from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Column, Reply, Rows, ValueReply
from gomd.verbs.table import Verb
from libgomd.errors import SourceUnavailable
from libgomd.model import DOWN_VALUE, Node, NodeRange, Role


def _cell(name: str) -> Callable[[Node], str]:
    def text(node: Node) -> str:
        value = getattr(node, name)
        return "-" if value is None else str(value)

    return text


NODE_COLUMNS = (
    Column("ID", 5, _cell("id")),
    Column("NAME", 16, _cell("name"), left=True),
    Column("ADDRESS", 15, _cell("address"), left=True),
    Column("STATUS", 12, lambda node: node.status.words(), left=True),
    Column("LOAD", 6, _cell("load")),
    Column("SPEED", 6, _cell("speed")),
    Column("CPUS", 4, _cell("cpus")),
    Column("UTIL", 5, _cell("util")),
    Column("MEM", 13, _cell("mem")),
    Column("RMEM", 13, _cell("rmem")),
    Column("TMEM", 13, _cell("tmem")),
    Column("AGE", 7, _cell("age")),
)


def _asked(parts: Parts, arguments: tuple[str, ...]) -> Node:
    return parts.members.find(arguments[0] if arguments else str(parts.members.own_id))


def nodes(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Every configured node, down ones too."""
    found = parts.members.nodes()
    return Rows(f"{len(found)} nodes, {sum(node.up for node in found)} up", found, NODE_COLUMNS)


def node(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """One node, as `nodes` shows it."""
    found = _asked(parts, arguments)
    trouble = parts.trouble() if found.id == parts.members.own_id else ""
    text = f"node {found.id} {found.name}" + (f": no other node can reach it, {trouble}" if trouble else "")
    return Rows(text, [found], NODE_COLUMNS)


def _number(name: str) -> Callable[[Parts, ISession, tuple[str, ...]], Reply]:
    """Make the verb that answers the value ``name`` of a node."""

    def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        found = _asked(parts, arguments) if arguments else parts.collector.own
        value = _known(found, name)
        return ValueReply(str(value), value if found.up else None)

    return answer


def _known(node: Node, name: str) -> int:
    """Return a value of ``node``: openMosix's -101 when it is down."""
    value = getattr(node, name)
    if not node.up:
        return DOWN_VALUE
    if value is None:
        raise SourceUnavailable(f"the {name} of node {node.id} is not known now: ask again in a second")
    assert isinstance(value, int)
    return value


def mem(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Memory a new process could get, free, and all, in bytes."""
    found = _asked(parts, arguments)
    values = {name: _known(found, name) for name in ("mem", "rmem", "tmem")}
    return ValueReply(
        " ".join(str(value) for value in values.values()),
        values if found.up else dict.fromkeys(values),
    )


def status(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """The status bits and their names."""
    bits = _asked(parts, arguments).status
    return ValueReply(f"{int(bits)} {bits.words()}", {"status": int(bits), "words": bits.words()})


_MAP_COLUMNS = (
    # The heading is a comment to whoever reads the block as a map.
    Column("# FIRST-ID", 10, lambda each: str(each.first)),
    Column("ADDRESS", 15, lambda each: str(each.address), left=True),
    Column("COUNT", 5, lambda each: str(each.count)),
)


def map_(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """The nodes as openMosix's map has them."""
    ranges = [NodeRange(*each) for each in ranges_of(parts.members.nodes())]
    return Rows(f"{len(ranges)} ranges of nodes", ranges, _MAP_COLUMNS)


VERBS = (
    Verb("nodes", "", Role.READ, "every node of the cluster and its values", nodes, fields=Node.JSON),
    Verb("node", "[NODE]", Role.READ, "one node and its values", node, fields=Node.JSON),
    Verb("load", "[NODE]", Role.READ, "load: 100 is one busy process on a standard CPU", _number("load")),
    Verb("speed", "[NODE]", Role.READ, "speed of a CPU: a standard one has 15000", _number("speed")),
    Verb("mem", "[NODE]", Role.READ, "bytes of memory: available, free, all", mem),
    Verb("util", "[NODE]", Role.READ, "usable share of the CPUs: 100 for each", _number("util")),
    Verb("cpus", "[NODE]", Role.READ, "CPUs that are online", _number("cpus")),
    Verb("status", "[NODE]", Role.READ, "status bits and their names", status),
    Verb("map", "", Role.READ, "the nodes as openMosix's map has them", map_, fields=NodeRange.JSON),
)
