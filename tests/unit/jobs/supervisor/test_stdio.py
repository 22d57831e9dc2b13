"""The supervisor's ends of a job's streams, with pipes and no job."""

from __future__ import annotations

import fcntl
import os
import select

import pytest
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.supervisor import pipes
from gomd.jobs.supervisor.stdio import JobStdio
from libgomd.errors import CannotMove
from libgomd.wire import frames
from libgomd.wire.job_end import JobEnd
from libgomd.wire.resumable import WindowExceeded

WINDOW = 200_000


class StdioTests(SynchronousTestCase):
    """A job whose ends of the streams this test has."""

    def setUp(self) -> None:
        self.job, ours = pipes.make_pipes(detach=False, merge=False)
        self.end = JobEnd(window=WINDOW)
        self.stdio = JobStdio(self.end, bounded=False)
        self.stdio.adopt(ours)
        self.open = set(self.job)
        self.addCleanup(self.close_all)

    def close_all(self) -> None:
        """Leave no descriptor behind."""
        self.stdio.paused = False
        self.stdio.close()
        self.stdio.close_outputs()
        for descriptor in self.open:
            os.close(descriptor)

    def close_job(self, stream: int) -> None:
        """Close one of the job's ends."""
        self.open.remove(self.job[stream])
        os.close(self.job[stream])

    def ready(self) -> dict[int, int]:
        """Return what the poll of a supervisor would."""
        poll = select.poll()
        self.stdio.register(poll)
        return dict(poll.poll(0))

    def test_the_last_bytes_of_an_output_are_known(self) -> None:
        """However many pieces it was written in, and no more than are looked at."""
        for piece in (b"Error: /tmp/", b"data", b"\n"):
            os.write(self.job[2], piece)
            self.stdio.read_outputs(self.ready())
        self.assertEqual(self.stdio.last[frames.STDERR], b"Error: /tmp/data\n")
        os.write(self.job[2], b"x" * 60_000)
        self.stdio.read_outputs(self.ready())
        os.write(self.job[2], b"end")
        self.stdio.read_outputs(self.ready())
        last = self.stdio.last[frames.STDERR]
        self.assertTrue(last.endswith(b"xend"))
        self.assertLess(len(last), 60_000)

    def test_output_goes_to_the_callers_end(self) -> None:
        """Each stream by itself, to its end."""
        os.write(self.job[1], b"out")
        os.write(self.job[2], b"error")
        self.assertTrue(self.stdio.read_outputs(self.ready()))
        self.assertEqual(self.end.outputs[frames.STDOUT].next_piece(), b"out")
        self.assertEqual(self.end.outputs[frames.STDERR].next_piece(), b"error")
        self.close_job(1)
        self.close_job(2)
        self.assertFalse(self.stdio.read_outputs(self.ready()))
        self.assertFalse(self.stdio.has_output_open)

    def test_much_output_is_read_in_one_turn(self) -> None:
        """A pipe that was full once can have more from then on, and all of that is read at a time."""
        os.set_blocking(self.job[1], False)
        first = os.write(self.job[1], bytes(WINDOW))
        self.assertTrue(self.stdio.read_outputs(self.ready()))
        self.assertEqual(self.end.outputs[frames.STDOUT].end, first)
        more = os.write(self.job[1], bytes(WINDOW - first))
        self.assertGreater(more, first)
        self.assertTrue(self.stdio.read_outputs(self.ready()))
        self.assertEqual(self.end.outputs[frames.STDOUT].end, first + more)
        self.assertTrue(self.stdio.has_output_open)

    def test_a_quiet_job_has_pipes_as_the_kernel_gives_them(self) -> None:
        """A user may have so many bytes in pipes, and a thousand jobs would take them all."""
        before = fcntl.fcntl(self.job[1], fcntl.F_GETPIPE_SZ)
        os.write(self.job[1], b"a line\n")
        self.stdio.read_outputs(self.ready())
        self.assertEqual(fcntl.fcntl(self.job[1], fcntl.F_GETPIPE_SZ), before)

    def test_a_job_waits_for_its_caller(self) -> None:
        """With a window's worth that nobody acknowledges its pipe is not read any more."""
        self.end.outputs[frames.STDOUT].append(bytes(WINDOW - 2))
        os.write(self.job[1], b"more")
        self.stdio.read_outputs(self.ready())
        self.assertEqual(self.end.outputs[frames.STDOUT].end, WINDOW)
        self.assertEqual(self.ready(), {})

    def test_a_detached_job_never_waits(self) -> None:
        """Its output is kept in files, of which the oldest go."""
        self.stdio = JobStdio(self.end, bounded=True)
        _job, (_stdin, out, _error) = pipes.make_pipes(detach=True, merge=True)
        self.open |= set(_job)
        self.stdio.adopt((-1, out, -1))
        self.end.outputs[frames.STDOUT].append(bytes(WINDOW))
        os.write(_job[1], b"more")
        self.assertTrue(self.stdio.read_outputs(self.ready()))

    def test_input_is_acknowledged_when_it_is_in_the_pipe(self) -> None:
        """What does not fit waits here and counts as received only."""
        size = 2 * 65536
        self.stdio.receive_input(bytes(size))
        self.assertEqual(self.end.stdin.received, size)
        self.assertEqual(self.end.stdin.taken, size - len(self.stdio.waiting))
        self.assertGreater(len(self.stdio.waiting), 0)
        self.assertRaises(WindowExceeded, self.stdio.receive_input, bytes(WINDOW))
        self.stdio.end_input()
        read = 0
        while read < size:
            read += len(os.read(self.job[0], size))
            if self.stdio.stdin in self.ready():
                self.stdio.feed()
        self.assertEqual(self.end.stdin.taken, size)
        self.assertEqual(os.read(self.job[0], 1), b"")

    def test_input_that_nobody_reads_is_dropped(self) -> None:
        """The caller of a job that has closed its input is not kept waiting."""
        self.close_job(0)
        self.stdio.receive_input(b"into the void")
        self.stdio.receive_input(b", and more")
        self.assertEqual(self.end.stdin.taken, self.end.stdin.received)

    def test_a_frozen_job_gets_no_input(self) -> None:
        """What its pipe had is in the handover: more would be read twice or never."""
        self.stdio.receive_input(b"one")
        self.stdio.paused = True
        self.stdio.receive_input(b"two")
        self.stdio.end_input()
        self.assertEqual(self.ready(), {})
        self.assertEqual(pipes.take_back(self.stdio.stdin), b"one")
        self.assertEqual(bytes(self.stdio.waiting), b"two")
        self.assertEqual(self.end.stdin.taken, 3)
        self.stdio.paused = False
        self.stdio.feed()
        self.assertEqual(os.read(self.job[0], 10), b"two")
        self.assertEqual(os.read(self.job[0], 10), b"")

    def test_what_is_in_the_pipes_is_kept_when_they_are_closed(self) -> None:
        """Its caller reads slowly: the job has ended, and there is no room for the rest of its output."""
        os.set_blocking(self.job[1], False)
        output, written = self.end.outputs[frames.STDOUT], 0
        while output.room():
            written += os.write(self.job[1], bytes(WINDOW + 100_000))
            self.stdio.read_outputs(self.ready())
        written += os.write(self.job[1], bytes(pipes.OUTPUT_PIPE_BYTES))
        self.stdio.close_outputs()
        self.assertEqual(output.end, written)
        self.assertFalse(self.stdio.has_output_open)


def test_a_pipe_that_somebody_else_writes_to() -> None:
    """A job whose output is written to by others cannot be frozen as a whole."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, b"before")
    assert pipes.drain(reading) == b"before"
    pipes.check_empty(reading)
    os.write(writing, b"behind its back")
    with pytest.raises(CannotMove):
        pipes.check_empty(reading)
    os.close(reading)
    os.close(writing)
