"""The tracker of jobs: whoever waits for a job hears when it cannot begin."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.events import Events
from gomd.jobs.home.changes import JobChanges
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.tracker import JobTracker
from libgomd.errors import InternalError
from libgomd.wire import frames, job_messages
from libgomd.wire.job_messages import StartFailure
from tests.unit.jobs.memory_parts import AtOnce


class _Members:
    own_id = 2


def connected() -> tuple[FrameStream, StringTransport]:
    """Return a connection in memory, and what was written to it."""
    stream, transport = FrameStream(), StringTransport()
    stream.makeConnection(transport)
    return stream, transport


class TrackerTests(SynchronousTestCase):
    def test_the_home_of_a_guest_that_has_no_supervisor_hears_so(self) -> None:
        """The fork server ended, or could not fork: `gom run -n NODE` says so instead of waiting."""
        clock = Clock()
        make: Any = JobTracker
        tracker: JobTracker = make(
            clock, _Members(), AtOnce(), Events(), lambda _running, _changes: None, None, None,
            JobChanges(clock), clock.seconds,
        )  # fmt: skip
        guest = tracker.new_guest("1-7", 1001)
        tracker.track(guest)
        home, written = connected()
        guest.relay.join_client(home)
        supervisor, _ = connected()
        guest.connect(supervisor)
        supervisor.connectionLost()
        self.failureResultOf(guest.begun, InternalError)
        [frame] = frames.FrameParser().feed(written.value())
        self.assertEqual(frame.kind, frames.FAILED)
        failure = job_messages.decode(StartFailure, frame.payload)
        self.assertEqual(
            (failure.code, failure.text), (500, "the connection to the job ended before it began")
        )
        self.assertFalse(tracker.is_tracked(guest))
