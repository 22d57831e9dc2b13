"""The search for a job on other nodes, by a clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.home.changes import JobChanges
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.remote_jobs import DOWN_TIMEOUT, MISSING_TIMEOUT, RETRY_INTERVAL, RemoteJobs
from libgomd.errors import GomdError, NotFound, PeerUnreachable
from libgomd.model import Job, JobState, Node, Status
from libgomd.wire.lines import Request


class RemoteJobsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.changes = JobChanges(self.clock)
        self.asked: list[int] = []
        self.answering: set[int] = set()
        self.refusal: GomdError = PeerUnreachable("it is silent")
        self.status = Status.CONFIGURED | Status.UP
        self.job = Job(7, 1, 2, 4711, "anna", JobState.RUNNING, None, "make", 1000, 0.0)
        self.there = FrameStream()
        remote: Any = RemoteJobs
        self.remote: RemoteJobs = remote(self.clock, self, self, lambda: True, self.changes)

    # -- the members and the peers of the search

    def find(self, key: str) -> Any:
        return Node(int(key), f"node{key}", "127.0.0.1", self.status)

    async def open(self, node: Node, request: Request, caller: object) -> FrameStream:
        self.asked.append(node.id)
        if node.id not in self.answering:
            raise self.refusal
        return self.there

    def search(self) -> Deferred[FrameStream | str]:
        return Deferred.fromCoroutine(self.remote.find(self.job, lambda: self.job))

    def test_a_job_that_moves_is_found_at_once(self) -> None:
        """The search goes on when the entry of the job changes, and not at its next attempt."""
        self.answering = {3}
        found = self.search()
        self.job = replace(self.job, node=3)
        self.changes.notify(7)
        self.clock.advance(0)
        self.assertIs(self.successResultOf(found), self.there)
        self.assertEqual(self.asked, [2, 3])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_other_changes_of_it_cause_no_attempt(self) -> None:
        """A node that is unreachable is asked again at the interval only."""
        found = self.search()
        for _ in range(10):
            self.changes.notify(7)
            self.clock.advance(0)
        self.assertEqual(self.asked, [2])
        self.answering = {2}
        self.clock.advance(RETRY_INTERVAL)
        self.assertIs(self.successResultOf(found), self.there)

    def test_the_search_is_bounded(self) -> None:
        """A job whose node stays down is lost after the timeout."""
        self.status = Status.CONFIGURED
        found = self.search()
        self.clock.pump([RETRY_INTERVAL] * int(DOWN_TIMEOUT / RETRY_INTERVAL))
        self.assertEqual(self.successResultOf(found), "node 2 node2 went down")

    def test_a_node_that_has_it_no_more_says_so_for_a_while(self) -> None:
        """Then the job is lost."""
        self.refusal = NotFound("there is no job 1-7 here")
        found = self.search()
        self.clock.pump([RETRY_INTERVAL] * (int(MISSING_TIMEOUT / RETRY_INTERVAL) - 1))
        self.assertNoResult(found)
        self.clock.pump([RETRY_INTERVAL] * 2)
        self.assertEqual(self.successResultOf(found), "node 2 node2 has it no more: there is no job 1-7 here")

    def test_a_daemon_that_stops_says_so_too_and_the_next_one_has_it(self) -> None:
        """What it said before it was silent does not count when its successor says it again."""
        self.refusal = NotFound("there is no job 1-7 here")
        found = self.search()
        self.clock.pump([RETRY_INTERVAL] * 2)
        self.refusal = PeerUnreachable("it is silent")
        self.clock.pump([RETRY_INTERVAL] * int(MISSING_TIMEOUT / RETRY_INTERVAL))
        self.refusal = NotFound("there is no job 1-7 here")
        self.clock.pump([RETRY_INTERVAL] * 2)
        self.assertNoResult(found)
        self.answering = {2}
        self.clock.pump([RETRY_INTERVAL])
        self.assertIs(self.successResultOf(found), self.there)
