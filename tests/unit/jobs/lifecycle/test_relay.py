"""A daemon between the two ends of a job: what passes, what does not, and how little it holds."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.output_acks import DELAY, ENOUGH
from gomd.jobs.lifecycle.relay import StreamRelay
from libgomd.wire import frames
from libgomd.wire.frames import Frame, FrameParser
from tests.unit.jobs.observers import RecordingListener


class _Transport(StringTransport):
    """Tells whether it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()


class End:
    """One end of a relay."""

    def __init__(self) -> None:
        self.transport = _Transport()
        self.stream = FrameStream()
        self.stream.makeConnection(self.transport)
        self._parser = FrameParser()

    def says(self, data: bytes) -> None:
        """Let this end send bytes."""
        self.stream.dataReceived(data)

    def heard(self) -> list[Frame]:
        """Return the frames it was sent since."""
        data = self.transport.value()
        self.transport.clear()
        return list(self._parser.feed(data))


class RelayTests(SynchronousTestCase):
    """Both ends and the relay between them."""

    def setUp(self) -> None:
        listener = RecordingListener()
        self.clock = Clock()
        self.relay = StreamRelay(self.clock, listener)
        self.told = listener.told
        self.job, self.client = End(), End()
        self.relay.join_job(self.job.stream)
        self.relay.join_client(self.client.stream)

    def test_an_answer_that_no_caller_heard(self) -> None:
        """It is remembered, until a caller's own request is answered."""
        self.assertFalse(self.relay.unheard)
        self.relay.drop_client()
        positions = {"stdout": 0, "stderr": 0, "stdin": 0, "stdin_taken": 0}
        self.job.says(frames.encode_json(frames.ATTACHED, positions))
        self.assertTrue(self.relay.unheard)
        self.assertFalse(self.relay.attached)
        self.relay.join_client(End().stream)
        self.job.says(frames.encode_json(frames.ATTACHED, positions))
        self.assertFalse(self.relay.unheard)
        self.assertTrue(self.relay.attached)

    def test_an_end_that_is_held_is_told_by_the_listener(self) -> None:
        """Carried files come home first: the caller hears of the end after that, and from this daemon."""
        self.relay.holds_exit = True
        self.attach()
        self.client.heard()
        self.job.says(frames.encode_json(frames.EXIT, {"exit": 3, "reason": ""}))
        self.assertEqual(self.client.heard(), [])
        self.assertEqual(self.told, ["ended"])

    def attach(self, stdin: int = 0, taken: int = 0) -> None:
        self.client.says(frames.encode_json(frames.ATTACH, {}))
        told = {"stdin": stdin, "stdin_taken": taken, "stdout": 0, "stderr": 0}
        self.job.says(frames.encode_json(frames.ATTACHED, told))
        self.job.heard()
        self.client.heard()

    def test_output_passes_once_attached(self) -> None:
        """What was sent to the caller before is not shown to this one."""
        self.job.says(frames.encode(frames.STDOUT, b"early"))
        self.assertEqual(self.client.heard(), [])
        self.attach()
        self.job.says(frames.encode(frames.STDOUT, b"out") + frames.encode(frames.STDERR, b"err"))
        self.assertEqual(self.client.heard(), [Frame(frames.STDOUT, b"out"), Frame(frames.STDERR, b"err")])

    def test_a_caller_who_does_not_read_holds_the_job_back(self) -> None:
        """The job hears of the caller's acknowledgements when that connection has room again."""
        self.attach()
        self.client.stream.pauseProducing()
        self.client.says(frames.encode_ack(frames.STDOUT, 5) + frames.encode_ack(frames.STDOUT, 9))
        self.assertEqual(self.job.heard(), [])
        self.client.stream.resumeProducing()
        self.assertEqual(self.job.heard(), [frames.ack(frames.STDOUT, 9)])

    def test_output_passes_as_it_comes(self) -> None:
        """A frame of which a part has come is passed on in parts; all else waits until it is whole."""
        self.attach()
        data = frames.encode(frames.STDOUT, b"first, rest") + frames.encode_ack(frames.STDIN, 0)
        self.job.says(data[:12])
        self.assertEqual(self.client.heard(), [Frame(frames.STDOUT, b"first, ")])
        self.job.says(data[12:-1])
        self.assertEqual(self.client.heard(), [Frame(frames.STDOUT, b"rest")])
        self.job.says(data[-1:])
        self.assertEqual(self.client.heard(), [frames.ack(frames.STDIN, 0)])

    def test_acknowledgements_are_joined(self) -> None:
        """The job hears the newest after a moment, and at once when much of its window is at stake."""
        self.attach()
        for position in (10, 20, 30):
            self.client.says(frames.encode_ack(frames.STDOUT, position))
        self.client.says(frames.encode_ack(frames.STDERR, 7))
        self.assertEqual(self.job.heard(), [])
        self.clock.advance(DELAY)
        self.assertEqual(self.job.heard(), [frames.ack(frames.STDOUT, 30), frames.ack(frames.STDERR, 7)])
        self.client.says(frames.encode_ack(frames.STDOUT, 30 + ENOUGH))
        self.assertEqual(self.job.heard(), [frames.ack(frames.STDOUT, 30 + ENOUGH)])
        self.clock.advance(DELAY)
        self.assertEqual(self.job.heard(), [])

    def test_what_a_caller_has_acknowledged_counts_when_it_leaves(self) -> None:
        """Whoever attaches next is not shown it again."""
        for leave in (
            lambda: self.client.stream.connectionLost(),
            lambda: self.client.says(frames.encode_attach(frames.AttachRequest(detach=True))),
        ):
            self.attach()
            self.client.says(frames.encode_ack(frames.STDOUT, 5))
            leave()
            self.assertEqual(self.job.heard()[0], frames.ack(frames.STDOUT, 5))
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.client = End()
            self.relay.join_client(self.client.stream)

    def test_nothing_is_acknowledged_to_a_job_that_is_gone(self) -> None:
        """Its successor would take the position for one of its own."""
        self.attach()
        self.client.says(frames.encode_ack(frames.STDOUT, 5))
        self.job.stream.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        successor = End()
        self.relay.join_job(successor.stream)
        self.clock.advance(1.0)
        self.assertEqual(successor.heard(), [])

    def test_the_daemon_of_the_jobs_node_passes_acknowledgements_on_at_once(self) -> None:
        """The caller's daemon has joined them already."""
        relay = StreamRelay(self.clock, RecordingListener(), transparent=True)
        job, home = End(), End()
        relay.join_job(job.stream)
        relay.join_client(home.stream)
        home.says(frames.encode_ack(frames.STDOUT, 5))
        self.assertEqual(job.heard(), [frames.ack(frames.STDOUT, 5)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_attach_that_is_none_ends_the_connection(self) -> None:
        """It is cut off here; the supervisor never hears of it, and the job goes on."""
        self.client.says(frames.encode_json(frames.ATTACH, {"stdout": "seven"}))
        self.assertTrue(self.client.transport.aborted)
        self.assertEqual(self.job.heard(), [])

    def test_an_answer_to_it_that_is_none_ends_the_connection(self) -> None:
        """Another node's daemon that says it is cut off; nothing else happens."""
        self.client.says(frames.encode_json(frames.ATTACH, {}))
        self.job.says(frames.encode_json(frames.ATTACHED, {"stdin": "seven"}))
        self.assertTrue(self.job.transport.aborted)
        self.assertEqual(self.client.heard(), [])

    def test_more_input_than_the_window_ends_the_connection(self) -> None:
        """Nobody can make a supervisor hold more than it said."""
        self.attach()
        piece = frames.encode(frames.STDIN, bytes(frames.CHUNK))
        for _ in range(frames.WINDOW // frames.CHUNK):
            self.client.says(piece)
        self.assertFalse(self.client.transport.aborted)
        self.client.says(piece)
        self.assertTrue(self.client.transport.aborted)

    def test_attaching_again_makes_no_room(self) -> None:
        """What a supervisor has and its job has not read counts, however often one attaches."""
        self.attach(stdin=frames.WINDOW, taken=frames.CHUNK)
        piece = frames.encode(frames.STDIN, bytes(frames.CHUNK))
        self.client.says(piece)
        self.assertFalse(self.client.transport.aborted)
        self.client.says(piece)
        self.assertTrue(self.client.transport.aborted)

    def test_a_caller_cannot_speak_for_the_job(self) -> None:
        """Frames of the other direction end the connection."""
        self.client.says(frames.encode_json(frames.EXIT, {"exit": 0}))
        self.assertTrue(self.client.transport.aborted)
        self.assertEqual(self.job.heard(), [])

    def test_the_end_is_told_and_passed_on(self) -> None:
        """To the caller only behind all of the output."""
        exit = frames.encode_json(frames.EXIT, {"exit": 3, "reason": ""})
        self.job.says(exit)
        self.assertEqual(self.client.heard(), [])
        self.attach()
        self.job.says(exit)
        self.assertEqual([frame.kind for frame in self.client.heard()], [frames.EXIT])
        self.assertEqual(self.told, ["ended", "ended"])

    def test_a_connection_that_breaks_is_told(self) -> None:
        """Of either end, once."""
        self.job.stream.connectionLost()
        self.client.stream.connectionLost()
        self.assertEqual(self.told, ["job lost", "client lost"])

    def test_a_slow_job_holds_the_caller_back(self) -> None:
        """His connection is not read while the job's end is full."""
        self.attach()
        self.job.stream.pauseProducing()
        self.client.says(frames.encode(frames.STDIN, b"x"))
        self.assertEqual(self.client.transport.producerState, "paused")
        self.job.stream.resumeProducing()
        self.assertEqual(self.client.transport.producerState, "producing")
