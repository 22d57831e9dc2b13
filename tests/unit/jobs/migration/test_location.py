"""Where jobs are after they moved: what a home believes, what it refuses, and what it is told again."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from gomd.interfaces import MoveCost
from gomd.jobs.migration.location import RETRY_INTERVAL
from libgomd.errors import Conflict, NotFound, PeerUnreachable
from libgomd.model import EventKind, JobState
from libgomd.wire.lines import Request
from tests.unit.jobs.moving_nodes import ROOT, Cluster
from tests.unit.scratch import quick_scratch


class HomeTests(SynchronousTestCase):
    """Node 1 is the home of a job that runs on node 2."""

    def setUp(self) -> None:
        self.cluster = Cluster(quick_scratch(self))
        self.addCleanup(self.cluster.end)
        self.cluster.begin(node=2)

    def told(self, daemon: int) -> list[Request]:
        """What a daemon has told homes."""
        return [request for request in self.cluster[daemon].peers.asked if request.verb == "moved"]

    def test_the_newer_word_wins(self) -> None:
        """Who says that a job moved more often is right; the same word may come twice."""
        home = self.cluster[1].jobs
        self.cluster[3].locations.expect("1-1", True)
        home.moved("1-1", 3, 2)
        self.assertEqual((self.cluster.job().node, self.cluster.job().nmigs), (3, 2))
        home.moved("1-1", 3, 2)
        home.moved("1-1", 3, 1)
        with self.assertRaises(Conflict) as caught:
            home.moved("1-1", 2, 1)
        self.assertIn("on node 3, after 2 moves", str(caught.exception))
        self.assertRaises(Conflict, home.moved, "1-1", 2, 2)
        self.assertEqual(self.cluster.job().node, 3)
        said = [event for event in self.cluster[1].events.recent() if event.kind is EventKind.MIGRATED]
        self.assertEqual([event.node for event in said], [3])

    def test_what_is_over_or_was_never_there(self) -> None:
        """404: what still runs of it is to be ended."""
        home = self.cluster[1].jobs
        self.assertRaises(NotFound, home.moved, "1-2", 3, 1)
        self.assertRaises(NotFound, home.moved, "2-1", 3, 1)
        self.cluster.machines[2].supervisors[0].end(0)
        self.cluster.settle()
        self.assertIs(self.cluster.job().state, JobState.DONE)
        self.assertRaises(NotFound, home.moved, "1-1", 3, 1)

    def test_a_daemon_that_stops_says_nothing_about_jobs(self) -> None:
        """It holds none any more: a 404 then would be the end of a job that runs."""
        home = self.cluster[1].jobs
        home.stopService()
        self.assertRaises(PeerUnreachable, home.moved, "1-1", 3, 1)
        home.startService()
        self.cluster.settle()
        home.moved("1-1", 3, 1)
        self.assertEqual(self.cluster.job().node, 3)

    def test_a_home_that_is_not_reached_is_told_again(self) -> None:
        """By the node it came to and the one it left, until it has heard; then by nobody."""
        self.cluster.apart |= {(2, 1), (3, 1)}
        moving = self.cluster.move(2, 3)
        self.cluster.settle()
        self.assertEqual([node for node, _program in self.cluster.programs()], [3])
        self.cluster.run(3 * RETRY_INTERVAL)
        self.assertEqual(self.cluster.job().node, 2)
        self.assertGreaterEqual(len(self.told(3)), 3)
        self.assertIs(self.cluster.job().state, JobState.RUNNING)
        self.cluster.apart.clear()
        self.cluster.run(2 * RETRY_INTERVAL)
        self.assertIsInstance(self.successResultOf(moving), MoveCost)
        self.assertEqual((self.cluster.job().node, self.cluster.job().nmigs), (3, 1))
        asked = len(self.told(3)) + len(self.told(2))
        self.cluster.run(3 * RETRY_INTERVAL)
        self.assertEqual(len(self.told(3)) + len(self.told(2)), asked)
        self.assertEqual(self.cluster.left(), [])
        [supervisor] = self.cluster.machines[3].supervisors
        supervisor.end(5)
        self.cluster.settle()
        self.assertEqual(self.cluster.job().exit, 5)

    def test_a_home_that_knows_something_newer_is_not_told_for_ever(self) -> None:
        """409 is an answer."""
        self.cluster[3].locations.expect("1-1", True)
        self.cluster[1].jobs.moved("1-1", 3, 5)
        waiting = self.cluster[2].locations.tell_home("1-1", 2, 4)
        with self.assertRaises(StopIteration) as caught:
            waiting.send(None)
        self.assertTrue(caught.exception.value)

    def test_a_guest_whose_home_gave_it_up_is_ended(self) -> None:
        """It has nobody left who would take its exit status."""
        self.cluster.kill(1)
        os.unlink(self.cluster.machines[1].journal)
        self.cluster.start(1)
        moving = self.cluster.move(2, 3)
        self.cluster.settle()
        self.cluster.run(2)
        self.assertEqual(self.cluster.programs(), [])
        self.assertEqual([each.spec for each in self.cluster.machines[3].supervisors], [])
        self.assertIsInstance(self.successResultOf(moving), MoveCost)
        self.assertEqual(self.cluster.left(), [])

    def test_a_guest_that_is_gone(self) -> None:
        """Whoever asks for it where it was hears that it moved, until its home knows where it is."""
        self.cluster.apart |= {(2, 1), (3, 1)}
        self.cluster.move(2, 3)
        self.cluster.settle()
        with self.assertRaises(Conflict) as caught:
            self.cluster[2].jobs.check_guest(ROOT, "1-1")
        self.assertIn("moved to node 3", str(caught.exception))
        self.cluster[3].jobs.check_guest(ROOT, "1-1")
        self.cluster.apart.clear()
        self.cluster.run(2 * RETRY_INTERVAL)
        self.assertRaises(NotFound, self.cluster[2].jobs.check_guest, ROOT, "1-1")
        self.assertEqual(self.cluster[2].locations._gone, {})

    def test_a_guest_that_went_home_is_not_remembered(self) -> None:
        """Nor one whose home is where it went."""
        self.cluster.move(2, 1)
        self.cluster.settle()
        self.assertEqual([node for node, _program in self.cluster.programs()], [1])
        self.cluster.run(3)
        self.assertEqual(self.cluster[2].locations._gone, {})
        self.assertEqual(self.cluster[2].tracker.jobs, {})

    def test_a_guest_that_may_come_after_a_restart(self) -> None:
        """Until it is known the node does not say that there is none: its home would give it up."""
        locations = self.cluster[3].locations
        locations.expect("1-1", True)
        self.assertRaises(Conflict, self.cluster[3].jobs.check_guest, ROOT, "1-1")
        locations.expect("1-1", False)
        self.assertRaises(NotFound, self.cluster[3].jobs.check_guest, ROOT, "1-1")
