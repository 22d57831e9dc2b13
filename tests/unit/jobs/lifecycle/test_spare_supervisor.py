"""A supervisor waits for the next job, and is not used once the mount table has changed."""

from __future__ import annotations

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.spare_supervisor import MountTable, SpareSupervisor
from libgomd.errors import TooMany
from libgomd.wire import frames, job_messages
from libgomd.wire.job_orders import RECEIVED, STALE, OrderOutcome


class Mounts(MountTable):
    """A mount table that changes when a test says so."""

    def __init__(self) -> None:
        self.changes = 0

    def has_changed(self) -> bool:
        changes, self.changes = self.changes, 0
        return changes > 0


class SpareSupervisorTests(SynchronousTestCase):
    """What becomes of it."""

    def setUp(self) -> None:
        self.mounts = Mounts()
        self.forked: list[FrameStream] = []
        self.busy = False
        self.spare = SpareSupervisor(self.fork, self.mounts)

    def fork(self) -> FrameStream:
        if self.busy:
            raise TooMany("try again")
        stream = FrameStream()
        stream.makeConnection(StringTransport())
        self.forked.append(stream)
        return stream

    def closed(self, number: int) -> bool:
        return bool(self.forked[number].transport.disconnecting)

    def tell(self, number: int, step: str) -> None:
        self.forked[number].dataReceived(job_messages.encode(OrderOutcome(step)))

    def test_it_is_used_once(self) -> None:
        """There is one at a time, made when it is asked for."""
        self.assertIsNone(self.spare.take())
        self.spare.make()
        self.spare.make()
        self.assertEqual(len(self.forked), 1)
        self.assertIs(self.spare.take(), self.forked[0])
        self.assertIsNone(self.spare.take())
        self.spare.make()
        self.assertEqual(len(self.forked), 2)
        self.assertFalse(self.closed(0))

    def test_what_it_says_goes_to_the_job(self) -> None:
        """Nothing of its connection is missing for whoever takes it."""
        self.spare.make()
        stream = self.spare.take()
        assert stream is not None
        self.tell(0, STALE)
        heard: list[frames.Frame] = []
        stream.listen(heard.append)
        self.tell(0, RECEIVED)
        self.assertEqual([frame.kind for frame in heard], [frames.MOVED, frames.MOVED])
        self.assertFalse(self.closed(0))

    def test_a_mount(self) -> None:
        """It is let go, by whoever notices first; the next one has the new mounts."""
        self.spare.make()
        self.mounts.changes = 1
        self.assertIsNone(self.spare.take())
        self.assertTrue(self.closed(0))
        self.spare.make()
        self.mounts.changes = 1
        self.spare.make()
        self.assertTrue(self.closed(1))
        self.assertFalse(self.closed(2))
        self.tell(2, RECEIVED)
        self.assertFalse(self.closed(2))
        self.tell(2, STALE)
        self.assertTrue(self.closed(2))
        self.assertIsNone(self.spare.take())

    def test_a_change_before_it_was_made(self) -> None:
        """Does not concern it."""
        self.mounts.changes = 1
        self.spare.make()
        self.assertIs(self.spare.take(), self.forked[0])

    def test_it_ends_by_itself(self) -> None:
        """Somebody has killed it: another one is forked."""
        self.spare.make()
        self.forked[0].connectionLost()
        self.assertIsNone(self.spare.take())
        self.spare.make()
        self.assertIs(self.spare.take(), self.forked[1])

    def test_nonsense(self) -> None:
        """What is no outcome is not taken for one."""
        self.spare.make()
        self.forked[0].dataReceived(frames.encode(frames.STARTED, b"{}"))
        self.assertIs(self.spare.take(), self.forked[0])

    def test_none_can_be_made(self) -> None:
        """The caller is told; a later try works."""
        self.busy = True
        self.assertRaises(TooMany, self.spare.make)
        self.assertIsNone(self.spare.take())
        self.busy = False
        self.spare.make()
        self.spare.close()
        self.assertTrue(self.closed(0))
        self.spare.close()
