"""Streams to other daemons: a few handshakes with one node at a time, tried again when it hangs up."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost as Lost
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.handshakes import MAX_HANDSHAKES_PER_ADDRESS
from gomd.protocols.peer_client import PeerClient
from gomd.protocols.peer_connections import (
    HANDSHAKE_QUEUE_TIMEOUT,
    MAX_HANDSHAKES_PER_NODE,
    RETRY_PAUSES,
    Contact,
    PeerConnections,
)
from libgomd.certificates import node_credentials
from libgomd.derivation import ClusterKey
from libgomd.errors import PeerUnreachable, TimedOut
from libgomd.model import Caller, Node, Role, Status
from libgomd.questions import Asker
from libgomd.tls import MutualTLS
from libgomd.wire.lines import Request

ROOT = Caller(Role.ADMIN, "root", 0, "unix")


class PeersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.tls = MutualTLS(node_credentials([ClusterKey.derive(bytes(32))], 1, "one"))
        self.taken = 0
        self.peers = self.client(lambda node: Contact(f"10.0.0.{node}", 5428, 5428), "10.0.0.1")

    def client(self, contact: Callable[[int], Contact | None], *own: str) -> PeerClient:
        """Return a client that reaches nodes as ``contact`` says, from the addresses ``own``."""
        asker = Asker(self.reactor, lambda *_anything: None, Random(1).randbytes)
        self.connections = PeerConnections(self.reactor, self.reactor, contact, self.tls, own)
        return PeerClient(self.reactor, asker, self.connections)

    def ask(self, node: int = 2) -> Deferred[Any]:
        there = Node(node, f"n{node}", f"10.0.0.{node}", Status.CONFIGURED | Status.UP)
        asked = Deferred.fromCoroutine(self.peers.ask(there, Request("load", ()), ROOT, False))
        asked.addErrback(lambda failure: failure.value)
        return asked

    def calls(self) -> list[Any]:
        """Return the connections that were asked for since the last time."""
        found = self.reactor.tcpClients[self.taken :]
        self.taken = len(self.reactor.tcpClients)
        return found

    def refuse(self, call: Any) -> None:
        call[2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    def hang_up(self, call: Any) -> None:
        """Accept a connection, and close it before its handshake is done."""
        protocol = call[2].buildProtocol(None)
        protocol.makeConnection(StringTransport())
        protocol.connectionLost(Failure(Lost()))

    def test_a_hundred_requests_take_turns(self) -> None:
        """No more handshakes than the other end has places for, and for each node apart."""
        asked = [self.ask() for _ in range(100)]
        calls = self.calls()
        self.assertEqual(len(calls), MAX_HANDSHAKES_PER_NODE)
        self.assertLess(2 * MAX_HANDSHAKES_PER_NODE, MAX_HANDSHAKES_PER_ADDRESS)
        self.ask(3)
        self.assertEqual([call[0] for call in self.calls()], ["10.0.0.3"])
        for done in range(100):
            self.refuse(calls.pop(0))
            calls += self.calls()
            self.assertIsInstance(self.successResultOf(asked[done]), PeerUnreachable)
            self.assertEqual(len(calls), min(MAX_HANDSHAKES_PER_NODE, 99 - done))

    def test_a_node_that_is_down_is_called_down(self) -> None:
        """Nobody says any more how it is reached, and yet that is not what the caller has to know."""
        nowhere: dict[int, Contact] = {}
        peers = self.client(nowhere.get, "10.0.0.1")
        for status, words in ((Status.CONFIGURED, "is down"), (Status.CONFIGURED | Status.UP, "not known")):
            there = Node(2, "n2", "10.0.0.2", status)
            asked = Deferred.fromCoroutine(peers.ask(there, Request("load", ()), ROOT, False))
            self.assertIn(words, str(self.failureResultOf(asked, PeerUnreachable).value))

    def test_the_other_address_of_a_node(self) -> None:
        """It is called when the first is not reached, from this node's address of that family."""
        places = {
            2: Contact("10.0.0.2", 5428, 5428, ("fd00::2",)),
            3: Contact("fd00::3", 5428, 5428, ("10.0.0.3",)),
            4: Contact("fd00::4", 5428, 5428),
        }  # fmt: skip

        def ask(node: int, *own: str) -> Deferred[Any]:
            peers = self.client(places.get, *own)
            there = Node(node, f"n{node}", "", Status.CONFIGURED | Status.UP)
            asked = Deferred.fromCoroutine(peers.ask(there, Request("load", ()), ROOT, False))
            return asked.addErrback(lambda failure: failure.value)

        asked = ask(2, "10.0.0.1", "fd00::1")
        for host, own in (("10.0.0.2", "10.0.0.1"), ("fd00::2", "fd00::1")):
            [call] = self.calls()
            self.assertEqual((call[0], call[4]), (host, (own, 0)))
            self.refuse(call)
        self.assertIsInstance(self.successResultOf(asked), PeerUnreachable)
        ask(3, "10.0.0.1")
        self.assertEqual([call[0] for call in self.calls()], ["10.0.0.3"])
        refused = self.successResultOf(ask(4, "10.0.0.1"))
        self.assertIn("no address of its family, IPv4 or IPv6: see [peers] address", str(refused))

    def test_who_hangs_up_is_called_again(self) -> None:
        """For a second or two: strangers may have had its places. Then it is said what may be wrong."""
        asked = self.ask()
        for pause in RETRY_PAUSES:
            [call] = self.calls()
            self.hang_up(call)
            self.assertEqual(self.calls(), [])
            self.reactor.advance(pause)
            self.assertNoResult(asked)
        [call] = self.calls()
        self.hang_up(call)
        self.assertIn("does it have our key?", str(self.successResultOf(asked)))
        counted = {counter.name: counter.value for counter in self.peers.counters()}
        self.assertEqual((counted["streams_again"], counted["streams_failed"]), (len(RETRY_PAUSES), 1))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_handshake_is_begun_again_when_a_key_is_removed(self) -> None:
        """Else whoever has only the old key could draw it out until then, and keep the stream."""
        asked = self.ask()
        [call] = self.calls()
        protocol, wire = call[2].buildProtocol(None), StringTransport()
        protocol.makeConnection(wire)
        self.connections.streams.drop(self.tls.still_believes)
        self.assertTrue(wire.disconnecting)
        protocol.connectionLost(Failure(Lost()))
        self.reactor.advance(RETRY_PAUSES[0])
        self.assertEqual(len(self.calls()), 1)
        self.assertNoResult(asked)

    def test_who_waits_too_long_for_a_turn_is_told(self) -> None:
        """A node that answers nobody keeps nobody waiting for ever, and is not called again at once."""
        first = [self.ask() for _ in range(MAX_HANDSHAKES_PER_NODE)]
        calls = self.calls()
        for call in calls:  # connected, and nothing comes
            call[2].buildProtocol(None).makeConnection(StringTransport())
        late = self.ask()
        self.reactor.advance(HANDSHAKE_QUEUE_TIMEOUT / 2)
        for each in first:
            self.assertIsInstance(self.successResultOf(each), TimedOut)
        [call] = self.calls()
        self.refuse(call)
        self.assertIsInstance(self.successResultOf(late), PeerUnreachable)
        self.assertEqual(self.calls(), [])
        blocked = [self.ask() for _ in range(MAX_HANDSHAKES_PER_NODE + 1)]
        self.reactor.advance(HANDSHAKE_QUEUE_TIMEOUT)
        self.assertIsInstance(self.successResultOf(blocked[-1]), TimedOut)
        self.assertEqual(len(self.calls()), MAX_HANDSHAKES_PER_NODE)
