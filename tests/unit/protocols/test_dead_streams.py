"""Which streams to other nodes are ended: from an address that has gone, and where nothing arrives."""

from __future__ import annotations

import struct

from twisted.internet.address import IPv6Address
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.dead_streams import (
    MIN_RETRANSMITS,
    SILENT_MS,
    StreamState,
    in_vain,
    is_dead,
    parse_tcp_info,
)
from gomd.protocols.open_streams import OpenStreams
from libgomd.connection import LineConnection


def tcp_info(unacked: int, retransmits: int, last_ack: int) -> bytes:
    """Return a `struct tcp_info` as the kernel writes it, every other field with a number of its own."""
    small = [1, 2, retransmits, 4, 5, 6, 7, 8]
    numbers = list(range(100, 100 + 50))
    numbers[4], numbers[12] = unacked, last_ack  # after rto, ato, snd_mss, rcv_mss; and the last of the times
    return struct.pack("=8B50I", *small, *numbers)


class KernelTests(SynchronousTestCase):
    """What the kernel says of a connection."""

    def test_what_is_read(self) -> None:
        """The first two and the last of what counts, wherever the struct ends."""
        whole = tcp_info(7, 3, 20_000)
        for length in (60, 104, len(whole)):
            self.assertEqual(parse_tcp_info(whole[:length]), StreamState(7, 3, 20_000))
        for length in (0, 8, 59):
            self.assertFalse(in_vain(parse_tcp_info(whole[:length])))

    def test_what_is_dead(self) -> None:
        """Something was sent several times, and nothing came back for long; all of it, not some of it."""
        dead = StreamState(1, MIN_RETRANSMITS, SILENT_MS)
        self.assertTrue(in_vain(dead))
        self.assertFalse(in_vain(dead._replace(unacknowledged=0)))  # a silent one: keepalive is for that
        self.assertFalse(in_vain(dead._replace(retransmits=MIN_RETRANSMITS - 1)))
        self.assertFalse(in_vain(dead._replace(silent_ms=SILENT_MS - 1)))
        # A peer whose reader is slow: its kernel acknowledges each probe of the window.
        self.assertFalse(in_vain(StreamState(0, 0, 60_000)))

    def test_no_tcp(self) -> None:
        """Nothing is known of a stream in memory."""
        self.assertFalse(is_dead(StringTransport()))


class OpenStreamsTests(SynchronousTestCase):
    """The streams from addresses of this node."""

    def setUp(self) -> None:
        self.streams = OpenStreams()
        self.made: dict[str, LineConnection] = {}
        for host in ("fd77::1", "fd78::1", "127.0.0.9"):
            connection = LineConnection()
            transport = StringTransport(hostAddress=IPv6Address("TCP", host, 5428))
            connection.makeConnection(transport)
            connection.greeted.addErrback(lambda _failure: None)
            self.streams.add(connection)
            self.made[host] = connection

    def ended(self) -> list[str]:
        """The addresses whose streams were ended."""
        return [host for host, connection in self.made.items() if connection.error is not None]

    def test_an_address_that_goes(self) -> None:
        """Its streams are ended when it is gone twice in a row; others are left alone."""
        self.streams.addresses_are(["fd77::1", "fd78::1", "127.0.0.1"])
        self.streams.addresses_are(["fd78::1", "127.0.0.1"])
        self.assertEqual(self.ended(), [])
        self.streams.addresses_are(["fd78::1", "127.0.0.1"])
        self.assertEqual(self.ended(), ["fd77::1"])
        self.assertIn("fd77::1 of this node has gone", str(self.made["fd77::1"].error))
        [counter] = self.streams.counters()
        self.assertEqual((counter.name, counter.value), ("streams_dead", 1))
        self.streams.addresses_are([])
        self.streams.addresses_are([])
        # The kernel allows addresses that are on no interface; such a one cannot go.
        self.assertEqual(self.ended(), ["fd77::1", "fd78::1"])

    def test_an_address_that_is_back_at_once(self) -> None:
        """As with an interface that was down for a moment."""
        for present in (["fd77::1"], [], ["fd77::1"], [], ["fd77::1"]):
            self.streams.addresses_are(present)
        self.assertEqual(self.ended(), [])
