"""A program that does not begin blocks nobody else."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.supervisor.spawn import read_report


class ReadReportTests(SynchronousTestCase):
    """A pipe that a child reports on."""

    def setUp(self) -> None:
        self.reading, self.writing = os.pipe()
        self.addCleanup(os.close, self.reading)

    def test_a_report(self) -> None:
        """All of it, to its end."""
        os.write(self.writing, b"4711")
        os.close(self.writing)
        self.assertEqual(read_report(self.reading, 10.0), b"4711")

    def test_a_directory_that_does_not_answer(self) -> None:
        """The child has reported its pid and hangs: after the timeout that is an error."""
        self.addCleanup(os.close, self.writing)
        os.write(self.writing, b"4711")
        self.assertRaises(TimeoutError, read_report, self.reading, 0.02)
