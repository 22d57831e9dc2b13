"""
The nodes, processes and events that the screens show, decoded from rows of JSON.

They are named tuples and not the classes of `libgomd.model`, whose import alone takes longer than all the
rest of `gom top --once`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from libgomd.errors import MalformedReply, error_for

#: The bits of a node's status that screens look at, with openMosix's numbers.
STAY, LSTAY, BLOCK, QUIET = 4, 8, 16, 32


#: Seconds after which the values of a node that is up are called old: in the smallest clusters.
OLD_AFTER: Final = 15.0


class NodeRow(NamedTuple):
    """
    One node, as `libgomd.model.Node`; values that are not known are None.

    :ivar old_after: seconds after which its values are called old.
    """

    id: int
    name: str
    address: str = ""
    status: int = 0
    up: bool = False
    load: int | None = None
    speed: int | None = None
    cpus: int | None = None
    util: int | None = None
    mem: int | None = None
    rmem: int | None = None
    tmem: int | None = None
    age: float | None = None
    old_after: float = OLD_AFTER


class ProcessRow(NamedTuple):
    """One process, as `libgomd.model.Process`; values that are not known, or were not asked for, are None."""

    identity: str
    node: int
    home: int
    pid: int
    ppid: int
    user: str
    state: str
    cpu_percent: float | None = None
    cpu_seconds: float | None = None
    rss: int | None = None
    read_rate: float | None = None
    write_rate: float | None = None
    nice: int | None = None
    threads: int | None = None
    start_time: float | None = None
    nmigs: int = 0
    lock: bool = False
    cantmove: str = ""
    stuck: bool = False
    command: str = ""
    age: float | None = None

    @property
    def io_rate(self) -> float | None:
        """Bytes a second read and written; None for processes of others."""
        if self.read_rate is None and self.write_rate is None:
            return None
        return (self.read_rate or 0.0) + (self.write_rate or 0.0)


class EventRow(NamedTuple):
    """One event, as `libgomd.model.Event`; ``time`` in seconds since the epoch."""

    time: float
    kind: str
    node: int
    name: str = ""
    reason: str = ""
    by: int = 0
    seconds: float | None = None
    stopped_seconds: float | None = None
    bytes: int | None = None
    precopied: int | None = None


def parse(line: str | bytes) -> dict[str, Any]:
    """
    Return the object in one line of a block.

    :raises MalformedReply: it is none. :raises RequestError: the daemon could not complete the block.
    :raises NodeError: likewise, when a node failed.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MalformedReply(f"not JSON: {line[:80]!r}") from error
    if not isinstance(found, dict):
        raise MalformedReply(f"expected an object, got {line[:80]!r}")
    if found.keys() == {"code", "error"} and isinstance(found["code"], int):
        raise error_for(found["code"], str(found["error"]))
    return found


def node_of(row: Mapping[str, Any]) -> NodeRow:
    """Return the node in a row. :raises MalformedReply: it has none."""
    return NodeRow._make(_values(NodeRow, row))


def process_of(row: Mapping[str, Any]) -> ProcessRow:
    """Return the process in a row. :raises MalformedReply: it has none."""
    return ProcessRow._make(_values(ProcessRow, row))


def event_of(row: Mapping[str, Any]) -> EventRow:
    """Return the event in a row. :raises MalformedReply: it has none."""
    return EventRow._make(_values(EventRow, row))


#: Larger than every number that a node may send; not infinite, and not NaN.
_LARGEST: Final = 1e30


def _number(value: object) -> object:
    """Return a number; None for anything else."""
    kind = type(value)
    return value if (kind is int or kind is float) and -_LARGEST < value < _LARGEST else None  # type: ignore[operator]


def _moment(value: object) -> object:
    return _number(value) or 0.0


def _text(value: object) -> object:
    return value if type(value) is str else "" if value is None else str(value)


def _whole(value: object) -> object:
    if type(value) is not int:
        raise MalformedReply(f"no whole number: {str(value)[:40]!r}")
    return value


_Rule = tuple[str, Callable[[object], object], object]


def _rules(kind: Any, /, **others: Callable[[object], object]) -> tuple[_Rule, ...]:
    """Return how each field is read, and what it is when it is missing; a number unless said otherwise."""
    return tuple((name, others.get(name, _number), kind._field_defaults.get(name)) for name in kind._fields)


_RULES: Final[Mapping[Any, tuple[_Rule, ...]]] = {
    NodeRow: _rules(NodeRow, id=_whole, status=_whole, name=_text, address=_text, up=bool),
    ProcessRow: _rules(
        ProcessRow, node=_whole, home=_whole, pid=_whole, ppid=_whole, identity=_text, user=_text,
        state=_text, cantmove=_text, command=_text, lock=bool, stuck=bool,
    ),
    EventRow: _rules(EventRow, time=_moment, node=_whole, kind=_text, name=_text, reason=_text),
}  # fmt: skip


def _values(kind: Any, row: Mapping[str, Any]) -> list[object]:
    return [read(row.get(name, default)) for name, read, default in _RULES[kind]]
