"""The stream port before the handshake: few places, little time, few bytes, and nothing but TLS."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.test.iosim import IOPump, connect, makeFakeClient, makeFakeServer
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.handshakes import (
    HANDSHAKE_TIMEOUT,
    MAX_HANDSHAKE_BYTES,
    MAX_HANDSHAKES,
    MAX_HANDSHAKES_PER_ADDRESS,
    Handshake,
    Handshakes,
)
from libgomd.certificates import node_credentials
from libgomd.derivation import ClusterKey
from libgomd.tls import MutualTLS, peer_node

OURS, THEIRS = ClusterKey.derive(bytes(32)), ClusterKey.derive(b"\2" * 32)
#: Beginnings of a hello: its head says that more is to come.
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01"
STRANGE = (
    b"POST / HTTP/1.1\r\n\r\nbehalf admin 0 root text\nrun\n", b"GET /proc/loadavg HTTP/1.0\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n", b"behalf admin 0 root text\r\nrun\r\n", b"\xff\xfd\x18", b"\x80.\x01\x03\x01",
    b"\n", b"\0", b"\x15\x03\x03\x00\x02", b"\x17\x03\x03\x00\x02", b"\x16\x02\x01",
    b"\x16\x03\x03\x00\x02\x02",
)  # fmt: skip


class Speaker(Protocol):
    """Speaks behind the handshake: greets, knows who called, keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.node = 0
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        self.node = peer_node(self.transport)  # type: ignore[arg-type]
        assert self.transport is not None
        self.transport.write(b"220 hello")

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Caller(Protocol):
    """The other end: keeps what it hears."""

    heard = b""
    lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Behind(Factory):
    """Makes speakers. :ivar made: them."""

    def __init__(self) -> None:
        self.made: list[Speaker] = []

    def buildProtocol(self, addr: Any) -> Speaker:
        self.made.append(Speaker())
        return self.made[-1]


class Port:
    """A stream port in memory, and who connects to it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.behind = Behind()
        self.handshakes = Handshakes(self.behind, MutualTLS(node_credentials([OURS], 1, "one")), self.clock)

    def silent(self, host: str = "10.0.0.9", *said: bytes) -> StringTransport:
        """Connect, and say no more than that."""
        handshake, transport = self.accept(host), StringTransport()
        handshake.makeConnection(transport)
        for data in said:
            handshake.dataReceived(data)
        return transport

    def accept(self, host: str) -> Handshake:
        return self.handshakes.buildProtocol(IPv4Address("TCP", host, 40000))

    def daemon(self, key: ClusterKey = OURS, host: str = "10.0.0.2") -> tuple[Caller, IOPump, Handshake]:
        """Connect as node 2 does, and shake hands as far as that goes."""
        caller = Caller()
        creator = MutualTLS(node_credentials([key], 2, "two"))
        near = TLSMemoryBIOProtocol(TLSMemoryBIOFactory(creator, True, Factory(), clock=self.clock), caller)
        far = self.accept(host)
        pump = connect(far, makeFakeServer(far), near, makeFakeClient(near), clock=self.clock)
        pump.flush()
        self.clock.advance(0)
        pump.flush()
        return caller, pump, far

    def counts(self) -> dict[str, Any]:
        return {
            counter.name.removeprefix("handshakes_"): counter.value for counter in self.handshakes.counters()
        }


class HandshakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.port = Port()

    def test_a_daemon_with_our_key_gets_in(self) -> None:
        """It is greeted, known by its certificate, and no place of a stranger is taken any more."""
        caller, pump, _far = self.port.daemon()
        [speaker] = self.port.behind.made
        self.assertEqual((caller.heard, speaker.node), (b"220 hello", 2))
        assert caller.transport is not None
        caller.transport.write(b"load\r\n")
        self.port.clock.advance(0)
        pump.flush()
        self.assertEqual(speaker.heard, b"load\r\n")
        self.assertEqual(self.port.counts() | {"done": 0}, dict.fromkeys(self.port.counts(), 0))
        self.assertEqual(self.port.counts()["done"], 1)
        self.port.clock.advance(10 * HANDSHAKE_TIMEOUT)
        self.assertIsNone(speaker.lost)
        caller.transport.loseConnection()
        pump.flush()
        self.assertIsNotNone(speaker.lost)
        self.assertEqual(self.port.counts()["failed"], 0)

    def test_another_key_gets_nowhere(self) -> None:
        """Nothing behind the handshake is ever made for it."""
        caller, _pump, _far = self.port.daemon(THEIRS)
        self.assertEqual((caller.heard, self.port.behind.made), (b"", []))
        self.assertIsNotNone(caller.lost)
        self.assertEqual((self.port.counts()["failed"], self.port.counts()["now"]), (1, 0))

    def test_who_says_nothing_is_cut_off(self) -> None:
        """After five seconds, whether it said nothing or half a hello."""
        silent = [self.port.silent("10.0.0.9"), self.port.silent("10.0.0.9", HALF_A_HELLO)]
        self.port.clock.advance(HANDSHAKE_TIMEOUT - 0.1)
        self.assertFalse(any(each.disconnecting for each in silent))
        self.port.clock.advance(0.2)
        self.assertTrue(all(each.disconnecting for each in silent))
        self.assertEqual((self.port.counts()["late"], self.port.counts()["now"]), (2, 0))
        self.assertEqual(self.port.clock.getDelayedCalls(), [])

    def test_a_daemon_that_stalls_in_its_handshake_is_cut_off_too(self) -> None:
        """A hello alone does not keep a place."""
        far = self.port.accept("10.0.0.2")
        creator = MutualTLS(node_credentials([OURS], 2, "two"))
        near = TLSMemoryBIOProtocol(
            TLSMemoryBIOFactory(creator, True, Factory(), clock=self.port.clock), Caller()
        )
        hello, wire = StringTransport(), StringTransport()
        near.makeConnection(hello)
        far.makeConnection(wire)
        far.dataReceived(hello.value())
        self.assertTrue(wire.value())  # the server's half
        self.port.clock.advance(HANDSHAKE_TIMEOUT)
        self.assertTrue(wire.disconnected or wire.disconnecting)
        self.assertEqual(self.port.counts()["now"], 0)

    def test_an_address_has_eight_places(self) -> None:
        """The oldest that has not said hello makes room; other addresses do not mind."""
        other = self.port.silent("10.0.0.7")
        silent = [self.port.silent() for _ in range(MAX_HANDSHAKES_PER_ADDRESS)]
        self.assertFalse(any(each.disconnecting for each in silent))
        more = [self.port.silent() for _ in range(3)]
        self.assertEqual([each.disconnecting for each in silent], [True] * 3 + [False] * 5)
        self.assertFalse(any(each.disconnecting for each in (*more, other)))
        self.assertEqual(
            (self.port.counts()["now"], self.port.counts()["displaced"]), (MAX_HANDSHAKES_PER_ADDRESS + 1, 3)
        )

    def test_whatever_strangers_open_a_daemon_gets_in(self) -> None:
        """4,200 silent connections of its own address, before it and after it: it shakes hands."""
        for _ in range(4200):
            self.port.silent("10.0.0.2")
        caller, _pump, _far = self.port.daemon(host="10.0.0.2")
        self.assertEqual(caller.heard, b"220 hello")
        for _ in range(4200):
            self.port.silent("10.0.0.2")
        self.assertIsNone(caller.lost)
        self.assertEqual(self.port.counts()["now"], MAX_HANDSHAKES_PER_ADDRESS)

    def test_all_addresses_together_have_256_places(self) -> None:
        """Who has most gives one up: a daemon that has one keeps it while it shakes hands."""
        first = self.port.silent("10.0.0.2", HALF_A_HELLO)
        silent = [
            self.port.silent(f"10.1.{number % 250}.{1 + number // 250}")
            for number in range(250)
            for _ in range(2)
        ]
        self.assertEqual(self.port.counts()["now"], MAX_HANDSHAKES)
        self.assertFalse(first.disconnecting)
        self.assertEqual(sum(not each.disconnecting for each in silent), MAX_HANDSHAKES - 1)
        caller, _pump, _far = self.port.daemon(host="10.0.0.3")
        self.assertEqual(caller.heard, b"220 hello")

    def test_a_hello_that_never_ends(self) -> None:
        """Bytes are bounded too: a record is refused by its length, and so are many small ones."""
        for said in (
            [b"\x16\x03\x01\xff\xff\x01", *[bytes(4096)] * 9],
            [b"\x16\x03\x01\x00\x04\x01\0\xff\xff"] * 4000,
        ):
            wire = self.port.silent("10.0.0.9", *said)
            self.assertTrue(wire.disconnecting or wire.disconnected, said[0])
        self.assertEqual(self.port.counts()["now"], 0)
        self.assertLess(MAX_HANDSHAKE_BYTES, 64 * 1024)

    def test_the_port_closes(self) -> None:
        """Whoever waits is closed when the daemon stops, and no timer is left."""
        silent = [self.port.silent(), self.port.silent()]
        self.port.handshakes.stopFactory()
        self.assertTrue(all(each.disconnecting for each in silent))
        self.assertEqual(self.port.clock.getDelayedCalls(), [])


@pytest.mark.parametrize("said", STRANGE, ids=lambda said: repr(said[:12]))
@pytest.mark.parametrize("piecewise", [False, True])
def test_what_is_not_tls_is_hung_up_on(said: bytes, piecewise: bool) -> None:
    """Whole or byte by byte, without a word, and nothing behind it is read; it is counted."""
    port = Port()
    wire = port.silent("10.0.0.9", *([bytes([byte]) for byte in said] if piecewise else [said]))
    assert wire.disconnecting
    assert wire.value() == b""
    assert port.behind.made == []
    assert (port.counts()["strange"], port.counts()["failed"], port.counts()["now"]) == (1, 1, 0)
