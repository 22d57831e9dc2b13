"""Nodes with whole `Jobs` and `Migrations` in memory: daemons, supervisors, programs; faults at any step."""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.cluster.events import Events
from gomd.interfaces import IMembership, IPeers, IPlacement, IThreads, Need, Relay
from gomd.jobs.abroad import Abroad
from gomd.jobs.framestream import FrameStream
from gomd.jobs.ground import Ability, Ground, Machine
from gomd.jobs.jobs import Jobs
from gomd.jobs.journal import Journal
from gomd.jobs.keeper import Keeper
from gomd.jobs.migrations import Migrations
from gomd.jobs.movelog import MoveLog
from gomd.jobs.needs import Needs, Offer
from gomd.jobs.post import Post
from gomd.jobs.supervisors import Supervisors
from gomd.jobs.table import HomeTable
from gomd.jobs.whereabouts import Whereabouts
from libgomd.errors import CannotMove, GomdError, NotFound, PeerUnreachable, RequestError
from libgomd.model import Caller, Job, Node, Role, Status
from libgomd.wire import frames
from libgomd.wire.frames import Frame
from libgomd.wire.lines import OK, Request

ROOT = Caller(Role.ADMIN, "root", 0, "unix")
UP = Status.CONFIGURED | Status.UP
#: The image in which the programs of these tests keep what they are.
_PROGRAM = "core-300.img"


class Link(StringTransport):
    """One end of a connection. What is written waits until the network hands it on."""

    def __init__(self, owner: object) -> None:
        super().__init__()
        self.owner = owner
        self.stream = FrameStream()
        self.outbox: deque[bytes] = deque()
        self.far: Link
        self.cut = False

    def write(self, data: bytes) -> None:
        if not self.disconnecting:
            self.outbox.append(bytes(data))

    def abortConnection(self) -> None:
        super().abortConnection()
        self.cut = True


class Network:
    """
    Every connection there is.

    :ivar delivered: how many pieces were handed on. :ivar at: called before each of them is.
    """

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.delivered = 0
        self.at: Callable[[int, Link], None] = lambda _count, _link: None

    def connect(self, near: object, far: object) -> tuple[FrameStream, FrameStream]:
        """Return both ends of a new connection."""
        ends = Link(near), Link(far)
        ends[0].far, ends[1].far = ends[1], ends[0]
        self.links += ends
        for end in ends:
            end.stream.makeConnection(end)
        return ends[0].stream, ends[1].stream

    def drop(self, owner: object) -> None:
        """Who had these ends is gone, without a word."""
        for link in self.links:
            if link.owner is owner:
                link.stream = FrameStream()  # what it was hears nothing any more
                link.stream.gone = True
                link.cut = True

    def cut_between(self, one: object, other: object) -> None:
        """Break every connection between the two."""
        for link in self.links:
            if link.owner is one and link.far.owner is other:
                link.cut = True

    def step(self) -> bool:
        """Hand one piece on, or end one connection. :returns: whether there was anything."""
        for link in self.links:
            if link.cut or link.far.cut:
                self._end(link)
                return True
            if link.outbox and link.far.producerState == "producing":
                self.delivered += 1
                self.at(self.delivered, link)
                if not link.cut and not link.far.cut:
                    link.far.stream.dataReceived(link.outbox.popleft())
                return True
            if link.disconnecting and not link.outbox:
                self._end(link)
                return True
        return False

    def _end(self, link: Link) -> None:
        for end in (link, link.far):
            self.links.remove(end)
        for end in (link, link.far):
            end.stream.connectionLost()


class Program:
    """A job: where it ran, and the signals it got. It is handed from supervisor to supervisor."""

    def __init__(self, seen: Sequence[str] = (), signals: Sequence[int] = ()) -> None:
        self.seen = list(seen)
        self.signals = list(signals)


class Supervisor:
    """What `gomd.jobs.moving.Movable` is to a daemon: the same frames, over connections in memory."""

    def __init__(self, machine: MemoryMachine, stream: FrameStream) -> None:
        self._machine = machine
        self.spec: dict[str, Any] = {}
        self.program: Program | None = None
        self.state = "new"
        self.exit: int | None = None
        self._attached = False
        self._waiting: list[tuple[int, bool]] = []
        self._freezing: dict[str, Any] | None = None
        self.pid = machine.new_pid()
        self._stream = stream
        self._listen(stream)

    @property
    def runs(self) -> bool:
        """Whether its program runs on now."""
        return self.state == "running"

    def _listen(self, stream: FrameStream) -> None:
        self._stream = stream
        stream.on_frame = self._take
        stream.on_lost = self._lost

    def accept(self, stream: FrameStream) -> None:
        """Take a later daemon's connection."""
        self._stream.close()
        self._attached = False
        self._listen(stream)
        self._tell()

    def _lost(self) -> None:
        if self.state == "new":
            self.die()

    def _tell(self) -> None:
        self._say(frames.STARTED, self._description())
        self._say_exit()

    def _description(self) -> dict[str, Any]:
        names = ("id", "argv", "uid", "gid", "user", "cwd", "detach", "tty", "lock", "nmigs", "images")
        kept = {name: self.spec.get(name) for name in names}
        return {**kept, "pid": self.pid, "supervisor": self.pid + 1, "cantmove": self._machine.cantmove}

    def _say(self, kind: int, value: dict[str, Any]) -> None:
        self._stream.send(frames.encode_json(kind, value))

    def _take(self, frame: Frame) -> None:
        kind, payload = frame
        if kind == frames.SPEC:
            self._begin(frames.decode_json(payload))
        elif kind == frames.ATTACH:
            self._attached = not frames.decode_json(payload).get("detach")
            if self._attached:
                told = {"stdout": 0, "stderr": 0, "stdin": 0, "stdin_taken": 0, "stdin_ended": False}
                self._say(frames.ATTACHED, told)
                self._say_exit()
        elif kind == frames.SIGNAL:
            self._signal(*frames.decode_signal(payload))
        elif kind == frames.HANGUP:
            self._signal(1, True)
        elif kind == frames.COLLECTED and self.exit is not None:
            self.die()
        elif kind == frames.MOVE:
            self._move(frames.decode_json(payload))

    def _begin(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        if not spec.get("images"):
            self.program, self.state = Program(), "running"
            self.program.seen.append(self._machine.name)
        else:
            why = self._machine.restore_fails
            if why:
                self._say(frames.FAILED, {"code": 405, "text": why})
                self._machine.forget(self)
                return
            with open(os.path.join(spec["images"], _PROGRAM), encoding="ascii") as file:
                told = json.load(file)
            self.spec = {**told["spec"], **spec}
            self.program, self.state = Program(told["seen"], told["signals"]), "frozen"
        os.makedirs(spec["directory"], exist_ok=True)
        self._write("job", self._description())
        self._tell()

    def _write(self, name: str, value: dict[str, Any]) -> None:
        with open(os.path.join(self.spec["directory"], name), "w", encoding="ascii") as file:
            json.dump(value, file)

    def _signal(self, number: int, group: bool) -> None:
        if self.state == "frozen":
            self._waiting.append((number, group))
        elif self.runs and self.program is not None:
            self.program.signals.append(number)
            if number in (9, 15):
                self.end(128 + number)

    def end(self, exit: int) -> None:
        """The program ends by itself."""
        self.exit, self.state = exit, "ended"
        self._write("exit", {"exit": exit, "reason": ""})
        self._say_exit()

    def _say_exit(self) -> None:
        if self.exit is not None:
            self._say(frames.EXIT, {"exit": self.exit, "reason": ""})

    def _move(self, order: dict[str, Any]) -> None:
        done = order["do"]
        if done == "freeze":
            self._freezing = order
            if not self._machine.hold_freeze:
                self.finish_freeze()
        elif done == "thaw":
            self._freezing = None
            if self.state == "frozen":
                self._go_on()
            self._say(frames.MOVED, {"did": done, "error": ""})
        elif done == "end":
            error = "" if self.state == "frozen" else "it is not frozen"
            self._say(frames.MOVED, {"did": done, "error": error, "signals": self._waiting})
            if not error:
                self.die()
        elif done == "lock":
            self.spec["lock"] = order["lock"]

    def finish_freeze(self) -> None:
        """Let criu end what it was told to do."""
        order, self._freezing = self._freezing, None
        if order is None:
            return
        error = "it has ended" if not self.runs else self._machine.dump_fails
        if not error:
            assert self.program is not None
            self.state = "frozen"
            kept = {name: self.spec[name] for name in ("argv", "uid", "gid", "user", "cwd", "tty")}
            told = {"seen": self.program.seen, "signals": self.program.signals, "spec": kept}
            with open(os.path.join(order["directory"], _PROGRAM), "w", encoding="ascii") as file:
                json.dump(told, file)
        self._say(frames.MOVED, {"did": "freeze", "error": error})

    def _go_on(self) -> None:
        assert self.program is not None
        self.state = "running"
        if self.spec.get("images") and self.program.seen[-1:] != [self._machine.name]:
            self.program.seen.append(self._machine.name)
        waiting, self._waiting = self._waiting, []
        for number, group in waiting:
            self._signal(number, group)

    def die(self) -> None:
        """Leave no trace."""
        self.state = "gone"
        self._stream.close()
        self._machine.forget(self)
        if self.spec:
            shutil.rmtree(self.spec["directory"], ignore_errors=True)


class Launcher:
    """What `gomd.jobs.launching.Launcher` is to `Supervisors`."""

    def __init__(self, machine: MemoryMachine, daemon: object) -> None:
        self._machine = machine
        self._daemon = daemon

    def supervisor(self, namespace: bool) -> FrameStream:
        near, far = self._machine.network.connect(self._daemon, self._machine)
        self._machine.supervisors.append(Supervisor(self._machine, far))
        return near

    def connect(self, path: str) -> FrameStream:
        for each in self._machine.supervisors:
            if each.spec.get("directory") == os.path.dirname(path):
                near, far = self._machine.network.connect(self._daemon, self._machine)
                each.accept(far)
                return near
        raise ConnectionRefusedError("nobody listens there")

    def close(self) -> None:
        """It forgets nothing."""


class Criu:
    """The program, as the daemon itself calls it."""

    program = "criu"

    def __init__(self) -> None:
        self.missing = ""
        self.page_server_fails = ""

    def check(self) -> str:
        return self.missing

    def page_server(self, accepted: Any, directory: str, tls: Any, limit: float) -> None:
        if self.page_server_fails:
            raise CannotMove(self.page_server_fails)


class Listening:
    """A socket that nobody is behind."""

    def __init__(self, machine: MemoryMachine) -> None:
        self.closed = False
        machine.listening.append(self)

    def getsockname(self) -> tuple[str, int]:
        return "10.0.0.9", 4711

    def shutdown(self, how: int) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


@implementer(IThreads)
class AtOnce:
    """
    Threads that are none.

    :ivar held: calls of functions whose name is in ``hold`` wait here.
    """

    def __init__(self) -> None:
        self.hold: set[str] = set()
        self.held: list[Callable[[], None]] = []

    async def run(self, limit: float, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `IThreads.run`."""
        name = getattr(function, "__name__", "")
        if name not in self.hold:
            return function(*arguments)
        waited: Deferred[Any] = Deferred()

        def call() -> None:
            try:
                result = function(*arguments)
            except Exception:
                waited.errback(Failure())
            else:
                waited.callback(result)

        self.held.append(call)
        return await waited

    def release(self) -> None:
        """Do the calls that were held."""
        self.hold.clear()
        held, self.held = self.held, []
        for call in held:
            call()


@implementer(IMembership)
class Members:
    """The nodes of the cluster, as one of them knows them."""

    def __init__(self, cluster: Cluster, own_id: int) -> None:
        self.own_id = own_id
        self._cluster = cluster

    def nodes(self) -> Sequence[Node]:
        """See `IMembership.nodes`."""
        return [
            Node(
                number, machine.name, f"10.0.0.{number}", machine.status if machine.up else Status.CONFIGURED
            )
            for number, machine in self._cluster.machines.items()
        ]

    def find(self, key: str) -> Node:
        """See `IMembership.find`."""
        for node in self.nodes():
            if key in (str(node.id), node.name):
                return node
        raise NotFound(f"there is no node {key}")

    def counters(self) -> Iterator[Any]:
        """See `IMembership.counters`."""
        return iter(())


@implementer(IPeers)
class Peers:
    """The other daemons, reached over the network in memory."""

    def __init__(self, cluster: Cluster, own_id: int) -> None:
        self._cluster = cluster
        self._own_id = own_id
        self.asked: list[Request] = []

    def _daemon(self, node: Node) -> Daemon:
        daemon = self._cluster.machines[node.id].daemon
        if daemon is None or (self._own_id, node.id) in self._cluster.apart:
            raise PeerUnreachable(f"node {node.id} {node.name} cannot be reached")
        return daemon

    async def read(self, node: Node, path: str) -> bytes:
        """See `IPeers.read`."""
        raise PeerUnreachable("nothing is read here")

    async def cur_node(self, node: Node, pid: int) -> int:
        """See `IPeers.cur_node`."""
        raise PeerUnreachable("nothing is asked here")

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> Relay:
        """See `IPeers.ask`."""
        self.asked.append(request)
        daemon = self._daemon(node)
        try:
            name, number, nmigs = request.arguments
            daemon.jobs.moved(name, int(number), int(nmigs))
        except RequestError as error:
            return Relay(error.code, str(error), None)
        return Relay(OK, "", None)

    async def open(self, node: Node, request: Request, caller: Caller) -> FrameStream:
        """See `IPeers.open`."""
        daemon = self._daemon(node)
        if request.verb == "attach":
            daemon.jobs.check_guest(caller, request.arguments[0])
        own = self._cluster.machines[self._own_id].daemon
        near, far = self._cluster.network.connect(own, daemon)
        if request.verb == "attach":
            daemon.jobs.attach_guest(caller, request.arguments[0], far)
        elif request.verb == "run":
            daemon.jobs.run(caller, far, guest=request.arguments[0])
        else:
            assert request.verb == "migration"
            daemon.jobs.migrator.join(self._own_id, far)
        return near

    def counters(self) -> Iterator[Any]:
        """See `IPeers.counters`."""
        return iter(())


@implementer(IPlacement)
class NoPlacement:
    """These tests say where."""

    def choose(self, nodes: Sequence[Node], need: Need) -> Node:
        """See `IPlacement.choose`."""
        raise AssertionError("the node was named")

    def withdraw(self, node_id: int) -> None:
        """See `IPlacement.withdraw`."""


class Daemon:
    """One run of gomd on a machine; over the directories of the runs before it."""

    keeper: Keeper
    table: HomeTable
    whereabouts: Whereabouts
    post: Post
    ground: Ground
    migrations: Migrations

    def __init__(self, cluster: Cluster, number: int) -> None:
        machine = cluster.machines[number]
        self.clock = Clock()
        self.clock.advance(cluster.now)
        self.peers = Peers(cluster, number)
        members = Members(cluster, number)
        self.threads = AtOnce()
        self.events = Events(100)
        self.criu = Criu()
        here = Supervisors(
            Launcher(machine, self), machine.spool, 1 << 20, True, f"node {number} {machine.name}"  # type: ignore[arg-type]
        )  # fmt: skip

        def migrator(keeper: Keeper, table: HomeTable, whereabouts: Whereabouts) -> Migrations:
            post = Post(
                members, self.peers, lambda letter, answer: self.migrations.heard(letter, answer),
                lambda node, ours: self.migrations.cut(node, ours),
                lambda node: self.migrations.connected(node),
            )  # fmt: skip
            self.keeper, self.table, self.whereabouts, self.post = keeper, table, whereabouts, post
            self.ground = Ground(
                self.clock, members, self.threads, machine.facts(self.criu),
                Ability(self.criu, self.threads, self.clock), keeper, table, here, whereabouts,  # type: ignore[arg-type]
                MoveLog(machine.log), post,
            )  # fmt: skip
            self.migrations = Migrations(self.ground)
            return self.migrations

        self.jobs = Jobs(
            self.clock, members, self.threads, self.events, partial(Abroad, self.clock, members, self.peers),
            here, NoPlacement(), Journal(machine.journal), self.peers, own_uid=0, migrator=migrator,
        )  # fmt: skip


class MemoryMachine:
    """What stays when its daemon ends: the disk, the supervisors and their programs."""

    def __init__(self, cluster: Cluster, number: int, directory: str) -> None:
        self.network = cluster.network
        self.name = f"node{number}"
        self.number = number
        self.up = True
        self.status = UP
        self.daemon: Daemon | None = None
        self.supervisors: list[Supervisor] = []
        self.listening: list[Listening] = []
        self.spool = os.path.join(directory, "spool")
        self.log = os.path.join(directory, "migrations")
        self.journal = os.path.join(directory, "journal")
        self.hold_freeze = False
        self.dump_fails = self.restore_fails = self.cantmove = ""
        self.stays: list[str] = []
        self.stays_fails: Exception | None = None
        self.lacks = ""
        self.needs = Needs(1 << 20, "x86_64", "6.1.0", 0, "root", (), ("/",), ())
        self._pids = 1000 * number

    def new_pid(self) -> int:
        self._pids += 2
        return self._pids

    def facts(self, criu: Criu) -> Machine:
        """Return what `Migrations` is told of this machine."""
        directory = os.path.join(self.spool, "moving")
        return Machine(
            criu, f"10.0.0.{self.number}", 0, directory, lambda: None, lambda _connection, _uid: True,  # type: ignore[arg-type]
            listen=lambda _address: Listening(self),  # type: ignore[arg-type,return-value]
            accept=lambda listening, *_more: listening,
            look=lambda _pid, _supervisor, _user: self.needs,
            stays=self._stays,
            offer=self._offer,
        )  # fmt: skip

    def _stays(self, pid: int, supervisor: int) -> list[str]:
        if self.stays_fails is not None:
            raise self.stays_fails
        return self.stays

    def _offer(self, needs: Needs, user: str, room: str, criu: str) -> Offer:
        return Offer(
            1 << 40, 1 << 40, needs.machine, needs.kernel, user, (), needs.directories, (),
            criu or self.lacks,
        )  # fmt: skip

    def forget(self, supervisor: Supervisor) -> None:
        if supervisor in self.supervisors:
            self.supervisors.remove(supervisor)

    def left(self) -> list[str]:
        """What migrations have left behind on the disk."""
        found = []
        for directory in (self.log, os.path.join(self.spool, "moving")):
            if os.path.isdir(directory):
                found += [f"{self.name}: {name}" for name in os.listdir(directory)]
        return found


class Terminal:
    """A caller, who does what `gom run` does."""

    def __init__(self, stream: FrameStream) -> None:
        self.stream = stream
        self.told: list[int] = []
        self.exit: int | None = None
        stream.on_frame = self._take

    def _take(self, frame: Frame) -> None:
        self.told.append(frame.kind)
        if frame.kind in (frames.STARTED, frames.RESUME):
            self.stream.send(frames.encode_json(frames.ATTACH, {}))
        elif frame.kind == frames.EXIT:
            self.exit = frames.decode_json(frame.payload)["exit"]
            self.stream.send(frames.encode(frames.COLLECTED))


class Cluster:
    """
    Machines 1 and up, each with a daemon.

    :ivar apart: pairs of node ids of which the first cannot reach the second.
    """

    def __init__(self, directory: str, count: int = 3) -> None:
        self.network = Network()
        self.now = 1000.0
        self.apart: set[tuple[int, int]] = set()
        self.machines = {
            number: MemoryMachine(self, number, os.path.join(directory, str(number)))
            for number in range(1, count + 1)
        }
        for number in self.machines:
            self.start(number)

    def __getitem__(self, number: int) -> Daemon:
        daemon = self.machines[number].daemon
        assert daemon is not None
        return daemon

    # -- daemons

    def start(self, number: int) -> None:
        """Start the daemon of a machine."""
        daemon = self.machines[number].daemon = Daemon(self, number)
        daemon.jobs.startService()

    def kill(self, number: int) -> None:
        """Its daemon is gone, without a word."""
        machine = self.machines[number]
        daemon, machine.daemon = machine.daemon, None
        if daemon is not None:
            self.network.drop(daemon)
            daemon.jobs._journal.close()  # as the kernel does
            following = daemon.jobs._following
            assert following is not None
            following.cancel()

    def stop(self, number: int) -> None:
        """Its daemon ends as it should."""
        machine = self.machines[number]
        daemon, machine.daemon = machine.daemon, None
        if daemon is not None:
            daemon.jobs.stopService()
            self.network.drop(daemon)

    def crash(self, number: int) -> None:
        """The machine goes down, with all that ran on it."""
        machine = self.machines[number]
        self.kill(number)
        for each in tuple(machine.supervisors):
            each.state = "gone"
        machine.supervisors.clear()
        self.network.drop(machine)
        machine.up = False

    def end(self) -> None:
        """End all daemons."""
        for number in self.machines:
            self.stop(number)

    # -- time

    def settle(self) -> None:
        """Let everything happen that needs no time to pass."""
        for _ in range(10_000):
            if not self.network.step():
                return
        raise AssertionError("they never stop talking")

    def run(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            for machine in self.machines.values():
                if machine.daemon is not None:
                    machine.daemon.clock.advance(step)
            self.settle()

    # -- jobs

    def begin(self, home: int = 1, node: int = 1, detach: bool = False) -> tuple[Job, Terminal]:
        """Start a job; return it and who waits for it."""
        near, far = self.network.connect(self, self[home])
        terminal = Terminal(near)
        self[home].jobs.run(ROOT, far)
        spec = {"argv": ["simulate"], "env": {}, "cwd": "/", "node": str(node), "detach": detach}
        near.send(frames.encode_json(frames.SPEC, spec))
        self.settle()
        return list(self[home].table)[-1], terminal

    def job(self, home: int = 1) -> Job:
        """Return the newest job of ``home``, as that knows it."""
        return list(self[home].table)[-1]

    def move(self, source: int, target: int) -> Deferred[None]:
        """Begin to move the job that runs on ``source``."""
        [here] = self[source].jobs.here()
        return Deferred.fromCoroutine(self[source].migrations.migrate(here.pid, target))

    def programs(self, state: str = "running") -> list[tuple[int, Program]]:
        """Where programs are in that state, and they."""
        return [
            (number, each.program)
            for number, machine in self.machines.items()
            for each in machine.supervisors
            if each.state == state and each.program is not None
        ]

    def left(self) -> list[str]:
        """Everything that should not be there when all is settled."""
        found = [name for machine in self.machines.values() for name in machine.left()]
        found += [f"node{number}: frozen" for number, _program in self.programs("frozen")]
        for number, machine in self.machines.items():
            if machine.daemon is None:
                continue
            now = {counter.name: counter.value for counter in machine.daemon.migrations.counters()}
            if now["migrations_now"]:
                found.append(f"node{number}: a migration")
            found += [
                f"node{number}: {held.name} departing or arriving"
                for held in machine.daemon.keeper.held.values()
                if held.departing is not None or held.arriving
            ]
        return found


def failure_of(deferred: Deferred[Any]) -> GomdError:
    """Return why it failed."""
    found: list[Any] = []
    deferred.addErrback(found.append)
    [failure] = found
    error = failure.value
    assert isinstance(error, GomdError), failure
    return error
