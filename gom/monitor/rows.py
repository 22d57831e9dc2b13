"""
The nodes, processes and events that the screens show, decoded from rows of JSON.

They are named tuples and not the classes of `libgomd.model`, whose import alone takes longer than all the
rest of `gom top --once`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from libgomd.errors import MalformedReply, error_for

#: The bits of a node's status that screens look at, with openMosix's numbers.
STAY, LSTAY, BLOCK, QUIET = 4, 8, 16, 32


class Node(NamedTuple):
    """One node, as `libgomd.model.Node`; values that are not known are None."""

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


class Process(NamedTuple):
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

    @property
    def io_rate(self) -> float | None:
        """Bytes a second read and written; None for processes of others."""
        if self.read_rate is None and self.write_rate is None:
            return None
        return (self.read_rate or 0.0) + (self.write_rate or 0.0)


class Event(NamedTuple):
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


def _plain(value: object) -> object:
    """Return a value that can be shown; a list or an object of a later version is shown as text."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _values(kind: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(row[name]) for name in kind._fields if name in row}


def node_of(row: Mapping[str, Any]) -> Node:
    """Return the node in a row. :raises MalformedReply: it has none."""
    found: Node = _made(Node, row, int_fields=("id", "status"))
    return found


def process_of(row: Mapping[str, Any]) -> Process:
    """Return the process in a row. :raises MalformedReply: it has none."""
    found: Process = _made(Process, row, int_fields=("node", "home", "pid", "ppid"))
    return found


def event_of(row: Mapping[str, Any]) -> Event:
    """Return the event in a row. :raises MalformedReply: it has none."""
    found: Event = _made(Event, row, int_fields=("node",))
    return found


#: Larger than every number that a node may send; not infinite, and not NaN.
_LARGEST: Final = 1e30
#: Values that are numbers or not known. Anything else there is not known either.
_NUMBERS = frozenset((
    "load", "speed", "cpus", "util", "mem", "rmem", "tmem", "age", "cpu_percent", "cpu_seconds", "rss",
    "read_rate", "write_rate", "nice", "threads", "start_time", "seconds", "stopped_seconds", "bytes",
))  # fmt: skip


#: Values that are text.
_TEXTS = frozenset((
    "identity", "name", "address", "user", "state", "cantmove", "command", "kind", "reason",
))  # fmt: skip


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= _LARGEST


def _made(kind: Any, row: Mapping[str, Any], int_fields: tuple[str, ...]) -> Any:
    values = _values(kind, row)
    for name in int_fields:
        if type(values.get(name)) is not int:
            raise MalformedReply(f"{kind.__name__}: {name} is no number in {str(dict(row))[:80]!r}")
    for name, value in values.items():
        if name in _NUMBERS and not _is_number(value):
            values[name] = None
        elif name in _TEXTS:
            values[name] = "" if value is None else str(value)
    try:
        return kind(**values)
    except TypeError as error:
        raise MalformedReply(f"{kind.__name__}: {error}") from error
