"""The name of a job in the cluster: what it looks like, and what is not one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from libgomd.errors import MalformedJobName
from libgomd.model import MAX_NODE_ID
from libgomd.wire.job_name import JobName


class JobNameTests(SynchronousTestCase):
    def test_a_name_is_read_as_it_was_written(self) -> None:
        """The text of a name gives the name again, up to the largest node id."""
        for name in (JobName(1, 1), JobName(3, 17), JobName(MAX_NODE_ID, 10**15 - 1)):
            self.assertEqual(JobName.parse(str(name)), name)

    def test_names_are_in_the_order_of_their_numbers(self) -> None:
        """Job 10 comes after job 9, and node 10 after node 9."""
        names = [JobName(10, 1), JobName(9, 10), JobName(9, 9)]
        self.assertEqual(sorted(names), [JobName(9, 9), JobName(9, 10), JobName(10, 1)])

    def test_everything_else_is_one_error(self) -> None:
        """Other forms of the same numbers are refused, so that a job has one name."""
        for text in (
            "",
            "3",
            "3-",
            "-17",
            "03-17",
            "3-017",
            "0-1",
            "3-0",
            "65536-1",
            "3-17 ",
            "3-17-1",
            "3-\u0661",
        ):
            self.assertRaises(MalformedJobName, JobName.parse, text)

    @given(st.text())
    def test_any_text_is_a_name_or_the_error(self, text: str) -> None:
        """No text raises anything else."""
        try:
            self.assertEqual(str(JobName.parse(text)), text)
        except MalformedJobName:
            pass
