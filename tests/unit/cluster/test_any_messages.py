"""The heartbeat engine and peers that make no sense."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from libgomd.wire.messages import (
    IndirectProbe,
    Leave,
    MemberNote,
    MemberState,
    Message,
    Notice,
    Probe,
    ProbeAck,
    Roster,
)
from tests.nodes import PORT, address_of
from tests.unit.cluster.alone import Alone, beat

ids = st.integers(1, 6)
addresses = st.sampled_from([address_of(number) for number in range(1, 7)] + ["10.9.9.9"])
small = st.integers(0, 3)
states = st.sampled_from(list(MemberState))
notes = st.tuples(
    st.builds(MemberNote, ids, states, small, small, st.just(PORT), addresses),
    st.builds(MemberNote, ids, states, small, small, st.just(PORT), addresses),
)
messages = st.one_of(
    st.builds(
        lambda number, announce, some: beat(number, announce=announce, notes=some), ids, st.booleans(), notes
    ),
    st.builds(Leave, small),
    st.builds(Probe, small, small),
    st.builds(ProbeAck, small, ids, small, small, st.booleans()),
    st.builds(IndirectProbe, small, ids, st.just(PORT), addresses),
    st.builds(Notice, states, ids, small, small, ids),
    st.builds(Roster, small, notes),
)  # fmt: skip
steps = st.lists(st.tuples(ids, small, messages, addresses, st.booleans(), st.floats(0, 2)), max_size=25)


class AnythingTests(SynchronousTestCase):
    """Peers that have the key and make no sense."""

    @settings(max_examples=150, deadline=None)
    @given(steps)
    def test_no_sequence_of_messages_breaks_it(
        self, sequence: list[tuple[int, int, Message, str, bool, float]]
    ) -> None:
        """Whatever members say, in any order and from anywhere: the daemon goes on and lists itself as up."""
        alone = Alone(max_nodes=4)
        for number, instance, message, address, multicast, wait in sequence:
            alone.hear(number, message, address, instance, multicast)
            alone.clock.advance(wait)
        nodes = alone.engine.nodes()
        self.assertIn(1, [node.id for node in nodes if node.up])
        self.assertLessEqual(len(nodes), 4)
        self.assertEqual(self.flushLoggedErrors(), [])
