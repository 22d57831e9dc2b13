"""Decodes the rounds of a watch of several nodes: what each answered, how old that is, or why it did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from libgomd.errors import GomdError, MalformedReply, NodeError, RequestError, error_for
from libgomd.replies import MAX_BLOCK, Call, Size, row_in

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NodeAnswer(Generic[T]):
    """
    What one node says in one round.

    :ivar node: its id. :ivar value: its answer, the newest that is known; None when it never gave one.
    :ivar age: seconds since ``value`` was fresh; 0 when it is.
    :ivar matched: how many rows it has of which ``value`` is a part, where options of `ps` select; else None.
    :ivar total: how many rows all nodes have, of which the round has the first (``most``); else None.
    :ivar error: why it never answered. :ivar left: it has left the cluster; said in one round.
    """

    node: int
    value: T | None = None
    age: float = 0.0
    error: RequestError | NodeError | None = None
    left: bool = False
    matched: int | None = None
    total: int | None = None


class NodeRounds(Generic[T]):
    """
    Decodes the rounds of a watch of several nodes, ordered by the ids of the nodes.

    :param call: what each node was asked. A node that has no rows now is in no round.
    """

    def __init__(self, call: Call[T], limit: int = MAX_BLOCK) -> None:
        self._call = call
        self._rows: list[dict[str, Any]] = []
        self._size = Size(limit)

    def feed(self, line: str) -> Sequence[list[NodeAnswer[T]]]:
        """Return the round that ``line`` completes. :raises MalformedReply: it is no row of such a watch."""
        self._size.add(line)
        row = row_in(line)
        count = row.get("rows") if isinstance(row, dict) else None
        if not isinstance(count, int) or count < 0 or (count and not isinstance(row.get("from"), int)):
            raise MalformedReply(f"not a row of a watch of several nodes: {line[:80]!r}")
        if count:
            self._rows.append(row)
        if len(self._rows) < count:
            return ()
        rows, self._rows = self._rows, []
        self._size.reset()
        by_node: dict[int, list[dict[str, Any]]] = {}
        for each in rows:
            by_node.setdefault(each["from"], []).append(each)
        return ([self._answer(node, found) for node, found in sorted(by_node.items())],)

    def _answer(self, node: int, rows: list[dict[str, Any]]) -> NodeAnswer[T]:
        first = rows[0]
        if first.get("left") is True:
            return NodeAnswer(node, left=True)
        age = first.get("rows_age")
        if not isinstance(age, (int, float)):
            try:
                return NodeAnswer(node, error=error_for(int(first["code"]), str(first["error"])))
            except (KeyError, TypeError, ValueError) as error:
                raise MalformedReply(f"node {node}: neither rows nor an error: {first!r:.80}") from error
        try:
            value = self._call.decode(rows if self._call.block else first.get("value", first))
        except MalformedReply:
            raise
        except (RequestError, NodeError) as error:  # such as a load that is not known
            return NodeAnswer(node, error=error, age=float(age))
        except GomdError as error:
            raise MalformedReply(str(error)) from error
        return NodeAnswer(
            node, value, float(age), matched=_count(first, "matched"), total=_count(first, "total")
        )


def _count(row: dict[str, Any], name: str) -> int | None:
    value = row.get(name)
    return value if type(value) is int else None
