"""
The process table of the whole cluster: the newest rows of every node, in the order of one key.

A row stays the line of JSON that came until it is shown. Only its key, its node and its identity are read
from it before, which takes a microsecond: every row begins with them, because `fields` asks for that.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from gom.monitor.rows import ProcessRow, parse, process_of
from gom.monitor.subscription import Round
from libgomd.errors import GomdError, MalformedReply

#: The fields that a row has, behind those of its key.
FIELDS: Final = (
    "node", "home", "pid", "ppid", "user", "state", "cpu_percent", "cpu_seconds", "rss", "read_rate",
    "write_rate", "nice", "threads", "start_time", "nmigs", "lock", "cantmove", "stuck", "command", "age",
)  # fmt: skip
#: For each key of `--sort` the field that decides; `io` has two.
KEY_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "cpu": ("cpu_percent",),
    "rss": ("rss",),
    "time": ("cpu_seconds",),
    "io": ("read_rate", "write_rate"),
    "pid": ("pid",),
    "start": ("start_time",),
}
_IDENTITY: Final = re.compile(rb'"identity": "([^"]{0,80})"')
_FROM: Final = b'{"from": '
#: Above every number.
_LAST: Final = float("inf")


def fields(sort: str) -> tuple[str, ...]:
    """Return the fields to ask for, so that `MergedTable` can read the rows: the key's, then the identity."""
    key = KEY_FIELDS[sort]
    return (*key, "identity", *(name for name in FIELDS if name not in key))


class NodeRows(NamedTuple):
    """
    What one node said last.

    :ivar lines: its rows. :ivar at: when they came, in seconds of the monotonic clock.
    :ivar age: how old they were then. :ivar error: why it says nothing newer; empty when all is well.
    :ivar matched: how many processes there are of which these are the first; None when it does not say.
    :ivar away: those of its rows whose process runs on another node.
    :ivar total: how many processes all nodes have of which the daemon gave the first; None when it gave all.
    """

    node: int
    lines: tuple[bytes, ...]
    at: float
    age: float = 0.0
    matched: int | None = None
    error: str = ""
    away: tuple[bytes, ...] = ()
    total: int | None = None

    def age_at(self, now: float) -> float:
        """Return how many seconds old the rows are."""
        return self.age + max(0.0, now - self.at)


class MergedTable:
    """
    The rows of all nodes in one order. It does not change.

    Every node has ordered its own rows, so that the order of all is a merge of these. It is made as far as
    somebody looks: of five thousand rows a screen shows fifty.

    :param sort: a key of `KEY_FIELDS`. :param at: when it was made, in seconds of the monotonic clock.
    :ivar nodes: by id. :ivar total: how many processes there are of which these are the first.
    :ivar received: how many rows came.
    """

    def __init__(self, sort: str, nodes: Mapping[int, NodeRows], at: float) -> None:
        self.sort = sort
        self.nodes = dict(nodes)
        self.at = at
        self._rows = [_without_doubles(each, self.nodes) for each in self.nodes.values()]
        self._count = sum(map(len, self._rows))
        totals = [each.total for each in self.nodes.values() if each.total is not None]
        self.received = sum(len(each.lines) for each in self.nodes.values())
        self.total = max(totals, default=self._count)
        self._merged: list[bytes] = []
        self._places: dict[str, int] = {}
        key = _LargestFirst(sort)
        self._more = heapq.merge(*(_keyed(number, rows, key) for number, rows in enumerate(self._rows)))

    def __len__(self) -> int:
        return self._count

    def _reach(self, place: int) -> None:
        """Merge as far as this place."""
        while len(self._merged) <= place:
            _key, _number, line = next(self._more)
            self._places[identity_in(line)] = len(self._merged)
            self._merged.append(line)

    def identity(self, at: int) -> str:
        """Return the identity of the row at that place."""
        self._reach(at)
        return identity_in(self._merged[at])

    def identities(self) -> list[str]:
        """Return the identities of all rows, in their order."""
        self._reach(self._count - 1)
        return [identity_in(line) for line in self._merged]

    def place(self, identity: str) -> int | None:
        """Return the place of a process; None when it is not in the table."""
        while identity not in self._places and len(self._merged) < self._count:
            self._reach(len(self._merged))
        return self._places.get(identity)

    def process(self, at: int) -> ProcessRow | None:
        """Return the process at that place; None when its row is not one."""
        self._reach(at)
        return decoded(self._merged[at])

    def find(self, identity: str) -> ProcessRow | None:
        """Return the process of that identity; None when it is not in the table."""
        at = self._places.get(identity)
        if at is not None:
            return self.process(at)
        name = _named(identity)
        return next((decoded(line) for rows in self._rows for line in rows if name in line), None)

    def processes(self) -> list[ProcessRow]:
        """Return every process, decoded: ten times slower than to show some of them."""
        self._reach(self._count - 1)
        return [found for line in self._merged if (found := decoded(line)) is not None]


def _named(identity: str) -> bytes:
    """Return what stands in the row of a process, and in no other one: quotes inside values are escaped."""
    return b'"identity": "' + identity.encode("utf-8", "replace") + b'"'


def identity_in(line: bytes) -> str:
    """Return the identity in a row, which stands behind the key."""
    found = _IDENTITY.search(line)
    return "" if found is None else found[1].decode("utf-8", "replace")


def _keyed(number: int, rows: Sequence[bytes], key: _LargestFirst) -> Iterator[tuple[float, int, bytes]]:
    for line in rows:
        yield key(line), number, line


class _LargestFirst:
    """Gives the number by which rows are merged, from their first fields; what is not known comes last."""

    def __init__(self, sort: str) -> None:
        self._parts = len(KEY_FIELDS[sort]) + 1
        self._sign = 1.0 if sort == "pid" else -1.0

    def __call__(self, line: bytes) -> float:
        total, known = 0.0, False
        for field in line.split(b", ", self._parts)[1 : self._parts]:
            try:
                total += float(field.rpartition(b": ")[2])
                known = True
            except ValueError:  # null
                continue
        return self._sign * total if known else _LAST


def _without_doubles(rows: NodeRows, nodes: Mapping[int, NodeRows]) -> Sequence[bytes]:
    """
    Return the rows of a node without those of processes that another node tells of.

    A process that has moved is in the rows of its home too; the node that it runs on knows more of it.
    """
    if not rows.away:
        return rows.lines
    doubles = set()
    for line in rows.away:
        found = decoded(line)
        there = nodes.get(found.node) if found is not None else None
        if found is not None and there is not None:
            name = _named(found.identity)
            if any(name in other for other in there.lines):
                doubles.add(line)
    return [line for line in rows.lines if line not in doubles]


def decoded(line: bytes) -> ProcessRow | None:
    """Return the process in a row; None when it is not one."""
    try:
        return process_of(parse(line))
    except GomdError:
        return None


def read_round(lines: Round, sort: str, now: float, before: Mapping[int, NodeRows]) -> dict[int, NodeRows]:
    """
    Return what each node said in one round of ``watch @all ps``.

    :param lines: its lines, those of one node together, as the daemon sends them.
    :param before: what each said before: a node that says nothing keeps its last rows.
    :raises MalformedReply: the lines are none of such a watch.
    """
    found: dict[int, NodeRows] = {}
    first_field = b'"' + KEY_FIELDS[sort][0].encode() + b'"'
    begin, count, total = 0, 1, len(lines)
    while begin < total:
        line = lines[begin]
        head = line[: line.find(b",") + 1]
        # Mostly every node has as many rows as the one before it.
        end = begin + count
        is_known = end <= total and lines[end - 1].startswith(head)
        if not is_known or (end < total and lines[end].startswith(head)):
            end = begin + 1
            while end < total and lines[end].startswith(head):
                end += 1
        _add(found, lines[begin:end], head[:-1], first_field, now, before)
        begin, count = end, end - begin
    return found


def _add(
    found: dict[int, NodeRows],
    lines: Sequence[bytes],
    head: bytes,
    first_field: bytes,
    now: float,
    before: Mapping[int, NodeRows],
) -> None:
    first = lines[0]
    if not head.startswith(_FROM) or not head[len(_FROM) :].isdigit():
        raise MalformedReply(f"not a row of a watch of several nodes: {first[:80]!r}")
    node = int(head[len(_FROM) :])
    if not first.startswith(first_field, len(head) + 2):
        row = parse(first)
        if row.get("left") is not True:
            kept = before.get(node)
            why = str(row.get("error", "it gave no rows"))
            found[node] = NodeRows(node, (), now, error=why) if kept is None else kept._replace(error=why)
        return
    age = _number_in(first, b'"rows_age": ')
    if age is None:
        raise MalformedReply(f"a row without its age: {first[:80]!r}")
    matched, total = _whole_in(first, b'"matched": '), _whole_in(first, b'"total": ')
    own = b'"node": %d,' % node
    away = tuple(line for line in lines if own not in line)
    found[node] = NodeRows(node, tuple(lines), now, age, matched, away=away, total=total)


def _whole_in(line: bytes, name: bytes) -> int | None:
    number = _number_in(line, name)
    return None if number is None else int(number)


def _number_in(line: bytes, name: bytes) -> float | None:
    """Return the last number of that name in a row, which is the daemon's own; None when there is none."""
    at = line.rfind(name)
    if at < 0:
        return None
    at += len(name)
    try:
        found = float(line[at : line.find(b",", at)])
    except ValueError:
        return None
    return found if 0 <= found < 1e15 else None
