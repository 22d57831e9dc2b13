"""Moving jobs and other processes between nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple

from zope.interface import Attribute, Interface

from libgomd.model import Caller, Counter, Node


class MigrationSubject(NamedTuple):
    """
    A process of this node that is to be moved, resolved once by whoever asks for the move.

    :ivar pid: its process id on this node; for a job, that of the job's first process.
    :ivar job: the name ``HOME-JOB`` of its job; empty for a process that belongs to none, which only
        openMosix's kernel can move.
    """

    pid: int
    job: str = ""


class IMigrator(Interface):
    """Moves running processes of this node to another one: by criu, by openMosix's kernel, or not at all."""

    kind = Attribute("its name, a str: ``criu``, ``openmosix`` or ``none``")

    def cannot() -> str:
        """Why nothing can be moved from or to this node now, empty when something can. Does not block."""

    def check() -> Awaitable[str]:
        """
        What `cannot` says, looked at again when that is old: it may take as long as criu does.

        :raises TimedOut: criu does not answer. :raises TooMany: too many calls hang.
        """

    def reasons(subject: MigrationSubject, node: int) -> Awaitable[Sequence[str]]:
        """
        Why ``subject`` could not move to ``node``, a clause for each reason; empty when it can.

        It is not stopped for this.

        :raises NotFound: there is no such job or process. :raises PeerUnreachable: the node does not answer.
        """

    def migrate(subject: MigrationSubject, node: int) -> Awaitable[MoveCost | None]:
        """
        Move ``subject`` to ``node``, 0 for its home; ends when it runs there.

        :returns: what the move took, None when that is not known or it runs there already.
        :raises NotFound: there is no such job, process or node.
        :raises CannotMove: it still runs here; says why.
        :raises Conflict: it is being moved already.
        :raises TimedOut: it is not known yet on which node it runs. That is settled when the other node
            can be reached again.
        """

    def join(node: int, stream: Any) -> None:
        """
        Take a stream of migration messages that the daemon of another node has opened. Never raises.

        :param node: its id, as its certificate says.
        """

    def load() -> tuple[frozenset[str], frozenset[str]]:
        """
        Read what an earlier daemon has left unfinished. Blocks briefly; called once, before `start`.

        :returns: the names of the jobs that are leaving this node, and of those that are arriving.
        """

    def start() -> None:
        """Take up what `load` has read. Does not block."""

    def stop() -> None:
        """Stop; the next daemon takes up what is under way. Does not block."""

    def node_down(node: int) -> None:
        """A node went down: its connections may not tell. Does not block."""

    def counters() -> Iterable[Counter]:
        """Return its counters, for `stats`."""


class RelocationOutcome(Enum):
    """The result of a request that a process should run on some node."""

    MOVED = "it was moved there"
    THERE = "it runs there already"
    BEST = "it stays: it runs on the best node already"
    COULD = "it was only asked whether it could move there"


class MoveCost(NamedTuple):
    """
    What a move took.

    :ivar seconds: from the offer until both nodes had settled it.
    :ivar stopped_seconds: that the processes stood still. :ivar bytes: that were sent: memory and images.
        None when it is not known. :ivar precopied: bytes of memory that were sent before they stood still.
    """

    seconds: float
    stopped_seconds: float | None = None
    bytes: int | None = None
    precopied: int = 0


class Moved(NamedTuple):
    """
    The answer to a request that a process should run on some node.

    :ivar node: where it runs now; with `RelocationOutcome.COULD`, where it could run.
    :ivar cost: of the move; None when there was none, or it is not known.
    """

    node: Node
    outcome: RelocationOutcome
    cost: MoveCost | None = None


class IRelocation(Interface):
    """
    Moves processes to the nodes that callers name, whichever node they run on; for verbs and for the tree.

    A move that has begun is completed even when its caller has gone away.
    """

    by_kernel = Attribute("bool: openMosix's kernel moves the processes of this node, and tells of them")

    def migrate(
        pid: int, target: str, caller: Caller, dry_run: bool = False, started: int | None = None
    ) -> Awaitable[Moved]:
        """
        Move a process of this node, or of this home, with all of its job; ends when it runs there.

        :param target: the id or name of a node, ``home``, or ``best`` for the best one now.
        :param dry_run: only see whether it could move.
        :param started: when the process started, in clock ticks after this node's boot; a process of the
            same id that started at another time is not meant. None for any. Not looked at for a job of this
            home that runs on another node.
        :raises Conflict: it is another process.
        :raises NotFound: there is no such process or node. :raises NotAllowed: it is not the caller's.
        :raises CannotMove: it cannot be moved (there), it runs on where it was; says why.
        :raises PeerUnreachable: the node is down, or the one it runs on is.
        Other errors as in `IMigrator.migrate`.
        """

    def lock(pid: int, lock: bool, caller: Caller, started: int | None = None) -> Awaitable[None]:
        """
        Let balancing leave a process of this node, or of this home, where it is; or unlock it.

        :param started: as in `migrate`; :raises Conflict: likewise.
        :raises NotFound: there is no such process. :raises NotAllowed: it is not the caller's.
        :raises PeerUnreachable: the node it runs on is down.
        """

    def bring() -> Awaitable[int]:
        """
        Let no local process leave by balancing, and bring all home; gives how many were brought.

        :raises Conflict: some stay away; says how many, and why. The switch stays set.
        """

    def expel() -> Awaitable[int]:
        """
        Take no guests, and send all home; gives how many were sent. Errors as in `bring`.
        """
