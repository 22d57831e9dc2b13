"""Jobs: starting them, placing them, and which processes belong to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from zope.interface import Interface

from libgomd.model import Caller, Counter, Job, Node, Process
from libgomd.wire.job_name import JobName

#: Why a node takes no processes of root and of system users; a refusal for that is known again by it.
UNTRUSTED: Final = "[peers] admin_from_peers = no there"


class Need(NamedTuple):
    """
    What a new job needs of its node.

    :ivar memory: bytes it will use at most; None when that is not known.
    :ivar nodes: ids of the nodes it may be put on; None for any.
    :ivar blind: ids of the nodes that are known not to have its working directory.
    """

    memory: int | None = None
    nodes: frozenset[int] | None = None
    blind: frozenset[int] = frozenset()


class IPlacement(Interface):
    """Which node a new job goes to. Does not block."""

    def choose(nodes: Sequence[Node], need: Need) -> Node:
        """
        Return the best of ``nodes`` for the job, and count it as busy with it from now on.

        A node that is down, takes no guests, lacks the directory or lacks the memory is never chosen, one
        that does not tell its load only when no other can be.

        :raises NotPossible: none can take it; says why for each.
        """

    def withdraw(node_id: int) -> None:
        """Take the newest choice of this node back: the job was not started there. Never raises."""


class JobHere(NamedTuple):
    """
    A job that runs on this node.

    :ivar home: the id of its home; another one for a guest. :ivar pid: of its first process, here.
    :ivar supervisor: the process id of its supervisor. :ivar pid_at_home: its number at its home.
    :ivar cantmove: why it cannot be moved, empty when it can.
    :ivar used: seconds of processor time it has used on other nodes, which this kernel does not know of.
    :ivar began: when it was started, 0 when that is not known.
    :ivar identity: ``HOME-PID-STARTED`` of its first process, the same on all nodes; empty when it is not
        known.
    """

    home: int
    job: int
    pid: int
    supervisor: int
    uid: int
    gid: int
    command: str
    pid_at_home: int
    nmigs: int
    lock: bool
    cantmove: str
    used: float = 0.0
    began: float = 0.0
    identity: str = ""

    @property
    def name(self) -> str:
        """``HOME-JOB``, its name in the whole cluster."""
        return str(JobName(self.home, self.job))


class IJobOwnership(Interface):
    """Which processes of this node belong to a job: its first one and all that come from it."""

    def job_of(pid: int) -> Awaitable[JobHere | None]:
        """
        The job that process ``pid`` belongs to, None when gomd did not start it.

        :raises NotFound: there is no such process.
        """

    def processes_of(job: JobHere) -> Awaitable[Sequence[Process]]:
        """All processes of a job, at most a second old."""


class IJobs(Interface):
    """
    The jobs of a node: those asked for here, wherever they run, and guests from other nodes.

    A ``stream`` is a `gomd.jobs.lifecycle.frame_stream.FrameStream`: the caller's connection, once the
    request was answered with 202. docs/jobs-protocol.md says which frames travel on it.
    """

    def run(caller: Caller, stream: Any, guest: str = "") -> None:
        """
        Start the job that the first frame on ``stream`` describes, as ``caller``. Never raises.

        :param guest: ``HOME-JOB``: it is a job of another node, whose daemon is at the other end.
        """

    def check_carry(caller: Caller, name: str, step: str, node: int) -> None:
        """
        Check whether the daemon of ``node`` may do a step with the files that the job ``name`` carries along.

        :param step: ``put``, ``give`` or ``drop``.
        :raises NotAllowed: it may not. :raises Conflict: the job runs here.
        """

    def carry(caller: Caller, name: str, step: str, stream: Any) -> None:
        """Do such a step; the files travel on ``stream``. Never raises."""

    def bring_home(job: Job) -> Awaitable[str]:
        """
        Bring the carried files of a job that is over home, if that failed at its end.

        :returns: what a person should know of it, clauses; empty as a rule.
        :raises Conflict: it is not over. :raises NotFound: nothing of it is missing here.
        :raises NotPossible: it failed again; says why.
        """

    def rows(caller: Caller) -> Sequence[Job]:
        """The jobs of this home that are the caller's own, all for an admin; oldest first."""

    def find(number: int, caller: Caller) -> Job:
        """
        A job of this home.

        :raises NotFound: there is no job of that number. :raises NotAllowed: it is another user's.
        """

    def of_pid(pid: int) -> Job | None:
        """The running job whose process id at home is ``pid``; None for any other process."""

    def until(job: Job, condition: Callable[[], bool], timeout: float) -> Awaitable[bool]:
        """
        Wait until ``condition`` holds, such as that a job which has just moved can be reached.

        It is evaluated now, and whenever the entry of ``job``, a job of this home, or the connection to it
        has changed.

        :param timeout: seconds. :returns: whether it held in time.
        """

    def here() -> Sequence[JobHere]:
        """The jobs that run on this node, guests too."""

    def elsewhere() -> Sequence[Job]:
        """The running jobs of this home that are on other nodes."""

    def pid_here(pid: int) -> int:
        """
        The process id, on this node, of what had the number ``pid`` here once: a job that is home again.

        ``pid`` itself when there is such a process, or nothing is known of it.
        """

    def set_lock(name: str, lock: bool) -> None:
        """
        Lock the job ``HOME-JOB``, which runs here or has its home here, or unlock it.

        :raises NotFound: there is no such job.
        """

    def moved(name: str, node: int, nmigs: int) -> None:
        """
        Note that a job of this home runs on ``node`` now, having moved ``nmigs`` times.

        :raises NotFound: there is no such job, or it is over: what still runs of it is to be ended.
        """

    def written() -> Awaitable[None]:
        """Wait until what was noted so far survives this daemon, however it ends."""

    def check_attach(job: Job) -> None:
        """
        Check whether a caller can attach to ``job`` now.

        :raises Conflict: another caller is attached. :raises NotFound: nothing of it is kept.
        """

    def attach(job: Job, stream: Any) -> None:
        """Attach the caller at ``stream`` to ``job``, or tell it why not. Never raises."""

    def check_guest(caller: Caller, name: str) -> None:
        """Check whether there is a guest ``HOME-JOB`` of the caller. :raises NotFound: there is none."""

    def attach_guest(caller: Caller, name: str, stream: Any) -> None:
        """Attach the guest's home, which is at ``stream``, to it; after `check_guest`."""

    def signal(job: Job, number: int, group: bool) -> None:
        """
        Send a signal to the job's first process, or to its process group, wherever it runs.

        :raises NotFound: it is over.
        """

    def counters() -> Iterable[Counter]:
        """Return its counters, for `stats`."""
