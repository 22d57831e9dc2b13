"""A caller that asks for its streams before its job has begun: the request goes with the description."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.events import Events
from gomd.jobs.home.changes import JobChanges
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.read_request import early_attach
from gomd.jobs.lifecycle.tracker import JobTracker
from libgomd.errors import NotFound
from libgomd.model import Job, JobState, Node
from libgomd.wire import frames, job_messages
from libgomd.wire.frames import AttachRequest, Frame, FrameParser
from libgomd.wire.job_messages import JobReport
from tests.unit.jobs.memory_parts import AtOnce

ASKED = AttachRequest(0, 0, 41, True)
POSITIONS = {"stdout": 0, "stderr": 0, "stdin": 0, "stdin_taken": 0}


class _Members:
    """Knows no other node."""

    own_id = 1

    def find(self, name: str) -> Node:
        raise NotFound(f"no node {name}")


class _Table:
    """Knows job 7."""

    def get(self, number: int) -> Job:
        return Job(number, 1, 1, None, "me", JobState.RUNNING, None, "true", 1001, 0.0)

    def started(self, number: int, *_told: object) -> Job:
        return self.get(number)


class _End:
    """The far end of a connection of the daemon."""

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.stream = FrameStream()
        self.stream.makeConnection(self.transport)

    def says(self, *sent: bytes) -> None:
        self.stream.dataReceived(b"".join(sent))

    def heard(self) -> list[Frame]:
        data = self.transport.value()
        self.transport.clear()
        return list(FrameParser().feed(data))


class EarlyAttachTests(SynchronousTestCase):
    def test_what_counts_as_one(self) -> None:
        """The frame right behind the description, if it can be read and does not say good-bye."""
        for data, wanted in (
            (frames.encode_attach(ASKED), ASKED),
            (b"", None),
            (frames.encode_json(frames.ATTACH, {"stdout": -1}), None),
            (frames.encode_attach(AttachRequest(detach=True)), None),
            (frames.encode(frames.STDIN_END) + frames.encode_attach(ASKED), None),
        ):
            caller = _End()
            caller.says(data)
            before = caller.stream.early_frame()
            self.assertEqual(early_attach(caller.stream), wanted)
            self.assertEqual(caller.stream.early_frame(), before)  # it still waits for who listens next


class AttachTests(SynchronousTestCase):
    """A job of this home has begun, and its caller's first frame was an ATTACH."""

    def setUp(self) -> None:
        clock = Clock()
        make: Any = JobTracker
        self.tracker: JobTracker = make(
            clock, _Members(), AtOnce(), Events(), lambda _running, _changes: None, None, _Table(),
            JobChanges(clock), clock.seconds,
        )  # fmt: skip
        self.tracked = self.tracker.new(_Table().get(7))
        self.tracker.track(self.tracked)
        self.job, self.caller = _End(), _End()
        self.caller.says(frames.encode_attach(ASKED), frames.encode(frames.STDIN_END))
        self.tracked.connect(self.job.stream)

    def begin(self, attached: bool) -> None:
        report = JobReport("1-7", 4711, 4710, 1001)._replace(attached=attached)
        self.job.says(job_messages.encode(report))

    def kinds(self, end: _End) -> list[int]:
        return [frame.kind for frame in end.heard()]

    def test_one_that_was_answered_is_not_sent_again(self) -> None:
        """A second one would have the output come twice."""
        self.tracked.begun.addCallback(
            lambda _result: self.tracker.attach(self.tracked, self.caller.stream, asked=True)
        )
        self.job.says(
            job_messages.encode(JobReport("1-7", 4711, 4710, 1001)._replace(attached=True)),
            frames.encode_json(frames.ATTACHED, {**POSITIONS, "n": 41}),
            frames.encode(frames.STDOUT, b"hello"),
        )
        self.assertEqual(self.kinds(self.job), [])
        self.assertEqual(self.kinds(self.caller), [frames.STARTED, frames.ATTACHED, frames.STDOUT])

    def test_an_end_that_knows_nothing_of_it_gets_it(self) -> None:
        """A daemon of an older version, on the other node, has ignored it."""
        self.begin(attached=False)
        self.tracker.attach(self.tracked, self.caller.stream, asked=True)
        self.assertEqual(self.kinds(self.job), [frames.ATTACH])
        self.assertEqual(self.kinds(self.caller), [frames.STARTED])

    def test_an_answer_that_came_too_early_is_asked_for_again(self) -> None:
        """Output that came before the caller was there is not lost."""
        self.begin(attached=True)
        self.job.says(frames.encode_json(frames.ATTACHED, POSITIONS), frames.encode(frames.STDOUT, b"hello"))
        self.tracker.attach(self.tracked, self.caller.stream, asked=True)
        self.assertEqual(self.kinds(self.job), [frames.ATTACH])
        self.assertEqual(self.kinds(self.caller), [frames.STARTED])

    def test_the_request_of_another_caller_is_its_own(self) -> None:
        """Whoever attaches later is not who asked with the description."""
        self.begin(attached=True)
        self.tracker.attach(self.tracked, self.caller.stream)
        self.assertEqual(self.kinds(self.job), [frames.ATTACH])
