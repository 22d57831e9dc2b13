"""A machine that is put back to a snapshot, and one whose clock is wrong, as the whole cluster sees them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.membership import Settings
from gomd.protocols.peers import PeerProtocol
from libgomd.model import EventKind
from libgomd.wire.datagrams import open_sealed
from libgomd.wire.messages import Probe
from libgomd.wire.sealing import NONCE_LENGTH, SALT_LENGTH
from tests.unit.protocols.sealed_cluster import SealedCluster, SealedNode, Snapshot
from tests.unit.wire.vectors import RING

_SALT = 4 + 1 + 8
_BODY = _SALT + SALT_LENGTH + NONCE_LENGTH


class SnapshotTests(SynchronousTestCase):
    """Three nodes; the third is put back, and nothing in it notices."""

    def setUp(self) -> None:
        self.cluster = SealedCluster(3)
        self.third = self.cluster.nodes[3]
        self.assertTrue(self.cluster.agreed())

    def put_back(self, snapshot: Snapshot, skew: float = 0.0) -> float:
        """Put the third node back; return when."""
        self.third.put_back(snapshot)
        self.third.skew = skew
        return float(self.cluster.clock.seconds())

    def check_it_is_back(self, since: float, limit: float) -> None:
        """The others say why it was not heard, each once, and it never leaves or starts for them."""
        cluster = self.cluster
        cluster.clock.advance(limit)
        cluster.until_agreed(0.1)
        cluster.clock.advance(30.0)
        self.assertTrue(cluster.agreed())
        for number in (1, 2):
            told = cluster.nodes[number].said(3, EventKind.SUSPECT, since=since)
            [event] = [event for event in told if "replayed" in event.reason]
            self.assertIn("heard, but all of it replayed", event.reason)
            self.assertEqual(event.name, "node3")
            self.assertLess(event.time - since, 3.0)
            self.assertEqual(cluster.nodes[number].said(3, EventKind.JOIN, EventKind.LEAVE, since=since), [])
        own = self.third.said(3, EventKind.SUSPECT)
        self.assertTrue(any("snapshot" in event.reason for event in own))

    def test_it_is_heard_again_at_once(self) -> None:
        """Ten minutes back: without this nothing of it would be taken for ten minutes."""
        snapshot = Snapshot(self.third)
        self.cluster.clock.advance(600.0)
        since = self.put_back(snapshot)
        self.check_it_is_back(since, 1.5)
        for number in (1, 2):
            self.assertEqual(self.cluster.nodes[number].said(3, EventKind.DOWN, since=since), [])

    def test_a_clock_that_went_back_with_it_costs_seconds(self) -> None:
        """Then it cannot be told from a recording, but it can prove itself."""
        snapshot = Snapshot(self.third)
        self.cluster.clock.advance(25.0)
        self.check_it_is_back(self.put_back(snapshot, skew=-25.0), 4.0)

    def test_the_same_snapshot_twice(self) -> None:
        """The second time its new numbers must not be those of the first time."""
        snapshot = Snapshot(self.third)
        self.cluster.clock.advance(600.0)
        self.check_it_is_back(self.put_back(snapshot), 1.5)
        self.check_it_is_back(self.put_back(snapshot), 1.5)
        self.cluster.clock.advance(10.0)
        self.check_it_is_back(self.put_back(snapshot, skew=-20.0), 4.0)

    def test_no_nonce_is_ever_used_twice(self) -> None:
        """Though the machine draws the same random bytes again: one nonce, one packet."""
        snapshot = Snapshot(self.third)
        before = len(self.third.written)
        self.cluster.clock.advance(60.0)
        self.put_back(snapshot)
        self.cluster.clock.advance(60.0)
        self.put_back(snapshot)
        self.cluster.clock.advance(60.0)
        packets = {packet[_SALT:_BODY]: set[bytes]() for packet in self.third.written[before:]}
        for packet in self.third.written[before:]:
            packets[packet[_SALT:_BODY]].add(packet)
        self.assertGreater(len(packets), 180)
        self.assertEqual({len(same) for same in packets.values()}, {1})
        salts = {nonce[:SALT_LENGTH] for nonce in packets}
        self.assertGreater(len(salts), 1, "new numbers come under a new salt")

    def test_one_that_notices_by_itself_is_not_even_missed(self) -> None:
        """After a gap or a jump of its clock it leaps before anybody drops anything of it."""
        snapshot = Snapshot(self.third)
        self.cluster.clock.advance(600.0)
        since = self.put_back(snapshot)
        self.third.protocol.renumber()
        self.third.engine.look_again()
        self.cluster.clock.advance(10.0)
        self.assertTrue(self.cluster.agreed())
        for node in self.cluster.nodes.values():
            self.assertEqual(node.said(3, *EventKind, since=since), [])

    def test_a_copy_of_a_running_machine_is_said(self) -> None:
        """Both have one id and one memory: the one that is behind hears of the other, and says where."""
        third = self.cluster.nodes[3]
        copy = SealedNode(self.cluster, 4, Settings())
        copy.protocol = PeerProtocol(
            RING, 3, "node3", third.protocol.instance, self.cluster.clock, copy.wall, copy.random.randbytes,
            (("239.192.0.1", 5429),),
        )  # fmt: skip
        copy.protocol.makeConnection(copy)  # type: ignore[arg-type]
        copy.protocol._sealer.sequence = third.protocol._sealer.sequence + 1000
        since = self.cluster.clock.seconds()
        for _ in range(60):
            copy.protocol.multicast(Probe(1))
            self.cluster.clock.advance(1.0)
        told = third.said(3, EventKind.SUSPECT, since=since)
        where = "a copy of this machine runs at 10.0.0.4"
        self.assertEqual(len([event for event in told if where in event.reason]), 1)
        for number in (1, 2):
            told = self.cluster.nodes[number].said(3, EventKind.SUSPECT, since=since)
            self.assertLessEqual(len(told), 4, "no event each second")

    def test_recordings_of_a_node_that_is_gone_are_not_taken(self) -> None:
        """They look like a snapshot; it is said, and the node stays down: it has to answer for itself."""
        cluster, third = self.cluster, self.third
        cluster.clock.advance(5.0)
        recorded = third.written[-20:]
        third.plugged = False
        third.engine.stop()
        since = cluster.clock.seconds()
        for _ in range(20):
            for packet in recorded:
                cluster.carry(packet, third.address, ("239.192.0.1", 5429))
            cluster.clock.advance(1.0)
        for number in (1, 2):
            node = cluster.nodes[number]
            self.assertEqual(node.up(), {1, 2})
            told = node.said(3, EventKind.SUSPECT, since=since)
            self.assertEqual(len([event for event in told if "replayed" in event.reason]), 1)
            self.assertEqual(node.said(3, EventKind.UP, EventKind.JOIN, since=since), [])

    def test_a_network_that_doubles_packets_is_no_news(self) -> None:
        """Every packet comes twice: each second one is dropped, and nobody says anything."""
        carry = self.cluster.carry
        self.patch(self.cluster, "carry", lambda *packet: (carry(*packet), carry(*packet)))
        since = self.cluster.clock.seconds()
        self.cluster.clock.advance(30.0)
        for node in self.cluster.nodes.values():
            for number in self.cluster.nodes:
                self.assertEqual(node.said(number, *EventKind, since=since), [])


class WrongClockTests(SynchronousTestCase):
    """The clock of the third of three nodes is set, again and again."""

    def test_it_is_reported_each_time_by_both_sides_and_back_at_once(self) -> None:
        """Also the second time within the hour, in both directions, after seconds, minutes and an hour."""
        self._set_again_and_again(SealedCluster(3, True), 3600.0)
        self._set_again_and_again(SealedCluster(3, False), 300.0)

    def _set_again_and_again(self, cluster: SealedCluster, longest: float) -> None:
        third = cluster.nodes[3]
        for skew, lasts in ((3600.0, 2.0), (-3600.0, longest), (45.0, 10.0), (-20.0, 10.0)):
            since = cluster.clock.seconds()
            third.skew = skew
            cluster.clock.advance(5.0)
            for one, other in ((1, 3), (2, 3), (3, 1), (3, 2)):
                told = cluster.nodes[one].said(other, EventKind.SUSPECT, since=since)
                clocks = [event.reason for event in told if "clock" in event.reason]
                way = "ahead of" if (skew > 0) is (other == 3) else "behind"
                amount = f"its clock is {abs(skew):.0f} s {way}"
                expected = 0 if abs(skew) < 30 else 1
                self.assertEqual(len([reason for reason in clocks if reason.startswith(amount)]), expected)
            cluster.clock.advance(lasts)
            self.assertEqual(cluster.nodes[1].up(), {1, 2} if abs(skew) > 30 else {1, 2, 3})
            third.skew = 0.0
            cluster.until_agreed(5.0)
            for number in (1, 2):
                restarts = cluster.nodes[number].said(3, EventKind.JOIN, EventKind.LEAVE, since=since)
                self.assertEqual(restarts, [])

    def test_one_on_the_edge_is_reported_once(self) -> None:
        """30 s off and a little more or less: no event for each second."""
        cluster = SealedCluster(2)
        for _ in range(20):
            for skew in (30.5, 29.5):
                cluster.nodes[2].skew = skew
                cluster.clock.advance(3.0)
        told = [event for event in cluster.nodes[1].events.recent() if "clock" in event.reason]
        self.assertEqual(len(told), 1)


class RenumberTests(SynchronousTestCase):
    """The numbers that a sender leaps to."""

    def test_they_follow_from_the_time_and_never_go_back(self) -> None:
        """Higher than any before, exact in every language, and there are always some left."""
        sealer = SealedCluster(1).nodes[1].protocol._sealer
        last = 0
        for now, above in ((1_700_000_000_000, 0), (1_600_000_000_000, 0), (1_700_000_000_001, 5),
                           (0, 2**52), (0, 2**53 - 1), (2**53 - 1, 0)):  # fmt: skip
            sealer.renumber(now, above)
            number = open_sealed(sealer.seal(Probe(1), 1), RING).datagram.sequence
            self.assertGreater(number, last)
            self.assertLess(number, 2**53 - 2**49)
            last = number
