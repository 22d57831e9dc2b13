"""
Every part of the daemon that can be swapped, and what each promises.

Two kinds of call. A method that returns an Awaitable is for the reactor's thread and never blocks.
A method whose docstring says *blocks* reads or writes files: it belongs on a thread (`IThreads`),
which is where the parts above call it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple, TypeVar

from zope.interface import Attribute, Interface

from libgomd.model import Caller, Counter, Event, Job, Node, Output, Part, Process, ProcessTable, Sample
from libgomd.wire.lines import Request
from libgomd.wire.tree import TreePath

R = TypeVar("R")


class INodeSource(Interface):
    """
    Where this node's numbers come from: the stock kernel's /proc, openMosix's tree, a script.

    Every method blocks for as long as the files behind it do and is called on a thread; no two calls
    for the same part run at once. Every method but the constructor may raise `SourceUnavailable`
    (this read failed, the next may work).
    """

    kind = Attribute("its name in gomd.ini, a str")
    parts = Attribute("tuple of Part: what it can sample, in the order it is best read")

    def sample(part: Part, now: float) -> object:
        """
        Read one part of the node's sample. Blocks.

        :param now: seconds of a clock that is never set: for rates, averages and ages, not for stamps.
        :returns: the value of that field of `Sample` (`Load` for `Part.LOAD`, a tuple of `Disk` for
            `Part.DISKS`, ...); a number the kernel does not have is None in it.
        """

    def nodes(now: float) -> Sequence[Node]:
        """
        The nodes whose values this source itself knows, this one among them. Blocks.

        A stock kernel knows only itself; openMosix's knows every configured node. Ordered by id.
        """

    def processes(now: float) -> ProcessTable:
        """
        Scan every process. Blocks, for milliseconds per hundred processes.

        A process that ends during the scan is left out, one whose files block is shown as it was last
        known (``stuck``). ``cpu_percent`` and the rates are over the time since the last scan (see
        docs/sources.md), None for a process seen for the first time.

        :param now: as in `sample`; also ``taken_at`` of the table, for which the collector puts the
            time of day.
        """

    def process(pid: int, now: float) -> Process:
        """
        Read one process afresh; one whose files block is given as it was last known. Blocks.

        :raises NotFound: there is no such process. :raises TimedOut: its files block, and nothing is known.
        """

    def list_directory(path: TreePath, caller: Caller) -> Sequence[str]:
        """
        The names in a directory of the tree, sorted, numbers by value. Blocks.

        :raises NotFound: there is none of that name now.
        """

    def read_file(path: TreePath, caller: Caller) -> bytes:
        """
        The bytes of one file of the tree. Blocks.

        :raises NotFound: there is none now, the process has ended.
        :raises TimedOut: it is known to block.
        :raises NotAllowed: the kernel would not show it to ``caller``.
        :raises NotPossible: it can only be written, or is larger than this daemon reads.
        """

    def write_file(path: TreePath, value: str) -> None:
        """
        Write one value of the tree, as its admin. Blocks, `bring` and `expel` until they are done.

        :raises MalformedRequest: the value is out of range; says what the range is.
        :raises NotFound: there is no such file now.
        :raises NotPossible: this file cannot be written here; says why.
        :raises Conflict: it clashes with what is set now, as a new own id while openMosix runs.
        """

    def set_speed(speed: int) -> None:
        """
        Set the speed of a processor, which the tree has 16 bits for, to any that there can be. Blocks.

        :param speed: 1 to `MAX_SPEED`.
        :raises MalformedRequest: it is not in that range, or more than this kernel takes.
        :raises NotPossible: this source cannot keep it; the text says why.
        """


class IProcessControl(Interface):
    """Acts on a process of this node, never beyond what the caller could do himself."""

    def signal(pid: int, number: int, caller: Caller) -> None:
        """
        Send a signal. Blocks briefly.

        :raises NotFound: no such process. :raises NotAllowed: the kernel would refuse it to him.
        :raises NotPossible: the processes of this source are not processes of this kernel.
        """

    def renice(pid: int, nice: int, caller: Caller) -> None:
        """
        Set the niceness, -20 (favoured) to 19. Blocks briefly. Errors as in `signal`.
        """


class IThreads(Interface):
    """Runs what blocks, off the reactor's thread."""

    def run(limit: float, function: Callable[..., R], *arguments: Any) -> Awaitable[R]:
        """
        Call ``function(*arguments)`` on a thread and give its result.

        :param limit: seconds; after them `TimedOut` is raised and the late result dropped.
        :raises TooMany: all threads are taken by calls that hang.
        """

    def run_apart(
        limit: float, key: Hashable, holder: Hashable, function: Callable[..., R], *arguments: Any
    ) -> Awaitable[R]:
        """
        Call ``function(*arguments)`` as `run` does, where it may hang for ever for what somebody did.

        :param key: what it may hang at: a process, a user's name. There is one call at a time for a key;
            while one has not come back within its limit, no other is begun.
        :param holder: for whom it is done: a few of the threads at most are taken for one.
        :raises TimedOut: it, or an earlier call for the same key, takes longer than its limit.
        :raises TooMany: calls for the same holder hang, as many as may; or as in `run`.
        """


class ICollector(Interface):
    """Keeps the newest sample and process table of this node."""

    latest = Attribute("Sample: the newest of each part")
    own = Attribute("Node: this node as its newest sample tells it, without its age")

    def own_node() -> Node:
        """`own`, with its age. Does not block."""

    def known_nodes() -> Sequence[Node]:
        """The nodes the source itself knows, this one among them; ordered by id. Does not block."""

    def processes(max_age: float) -> Awaitable[ProcessTable]:
        """
        The process table, scanned again first when it is older than ``max_age`` seconds.

        Calls that come while a scan runs share its result. A scan that fails or takes too long gives
        the old table when there is one, else raises `SourceUnavailable` or `TimedOut`.
        """

    def process(pid: int) -> Awaitable[Process]:
        """One process, read afresh. :raises NotFound: there is none."""

    def refresh() -> Awaitable[None]:
        """Read the node's own state again now, after it was changed. Never raises."""

    def counters() -> Iterable[Counter]:
        """What it counted, for `stats`."""


class ISampleLog(Interface):
    """Keeps samples. Never raises for a full disk or a lost directory: it counts and tries again."""

    def write(node: Node, sample: Sample) -> None:
        """Keep one sample of one node. Blocks: called on a thread."""

    def write_processes(node: Node, table: ProcessTable) -> None:
        """Keep a snapshot of the processes that use most processor time. Blocks."""

    def checkpoint(name: str, now: float) -> None:
        """Leave a mark, on request, to find a moment again. Blocks. ``now``: seconds since the epoch."""

    def close() -> None:
        """Flush and close. Blocks. Nothing is written afterwards."""

    def counters() -> Iterable[Counter]:
        """Written, lost, rotated."""


class IMembership(Interface):
    """Which nodes there are and what was last heard of them."""

    own_id = Attribute("int: the id of this node")

    def nodes() -> Sequence[Node]:
        """Every configured node, down ones too, ordered by id. Does not block."""

    def find(key: str) -> Node:
        """
        The node with this id or name. Does not block.

        :raises NotFound: there is none; names the nearest that there is.
        """

    def counters() -> Iterable[Counter]:
        """What it counted, for `stats`."""


class IPeers(Interface):
    """The other nodes' daemons, as this one reaches them."""

    def read(node: Node, path: str) -> Awaitable[bytes]:
        """
        Ask ``node`` by datagram what a path of its tree says.

        :raises PeerUnreachable: it cannot be asked from here. :raises TimedOut: it did not answer.
        :raises NotPossible: it says more than a datagram holds: ask by `ask`.
        :raises RequestError: it said no.
        """

    def cur_node(node: Node, pid: int) -> Awaitable[int]:
        """
        Ask ``node``, the home of ``pid``, by datagram which node it runs on; never 0.

        Errors as in `read`.
        """

    def ask(node: Node, request: Request, caller: Caller, json: bool) -> Awaitable[Relay]:
        """
        Send a request to ``node`` over a stream, on behalf of ``caller``, and give its reply.

        :raises PeerUnreachable: it cannot be reached, or is not who it should be.
        :raises TimedOut: it did not answer in time.
        """

    def open(node: Node, request: Request, caller: Caller) -> Awaitable[Any]:
        """
        Send a request to ``node`` on behalf of ``caller`` that turns the stream into one of frames.

        :returns: a `gomd.jobs.lifecycle.frame_stream.FrameStream`.
        :raises RequestError: it said no. Other errors as in `ask`.
        """

    def counters() -> Iterable[Counter]:
        """What it counted, for `stats`."""


class Relay(NamedTuple):
    """
    The reply of another daemon, in the format its caller has chosen.

    :ivar rows: the lines of its block, some at a time, until it is closed; None without a block.
    """

    code: int
    text: str
    rows: AsyncGenerator[list[str], None] | None


class IEvents(Interface):
    """What happened lately, and what happens next."""

    def recent() -> Sequence[Event]:
        """The last events, oldest first, a bounded number."""

    def publish(event: Event) -> None:
        """Tell everybody who follows. Never raises, never blocks."""

    def follow() -> AsyncGenerator[Event, None]:
        """
        Events from now on, until the iterator is closed.

        A follower that is too slow loses the oldest; the next event he gets says how many, in its
        reason.
        """


class ITree(Interface):
    """The tree of DESIGN 4.4 on this node: files by path, for a caller."""

    def list_directory(path: TreePath, caller: Caller) -> Awaitable[Sequence[str]]:
        """The names in a directory. Errors as in `INodeSource.list_directory`."""

    def read_file(path: TreePath, caller: Caller) -> Awaitable[bytes]:
        """The bytes of a file. Errors as in `INodeSource.read_file`, and `TimedOut`."""

    def write_file(path: TreePath, value: str) -> Awaitable[None]:
        """Write a value. Errors as in `INodeSource.write_file`, and `TimedOut`."""

    def set_speed(speed: int) -> Awaitable[None]:
        """Set the node's speed. Errors as in `INodeSource.set_speed`, and `TimedOut`."""


class ICommands(Interface):
    """The commands of `[commands]`, run for an admin."""

    def names() -> Sequence[str]:
        """The names there are, sorted."""

    def start(name: str) -> Awaitable[AsyncGenerator[Output, None]]:
        """
        Start one; what it gives is first its output, line by line, last its exit status.

        Closing the generator kills what still runs. A consumer that is slow slows the command.

        :raises NotFound: no such name. :raises NotPossible: its program cannot be started.
        :raises TooMany: too many run already.
        """


class ITokens(Interface):
    """The tokens file: who may be more than anonymous over tcp."""

    def check(token: str, caller: Caller) -> Awaitable[Caller | None]:
        """
        Return what ``caller`` is with this token: its role and name; None when it is not in the file.

        :raises NotAllowed: the token is good, but its owner is nobody on this node.
        :raises NotPossible: the tokens file cannot be trusted or read; says why.
        """


class IStoppable(Interface):
    """The daemon as a whole, for `shutdown` and for `stats`."""

    def stop(reason: str) -> None:
        """Stop the daemon, cleanly, soon after this returns."""


class Need(NamedTuple):
    """
    What a new job needs of its node.

    :ivar memory: bytes it will use at most; None when nobody said.
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


#: Why a node takes no processes of root and of system users; a refusal for that is known again by it.
UNTRUSTED: Final = "[peers] admin_from_peers = no there"


class IMigrator(Interface):
    """Moves running processes of this node to another one: by criu, by openMosix's kernel, or not at all."""

    kind = Attribute("its name, a str: ``criu``, ``openmosix`` or ``none``")

    def cannot() -> str:
        """Why nothing can be moved from or to this node now, empty when something can. Does not block."""

    def reasons(pid: int, node: int) -> Awaitable[Sequence[str]]:
        """
        Why process ``pid`` of this node could not move to ``node``, a clause each; empty when it can.

        Nothing is stopped for it.

        :raises NotFound: there is no such process. :raises PeerUnreachable: the node does not answer.
        """

    def migrate(pid: int, node: int) -> Awaitable[None]:
        """
        Move process ``pid`` of this node to ``node``, 0 for its home; ends when it runs there.

        :raises NotFound: there is no such process or node.
        :raises CannotMove: it stays and runs here; says why.
        :raises Conflict: it is being moved already.
        :raises TimedOut: it is not known yet where it runs: this is settled when the node is heard again.
        """

    def join(node: int, stream: Any) -> None:
        """
        Take a stream of letters that the daemon of another node has opened. Never raises.

        :param node: its id, as its certificate says.
        """

    def counters() -> Iterable[Counter]:
        """What it counted, for `stats`."""


class JobHere(NamedTuple):
    """
    A job that runs on this node.

    :ivar home: the id of its home; another one for a guest. :ivar pid: of its first process, here.
    :ivar supervisor: the process id of its supervisor. :ivar pid_at_home: its number at its home.
    :ivar cantmove: why it cannot be moved, empty when it can.
    :ivar used: seconds of processor time it has used on other nodes, which this kernel does not know of.
    :ivar began: when it was started, 0 when that is not known.
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


class IKin(Interface):
    """Which processes of this node belong to a job: its first one and all that come from it."""

    def job_of(pid: int) -> Awaitable[JobHere | None]:
        """
        The job that process ``pid`` belongs to, None when gomd did not start it.

        :raises NotFound: there is no such process.
        """

    def processes_of(job: JobHere) -> Awaitable[Sequence[Process]]:
        """All processes of a job, at most a second old."""


class Outcome(Enum):
    """What came of the wish that a process should run somewhere."""

    MOVED = "it was moved there"
    THERE = "it runs there already"
    BEST = "it stays: it runs on the best node already"
    COULD = "it was only asked whether it could move there"


class Moved(NamedTuple):
    """
    The answer to a wish that a process should run somewhere.

    :ivar node: where it runs now; with `Outcome.COULD`, where it could run.
    """

    node: Node
    outcome: Outcome


class IRelocation(Interface):
    """
    Sends processes where somebody wants them, whichever node they run on; for verbs and for the tree.

    What was begun is done to its end, even when who asked has gone away.
    """

    by_kernel = Attribute("bool: openMosix's kernel moves the processes of this node, and tells of them")

    def migrate(pid: int, target: str, caller: Caller, dry_run: bool = False) -> Awaitable[Moved]:
        """
        Move a process of this node, or of this home, with all of its job; ends when it runs there.

        :param target: the id or name of a node, ``home``, or ``best`` for the best one now.
        :param dry_run: only see whether it could move.
        :raises NotFound: there is no such process or node. :raises NotAllowed: it is not the caller's.
        :raises CannotMove: it cannot be moved (there), it runs on where it was; says why.
        :raises PeerUnreachable: the node is down, or the one it runs on is.
        Other errors as in `IMigrator.migrate`.
        """

    def lock(pid: int, lock: bool, caller: Caller) -> Awaitable[None]:
        """
        Let balancing leave a process of this node, or of this home, where it is; or unlock it.

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


class IJobs(Interface):
    """
    The jobs of a node: those asked for here, wherever they run, and guests from other nodes.

    A ``stream`` is a `gomd.jobs.lifecycle.frame_stream.FrameStream`: the caller's connection, once his request was
    answered with 202. docs/jobs.md says which frames travel on it.
    """

    def run(caller: Caller, stream: Any, guest: str = "") -> None:
        """
        Start the job that the first frame on ``stream`` describes, as ``caller``. Never raises.

        :param guest: ``HOME-JOB``: it is a job of another node, whose daemon is at the other end.
        """

    def rows(caller: Caller) -> Sequence[Job]:
        """The jobs of this home that are the caller's own, all for an admin; oldest first."""

    def find(number: int, caller: Caller) -> Job:
        """
        A job of this home.

        :raises NotFound: there is none of that number. :raises NotAllowed: it is somebody else's.
        """

    def of_pid(pid: int) -> Job | None:
        """The running job whose process id at home is ``pid``; None for any other process."""

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
        Take note that a job of this home runs on ``node`` now, having moved ``nmigs`` times.

        :raises NotFound: there is no such job, or it is over: what still runs of it is to be ended.
        """

    def written() -> Awaitable[None]:
        """Wait until what was noted so far survives this daemon, however it ends."""

    def check_attach(job: Job) -> None:
        """
        See whether somebody can attach to ``job`` now.

        :raises Conflict: somebody is attached. :raises NotFound: nothing of it is kept.
        """

    def attach(job: Job, stream: Any) -> None:
        """Let the caller at ``stream`` have the streams of ``job``, or tell him why not. Never raises."""

    def check_guest(caller: Caller, name: str) -> None:
        """See whether there is a guest ``HOME-JOB`` of the caller's. :raises NotFound: there is none."""

    def attach_guest(caller: Caller, name: str, stream: Any) -> None:
        """Let the guest's home, which is at ``stream``, have its streams; after `check_guest`."""

    def signal(job: Job, number: int, group: bool) -> None:
        """
        Send a signal to the job's first process, or to its process group, wherever it runs.

        :raises NotFound: it is over.
        """

    def counters() -> Iterable[Counter]:
        """What it counted, for `stats`."""
