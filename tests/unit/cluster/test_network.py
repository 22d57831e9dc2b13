"""The network in memory does what the tests of membership rely on."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from libgomd.wire.messages import Datagram, Leave
from tests.network import HeapClock, Host, HostTransport, Network
from tests.nodes import Cluster


class Pair:
    """Three hosts on a network, and what came to the second and the third."""

    def __init__(self, seed: int = 1) -> None:
        self.clock = HeapClock()
        self.network = Network(self.clock, seed)
        self.came: dict[str, list[int]] = {"b": [], "c": []}
        self.hosts: dict[str, Host] = {}
        for name in ("a", "b", "c"):
            self.hosts[name] = self.network.attach((name, 1), self.taker(name))
        self.transport = HostTransport(self.network, 1, 1)
        self.transport.host = self.hosts["a"]

    def taker(self, name: str):  # type: ignore[no-untyped-def]
        def take(datagram: Datagram, address: object, multicast: bool) -> None:
            self.came[name].append(datagram.sequence)

        return take

    def send(self, count: int) -> None:
        for _ in range(count):
            self.transport.send(Leave(0), [("b", 1)])
        self.clock.advance(10.0)


class NetworkTests(SynchronousTestCase):
    def test_packets_arrive_once_and_in_time(self) -> None:
        """A plain network delivers everything within its delay."""
        pair = Pair()
        pair.transport.send(Leave(0), [("b", 1)])
        self.assertEqual(pair.came["b"], [])
        pair.clock.advance(0.001)
        self.assertEqual(pair.came["b"], [1])

    def test_loss(self) -> None:
        """About as many packets are lost as it is told to lose, and the same ones for the same seed."""
        came = []
        for seed in (1, 1, 2):
            pair = Pair(seed)
            pair.network.loss = 0.2
            pair.send(1000)
            came.append(pair.came["b"])
        self.assertTrue(750 < len(came[0]) < 850, len(came[0]))
        self.assertEqual(came[0], came[1])
        self.assertNotEqual(came[0], came[2])

    def test_overtaking(self) -> None:
        """With a wide range of delays packets overtake each other."""
        pair = Pair()
        pair.network.delay = (0.0, 1.0)
        pair.send(100)
        self.assertEqual(sorted(pair.came["b"]), list(range(1, 101)))
        self.assertNotEqual(pair.came["b"], sorted(pair.came["b"]))

    def test_doubles_are_refused_by_the_host(self) -> None:
        """What comes twice is received twice, and acted on once."""
        pair = Pair()
        pair.network.doubled = 1.0
        pair.send(10)
        self.assertEqual(pair.hosts["b"].received, 20)
        self.assertEqual(sorted(pair.came["b"]), list(range(1, 11)))

    def test_sides(self) -> None:
        """Across a cut nothing passes, not even what was on its way; mended, all passes."""
        pair = Pair()
        pair.transport.multicast(Leave(0))
        pair.network.part([pair.hosts["b"]])
        pair.clock.advance(1.0)
        self.assertEqual(pair.came, {"b": [], "c": [1]})
        pair.network.heal()
        pair.send(1)
        self.assertEqual(pair.came["b"], [2])

    def test_one_way(self) -> None:
        """A way can be blocked in one direction."""
        pair = Pair()
        pair.network.block(pair.hosts["a"], pair.hosts["b"])
        pair.send(1)
        self.assertEqual(pair.came["b"], [])

    def test_lengths_are_those_of_real_packets(self) -> None:
        """Bytes are counted as the sealed packets would have them."""
        pair = Pair()
        pair.send(1)
        self.assertGreater(pair.hosts["a"].sent_bytes, 50)
        self.assertEqual(pair.hosts["b"].received_bytes, pair.hosts["a"].sent_bytes)

    def test_the_same_seed_is_the_same_run(self) -> None:
        """Two clusters with one seed do the same to the last packet."""
        logs = []
        for _ in range(2):
            cluster = Cluster(seed=9)
            cluster.network.log = []
            cluster.network.loss = 0.1
            cluster.with_nodes(range(1, 6))
            logs.append(cluster.network.log)
        self.assertEqual(logs[0], logs[1])
        self.assertGreater(len(logs[0]), 50)


class ClockTests(SynchronousTestCase):
    def test_it_calls_as_twisteds_clock_does(self) -> None:
        """Calls come in order of their times, at their times; they can be put off, hastened and cancelled."""
        seen: list[list[tuple[str, float]]] = []
        for clock in (Clock(), HeapClock(0.0)):
            calls: list[tuple[str, float]] = []

            def note(name: str, clock: Clock = clock, calls: list[tuple[str, float]] = calls) -> None:
                calls.append((name, round(clock.seconds(), 3)))
                if name == "a":
                    clock.callLater(0.5, note, "again")

            for name, delay in (
                ("c", 3.0),
                ("a", 1.0),
                ("b", 2.0),
                ("off", 1.0),
                ("late", 1.0),
                ("soon", 9.0),
            ):
                call = clock.callLater(delay, note, name)
                if name == "off":
                    call.cancel()
                elif name == "late":
                    call.reset(2.5)
                elif name == "soon":
                    call.reset(0.25)
            for _ in range(40):
                clock.advance(0.125)
            seen.append(calls)
        self.assertEqual([name for name, _ in seen[1]], ["soon", "a", "again", "b", "late", "c"])
        self.assertEqual(seen[0], seen[1])
