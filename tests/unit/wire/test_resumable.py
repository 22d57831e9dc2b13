"""A numbered stream: every split, loss and repetition, until all of it has arrived exactly once."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libgomd.wire.resumable import MemoryStore, Receiver, Sender, WindowExceeded

WINDOW = 40


def test_a_sender_stops_at_the_window_and_goes_on_after_an_acknowledgement() -> None:
    """What was sent and not acknowledged is bounded."""
    sender = Sender(window=10)
    sender.append(b"abcdefghij")
    assert sender.room() == 0
    assert sender.next_piece(4) == b"abcd"
    assert sender.next_piece() == b"efghij"
    assert sender.next_piece() == b""
    assert sender.acknowledge(4)
    assert sender.room() == 4
    sender.append(b"klmn")
    assert sender.next_piece() == b"klmn"
    assert sender.drained


@pytest.mark.parametrize("position", [0, 3, 11, -1, 1 << 62])
def test_an_acknowledgement_that_cannot_be_changes_nothing(position: int) -> None:
    """Old ones, repeated ones, and ones for bytes that were never sent."""
    sender = Sender(window=20)
    sender.append(b"0123456789")
    sender.next_piece(10)
    sender.acknowledge(3)
    assert not sender.acknowledge(position)
    assert (sender.taken, sender.store.base) == (3, 3)


@pytest.mark.parametrize(
    ("wanted", "start"), [(0, 4), (4, 4), (7, 7), (10, 10), (999, 10)]
)  # fmt: skip
def test_resuming_goes_on_from_what_is_kept(wanted: int, start: int) -> None:
    """Older bytes are gone, newer ones do not exist yet."""
    sender = Sender(window=20)
    sender.append(b"0123456789")
    sender.next_piece()
    sender.acknowledge(4)
    assert sender.resume(wanted) == start
    assert sender.next_piece() == b"0123456789"[start:]


def test_the_window_counts_what_the_receiver_holds() -> None:
    """A receiver that has bytes it cannot pass on keeps the sender from sending as much again."""
    sender = Sender(window=10)
    sender.append(b"0123456789")
    sender.next_piece()
    assert sender.resume(received=10, taken=2) == 10
    assert sender.room() == 2


def test_what_comes_back_is_passed_on_once_more() -> None:
    """The acknowledged position never falls, whatever the receiver got back of it."""
    receiver = Receiver()
    receiver.receive(10)
    receiver.pass_on_all_but(2)
    assert receiver.acknowledgement() == 8
    receiver.pass_on_all_but(5)  # three bytes came back
    assert receiver.acknowledgement() is None
    receiver.pass_on_all_but(0)
    assert receiver.acknowledgement() == 10


def test_a_receiver_that_forgets_what_came_late() -> None:
    """The sender goes on from the position that it is told."""
    receiver = Receiver()
    receiver.receive(10)
    receiver.pass_on_all()
    receiver.rewind(6)
    assert (receiver.received, receiver.taken) == (6, 6)


def test_both_ends_can_be_taken_over() -> None:
    """By another process, where the old ends were; the window counts from there."""
    sender, receiver = Sender(window=10), Receiver(window=10)
    sender.begin_at(100)
    assert (sender.end, sender.sent, sender.room()) == (100, 100, 10)
    sender.append(b"abc")
    assert sender.resume(90) == 100
    assert sender.next_piece() == b"abc"
    receiver.begin_at(107, 100)
    receiver.receive(3)
    with pytest.raises(WindowExceeded):
        receiver.receive(1)


def test_a_sender_whose_store_drops_the_oldest_is_overtaken() -> None:
    """As long as something that was never sent is gone."""
    sender = Sender()
    sender.append(b"0123456789")
    sender.next_piece(4)
    found = []
    for position in (4, 5):
        sender.store.discard_before(position)
        found.append(sender.overtaken)
    sender.resume(4)
    assert [*found, sender.overtaken] == [False, True, False]


def test_a_receiver_refuses_more_than_the_window() -> None:
    """A hostile sender cannot fill memory."""
    receiver = Receiver(window=10)
    receiver.receive(10)
    with pytest.raises(WindowExceeded):
        receiver.receive(1)
    receiver.pass_on(10)
    assert receiver.acknowledgement() == 10
    assert receiver.acknowledgement() is None
    receiver.receive(10)


def test_a_receiver_says_what_is_lost() -> None:
    """The sender keeps bounded files of a detached job: the oldest bytes may be gone."""
    receiver = Receiver()
    receiver.receive(5)
    receiver.pass_on(5)
    assert receiver.resume(8) == 3
    assert receiver.received == receiver.taken == 8
    assert receiver.resume(8) == 0


@given(st.lists(st.binary(max_size=9)), st.integers(0, 80), st.integers(0, 80), st.integers(1, 12))
def test_a_memory_store_reads_what_was_appended(
    pieces: list[bytes], discard: int, position: int, limit: int
) -> None:
    """From any position that is kept, up to the limit."""
    store = MemoryStore()
    for piece in pieces:
        store.append(piece)
    whole = b"".join(pieces)
    assert store.end == len(whole)
    store.discard_before(discard)
    assert store.base == min(discard, len(whole))
    at = max(position, store.base)
    found = store.read(at, limit)
    assert whole[at:].startswith(found)
    assert len(found) <= limit
    assert bool(found) == (at < len(whole))


class StreamOverBrokenConnections(RuleBasedStateMachine):
    """One stream over connections that deliver in pieces and break at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.sender = Sender(window=WINDOW)
        self.receiver = Receiver(window=WINDOW)
        self.written = bytearray()
        self.held = bytearray()
        self.passed_on = bytearray()
        self.data_under_way: list[bytes] = []
        self.acknowledgements: list[int] = []

    @rule(size=st.integers(1, 15))
    def the_program_writes(self, size: int) -> None:
        size = min(size, self.sender.room())
        data = bytes((len(self.written) + at) % 251 for at in range(size))
        self.written += data
        self.sender.append(data)

    @rule(limit=st.integers(1, 20))
    def some_is_sent(self, limit: int) -> None:
        if piece := self.sender.next_piece(limit):
            self.data_under_way.append(piece)

    @precondition(lambda self: self.data_under_way)
    @rule()
    def some_arrives(self) -> None:
        piece = self.data_under_way.pop(0)
        self.receiver.receive(len(piece))
        self.held += piece

    @rule(size=st.integers(1, 20))
    def some_is_passed_on(self, size: int) -> None:
        size = min(size, len(self.held))
        self.passed_on += self.held[:size]
        del self.held[:size]
        self.receiver.pass_on(size)
        if (position := self.receiver.acknowledgement()) is not None:
            self.acknowledgements.append(position)

    @precondition(lambda self: self.acknowledgements)
    @rule(repeat=st.booleans())
    def an_acknowledgement_arrives(self, repeat: bool) -> None:
        position = self.acknowledgements.pop(0)
        self.sender.acknowledge(position)
        if repeat:
            assert not self.sender.acknowledge(position)

    @rule()
    def the_connection_breaks_and_another_is_made(self) -> None:
        self.data_under_way.clear()
        self.acknowledgements.clear()
        start = self.sender.resume(self.receiver.received, self.receiver.taken)
        assert self.receiver.resume(start) == 0

    @invariant()
    def nothing_is_lost_doubled_or_unbounded(self) -> None:
        assert self.written.startswith(self.passed_on + self.held)
        assert self.sender.end - self.sender.store.base <= WINDOW
        assert len(self.held) + sum(map(len, self.data_under_way)) <= WINDOW

    def teardown(self) -> None:
        """However it went so far, a quiet connection brings the rest."""
        self.the_connection_breaks_and_another_is_made()
        while not self.sender.drained or self.data_under_way or self.held:
            self.some_is_sent(20)
            while self.data_under_way:
                self.some_arrives()
            self.some_is_passed_on(WINDOW)
            while self.acknowledgements:
                self.an_acknowledgement_arrives(False)
        assert self.passed_on == self.written


TestStreamOverBrokenConnections = StreamOverBrokenConnections.TestCase
