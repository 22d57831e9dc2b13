"""
Thousands of members of kinship that one process plays, on loopback and without encryption.

They answer probes, probe each other, exchange lists of members and pass news on as often as real ones would
with the node that is measured. So the node has all the work that a node of such a cluster has; only its own
share of the packets exists. What is not kinship here is when news reach the node: a played member that is
dead is probed once a second on average, a probe fails after a second, and news reach everybody within about
one and a half seconds (a factor of four in each round of 0.2 s).

`serve` is for a process of its own. The format is that of kinship 0.4 (its crate `kinship-proto`).
"""

from __future__ import annotations

import heapq
import selectors
import socket
import time
from collections.abc import Iterable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from random import Random
from typing import Any, Final

_PING, _PING_REQ, _ACK, _NACK, _SUSPECT, _PUSH_PULL = 1, 2, 3, 4, 6, 8
_STREAM: Final = 2
_EPOCH: Final = 1_700_000_000_000
#: As in kinship: seconds of a probe round, of a gossip round, and between two exchanges of lists.
_PROBE: Final = 1.0
_GOSSIP: Final = 0.2
_EXCHANGE: Final = 30.0
#: Members to which each gossips in a round, bytes of a packet, and how often each gets the same news.
_GOSSIP_NODES: Final = 3
_PACKET: Final = 1300
_REPEATS: Final = 20
#: Seconds until news reach the node: mean and deviation.
_SPREAD: Final = (1.2, 0.3)
#: Different members that report the same death; more do not make it quicker.
_REPORTERS: Final = 8


def varint(value: int) -> bytes:
    """Return a number as kinship writes it."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def text(value: bytes) -> bytes:
    """Return bytes behind their length."""
    return varint(len(value)) + value


def address(port: int, host: str = "127.0.0.1") -> bytes:
    """Return an IPv4 address as kinship writes it."""
    return b"\x04" + socket.inet_aton(host) + port.to_bytes(2, "big")


def name(member: int) -> bytes:
    """Return the name of a member behind its length."""
    return text(str(member).encode())


class _Reader:
    """Reads what kinship wrote."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        found = shift = 0
        while True:
            byte = self.take(1)[0]
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return found

    def text(self) -> bytes:
        return self.take(self.number())

    def port(self) -> int:
        self.take(5)
        return int.from_bytes(self.take(2), "big")


def messages(packet: bytes) -> Iterator[tuple[int, _Reader]]:
    """Yield the kind and the body of each message of a packet."""
    reader = _Reader(packet[12:])
    for _ in range(reader.number()):
        kind = reader.take(1)[0]
        yield kind, _Reader(reader.text())


class Players:
    """
    Members 2 to ``count``, all at one port of loopback.

    :ivar dead: those that do not answer any more.
    """

    def __init__(self, count: int, random: Random) -> None:
        self._random = random
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._udp.bind(("127.0.0.1", 0))
        self.port = self._udp.getsockname()[1]
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._tcp.bind(("127.0.0.1", self.port))
        self._tcp.listen(64)
        self._members = range(2, count + 1)
        self.dead: set[int] = set()
        self._label = b""
        self._node: tuple[bytes, int] | None = None
        self._sequence = 0
        self._due: list[tuple[float, int, Any]] = []
        self._turn = 0
        self._news: list[tuple[int, float, bytes]] = []
        self._arriving: list[tuple[float, bytes]] = []
        self._records = self._record_list()
        self._reading: dict[socket.socket, bytearray] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._udp, selectors.EVENT_READ, self._datagram)
        self._selector.register(self._tcp, selectors.EVENT_READ, self._accept)

    def _record_list(self) -> bytes:
        records = []
        for member in (each for each in self._members if each not in self.dead):
            tags = {"name": f"node{member}", "port": "5428", "stream": "5428"}
            meta = b"".join(text(key.encode()) + text(value.encode()) for key, value in tags.items())
            alive = (
                bytes(4)
                + name(member)
                + address(self.port)
                + text(meta)
                + b"\x01\x01"
                + _EPOCH.to_bytes(8, "big")
            )
            records.append(text(b"\x00" + alive))
        return b"\x00" + varint(len(records)) + b"".join(records)

    def run(self, port: Connection) -> None:
        """Play until told to stop: ``("kill", SHARE)`` kills a share of the members, ``None`` ends it."""
        self._selector.register(port, selectors.EVENT_READ, self._command)
        self._port = port
        self._running = True
        self._at(_PROBE, self._probe_node)
        self._at(_GOSSIP, self._gossip)
        self._at(_EXCHANGE * self._random.random(), self._exchange)
        while self._running:
            wait = max(0.0, self._due[0][0] - time.monotonic())
            for key, _ in self._selector.select(wait):
                key.data(key.fileobj)
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()

    def _at(self, delay: float, function: Any) -> None:
        self._turn += 1
        heapq.heappush(self._due, (time.monotonic() + delay, self._turn, function))

    def _command(self, _port: object) -> None:
        told = self._port.recv()
        if told is None:
            self._running = False
            return
        share = told[1]
        dying = self._random.sample(self._members, round(len(self._members) * share))
        self.dead.update(dying)
        self._records = self._record_list()
        now = time.monotonic()
        for member in dying:
            when = now + _PROBE
            for reporter in self._random.sample(self._members, _REPORTERS):
                when += self._random.expovariate(1 / _PROBE)
                if reporter not in self.dead:
                    body = bytes(4) + name(member) + name(reporter) + _EPOCH.to_bytes(8, "big")
                    arrives = when + max(0.4, self._random.gauss(*_SPREAD))
                    heapq.heappush(self._arriving, (arrives, bytes([_SUSPECT]) + text(body)))
        self._port.send(dying)

    # -- packets

    def _packet(self, bodies: Iterable[bytes], flags: int = 0) -> bytes:
        found = list(bodies)
        return b"kn\x01" + bytes([flags]) + self._label + varint(len(found)) + b"".join(found)

    def _send(self, port: int, *bodies: bytes) -> None:
        self._udp.sendto(self._packet(bodies), ("127.0.0.1", port))

    def _datagram(self, _socket: object) -> None:
        packet = self._udp.recv(65535)
        self._label = packet[4:12]
        for kind, body in messages(packet):
            if kind == _PING:
                sequence, target, _source = body.take(4), int(body.text()), body.text()
                if target not in self.dead:
                    self._send(body.port(), bytes([_ACK]) + text(sequence))
            elif kind == _PING_REQ:
                sequence, target, _target_port = body.take(4), int(body.text()), body.port()
                back = body.port()
                if target in self.dead:
                    self._at(_PROBE * 0.4, partial(self._send, back, bytes([_NACK]) + text(sequence)))
                else:
                    self._send(back, bytes([_ACK]) + text(sequence))

    def _probe_node(self) -> None:
        """Probe the node as often as one of so many does: once a second, on average."""
        self._at(self._random.expovariate(1 / _PROBE), self._probe_node)
        if self._node is not None:
            self._sequence += 1
            source = self._random.choice(self._members)
            body = self._sequence.to_bytes(4, "big") + self._node[0] + name(source) + address(self.port)
            self._send(self._node[1], bytes([_PING]) + text(body))

    def _gossip(self) -> None:
        """Send news, those first that were sent least, in as many packets as come to one of many."""
        self._at(_GOSSIP, self._gossip)
        now = time.monotonic()
        while self._arriving and self._arriving[0][0] <= now:
            heapq.heappush(self._news, (0, *heapq.heappop(self._arriving)))
        for _ in range(_GOSSIP_NODES if self._node is not None and self._news else 0):
            room, sent = _PACKET, []
            while self._news and room > len(self._news[0][2]):
                sent.append(heapq.heappop(self._news))
                room -= len(sent[-1][2])
            assert self._node is not None
            if sent:
                self._send(self._node[1], *(body for _count, _when, body in sent))
            for count, when, body in sent:
                if count + 1 < _REPEATS:
                    heapq.heappush(self._news, (count + 1, when, body))

    # -- exchanges of lists, by TCP

    def _accept(self, _socket: object) -> None:
        connection, _where = self._tcp.accept()
        self._reading[connection] = bytearray()
        self._selector.register(connection, selectors.EVENT_READ, self._stream)

    def _stream(self, connection: Any) -> None:
        data = connection.recv(1 << 20)
        buffer = self._reading[connection]
        buffer += data
        if data and (len(buffer) < 4 or len(buffer) < 4 + int.from_bytes(buffer[:4], "big")):
            return
        self._selector.unregister(connection)
        del self._reading[connection]
        if len(buffer) > 4:
            self._frame(connection, bytes(buffer[4:]))
        connection.close()

    def _frame(self, connection: socket.socket, packet: bytes) -> None:
        self._label = packet[4:12]
        for kind, body in messages(packet):
            if kind == _PUSH_PULL and body.take(1) == b"\x01":  # a join: its record says who it is
                body.number()
                record = _Reader(body.text())
                record.take(5)
                own = record.text()
                self._node = (text(own), record.port())
            if kind == _PUSH_PULL:
                self._write(connection, bytes([_PUSH_PULL]) + text(self._records))
            elif kind == _PING and int(_Reader(body.data[4:]).text()) not in self.dead:
                self._write(connection, bytes([_ACK]) + text(body.data[:4]))

    def _exchange(self) -> None:
        """Exchange lists with the node, as one of the others does every half a minute."""
        self._at(_EXCHANGE, self._exchange)
        if self._node is not None:
            with socket.create_connection(("127.0.0.1", self._node[1]), 5.0) as connection:
                self._write(connection, bytes([_PUSH_PULL]) + text(self._records))
                while connection.recv(1 << 20):
                    pass

    def _write(self, connection: socket.socket, body: bytes) -> None:
        packet = self._packet([body], _STREAM)
        connection.settimeout(5.0)
        connection.sendall(len(packet).to_bytes(4, "big") + packet)


def serve(count: int, port: Connection) -> None:
    """Play ``count`` - 1 members; send their port to ``port``, then take commands from it (`Players.run`)."""
    players = Players(count, Random(1))
    port.send(players.port)
    players.run(port)
