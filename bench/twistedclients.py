"""
Two Twisted clients that ask one question at a time by datagram: `libgomd.peer` and a bare protocol.

``python -m bench.twistedclients GOMD_PORT KEY_FILE ECHO_PORT PATH COUNT`` prints the median microseconds
of both. They are a program of their own as a reactor runs once in a process.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import react

from libgomd.peer import open_peer

#: Bytes of the plain datagrams: as long as the shortest question.
PACKET_BYTES = 256
MEASURED_ROUNDS = 5


class Plain(DatagramProtocol):
    """Sends a datagram and waits for the next one."""

    noisy = False

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._waits: Deferred[bytes] | None = None

    def ask(self) -> Deferred[bytes]:
        """Send a packet; fires with the one that comes back."""
        assert self.transport is not None
        waits: Deferred[bytes] = Deferred()
        self._waits = waits
        self.transport.write(bytes(PACKET_BYTES), self._address)
        return waits

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        waits, self._waits = self._waits, None
        if waits is not None:
            waits.callback(datagram)


async def _median(ask: Any, count: int) -> float:
    taken = []
    for _ in range(count):
        before = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - before)
    return statistics.median(taken)


async def main(reactor: Any, gomd_port: str, key_file: str, echo_port: str, path: str, count: str) -> None:
    """Let the two take turns, and print their times."""
    peer, plain = open_peer(reactor, key_file), Plain(("127.0.0.1", int(echo_port)))
    reactor.listenUDP(0, plain, interface="127.0.0.1")
    sealed, bare = [], []
    for _ in range(MEASURED_ROUNDS):
        sealed.append(await _median(lambda: peer.read(("127.0.0.1", int(gomd_port)), path), int(count)))
        bare.append(await _median(plain.ask, int(count)))
    print(f"{statistics.median(sealed) * 1e6:.1f} {statistics.median(bare) * 1e6:.1f}")


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
