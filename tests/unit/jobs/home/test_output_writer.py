"""The output of a detached job that runs elsewhere: written, acknowledged, and let go of on `close`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.home.output_writer import OutputWriter
from libgomd.wire import frames
from libgomd.wire.frames import Frame
from tests.unit.scratch import scratch
from tests.unit.services.held import HeldThreads


class SinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(scratch(self))
        self.threads = HeldThreads(Clock())
        self.said: list[Frame] = []
        self.writer = self.make()

    def make(self) -> OutputWriter:
        writer = OutputWriter(self.threads, str(self.directory), 1 << 20)
        writer.listen(self.said.append)
        return writer

    def attach(self, **positions: int) -> None:
        self.writer.attach()
        self.threads.work()
        told = {"stdout": 0, "stderr": 0, "stdin": 0, **positions}
        self.writer.send(frames.encode_json(frames.ATTACHED, told))
        self.threads.work()

    def written(self, stream: str) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.directory.glob(f"{stream}.*")))

    def closed(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.writer.closed())

    def open_files(self) -> list[str]:
        found = []
        for name in os.listdir("/proc/self/fd"):
            try:
                found.append(os.readlink(f"/proc/self/fd/{name}"))
            except OSError:
                continue
        return [path for path in found if path.startswith(str(self.directory))]

    def test_what_is_written_is_acknowledged(self) -> None:
        """In order, each stream by itself; nothing before it is in the file."""
        self.attach()
        self.writer.send(frames.encode(frames.STDOUT, b"out") + frames.encode(frames.STDERR, b"error"))
        del self.said[:]
        self.threads.work()
        self.assertEqual(self.said, [frames.ack(frames.STDOUT, 3), frames.ack(frames.STDERR, 5)])
        self.assertEqual((self.written("stdout"), self.written("stderr")), (b"out", b"error"))
        self.writer.close()

    def test_it_goes_on_where_the_files_end(self) -> None:
        """A later daemon asks for what is not there yet."""
        self.attach()
        self.writer.send(frames.encode(frames.STDOUT, b"one"))
        self.threads.work()
        self.writer.close()
        self.writer = self.make()
        del self.said[:]
        self.attach(stdout=3)
        self.assertEqual(frames.decode_json(self.said[0].payload), {"stdout": 3, "stderr": 0, "n": 1})
        self.writer.send(frames.encode(frames.STDOUT, b"two"))
        self.threads.work()
        self.assertEqual(self.said[-1], frames.ack(frames.STDOUT, 6))
        self.assertEqual(self.written("stdout"), b"onetwo")
        self.writer.close()

    def test_two_who_ask_are_answered_once(self) -> None:
        """A job that moves while its output is asked for: what comes of the first question comes again."""
        self.writer.attach()
        self.writer.attach()
        self.threads.work()
        answers = [frames.decode_json(frame.payload)["n"] for frame in self.said]
        for number in answers:
            told = {"stdout": 0, "stderr": 0, "stdin": 0, "n": number}
            self.writer.send(
                frames.encode_json(frames.ATTACHED, told) + frames.encode(frames.STDOUT, b"once")
            )
            self.threads.work()
        self.assertEqual((answers, self.written("stdout")), ([1, 2], b"once"))
        self.writer.close()

    def test_the_end_is_written_before_the_job_may_go(self) -> None:
        """COLLECTED is said when its exit status is in its file."""
        self.attach()
        self.writer.send(frames.encode_json(frames.EXIT, {"exit": 3, "reason": ""}))
        self.assertNotIn(Frame(frames.COLLECTED), self.said)
        self.threads.work()
        self.assertEqual(self.said[-1], Frame(frames.COLLECTED))
        self.assertIn('"exit": 3', (self.directory / "exit").read_text())
        self.writer.close()

    def test_closed_when_nothing_is_written(self) -> None:
        """At once, with all files closed."""
        self.attach()
        self.assertNotEqual(self.open_files(), [])
        self.writer.close()
        self.assertEqual(self.open_files(), [])
        self.successResultOf(self.closed())

    def test_closed_waits_for_what_is_being_written(self) -> None:
        """The file is another's only then; what is written late is acknowledged to nobody."""
        self.attach()
        self.writer.send(frames.encode(frames.STDOUT, b"one") + frames.encode(frames.STDOUT, b"two"))
        del self.said[:]
        self.writer.close()
        waiting = self.closed()
        self.assertNoResult(waiting)
        self.threads.work()
        self.successResultOf(waiting)
        self.assertEqual((self.said, self.written("stdout"), self.open_files()), ([], b"one", []))

    def test_closed_while_its_files_are_opened(self) -> None:
        """None of them stays open."""
        self.writer.attach()
        self.writer.close()
        waiting = self.closed()
        self.threads.work()
        self.successResultOf(waiting)
        self.assertEqual((self.said, self.open_files()), ([], []))
