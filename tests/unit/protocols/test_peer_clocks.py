"""Peers whose clocks differ tell each other, once, and say why nothing is answered."""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from libgomd.errors import TimedOut
from libgomd.wire.messages import (
    ClockWarning,
    Leave,
    Question,
)
from tests.unit.protocols.wires import NOW, OTHER, PATH, Node, sealing


class ClockTests(SynchronousTestCase):
    """Node 2's clock is five minutes ahead of node 1's."""

    def setUp(self) -> None:
        self.one, self.two = Node(1, "alpha"), Node(2, "beta", now=NOW + 300)

    def _pass(self, sender: Node, receiver: Node) -> None:
        """Carry what ``sender`` wrote to ``receiver``."""
        sent, sender.wire.written = sender.wire.written, []
        for packet, _ in sent:
            receiver.take(packet, (f"10.0.0.{1 if sender is self.one else 2}", 5428))

    def _talk(self) -> None:
        """Both send a goodbye, and whatever follows from it is carried."""
        for node in (self.one, self.two):
            node.protocol.send(Leave(0), [("10.0.0.9", 5428)])
        for _ in range(4):
            self._pass(self.one, self.two)
            self._pass(self.two, self.one)

    def test_both_sides_report_the_other_by_name_and_once(self) -> None:
        """Nothing is dropped in silence: each node knows whose clock differs, and by how much."""
        with capturedLogs() as logged:
            self._talk()
        self.assertEqual(self.one.engine.clocks, [(2, "beta", 300)])
        self.assertEqual(self.two.engine.clocks, [(1, "alpha", -300)])
        warned = [event for event in logged if event["log_level"].name == "warn"]
        self.assertEqual({event["name"] for event in warned}, {"alpha", "beta"})
        self.assertEqual(self.one.engine.received, [])
        self.assertEqual(self.one.counters()["datagrams_dropped_future"] > 0, True)
        self.assertEqual(self.two.counters()["datagrams_dropped_old"] > 0, True)
        for _ in range(5):
            for node in (self.one, self.two):
                node.clock.advance(10)
            self._talk()
        self.assertEqual((len(self.one.engine.clocks), len(self.two.engine.clocks)), (1, 1))

    def test_one_warning_is_enough_for_both(self) -> None:
        """Only one of them ever sends anything: the other one tells what it learnt from the warning."""
        for node in (self.one, self.two):
            node.wire.take()
        self.one.protocol.send(Leave(0), [("10.0.0.2", 5428)])
        for _ in range(4):
            self._pass(self.one, self.two)
            self._pass(self.two, self.one)
        self.assertEqual(self.one.engine.clocks, [(2, "beta", 300)])
        self.assertEqual(self.two.engine.clocks, [(1, "alpha", -300)])
        self.assertEqual((self.one.wire.written, self.two.wire.written), ([], []))

    def test_a_clock_that_is_right_again_can_be_news_again(self) -> None:
        """Each time it becomes wrong it is reported, not once an hour."""
        self._talk()
        for node in (self.one, self.two):
            node.clock.advance(10)
        self.one.clock.advance(300)
        self._talk()
        self.assertEqual([len(node.engine.clocks) for node in (self.one, self.two)], [1, 1])
        self.assertIn(("right clock", 2), self.one.engine.said)
        self.one.clock.advance(300)
        self._talk()
        self.assertEqual(self.one.engine.clocks, [(2, "beta", 300), (2, "beta", -300)])

    def test_a_stream_of_old_packets_gets_few_warnings(self) -> None:
        """A recording that is played again makes us send next to nothing."""
        seal = sealing(self.two.clock)
        for _ in range(100):
            self.one.take(seal(Leave(0)))
        self.assertEqual(len(self.one.wire.written), 1)

    def test_a_warning_that_was_recorded_is_not_believed(self) -> None:
        """It quotes a packet that this start of the daemon never sent."""
        seal = sealing(self.two.clock)
        for forged in (
            ClockWarning(999, 1, int(NOW * 1000), "beta"),
            ClockWarning(1000, 50, int(NOW * 1000), "beta"),
            ClockWarning(1000, 1, int((NOW - 3600) * 1000), "beta"),
        ):
            self.one.take(seal(forged))
        self.assertEqual(self.one.engine.clocks, [])

    def test_a_recording_makes_no_clock_wrong(self) -> None:
        """
        Somebody without the key keeps a datagram until it is too old and sends it again: the node there warns
        its sender, whose clock is as right as its own. Nobody reports anything, and no question fails.
        """
        one, two = Node(1, "alpha"), Node(2, "beta")
        one.protocol.send(Leave(0), [OTHER])
        [(recorded, _)] = one.wire.written
        one.wire.take()
        for node in (one, two):
            node.clock.advance(31)
        asked = one.protocol.asker.ask(OTHER, Question(0, PATH))
        one.wire.take()
        two.take(recorded, OTHER)
        [(warning, _)] = two.wire.written
        one.take(warning, OTHER)
        self.assertEqual((one.engine.clocks, two.engine.clocks, one.wire.written), ([], [], []))
        self.assertNoResult(asked)

    def test_nor_does_one_whose_warning_is_kept_as_well(self) -> None:
        """Both are late together, so that the clocks seem to differ; the datagram is too old by then."""
        one, two = Node(1, "alpha"), Node(2, "beta")
        one.protocol.send(Leave(0), [OTHER])
        [(recorded, _)] = one.wire.written
        one.wire.take()
        for node in (one, two):
            node.clock.advance(30.1)
        two.take(recorded, OTHER)
        [(warning, _)] = two.wire.written
        one.clock.advance(26)
        one.take(warning, OTHER)
        self.assertEqual(one.engine.clocks, [])

    def test_a_question_to_such_a_node_fails_at_once_and_says_why(self) -> None:
        """Who asks is not left with a time-out."""
        asked = self.one.protocol.asker.ask(OTHER, Question(0, PATH))
        self._pass(self.one, self.two)
        self._pass(self.two, self.one)
        error = self.failureResultOf(asked, TimedOut).value
        self.assertIn("beta drops what we ask", error.text)
        self.assertIn("300 s apart", error.text)
