"""What came before or is too old is refused, whatever the order, in bounded memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from libgomd.wire.messages import Datagram, Probe
from libgomd.wire.replay import MAX_AGE, WINDOW, ReplayWindow, Verdict

NOW = 1_767_225_600_000


def packet(sequence: int, sent_at: int = NOW, sender: int = 1, instance: int = 7) -> Datagram:
    """Return a datagram of ``sender`` with that number."""
    return Datagram(sender, instance, sent_at, sequence, Probe(1))


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3 * WINDOW)), max_size=120))
@settings(max_examples=100, deadline=None)
def test_nothing_is_taken_twice_and_little_is_lost(arrivals: list[tuple[int, int]]) -> None:
    """In any order of arrival a number is taken at most once, and refused only if late by a window."""
    window = ReplayWindow()
    taken: set[tuple[int, int]] = set()
    highest: dict[int, int] = {}
    for sender, sequence in arrivals:
        verdict = window.admit(packet(sequence, sender=sender), NOW)
        top = highest.get(sender, sequence)
        expected = (sender, sequence) not in taken and sequence > top - WINDOW
        assert verdict is (Verdict.FRESH if expected else Verdict.REPLAYED)
        taken.add((sender, sequence))
        highest[sender] = max(top, sequence)


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(0, 40_000), st.integers(0, 2000)),
        max_size=150,
    )
)
@settings(max_examples=100, deadline=None)
def test_forgetting_a_sender_never_lets_its_packets_in_again(
    arrivals: list[tuple[int, int, int, int]],
) -> None:
    """With room for three senders only and nine that send, no datagram is ever taken twice."""
    window, now = ReplayWindow(max_senders=3), NOW
    taken: set[Datagram] = set()
    for sender, sequence, age, step in arrivals:
        now += step
        datagram = packet(sequence, NOW + 20_000 - age, sender)
        if window.admit(datagram, now) is Verdict.FRESH:
            assert datagram not in taken
            taken.add(datagram)
        assert len(window) <= 3


class ReplayWindowTests(SynchronousTestCase):
    def test_a_second_copy_is_refused(self) -> None:
        """A packet that the network doubles, or somebody records and sends again, counts once."""
        window = ReplayWindow()
        self.assertIs(window.admit(packet(5), NOW), Verdict.FRESH)
        self.assertIs(window.admit(packet(5), NOW + 10), Verdict.REPLAYED)
        self.assertIs(window.admit(packet(4), NOW + 10), Verdict.FRESH)
        self.assertIs(window.admit(packet(4), NOW + 10), Verdict.REPLAYED)

    def test_the_edge_of_the_window(self) -> None:
        """A packet late by one less than the window is taken, one late by all of it is not."""
        window = ReplayWindow()
        window.admit(packet(5000), NOW)
        self.assertIs(window.admit(packet(5000 - WINDOW + 1), NOW), Verdict.FRESH)
        self.assertIs(window.admit(packet(5000 - WINDOW), NOW), Verdict.REPLAYED)
        self.assertIs(window.admit(packet(5000 + WINDOW), NOW), Verdict.FRESH)
        self.assertIs(window.admit(packet(5000), NOW), Verdict.REPLAYED)
        self.assertIs(window.admit(packet(5001), NOW), Verdict.FRESH)

    def test_thirty_seconds_off_is_told_apart(self) -> None:
        """Too old and from the future are two verdicts, so that a wrong clock can be reported."""
        window = ReplayWindow()
        self.assertIs(window.admit(packet(1, NOW - MAX_AGE), NOW), Verdict.FRESH)
        self.assertIs(window.admit(packet(2, NOW + MAX_AGE), NOW), Verdict.FRESH)
        self.assertIs(window.admit(packet(3, NOW - MAX_AGE - 1), NOW), Verdict.OLD)
        self.assertIs(window.admit(packet(4, NOW + MAX_AGE + 1), NOW), Verdict.FUTURE)

    def test_a_daemon_that_starts_again_is_heard_at_once(self) -> None:
        """A restart begins with number 1 and is a sender of its own."""
        window = ReplayWindow()
        window.admit(packet(5000), NOW)
        self.assertIs(window.admit(packet(1, instance=8), NOW), Verdict.FRESH)
        self.assertIs(window.admit(packet(1, sender=2), NOW), Verdict.FRESH)

    def test_a_forgotten_sender_s_packets_stay_refused(self) -> None:
        """When there are more senders than places, the one silent longest goes and its packets stay out."""
        window = ReplayWindow(max_senders=2)
        window.admit(packet(1, NOW, sender=1), NOW)
        window.admit(packet(1, NOW + 100, sender=2), NOW + 100)
        self.assertIs(window.admit(packet(1, NOW + 200, sender=3), NOW + 200), Verdict.FRESH)
        self.assertEqual((len(window), window.evicted), (2, 1))
        self.assertIs(window.admit(packet(1, NOW, sender=1), NOW + 300), Verdict.REPLAYED)
        self.assertIs(window.admit(packet(2, NOW + 300, sender=1), NOW + 300), Verdict.FRESH)

    def test_a_sender_that_comes_back_does_not_bring_its_old_packets(self) -> None:
        """A sender that was forgotten and is heard again is known only from then on."""
        window = ReplayWindow(max_senders=1)
        for sequence in (1, 2, 3):
            window.admit(packet(sequence, NOW + sequence, sender=1), NOW)
        window.admit(packet(1, NOW + 4, sender=2), NOW + 4)
        self.assertIs(window.admit(packet(5, NOW + 5, sender=1), NOW + 5), Verdict.FRESH)
        for sequence in (1, 2, 3):
            self.assertIs(window.admit(packet(sequence, NOW + sequence, sender=1), NOW + 6), Verdict.REPLAYED)
        self.assertIs(window.admit(packet(4, NOW + 5, sender=1), NOW + 6), Verdict.FRESH)

    def test_forgetting_the_long_silent_costs_nothing(self) -> None:
        """Senders silent for more than 30 s make place without anybody being refused."""
        window = ReplayWindow(max_senders=2)
        window.admit(packet(1, NOW, sender=1), NOW)
        window.admit(packet(1, NOW, sender=2), NOW)
        later = NOW + MAX_AGE + 1000
        self.assertIs(window.admit(packet(1, later - MAX_AGE, sender=3), later), Verdict.FRESH)
        self.assertEqual(window.evicted, 0)

    def test_a_clock_set_back_does_not_open_the_window(self) -> None:
        """What was taken and forgotten is not taken again when this node's clock is set back."""
        window = ReplayWindow(max_senders=1)
        window.admit(packet(1, NOW, sender=1), NOW)
        later = NOW + 2 * MAX_AGE
        window.admit(packet(1, later, sender=2), later)
        self.assertIs(window.admit(packet(1, NOW, sender=1), NOW), Verdict.REPLAYED)
