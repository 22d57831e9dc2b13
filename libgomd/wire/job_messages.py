"""
What a daemon and the supervisors of its jobs tell each other, as values; bytes and JSON only at the edge.

Each value travels as the JSON payload of a frame (`encode`, `decode`). Two of them also stand as files in a
job's directory, `JobReport` in ``job`` and `JobExit` in ``exit`` (`to_json`, `from_json`).

A daemon reads what the supervisors of an older version have written, and the reverse. So names that this
version does not know are ignored, and a name that is missing, or null, has its default. A value without one
of its required names, or with a value of the wrong type, is a `MalformedFrame` that names it.

Named tuples, and nothing but the standard library: this is imported in the process beside every job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

from libgomd.wire import frames, json_fields
from libgomd.wire.carry_messages import CARRY_STEPS, CarryOutcome, CarrySpec
from libgomd.wire.frames import MalformedFrame
from libgomd.wire.job_orders import (
    AWAIT,
    END,
    FREEZE,
    KEEP,
    LOCK,
    THAW,
    AwaitOrder,
    FreezeOrder,
    KeepOrder,
    LockOrder,
    Order,
    OrderOutcome,
    PlainOrder,
)


class SpawnSpec(NamedTuple):
    """
    What a supervisor is to run. One with ``images`` restores a job, and finds whom it runs as beside them.

    :ivar id: ``HOME-JOB``. :ivar directory: the job's directory, absolute.
    :ivar where: this node as an error names it, ``node 3 gamma``.
    :ivar spool_bytes: kept of each output of a detached job. :ivar spool_reserve: bytes of the disk that stay
        free; -1: in proportion to the disk.
    :ivar detach: the job has no input, and its output is kept in files. :ivar merge: it has one output.
    :ivar size: rows and columns of its terminal, when it has one (``tty``).
    :ivar groups: supplementary group ids. :ivar lock: balancing may not move it. :ivar nmigs: times it moved.
    :ivar memory_max: limit in bytes, None for no limit. :ivar cgroup: directory and kind of the place for its
        cgroup, None when it gets none.
    :ivar began: seconds since the epoch. :ivar used: seconds of processor time that it used on other nodes.
    :ivar images: directory of criu's images, None for a job that starts. :ivar criu: program that restores.
    :ivar pid_at_home: process id of a guest on its home node, None when it never had one there.
    :ivar expected_uid: user for whom the job was offered; another user's is refused. None: not told.
    :ivar nice: nice value, below 0 for root alone. :ivar limits: soft and hard resource limits of the caller
        by their names, -1 for none, within those of this node; None for those of this node.
    :ivar private_tmp: bytes of its own temporary files with which a job can move; 0: it shares this node's
        temporary directories.
    :ivar carry: absolute paths whose files the job takes along wherever it runs.
    :ivar identity: of its first process in the whole cluster, ``HOME-PID-STARTED``; empty for a job that
        begins at home, which gets its identity as it begins, and when it is not known.
    :ivar attach: the request of the caller who waits for the job to begin; it is attached then, without a
        frame of its own. None: nobody waits.
    """

    id: str
    directory: str
    where: str
    spool_bytes: int
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    cwd: str = "/"
    umask: int = 0o22
    uid: int = -1
    gid: int = -1
    groups: tuple[int, ...] = ()
    user: str = ""
    tty: bool = False
    size: tuple[int, int] = (24, 80)
    merge: bool = False
    detach: bool = False
    lock: bool = False
    nmigs: int = 0
    memory_max: int | None = None
    cgroup: tuple[str, str] | None = None
    spool_reserve: int = 0
    began: float | None = None
    used: float | None = None
    images: str | None = None
    criu: str = ""
    pid_at_home: int | None = None
    expected_uid: int | None = None
    nice: int = 0
    limits: Mapping[str, tuple[int, int]] | None = None
    private_tmp: int = 0
    carry: tuple[str, ...] = ()
    identity: str = ""
    attach: frames.AttachRequest | None = None


class ViewSpec(NamedTuple):
    """
    Whose kept output is to be shown: of a detached job, by a process that runs nothing itself.

    :ivar directory: the job's directory, absolute. :ivar spool_bytes: as in `SpawnSpec`.
    """

    directory: str
    spool_bytes: int


class JobReport(NamedTuple):
    """
    What a supervisor tells of its job while that runs. The names of `SpawnSpec` mean the same here.

    :ivar pid: of its first process, and :ivar supervisor: of the supervisor, as the machine knows them.
    :ivar cantmove: why it cannot be moved, a clause; empty when that is not known to be so.
    :ivar terminal_moves: whether it has a terminal that its supervisor can hand over.
    :ivar attached: the caller whom `SpawnSpec.attach` named is attached: an ATTACHED follows.
    """

    id: str
    pid: int
    supervisor: int
    uid: int
    gid: int = -1
    user: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = ""
    detach: bool = False
    tty: bool = False
    lock: bool = False
    nmigs: int = 0
    images: str | None = None
    began: float | None = None
    used: float | None = None
    pid_at_home: int | None = None
    memory_max: int | None = None
    cantmove: str = ""
    carry: tuple[str, ...] = ()
    terminal_moves: bool = False
    identity: str = ""
    attached: bool = False


class AttachedJob(NamedTuple):
    """
    What a daemon tells a caller of the job that it is attached to, in the same frame as `JobReport`.

    :ivar job: its number on its home node. :ivar home: id of that node. :ivar node: id of the node that it
        runs on. :ivar pid: None while it is not known. :ivar tty: it has a terminal of its own.
    """

    job: int
    home: int
    node: int
    pid: int | None = None
    detached: bool = False
    tty: bool = False


class JobExit(NamedTuple):
    """
    How a job ended.

    :ivar exit: status as a shell reports it, 128 + N for signal N. :ivar reason: a clause, empty as a rule.
    :ivar lost: nobody knows how it ended; none of its output precedes this.
    :ivar signal: that ended its first process, 0 for none.
    """

    exit: int
    reason: str = ""
    lost: bool = False
    signal: int = 0


class StartFailure(NamedTuple):
    """Why a job was not started, or not restored. :ivar code: of the error, :ivar text: a sentence."""

    code: int = 500
    text: str = "it failed"


_KINDS: Final[dict[type, int]] = {
    SpawnSpec: frames.SPEC,
    ViewSpec: frames.SPEC,
    CarrySpec: frames.SPEC,
    CarryOutcome: frames.MOVED,
    JobReport: frames.STARTED,
    AttachedJob: frames.STARTED,
    JobExit: frames.EXIT,
    StartFailure: frames.FAILED,
    FreezeOrder: frames.MOVE,
    PlainOrder: frames.MOVE,
    LockOrder: frames.MOVE,
    KeepOrder: frames.MOVE,
    AwaitOrder: frames.MOVE,
    OrderOutcome: frames.MOVED,
}
JobMessage = (
    SpawnSpec
    | ViewSpec
    | CarrySpec
    | CarryOutcome
    | JobReport
    | AttachedJob
    | JobExit
    | StartFailure
    | Order
    | OrderOutcome
)
T = TypeVar("T", bound=JobMessage)


def encode(value: JobMessage) -> bytes:
    """Return the frame that tells ``value``."""
    return frames.encode_json(_KINDS[type(value)], to_json(value))


def decode(kind: type[T], payload: bytes) -> T:
    """Return the ``kind`` in the payload of a frame. :raises MalformedFrame: it is none."""
    return from_json(kind, frames.decode_json(payload))


def decode_spec(payload: bytes) -> SpawnSpec | ViewSpec | CarrySpec:
    """Return the request in a SPEC frame to a supervisor. :raises MalformedFrame: it is none."""
    told = frames.decode_json(payload)
    if told.get("view"):
        return from_json(ViewSpec, told)
    if told.get("step") in CARRY_STEPS:
        return from_json(CarrySpec, told)
    spec = from_json(SpawnSpec, told)
    missing = [name for name in _NEEDED_TO_START if told.get(name) is None]
    if missing and not spec.images:
        raise MalformedFrame(f"a job to start without its {missing[0]}")
    return spec


def decode_order(payload: bytes) -> Order | None:
    """
    Return the order in a MOVE frame, None for one that only a later version knows.

    :raises MalformedFrame: it is none.
    """
    told = frames.decode_json(payload)
    kind = _ORDERS.get(json_fields.text(told.get("do"), "do"))
    return None if kind is None else from_json(kind, told)


def to_json(value: JobMessage) -> dict[str, Any]:
    """Return ``value`` as a JSON object."""
    told = value._asdict()
    if isinstance(value, ViewSpec):
        told |= {"view": True, "detach": True}
    elif isinstance(value, (FreezeOrder, LockOrder, KeepOrder, AwaitOrder)):
        told["do"] = value.do
    elif isinstance(value, JobExit):
        told = {name: told[name] for name in told if told[name] or name not in ("lost", "signal")}
    elif isinstance(value, OrderOutcome):
        if value.did != END:
            del told["signals"]
        for name in ("memory_sent", "precopied", "precopy_seconds"):
            if not told[name]:
                del told[name]
    if isinstance(value, FreezeOrder):
        for name in ("tree_port", "precopy"):
            if not told[name]:
                del told[name]
    if isinstance(value, AwaitOrder) and not value.criu:
        for name in ("criu", "directory", "tls"):
            del told[name]
    if isinstance(value, (SpawnSpec, JobReport)) and not value.identity:
        del told["identity"]
    if isinstance(value, SpawnSpec):
        if value.attach is None:
            del told["attach"]
        else:
            told["attach"] = frames.attach_to_json(value.attach)
    if isinstance(value, JobReport) and not value.attached:
        del told["attached"]
    return told


def from_json(kind: type[T], told: object) -> T:
    """Return the ``kind`` that a JSON object describes. :raises MalformedFrame: it describes none."""
    return json_fields.read(kind, told, _READERS)


def _signals(value: object, name: str) -> tuple[tuple[int, bool], ...]:
    pairs = [json_fields.list_of(each, name, 2) for each in json_fields.list_of(value, name)]
    return tuple((json_fields.whole(number, name), json_fields.flag(group, name)) for number, group in pairs)


def _attach(value: object, name: str) -> frames.AttachRequest:
    if not isinstance(value, dict) or "stdout" not in value:
        raise MalformedFrame(f"{name} is an object with positions, not {value!r:.40}")
    return frames.attach_from_json(value)


_READERS: Final[dict[str, json_fields.Reader]] = {
    **dict.fromkeys(("address", "cantmove", "criu", "cwd", "did", "directory", "do", "error", "id", "images",
                     "failed", "identity", "reason", "step", "suffix", "text", "user",
                     "where"), json_fields.text),
    **dict.fromkeys(("attached", "detach", "detached", "lock", "lost", "memory_sent", "merge",
                     "terminal_moves", "tty"), json_fields.flag),
    **dict.fromkeys(("bytes", "code", "exit", "expected_uid", "gid", "home", "job", "memory_max", "nmigs",
                     "node", "pid", "pid_at_home", "port", "precopied", "precopy", "signal", "private_tmp",
                     "spool_bytes", "spool_reserve", "supervisor", "tree_port", "uid", "umask", "entries",
                     "size_limit"), json_fields.whole),
    **dict.fromkeys(("began", "limit", "precopy_seconds", "used"), json_fields.seconds),
    "argv": json_fields.texts(),
    "attach": _attach,
    **dict.fromkeys(("carry", "notes", "paths"), json_fields.texts()),
    "cgroup": json_fields.texts(2),
    "tls": json_fields.texts(3),
    "groups": json_fields.wholes(),
    "size": json_fields.wholes(2),
    "env": json_fields.environment,
    "limits": json_fields.limits,
    "nice": json_fields.signed,
    "signals": _signals,
}  # fmt: skip
_NEEDED_TO_START: Final = ("argv", "env", "cwd", "umask", "uid", "gid", "groups", "user")
_ORDERS: Final[dict[str, type[Order]]] = {
    FREEZE: FreezeOrder, THAW: PlainOrder, END: PlainOrder, LOCK: LockOrder, KEEP: KeepOrder,
    AWAIT: AwaitOrder,
}  # fmt: skip
