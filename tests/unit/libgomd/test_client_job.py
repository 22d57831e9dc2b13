"""A job of the Deferred client: its connection, its waits and its end, with a daemon in memory."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from libgomd.client import Client
from libgomd.client_job import RunningJob
from libgomd.errors import ConnectionLost, MalformedReply, NotFound, NotPossible, TimedOut
from libgomd.wire import frames
from libgomd.wire.job_end import JobEnd
from tests.unit.libgomd.scripted import GREETING, Far, ScriptedDaemon

STARTED = {"job": 7, "home": 1, "node": 2, "pid": 42, "detached": False}


class FarJob:
    """The daemon's and the job's end of one connection after another."""

    def __init__(self) -> None:
        self.end = JobEnd()
        self.heard: list[frames.Frame] = []
        self._parser = frames.FrameParser()
        self.far: Far | None = None

    def join(self, far: Far) -> None:
        """Use ``far`` from here on, and say that the job runs."""
        self.far = far
        self._parser = frames.FrameParser()
        self.say(frames.encode_json(frames.STARTED, STARTED))
        self.take()

    def say(self, data: bytes) -> None:
        """Send bytes."""
        assert self.far is not None
        self.far.near.dataReceived(data)

    def take(self) -> None:
        """Take what came, as a supervisor does, and answer."""
        assert self.far is not None
        data = self.far.value()
        self.far.clear()
        for frame in self._parser.feed(data):
            self.heard.append(frame)
            if frame.kind == frames.ATTACH:
                self.say(self.end.attach(frames.decode_attach(frame.payload)))
            elif frame.kind == frames.STDIN:
                self.end.stdin.receive(len(frame.payload))
            elif frame.kind == frames.ACK:
                self.end.acknowledge(frame.payload)
        if output := b"".join(self.end.output_to_send(1 << 30)):
            self.say(output)

    def kinds(self) -> list[int]:
        """Return the kinds of the frames that came since the last time."""
        self.take()
        heard, self.heard = self.heard, []
        return [frame.kind for frame in heard]


class RunningJobTests(SynchronousTestCase):
    """Every wait has an end."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.daemon = ScriptedDaemon()
        connecting = self.daemon.client(self.clock)
        self._welcome(self.daemon.connections[0])
        self.client: Client = self.successResultOf(connecting)
        self.far_job = FarJob()

    def _welcome(self, far: Far) -> None:
        far.near.dataReceived(GREETING)
        assert far.heard() == ["format json"]
        far.say('200 "json"')

    def _asked(self, **options: Any) -> Deferred[RunningJob]:
        running = self.client.run(["cat"], env={}, cwd="/", **options)
        far = self.daemon.connections[-1]
        self._welcome(far)
        assert far.heard() == ["run"]
        far.say("202 say what to run")
        return running

    def _begun(self, **options: Any) -> RunningJob:
        running = self._asked(**options)
        self.far_job.join(self.daemon.connections[-1])
        return self.successResultOf(running)

    def _come_back(self) -> None:
        """Let the newest connection be answered as that of a daemon that is back."""
        far = self.daemon.connections[-1]
        self._welcome(far)
        assert far.heard() == ["attach 7"]
        far.say("202 job 7")
        self.far_job.join(far)

    def test_it_begins_with_its_description(self) -> None:
        """SPEC is the first frame, ATTACH the second; what is said of it is known."""
        job = self._begun()
        spec, attach = self.far_job.heard
        assert frames.decode_json(spec.payload)["argv"] == ["cat"]
        assert (spec.kind, attach.kind) == (frames.SPEC, frames.ATTACH)
        assert (job.job, job.home, job.node, job.pid, job.exit) == (7, 1, 2, 42, None)

    def test_output_is_acknowledged_when_it_is_read(self) -> None:
        """And not before: whoever does not read holds the job back."""
        job = self._begun()
        self.far_job.end.outputs[frames.STDOUT].append(b"hello")
        self.far_job.kinds()
        assert self.far_job.kinds() == []
        assert self.successResultOf(job.read()) == ("stdout", b"hello")
        assert self.far_job.kinds() == [frames.ACK]
        waiting = job.read()
        self.assertNoResult(waiting)
        self.far_job.end.outputs[frames.STDERR].append(b"oh")
        self.far_job.take()
        assert self.successResultOf(waiting) == ("stderr", b"oh")

    def test_a_write_waits_for_room(self) -> None:
        """It is done when all of it is on its way; the window is never exceeded."""
        job = self._begun()
        first = job.write(b"x" * frames.WINDOW)
        second = job.write(b"y")
        self.successResultOf(first)
        self.assertNoResult(second)
        self.far_job.kinds()
        assert self.far_job.end.stdin.received == frames.WINDOW
        self.far_job.end.stdin.pass_on(1)
        self.far_job.say(self.far_job.end.input_acknowledgement())
        self.successResultOf(second)

    def test_the_end_is_told_and_taken_note_of(self) -> None:
        """Its status comes behind its output, which can be read behind the end, too."""
        job = self._begun()
        ended = job.wait()
        late = job.write(b"x" * (2 * frames.WINDOW))
        self.far_job.end.outputs[frames.STDOUT].append(b"last words")
        self.far_job.kinds()
        self.far_job.say(frames.encode_json(frames.EXIT, {"exit": 3, "reason": "it was time"}))
        assert self.successResultOf(ended) == 3
        assert job.reason == "it was time"
        self.failureResultOf(late, NotPossible)
        assert self.far_job.kinds()[-1] == frames.COLLECTED
        assert self.far_job.far is not None
        assert not self.far_job.far.connected
        assert self.successResultOf(job.read()) == ("stdout", b"last words")
        assert self.successResultOf(job.read()) is None
        assert self.clock.getDelayedCalls() == []

    def test_it_attaches_again(self) -> None:
        """A daemon that is back after a while sends what did not arrive; input is sent again."""
        job = self._begun()
        self.successResultOf(job.write(b"abc"))
        reading = job.read()
        assert self.far_job.far is not None
        self.far_job.end.detach()
        self.far_job.end.outputs[frames.STDOUT].append(b"hello")
        self.far_job.far.loseConnection()
        self.assertNoResult(reading)
        self._come_back()
        self.far_job.take()
        assert self.successResultOf(reading) == ("stdout", b"hello")
        assert self.far_job.end.stdin.received == 3

    def test_a_daemon_that_stays_away(self) -> None:
        """It is tried until the time is up, then what waits fails, and nothing is left on the clock."""
        job = self._begun(reconnect=5.0)
        ended = job.wait()
        assert self.far_job.far is not None
        self.far_job.far.loseConnection()
        while self.clock.seconds() < 4.8:
            self.daemon.connections[-1].loseConnection()
            self.clock.advance(0.1)
        self.assertNoResult(ended)
        self.clock.pump([0.1] * 200)
        assert "job 7 may go on" in str(self.failureResultOf(ended, ConnectionLost).value)
        assert self.clock.getDelayedCalls() == []
        self.failureResultOf(job.read(), ConnectionLost)
        with pytest.raises(ConnectionLost):
            job.kill()

    def test_a_job_that_is_not_known_any_more(self) -> None:
        """The daemon that is back says so: there is nothing to wait for."""
        job = self._begun()
        ended = job.wait()
        assert self.far_job.far is not None
        self.far_job.far.loseConnection()
        self._welcome(self.daemon.connections[-1])
        self.daemon.connections[-1].say("404 there is no job 7")
        self.failureResultOf(ended, NotFound)

    def test_a_closed_client_closes_its_jobs(self) -> None:
        """Nothing is tried again."""
        job = self._begun()
        ended = job.wait()
        self.client.close()
        self.failureResultOf(ended, ConnectionLost)
        count = len(self.daemon.connections)
        self.clock.pump([0.1] * 400)
        assert len(self.daemon.connections) == count

    def test_half_a_frame(self) -> None:
        """Something has begun to come, and the rest of it does not."""
        job = self._begun(timeout=3.0)
        ended = job.wait()
        self.far_job.say(b"\x12\0")
        self.clock.advance(2.9)
        self.assertNoResult(ended)
        self.clock.advance(0.2)
        self.failureResultOf(ended, TimedOut)

    def test_more_than_the_window(self) -> None:
        """A daemon cannot fill the caller's memory."""
        job = self._begun()
        for _ in range(17):
            self.far_job.say(frames.encode(frames.STDOUT, b"x" * 65536))
        self.failureResultOf(job.wait(), MalformedReply)

    def test_a_wait_that_is_given_up(self) -> None:
        """By time or by its caller: the job goes on, and can be waited for again."""
        job = self._begun()
        limited, given_up, ended = job.wait(timeout=2.0), job.wait(), job.wait()
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.clock.advance(2.1)
        self.failureResultOf(limited, TimedOut)
        self.far_job.take()
        self.far_job.say(frames.encode_json(frames.EXIT, {"exit": 0}))
        assert self.successResultOf(ended) == 0

    def test_a_job_that_does_not_begin(self) -> None:
        """After the time that was given the connection is closed, so that it ends if it begins yet."""
        running = self._asked(timeout=4.0)
        self.clock.advance(4.1)
        self.failureResultOf(running, TimedOut)
        assert not self.daemon.connections[-1].connected

    def test_a_run_that_is_cancelled(self) -> None:
        """Its connection is closed."""
        running = self._asked()
        running.cancel()
        self.failureResultOf(running, CancelledError)
        assert not self.daemon.connections[-1].connected
