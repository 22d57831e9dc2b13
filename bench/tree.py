"""
Measures `@all` over a thousand nodes, which asks 32 of them and the others through these.

Every node is a whole daemon in memory (`tests.tree_cluster`), so that the relays run the daemon's own code.
One machine cannot give a thousand nodes a processor each; the clock of the cluster does. The processor time
of whatever a node does is taken as it is done, and counts for that node alone: what comes to it meanwhile
waits for it, and what it sends leaves when it is done. A packet takes a millisecond, and each stream costs
both of its ends a TLS handshake, which is measured beforehand.
"""

from __future__ import annotations

import gc
import ssl
import statistics
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred

from bench.big_cluster import PROCESSES, processes
from bench.rows import Row, compared, limit
from gomd.verbs.kept_shares import KeptShare
from libgomd.certificates import node_credentials
from libgomd.derivation import read_keys
from libgomd.keys import new_key_file
from tests.network import HeapClock
from tests.tree_cluster import LATENCY, TreeCluster, Wires, slow_reading

FEW: Final = 33
MANY: Final = 1000
ROUNDS: Final = 15
#: How many times the latency of 32 other nodes that of a thousand may be.
LATENCY_LIMIT: Final = 3.0
#: Characters that a caller who reads slowly may make this node keep, beside one answer.
KEPT_LIMIT: Final = 4 << 20


class BusyWires(Wires):
    """
    A network between nodes that have a processor each.

    :ivar handshake: seconds that a TLS handshake costs each end.
    """

    handshake = 0.0

    def __init__(self, clock: HeapClock) -> None:
        super().__init__(clock)
        self._busy_until: dict[int, float] = {}
        #: Whose work is being done now, and since when by the processor's own clock.
        self._worker: int | None = None
        self._since = 0.0

    def _now(self, node: int) -> float:
        return max(self.clock.seconds(), self._busy_until.get(node, 0.0))

    def _settle(self) -> None:
        """Count what has been done since the last time for whoever does it."""
        now = time.thread_time()
        if self._worker is not None:
            self._busy_until[self._worker] = self._now(self._worker) + now - self._since
        self._since = now

    @contextmanager
    def work_of(self, node: int) -> Iterator[None]:
        """Count what is done for ``node``."""
        self._settle()
        before, self._worker = self._worker, node
        try:
            yield
        finally:
            self._settle()
            self._worker = before

    def connect(self, node: int, sender: int) -> None:
        """Count a handshake for both ends."""
        self._settle()
        for each in (node, sender):
            self._busy_until[each] = self._now(each) + self.handshake

    def arrive(self, at: int, sender: int) -> Awaitable[None]:
        """See `Wires.arrive`."""
        self._settle()
        arrived: Deferred[None] = Deferred()
        self._at(self._now(sender) + LATENCY, at, arrived)
        return arrived

    def _at(self, when: float, node: int, arrived: Deferred[None]) -> None:
        self.clock.at(when, lambda: self._deliver(node, arrived))

    def _deliver(self, node: int, arrived: Deferred[None]) -> None:
        if self._busy_until.get(node, 0.0) > self.clock.seconds():
            self._at(self._busy_until[node], node, arrived)
        elif not arrived.called:
            with self.work_of(node):
                arrived.callback(None)


def run() -> list[Row]:
    """Measure and return the rows."""
    BusyWires.handshake = handshake_seconds()
    print(f"a TLS handshake costs each end {1000 * BusyWires.handshake:.2f} ms")
    few, many = TreeCluster(FEW, wires=BusyWires), TreeCluster(MANY, wires=BusyWires)
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for cluster, seconds in zip((few, many), found, strict=True):
            seconds.append(1000 * _latency(cluster))
    print(f"`@all load`: {statistics.median(found[0]):.1f} ms of {FEW - 1} other nodes, "
          f"{statistics.median(found[1]):.1f} ms of {MANY - 1}")  # fmt: skip
    asked = {to for sender, to, _ in many.wires.asked if sender == 1}
    for cluster in (few, many):
        cluster.stop()
    return [
        compared(
            f"`@all load`, {MANY} nodes", found[1], "ms", f"{FEW - 1} other nodes", found[0], LATENCY_LIMIT
        ),
        limit(f"nodes asked directly, of {MANY}", len(asked), "nodes", 32),
        limit(f"kept of `@all ps`, {MANY} nodes", _kept() / 1e6, "MB", 1.5 * KEPT_LIMIT / 1e6),
    ]


def _latency(cluster: TreeCluster) -> float:
    """Return the seconds of the cluster's clock from a request to the last row of its answer."""
    gc.collect()
    gc.disable()  # a collection of the heap of a thousand daemons is no node's work
    try:
        began, found = cluster.clock.seconds(), list[Any]()
        wires = cluster.wires
        assert isinstance(wires, BusyWires)
        with wires.work_of(1):
            cluster.ask("@all load").addBoth(found.append)
        while not found:
            cluster.clock.advance(0.0005)
        wires._settle()
        code, _, lines = found[0]
        assert (code, len(lines)) == (201, len(cluster.daemons)), found[0]
        return max(cluster.clock.seconds(), wires._now(1)) - began
    finally:
        gc.enable()


def _kept() -> int:
    """Return the most characters that are kept for a caller who reads a thousand nodes' processes slowly."""
    cluster = TreeCluster(MANY, processes=processes)
    answers, done = slow_reading(cluster, "ps", KeptShare(KEPT_LIMIT, KEPT_LIMIT), 0.01)
    while not done.called:
        cluster.clock.advance(0.05)
    lines: Any = done.result
    assert len(lines) == MANY * PROCESSES, f"{len(lines)} processes of {MANY * PROCESSES}"
    cluster.stop()
    return answers.peak


def handshake_seconds(rounds: int = 40) -> float:
    """Return what a handshake costs each of its ends, as the median of some: half of what both take."""
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as name:
        path = Path(name) / "key"
        new_key_file(str(path))
        contexts = []
        for side, protocol in ((1, ssl.PROTOCOL_TLS_CLIENT), (2, ssl.PROTOCOL_TLS_SERVER)):
            own = node_credentials(read_keys([str(path)]), side, f"n{side}")
            file = Path(name) / f"{side}.pem"
            file.write_bytes(own.certificate_pem + own.key_pem)
            context = ssl.SSLContext(protocol)
            context.check_hostname = False
            context.load_cert_chain(file)
            context.load_verify_locations(cadata=own.authorities_pem.decode())
            context.verify_mode = ssl.CERT_REQUIRED
            contexts.append(context)
        took = []
        for _ in range(rounds):
            began = time.thread_time()
            _shake_hands(*contexts)
            took.append((time.thread_time() - began) / 2)
    return statistics.median(took)


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(back, there)
    far = server.wrap_bio(there, back, server_side=True)
    left = [near, far]
    while left:
        for each in tuple(left):
            try:
                each.do_handshake()
                left.remove(each)
            except ssl.SSLWantReadError:
                pass
