"""Why a job cannot move is seen before anybody tries; looking never ends for an error."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.migration.obstacles import MAX_JOBS_PER_ROUND, ROUND_INTERVAL, Obstacles
from libgomd.errors import TooMany
from tests.unit.jobs.moving_nodes import Cluster
from tests.unit.scratch import quick_scratch


class ObstaclesTests(SynchronousTestCase):
    """A node with a job."""

    def setUp(self) -> None:
        self.cluster = Cluster(quick_scratch(self), 2)
        self.addCleanup(self.cluster.end)
        self.machine = self.cluster.machines[1]
        self.cluster.begin()

    def cantmove(self) -> str:
        """What `cantmove` says of the job, after a round."""
        self.cluster.run(ROUND_INTERVAL, 5.0)
        [here] = self.cluster[1].jobs.here()
        return here.cantmove

    def test_what_stands_in_the_way_comes_and_goes(self) -> None:
        """Each reason that was seen last, criu's own too; an empty line when there is none."""
        self.assertEqual(self.cantmove(), "")
        self.machine.stays = ["it listens on port 80 of this node", "it uses io_uring"]
        self.assertEqual(self.cantmove(), "it listens on port 80 of this node; it uses io_uring")
        self.machine.stays = []
        self.assertEqual(self.cantmove(), "")

    def test_without_criu_everything_has_that_reason(self) -> None:
        """As criu said it."""
        self.cluster[1].criu.missing = "criu cannot be started"
        self.assertEqual(self.cantmove(), "criu cannot be started")

    def test_it_survives_every_failure(self) -> None:
        """A job that has just ended, threads that are taken, and bugs, which are logged: it looks again."""
        self.machine.stays = ["it uses io_uring"]
        self.cantmove()
        for error in (ProcessLookupError("gone"), TooMany("all threads are taken"), ZeroDivisionError("bug")):
            self.machine.stays_fails = error
            self.assertEqual(self.cantmove(), "it uses io_uring")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.machine.stays_fails, self.machine.stays = None, []
        self.assertEqual(self.cantmove(), "")

    def test_a_round_that_takes_long(self) -> None:
        """No other one begins beside it."""
        threads = self.cluster[1].threads
        threads.hold = {"_say_stays"}
        self.cluster.run(5 * ROUND_INTERVAL, 5.0)
        self.assertEqual(len(threads.held), 1)
        self.machine.stays = ["it uses io_uring"]
        threads.release()
        self.assertEqual(self.cluster[1].jobs.here()[0].cantmove, "it uses io_uring")

    def test_what_is_not_looked_at(self) -> None:
        """Jobs that moved away, or that are over."""
        self.cluster.move(1, 2)
        self.cluster.settle()
        self.machine.stays_fails = ZeroDivisionError("looked at")
        self.cluster.run(2 * ROUND_INTERVAL, 5.0)
        self.assertEqual(self.flushLoggedErrors(ZeroDivisionError), [])

    def test_many_jobs_take_turns(self) -> None:
        """So many in a round; every one of them has its turn."""
        looked: list[int] = []
        for _ in range(MAX_JOBS_PER_ROUND + 9):
            self.cluster.begin()
        self.machine.look_at_stays = lambda pid, _supervisor, _criu: looked.append(pid) or []  # type: ignore[func-returns-value]
        self.cluster.stop(1)
        self.cluster.start(1)
        self.cluster.settle()
        obstacles = Obstacles(self.cluster[1].context)
        self.successResultOf(Deferred.fromCoroutine(obstacles.round()))
        self.assertEqual(len(looked), MAX_JOBS_PER_ROUND)
        self.successResultOf(Deferred.fromCoroutine(obstacles.round()))
        self.assertEqual(len(set(looked)), MAX_JOBS_PER_ROUND + 10)

    def test_it_stops(self) -> None:
        """With the daemon; started and stopped twice does no harm."""
        context = self.cluster[1].context
        obstacles = Obstacles(context)
        before = len(self.cluster[1].clock.getDelayedCalls())
        for act in (obstacles.start, obstacles.start, obstacles.stop, obstacles.stop):
            act()
        self.assertEqual(len(self.cluster[1].clock.getDelayedCalls()), before)
