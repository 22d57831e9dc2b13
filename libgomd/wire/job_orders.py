"""The orders of a daemon to a job's supervisor, and their outcome; `job_messages` encodes them."""

from __future__ import annotations

from typing import Final, NamedTuple

#: The orders, and the steps that an `OrderOutcome` tells of.
FREEZE: Final = "freeze"
THAW: Final = "thaw"
END: Final = "end"
LOCK: Final = "lock"
KEEP: Final = "keep"
AWAIT: Final = "await"
#: The step that tells the arrival of a `SpawnSpec`: the daemon may describe the next job to another
#: supervisor.
RECEIVED: Final = "received"
#: The step that a supervisor without a job tells when the mount table has changed since it was made.
STALE: Final = "stale"


class FreezeOrder(NamedTuple):
    """
    Stop the job, send its memory to the page server at ``address`` and the rest of it to ``directory``.

    :ivar criu: the program. :ivar tls: files of the authorities, the certificate and its key.
    :ivar limit: seconds that the dump may take.
    :ivar tree_port: at which the target takes the job's temporary files and large images; 0: at none.
    :ivar precopy: bytes of memory from which on it is sent before the job is stopped; 0: it is not.
    """

    criu: str
    directory: str
    address: str
    port: int
    tls: tuple[str, str, str]
    limit: float
    tree_port: int = 0
    precopy: int = 0

    @property
    def do(self) -> str:
        """The order's name."""
        return FREEZE


class PlainOrder(NamedTuple):
    """
    An order that needs no more words.

    :ivar do: `THAW`: let the job go on, whatever was begun. `END`: the job runs elsewhere, leave with the
        frozen one.
    """

    do: str


class LockOrder(NamedTuple):
    """Remember whether balancing may move the job. Nothing answers it."""

    lock: bool

    @property
    def do(self) -> str:
        """The order's name."""
        return LOCK


class KeepOrder(NamedTuple):
    """Keep at most ``bytes`` of each output of a detached job from now on. Nothing answers it."""

    bytes: int

    @property
    def do(self) -> str:
        """The order's name."""
        return KEEP


class AwaitOrder(NamedTuple):
    """
    Get ready for a move. Nothing answers it.

    A new supervisor may hear it first: its `SpawnSpec` is about to come, with the job from another node. The
    supervisor of a job hears it when the job may soon be frozen. It hears `THAW` if nothing comes of that.

    :ivar id: ``HOME-JOB``. :ivar cgroup: as in `SpawnSpec`.
    :ivar criu: as in the `FreezeOrder` that may follow, and so are ``directory`` and ``tls``. Empty for a new
        supervisor, and nothing is begun.
    """

    id: str
    cgroup: tuple[str, str] | None = None
    criu: str = ""
    directory: str = ""
    tls: tuple[str, str, str] = ("", "", "")

    @property
    def do(self) -> str:
        """The order's name."""
        return AWAIT


Order = FreezeOrder | PlainOrder | LockOrder | KeepOrder | AwaitOrder


class OrderOutcome(NamedTuple):
    """
    What came of an order.

    :ivar did: the order, `RECEIVED` or `STALE`.
    :ivar error: why it could not be carried out; empty when it was.
    :ivar signals: those that arrived while the job was frozen: number, and whether for its process group.
    :ivar memory_sent: a freeze has sent the memory with the large images, and the page server got none.
    :ivar precopied: bytes of memory that were sent before the job was stopped, in ``precopy_seconds``.
    """

    did: str
    error: str = ""
    signals: tuple[tuple[int, bool], ...] = ()
    memory_sent: bool = False
    precopied: int = 0
    precopy_seconds: float = 0.0
