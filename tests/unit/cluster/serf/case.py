"""A Serf agent in memory that says what a test makes it say, and a serf engine that speaks to it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.events import Events
from libgomd.errors import ConnectionLost, NotPossible, TimedOut
from libgomd.model import EventKind, Node, Status
from libgomd.wire.messages import Question, Summary

msgpack = pytest.importorskip("msgpack", reason="the serf engine is an extra")
serf = pytest.importorskip("gomd.cluster.serf")
member_module = pytest.importorskip("gomd.cluster.serf.member")
rpc_client = pytest.importorskip("gomd.cluster.serf.rpc_client")

UP = Status.CONFIGURED | Status.UP
OWN = Node(7, "node7", "10.0.0.7", UP, 1, age=0.1)
PORT = 5428
AUTH = "the auth key"


def claim(node: int, **other: Any) -> Any:
    """Return what the tags of a node say."""
    said = {
        "id": node, "name": f"node{node}", "addresses": (f"10.0.0.{node % 250}",), "port": PORT,
        "stream_port": PORT, "start": 1000, "key": "00112233445566aa", **other,
    }  # fmt: skip
    return member_module.NodeClaim(**said)


def member(
    node: int, status: str = "alive", name: str = "", tags: Any = None, **other: Any
) -> dict[str, Any]:
    """Return a member as an agent lists it."""
    said = claim(node, **other)
    return {
        "Name": name or f"gomd-{node}-0a0b0c0d", "Addr": ipaddress.ip_address(said.addresses[0]).packed,
        "Port": PORT + 3, "Tags": member_module.tags_of(said) if tags is None else tags, "Status": status,
        "ProtocolMin": 1, "ProtocolMax": 5, "ProtocolCur": 2,
        "DelegateMin": 2, "DelegateMax": 5, "DelegateCur": 5,
    }  # fmt: skip


class FakeAgent:
    """
    As much of a Serf agent as is used.

    :ivar present: its members. :ivar silent: whether it answers nothing.
    :ivar gone: whether nobody can connect.
    :ivar did: the requests, but for statistics and lists.
    """

    is_ours = True

    def __init__(self, clock: Clock, auth: str = AUTH) -> None:
        self.clock = clock
        self.auth = auth
        self.present: list[dict[str, Any]] = []
        self.silent = self.gone = False
        self.did: list[Any] = []
        self.tags: dict[str, str] = {}
        self.calls: list[str] = []
        self.wires: list[FakeWire] = []
        self.errors: dict[str, str] = {}
        self.raw: bytes | None = None

    # -- as gomd.cluster.serf.own_agent.Agent

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> Deferred[None]:
        self.calls.append("stop")
        return succeed(None)

    async def place(self) -> tuple[str, int, str]:
        if self.gone:
            raise NotPossible("it has ended")
        return "127.0.0.1", 7373, AUTH

    def unresponsive(self) -> None:
        self.calls.append("unresponsive")

    def restart(self) -> None:
        self.calls.append("restart")

    def set_keys(self, keys: Sequence[bytes]) -> None:
        self.calls.append(f"keys {len(keys)}")

    # -- as an agent

    def connect(self, host: str, port: int) -> Deferred[Any]:
        """Open a connection."""
        if self.gone:
            return fail(ConnectionLost("no connection"))
        rpc = rpc_client.SerfRpc(self.clock, 100)
        self.wires.append(FakeWire(self, rpc))
        rpc.makeConnection(self.wires[-1])
        return succeed(rpc)

    def answer(self, wire: FakeWire, command: str, seq: int, body: Any) -> bytes:
        """Return the bytes of a reply."""
        if command not in ("stats", "members", "handshake"):
            self.did.append((command, body))
        error, more = self.errors.get(command, ""), cast("Any", None)
        if command == "auth" and body["AuthKey"] != self.auth:
            error = "Invalid authentication token"
        elif command == "stats":
            more = {"agent": {"name": "gomd-7-01020304"}, "serf": {"members": "1"}}
        elif command == "members":
            more = {"Members": [member(7, name="gomd-7-01020304"), *self.present]}
        elif command == "join":
            more = {"Num": 1}
        elif command == "stream":
            wire.stream = seq
        elif command == "tags":
            self.tags = {**self.tags, **body["Tags"]}
            for tag in body["DeleteTags"]:
                self.tags.pop(tag, None)
        header: bytes = msgpack.packb({"Seq": seq, "Error": error})
        return header if more is None else header + (self.raw or msgpack.packb(more))

    def say(self, event: str, *members: dict[str, Any]) -> None:
        """Tell everybody who listens of a change, and let the engine look."""
        body = msgpack.packb({"Event": event, "Members": list(members)})
        for wire in self.wires:
            if wire.stream is not None:
                wire.send(msgpack.packb({"Seq": wire.stream, "Error": ""}) + body)
        self.clock.advance(0.1)
        self.clock.advance(0.5)

    def die(self) -> None:
        """End all connections, and accept none."""
        self.gone = True
        for wire in self.wires:
            wire.abortConnection()


class FakeWire:
    """One connection to a `FakeAgent`, as a transport."""

    def __init__(self, agent: FakeAgent, rpc: Any) -> None:
        self._agent = agent
        self._rpc = rpc
        self._unpacker = msgpack.Unpacker()
        self._header: Any = None
        self.stream: int | None = None
        self.open = True

    def write(self, data: bytes) -> None:
        """Take requests."""
        self._unpacker.feed(data)
        for found in self._unpacker:
            if self._header is None:
                self._header = found
            if found is not self._header or found["Command"] in ("stats", "members", "leave"):
                header, self._header = self._header, None
                if not self._agent.silent:
                    self.send(self._agent.answer(self, header["Command"], header["Seq"], found))

    def send(self, data: bytes) -> None:
        """Send bytes to gomd, a little later."""
        self._agent.clock.callLater(0, lambda: self._rpc.dataReceived(data) if self.open else None)

    def abortConnection(self) -> None:
        """End."""
        if self.open:
            self.open, self.stream = False, None
            self._rpc.connectionLost()


class SerfCase(SynchronousTestCase):
    """One engine at node 7."""

    is_ours = True
    max_nodes = 50

    def setUp(self) -> None:
        self.clock, self.events = Clock(), Events()
        self.agent = FakeAgent(self.clock)
        self.agent.is_ours = self.is_ours
        self.answers: dict[tuple[str, int], Node] = {}
        self.asked: list[tuple[str, int]] = []
        self.own = OWN
        self.link = serf.AgentLink(
            self.agent, self.agent.connect, self.clock,
            lambda: member_module.tags_of(claim(7, addresses=(self.own.address,))),
        )  # fmt: skip
        self.engine = serf.Serf(
            lambda: self.own, self.link, self.ask, self.clock, self.events, self.clock.seconds,
            (("10.0.0.1", PORT), ("10.0.0.7", PORT)), forget=100.0, max_nodes=self.max_nodes,
        )  # fmt: skip

    def ask(self, address: Any, question: Question) -> Deferred[Any]:
        """Answer as the node does that is asked, or nobody after three tries."""
        self.asked.append((address[0], question.target))
        node = self.answers.get((address[0], question.target))
        if node is not None:
            return succeed(Summary.of(1, node))
        silent: Deferred[Any] = Deferred()
        self.clock.callLater(1.5, silent.errback, TimedOut("no answer"))
        return silent

    def alive(self, *nodes: int) -> None:
        """Let these nodes answer questions at their addresses."""
        for node in nodes:
            host = f"10.0.0.{node % 250}"
            self.answers[host, node] = Node(node, f"node{node}", host, UP, 44, age=0.5)

    def dead(self, *nodes: int) -> None:
        """Let these nodes answer no more."""
        for node in nodes:
            del self.answers[f"10.0.0.{node % 250}", node]

    def begin(self, *nodes: int) -> None:
        """Start the engine, with these nodes up."""
        self.alive(*nodes)
        self.agent.present = [member(node) for node in nodes]
        self.engine.start()
        self.run_for(1.0)

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(int(seconds * 4)):
            self.clock.advance(0.25)

    def up(self) -> list[int]:
        """The nodes that are up."""
        return [node.id for node in self.engine.nodes() if node.up]

    def seen(self) -> list[tuple[EventKind, int, int]]:
        """The events about other nodes: kind, node, by."""
        return [(each.kind, each.node, each.by) for each in self.events.recent() if each.node != 7]

    def reasons(self, node: int = 7) -> list[str]:
        """What the events about a node say."""
        return [each.reason for each in self.events.recent() if each.node == node]
