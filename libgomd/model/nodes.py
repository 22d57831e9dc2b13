"""A node, as `nodes` shows it, and how nodes are named."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, Final

#: The value that openMosix gives for everything it is asked about a node that is down: -ENETUNREACH.
DOWN_VALUE: Final = -101
#: The speed of a "standard" machine (the yardstick) unless the node says otherwise.
STANDARD_SPEED: Final = 15000
#: The highest speed accepted for a processor: a thousand times that of any existing one.
MAX_SPEED: Final = 100_000_000
#: The highest node id. Node ids are 1..65535; 0 means "here, at home" in `where` and is never a node.
MAX_NODE_ID: Final = 65535


class Status(enum.IntFlag):
    """The status bits of a node, with openMosix's numbers."""

    CONFIGURED = 1
    UP = 2
    STAY = 4
    LSTAY = 8
    BLOCK = 16
    QUIET = 32
    NOMFS = 64

    def words(self) -> str:
        """
        Return the bits as openMosix's tools name them, e.g. ``up,stay``.

        A node that is configured but not up is ``down``; one that is not even configured is
        ``unconfigured``.
        """
        if not self & Status.UP:
            return "down" if self & Status.CONFIGURED else "unconfigured"
        return ",".join(flag.name.lower() for flag in _WORD_ORDER if self & flag and flag.name)


_UP = int(Status.UP)
_WORD_ORDER = (Status.UP, Status.STAY, Status.LSTAY, Status.BLOCK, Status.QUIET, Status.NOMFS)


@dataclass(frozen=True, slots=True)
class Node:
    """
    One machine of the cluster, with the values that were last known.

    :ivar id: 1..65535, unique in the cluster.
    :ivar address: the address at which its peers reach it: IPv4; IPv6 if it has no other, or while the other
        is silent.
    :ivar addresses: both of its addresses, IPv4 first, if it has two; else empty.
    :ivar load: smoothed load; 100 = one always-runnable process on a standard one-CPU node.
    :ivar speed: CPU speed of one processor; a standard machine has 15000.
    :ivar cpus: number of processors that are online.
    :ivar util: usable share of its processors: 100 for each one that is fully usable.
    :ivar mem: bytes of memory that a new process could get; ``rmem``: free bytes; ``tmem``: all bytes.
    :ivar age: seconds between the measurement of these values and the creation of this object.

    A value that is not known is None; the values of a node that is down are all None.
    """

    JSON: ClassVar[tuple[str, ...]] = (
        "id", "name", "address", "status", "up", "load", "speed", "cpus", "util",
        "mem", "rmem", "tmem", "age", "addresses",
    )  # fmt: skip

    #: Names that a daemon of an earlier version does not give.
    LATER: ClassVar[tuple[str, ...]] = ("addresses",)

    id: int
    name: str
    address: str
    status: Status
    load: int | None = None
    speed: int | None = None
    cpus: int | None = None
    util: int | None = None
    mem: int | None = None
    rmem: int | None = None
    tmem: int | None = None
    age: float | None = None
    addresses: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """All its addresses."""
        return self.addresses or (self.address,)

    @property
    def up(self) -> bool:
        """Whether the node was up at the last news about it."""
        return int(self.status) & _UP != 0  # integers: operators of IntFlag are ten times slower


@dataclass(frozen=True, slots=True)
class NodeRange:
    """
    Nodes with consecutive ids and addresses: a line of openMosix's map.

    :ivar first: the lowest id; its node has ``address``. :ivar count: number of nodes.
    """

    JSON: ClassVar[tuple[str, ...]] = ("first", "address", "count")

    first: int
    address: str
    count: int
