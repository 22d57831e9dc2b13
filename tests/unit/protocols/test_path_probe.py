"""Whether large packets reach other nodes: who is probed, what a probe concludes, and what is said of it."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols import path_probe
from gomd.protocols.handshakes import Handshakes
from gomd.protocols.path_probe import (
    ALL_TIMEOUT,
    HELLO,
    KEPT_SECONDS,
    MAX_PROBED,
    PROBE_TIMEOUT,
    Found,
    PathProbes,
    ProbedPath,
    SegmentState,
    chosen,
    findings_of,
    parse_segment_state,
)
from libgomd.certificates import node_credentials
from libgomd.derivation import ClusterKey
from libgomd.errors import PeerUnreachable
from libgomd.model import Finding, FindingState, Node, Status
from libgomd.tls import MutualTLS

GOOD, WARN, BAD = FindingState
UP = Status.CONFIGURED | Status.UP


def node(number: int, status: Status = UP, address: str = "") -> Node:
    return Node(number, f"n{number}", address or f"10.0.0.{number}", status)


class ChosenTests(SynchronousTestCase):
    def test_a_small_cluster_is_probed_whole(self) -> None:
        """Every node that is up but this one."""
        nodes = [*map(node, range(1, MAX_PROBED + 2)), node(99, Status.CONFIGURED)]
        self.assertEqual([each.id for each in chosen(nodes, 3)], [1, 2, 4, 5, 6, 7, 8, 9])
        self.assertEqual(chosen([node(1)], 1), [])
        self.assertEqual(chosen([], 1), [])

    def test_a_large_one_in_part_and_both_ways(self) -> None:
        """The number is bounded; who is chosen chooses back, so each path is measured in both directions."""
        for count in (10, 11, 12, 13, 40, 1000):
            nodes = [node(3 * number) for number in range(1, count + 1)]
            by = {each.id: {other.id for other in chosen(nodes, each.id)} for each in nodes}
            for own, others in by.items():
                self.assertLessEqual(len(others), MAX_PROBED)
                self.assertNotIn(own, others)
                self.assertTrue(all(own in by[other] for other in others))
        self.assertTrue(any(other > 600 for other in by[300]))  # far ones, too


class KernelTests(SynchronousTestCase):
    def test_what_is_read(self) -> None:
        """The size of a full packet, packets on the way, repetitions, and what has arrived."""
        small = [1, 2, 3, 4, 5, 6, 7, 8]
        numbers = [100, 101, 1448, 103, 7, *range(105, 113), 1500, *range(200, 210)]
        data = struct.pack("=8B24I5Q", *small, *numbers, 1, 2, 1 << 40, 4, 5)
        for length in (128, len(data)):
            self.assertEqual(parse_segment_state(data[:length], 52), SegmentState(1500, 7, 3, 1 << 40))
        self.assertIsNone(parse_segment_state(data[:127], 52))
        jumbo = struct.pack("=8B24I3Q", *small, *numbers[:13], 9000, *numbers[14:], 1, 2, 3)
        self.assertEqual(
            parse_segment_state(jumbo, 52), SegmentState(1500, 7, 3, 3)
        )  # the other end has 1500
        self.assertIsNone(path_probe.segment_state(StringTransport()))

    def test_a_daemon_waits_for_the_rest_of_it(self) -> None:
        """It is the begin of a client hello, fills jumbo frames, and is not more than a handshake may be."""
        tls = MutualTLS(node_credentials([ClusterKey.derive(bytes(32))], 1, "one"))
        port = Handshakes(Factory(), tls, Clock())
        handshake = port.buildProtocol(None)
        transport = StringTransport()
        handshake.makeConnection(transport)
        for place in range(0, len(HELLO), 1448):
            handshake.dataReceived(HELLO[place : place + 1448])
        self.assertEqual((transport.disconnected, transport.value(), handshake.begun), (False, b"", False))
        self.assertGreater(len(HELLO), 9000)
        handshake.connectionLost()


class ProbeTests(SynchronousTestCase):
    """One node besides this one; the test plays its connection and what the kernel knows of it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.state: SegmentState | None
        self.state = SegmentState(1500, 12, 0, 1)
        self.connections: list[StringTransport] = []
        self.reached = True
        self.nodes = [node(1), node(2)]
        self.probes = PathProbes(self.clock, 1, lambda: self.nodes, self.reach, lambda _transport: self.state)

    async def reach(self, _node: Node) -> StringTransport:
        if not self.reached:
            raise PeerUnreachable("it is gone")
        self.connections.append(StringTransport())
        return self.connections[-1]

    def ask(self) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.probes.findings())

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.05] * round(seconds * 20))

    def test_a_good_path(self) -> None:
        """All has arrived, and the connection is closed."""
        asked = self.ask()
        self.assertEqual([each.value() for each in self.connections], [HELLO])
        self.wait(0.3)
        self.state = SegmentState(1500, 2, 0, len(HELLO) - 1448)
        self.wait(0.3)
        self.assertNoResult(asked)
        self.state = SegmentState(1500, 0, 0, len(HELLO))
        self.wait(0.2)
        good = Finding("mtu", GOOD, "packets of 1500 bytes reach n2", "", 1500)
        self.assertEqual(self.successResultOf(asked), (good,))
        self.assertTrue(all(each.disconnected for each in self.connections))

    def test_packets_that_are_lost(self) -> None:
        """They were sent again and again, and a new connection is made nevertheless."""
        asked = self.ask()
        self.wait(0.3)
        self.state = SegmentState(1500, 5, 2, 1)
        self.wait(0.5)
        self.assertNoResult(asked)
        self.state = SegmentState(600, 5, 3, 1)  # the kernel tries smaller ones by now
        self.wait(0.2)
        [found] = self.successResultOf(asked)
        self.assertEqual((found.check, found.state, found.value), ("mtu", BAD, 1500))
        self.assertIn("packets of 1500 bytes to n2 are lost", found.text)
        self.assertIn("ping -M do -s 1472 10.0.0.2", found.mend)
        self.assertEqual([each.disconnected for each in self.connections], [True, True])

    def test_packets_that_never_left_this_machine(self) -> None:
        """The kernel does not count them as sent again."""
        asked = self.ask()
        self.wait(PROBE_TIMEOUT - 0.2)
        self.assertNoResult(asked)
        self.wait(1)
        self.assertEqual([each.state for each in self.successResultOf(asked)], [BAD])

    def test_what_is_not_the_size_is_no_finding(self) -> None:
        """A kernel that is slow, a node that cannot be reached any more, a connection that was closed."""
        asked = self.ask()
        self.state = SegmentState(1500, 12, 0, 1449)
        self.wait(PROBE_TIMEOUT + 1)  # something has arrived
        self.assertEqual(self.successResultOf(asked), ())
        self.wait(KEPT_SECONDS)
        asked = self.ask()
        self.state = SegmentState(1500, 2, 3, 1)
        self.reached = False
        self.wait(0.2)
        self.assertEqual(self.successResultOf(asked), ())
        self.wait(KEPT_SECONDS)
        self.assertEqual(self.successResultOf(self.ask()), ())  # not reached at all
        self.wait(KEPT_SECONDS)
        self.reached, self.state = True, None
        asked = self.ask()
        self.wait(0.2)
        self.assertEqual(self.successResultOf(asked), ())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_who_ask_share_a_round(self) -> None:
        """At the same time, and for some seconds after it; then there is another one."""
        asked = [self.ask() for _ in range(5)]
        self.state = SegmentState(1500, 2, 3, 1)
        self.wait(0.2)
        found = [self.successResultOf(each) for each in (*asked, self.ask())]
        self.assertEqual(len({id(each) for each in found}), 1)
        self.assertEqual(len(self.connections), 2)  # the probe, and what shows that small ones pass
        self.wait(KEPT_SECONDS)
        self.ask()
        self.assertEqual(len(self.connections), 3)

    def test_one_who_gives_up_spoils_nothing(self) -> None:
        """The others get their answer; one that never ends is given up."""
        first, second = self.ask(), self.ask()
        first.addErrback(lambda _failure: None)
        first.cancel()
        self.state = SegmentState(1500, 2, 3, 1)
        self.wait(0.2)
        self.assertEqual(len(self.successResultOf(second)), 1)
        stuck: Deferred[Any] = Deferred()
        probes = PathProbes(self.clock, 1, lambda: self.nodes, lambda _node: stuck)
        asked = Deferred.fromCoroutine(probes.findings())
        self.wait(ALL_TIMEOUT + 1)
        self.assertEqual(self.successResultOf(asked), ())


@pytest.mark.parametrize(("address", "size"), [("10.0.0.2", 1472), ("fd00::2", 1452)])
def test_the_size_of_the_ping(address: str, size: int) -> None:
    """Without the headers of its family."""
    [found] = findings_of([ProbedPath(node(2, address=address), Found.LOST, 1500)])
    assert f"-s {size} {address}" in found.mend


def test_paths_with_the_same_fault_are_one_finding() -> None:
    """And different ones are several; what could not be measured is none."""
    paths = [
        *(ProbedPath(node(number), Found.LOST, 1500) for number in (2, 3, 4)),
        ProbedPath(node(5), Found.LOST, 9000),
        ProbedPath(node(7), Found.UNKNOWN),
        ProbedPath(node(8), Found.ARRIVES, 9000),
        ProbedPath(node(9), Found.ARRIVES, 1500),
    ]
    found = [each.text.partition(", and small")[0] for each in findings_of(paths)]
    assert found == [
        "packets of 1500 bytes reach n[8-9]", "packets of 1500 bytes to n[2-4] are lost on the way",
        "packets of 9000 bytes to n5 are lost on the way",
    ]  # fmt: skip
