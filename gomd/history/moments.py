"""Nodes and processes of a moment, from rows of a store; and what bounds questions about the past. No I/O."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from libgomd.model import EventKind, Node, Process, Status

#: Seconds that one question may take.
READ_TIMEOUT: Final = 10.0
#: The largest number of events in one answer.
MAX_EVENTS: Final = 10_000
#: Seconds for which a row of a node's minute answers about a later moment.
NODE_GAP: Final = 150.0
#: The kinds of events that this gomd knows; a newer one, here or on another node, may have written more.
KINDS: Final = frozenset(kind.value for kind in EventKind)


class ScannedRow(NamedTuple):
    """What a scan says of a process. :ivar number: its row in the table ``processes``."""

    number: int
    cpu_percent: float | None
    cpu_seconds: float | None
    rss: int | None
    vsize: int | None
    threads: int | None
    nice: int | None
    state: str
    read_rate: float | None
    write_rate: float | None
    lock: bool
    stuck: bool


def node_in(node: int, row: tuple[Any, ...], moment: float) -> Node:
    """Return a node as it was at ``moment``, from a row that begins with its time."""
    at, name, address, status, load, speed, cpus, util, mem, rmem, tmem = row
    age = round(max(0.0, moment - at), 2)

    def whole(value: float | None) -> int | None:
        return None if value is None else round(value)

    return Node(
        node, name, address, Status(status), whole(load), speed, cpus, whole(util), whole(mem), whole(rmem),
        tmem, age,
    )  # fmt: skip


def process_in(row: tuple[Any, ...], values: ScannedRow | None) -> Process:
    """Return a process of a row of ``processes``, with what a scan says of it, if anything."""
    (
        _id,
        node,
        identity,
        pid,
        ppid,
        home,
        uid,
        user,
        name,
        command,
        started,
        start_time,
        nmigs,
        where,
        _job,
    ) = row
    if values is None:  # it was there, and used little
        return Process(
            node, home, pid, ppid, uid, user, "?", None, None, None, None, None, None, start_time, where,
            nmigs, False, "", command, started, name=name, identity=identity,
        )  # fmt: skip
    return Process(
        node, home, pid, ppid, uid, user, values.state, values.nice, values.threads, values.cpu_percent,
        values.cpu_seconds, values.rss, values.vsize, start_time, where, nmigs, values.lock, "", command,
        started, values.read_rate, values.write_rate, values.stuck, name=name, identity=identity,
    )  # fmt: skip
