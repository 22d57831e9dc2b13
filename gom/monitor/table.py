"""
The process table of the whole cluster: the newest rows of every node, in the order of one key.

A row stays the line of JSON that came until it is shown. Only its key, its node and its identity are read
from it before, which takes a microsecond: every row begins with them, because `fields` asks for that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from gom.monitor.rows import Process, parse, process_of
from gom.monitor.subscription import Round
from libgomd.errors import GomdError, MalformedReply

#: The fields that a row has, behind those of its key.
FIELDS: Final = (
    "node", "home", "pid", "ppid", "user", "state", "cpu_percent", "cpu_seconds", "rss", "read_rate",
    "write_rate", "nice", "threads", "start_time", "nmigs", "lock", "cantmove", "stuck", "command",
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
_TAIL: Final = re.compile(rb'(?:"matched": ([0-9]{1,9}), )?"rows_age": ([0-9.e+-]{1,20}), "round"')
_FROM: Final = b'{"from": '
#: Below every number.
_NOTHING: Final = float("-inf")


def fields(sort: str) -> tuple[str, ...]:
    """Return the fields to ask for, so that `Table` can read the rows: the key's first, then the identity."""
    key = KEY_FIELDS[sort]
    return (*key, "identity", *(name for name in FIELDS if name not in key))


class NodeRows(NamedTuple):
    """
    What one node said last.

    :ivar lines: its rows. :ivar at: when they came, in seconds of the monotonic clock.
    :ivar age: how old they were then. :ivar error: why it says nothing newer; empty when all is well.
    :ivar matched: how many processes there are of which these are the first; None when it does not say.
    """

    node: int
    lines: tuple[bytes, ...]
    at: float
    age: float = 0.0
    matched: int | None = None
    error: str = ""

    def age_at(self, now: float) -> float:
        """Return how many seconds old the rows are."""
        return self.age + max(0.0, now - self.at)


class Table:
    """
    The rows of all nodes in one order. It does not change.

    :param sort: a key of `KEY_FIELDS`. :param at: when it was made, in seconds of the monotonic clock.
    :ivar nodes: by id.
    """

    def __init__(self, sort: str, nodes: Mapping[int, NodeRows], at: float) -> None:
        self.sort = sort
        self.nodes = dict(nodes)
        self.at = at

    @cached_property
    def _ordered(self) -> list[tuple[float, int, bytes, bytes]]:
        """
        Key, number, identity and line of every row, the largest key first, among equals the smallest number.

        A process that has moved is in the rows of its home too: the node that it runs on knows more of it.
        """
        parts = len(KEY_FIELDS[self.sort]) + 2
        sign = -1.0 if self.sort == "pid" else 1.0
        rows: dict[bytes, tuple[float, int, bytes, bytes]] = {}
        number = 0
        for each in self.nodes.values():
            for line in each.lines:
                number -= 1
                head = line.split(b", ", parts)
                identity = _text(head[parts - 1])
                if identity in rows and not _is_local(line, each.node):
                    continue
                rows[identity] = (sign * _key(head, parts), number, identity, line)
        return sorted(rows.values(), reverse=True)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {row[2].decode("utf-8", "replace"): at for at, row in enumerate(self._ordered)}

    def __len__(self) -> int:
        return len(self._ordered)

    def identity(self, at: int) -> str:
        """Return the identity of the row at that place."""
        return self._ordered[at][2].decode("utf-8", "replace")

    def identities(self) -> list[str]:
        """Return the identities of all rows, in their order."""
        return [row[2].decode("utf-8", "replace") for row in self._ordered]

    def place(self, identity: str) -> int | None:
        """Return the place of a process; None when it is not in the table."""
        return self._places.get(identity)

    def process(self, at: int) -> Process | None:
        """Return the process at that place; None when its row is not one."""
        return decoded(self._ordered[at][3])

    def find(self, identity: str) -> Process | None:
        """Return the process of that identity; None when it is not in the table."""
        at = self.place(identity)
        return None if at is None else self.process(at)

    def processes(self) -> list[Process]:
        """Return every process, decoded: ten times slower than to show some of them."""
        return [found for row in self._ordered if (found := decoded(row[3])) is not None]


def decoded(line: bytes) -> Process | None:
    """Return the process in a row; None when it is not one."""
    try:
        return process_of(parse(line))
    except GomdError:
        return None


def _key(head: Sequence[bytes], parts: int) -> float:
    """Return the number that a row is ordered by: its first fields, together."""
    total, known = 0.0, False
    for field in head[1 : parts - 1]:
        try:
            total += float(field.rpartition(b": ")[2])
            known = True
        except ValueError:  # null
            continue
    return total if known else _NOTHING


def _is_local(line: bytes, node: int) -> bool:
    """Whether a row that ``node`` gave is of a process that runs there."""
    found = decoded(line)
    return found is not None and found.node == node


def _text(field: bytes) -> bytes:
    """Return the value of ``"identity": "3-4711-998"``."""
    return field.rpartition(b": ")[2].strip(b'"}')


def read_round(lines: Round, sort: str, now: float, before: Mapping[int, NodeRows]) -> dict[int, NodeRows]:
    """
    Return what each node said in one round of ``watch @all ps``.

    :param lines: its lines, those of one node together, as the daemon sends them.
    :param before: what each said before: a node that says nothing keeps its last rows.
    :raises MalformedReply: the lines are none of such a watch.
    """
    found: dict[int, NodeRows] = {}
    first_field = b'"' + KEY_FIELDS[sort][0].encode() + b'"'
    begin, head = 0, b""
    for at, line in enumerate(lines):
        this = line[: line.find(b",")]
        if this != head:
            if at > begin:
                _add(found, lines[begin:at], head, first_field, now, before)
            begin, head = at, this
    if lines:
        _add(found, lines[begin:], head, first_field, now, before)
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
    tail = _TAIL.search(first[-160:])
    if tail is None:
        raise MalformedReply(f"a row without its age: {first[:80]!r}")
    found[node] = NodeRows(node, tuple(lines), now, float(tail[2]), None if tail[1] is None else int(tail[1]))
