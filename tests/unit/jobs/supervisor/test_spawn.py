"""A program that does not begin blocks nobody else; where the process ids of jobs begin."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.supervisor.spawn import first_pid, read_report


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


def test_first_process_ids() -> None:
    """A home's jobs have others for a long time, and so have those of its neighbours; all move anywhere."""
    own = [first_pid(f"1-{job}") for job in range(1, 20001)]
    assert len(set(own)) == len(own)
    assert min(own) >= 300
    assert max(own) < 32768 - 32768 // 8
    assert len({first_pid(f"{home}-1") for home in range(1, 1001)}) == 1000
    assert abs(first_pid("1-2") - first_pid("1-1")) > 1000
    assert first_pid("65535-999999999") == first_pid("65535-999999999")
