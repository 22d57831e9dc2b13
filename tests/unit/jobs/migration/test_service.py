"""Complete migrations between daemons in memory: what users, homes and disks see, whatever fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from gomd.interfaces import MigrationSubject, MoveCost
from gomd.jobs.migration.journal import Record
from gomd.jobs.migration.messages import MigrationMessage
from gomd.jobs.migration.protocol import MessageKind, TargetState
from gomd.jobs.migration.service import CALLER_TIMEOUT, MAX_CONCURRENT_LEAVING
from gomd.jobs.migration.source import MigrationSource
from libgomd.errors import CannotMove, Conflict, GomdError, NotFound, PeerUnreachable, TimedOut
from libgomd.model import JobState, Status
from libgomd.wire import frames
from tests.unit.jobs.memory_network import Link
from tests.unit.jobs.moving_nodes import UP, Cluster, failure_of, subject_of
from tests.unit.scratch import quick_scratch


class Moving(SynchronousTestCase):
    """Three nodes."""

    def setUp(self) -> None:
        self.cluster = Cluster(quick_scratch(self))
        self.addCleanup(self.cluster.end)

    def check_settled(self) -> None:
        """Check that every migration has ended, and that nothing is left of them."""
        self.cluster.run(3)
        self.assertEqual(self.cluster.left(), [])

    def move(self, source: int, target: int) -> None:
        """Move the job that runs on ``source``, and check that it runs on ``target``."""
        moving = self.cluster.move(source, target)
        self.cluster.settle()
        self.assertIsInstance(self.successResultOf(moving), MoveCost)
        [(node, _program)] = self.cluster.programs()
        self.assertEqual(node, target)
        self.check_settled()

    def leaving(self) -> list[tuple[str, MigrationSource]]:
        """Return the migrations from node 1, by their ids."""
        found = []
        for (name, _role), active in self.cluster[1].migrations.active._active.items():
            assert isinstance(active.participant, MigrationSource)
            found.append((name, active.participant))
        return found

    def refused(self, source: int, target: int, kind: type[GomdError] = CannotMove) -> str:
        """Try to move a job that stays; return the reason."""
        moving = self.cluster.move(source, target)
        self.cluster.settle()
        self.cluster.run(2)
        error = failure_of(moving)
        self.assertIsInstance(error, kind)
        self.check_settled()
        [(node, program)] = self.cluster.programs()
        self.assertEqual((node, program.seen[-1]), (source, f"node{source}"))
        return str(error)


class MovingTests(Moving):
    """A job that is moved about."""

    def test_away_to_a_third_node_and_home_again(self) -> None:
        """It runs on one node after the other; its home knows where, and the caller gets its exit status."""
        _job, terminal = self.cluster.begin()
        for count, (source, target) in enumerate([(1, 2), (2, 3), (3, 1), (1, 3)], 1):
            self.move(source, target)
            known = self.cluster.job()
            self.assertEqual((known.node, known.nmigs), (target, count))
            self.assertEqual(terminal.told.count(frames.ATTACHED), terminal.told.count(frames.RESUME) + 1)
            self.assertGreaterEqual(terminal.told.count(frames.RESUME), count)
        [(_node, program)] = self.cluster.programs()
        self.assertEqual(program.seen, ["node1", "node2", "node3", "node1", "node3"])
        self.cluster.machines[3].supervisors[0].end(7)
        self.cluster.settle()
        self.assertEqual(terminal.exit, 7)
        self.assertEqual((self.cluster.job().exit, self.cluster.job().node), (7, 3))
        told = {counter.name: counter.value for counter in self.cluster[3].migrations.counters()}
        self.assertEqual(
            (told["migrations_in"], told["migrations_out"], told["migrations_failed"]), (2, 1, 0)
        )

    def test_what_the_journal_knows_is_not_said_to_be_unknown(self) -> None:
        """A daemon that stops, or has only read its journal, is silent: `refused` would thaw what runs."""
        migrations = self.cluster[2].migrations
        answers: list[MigrationMessage] = []
        known, unknown = (
            MigrationMessage("1-1-1-00000001", "go", 1),
            MigrationMessage("1-2-1-00000002", "go", 1),
        )
        log = self.cluster[2].migrations._context.journal
        log.write(Record(known.migration, TargetState.RUNNING, "1-1", 1, "", 0.0))
        migrations.load()
        for message in (known, unknown):
            migrations.heard(message, answers.append)
        self.assertEqual([(each.migration, each.word) for each in answers], [(unknown.migration, "refused")])
        migrations.stop()
        migrations.heard(unknown, answers.append)
        self.assertEqual(len(answers), 1)
        log.forget(Record(known.migration, TargetState.RUNNING, "1-1", 1, "", 0.0))

    def test_home_is_node_0_and_where_it_is_it_stays(self) -> None:
        """`migrate PID home` needs no number; to move to where it runs is no work."""
        self.cluster.begin(node=2)
        [here] = self.cluster[2].jobs.here()
        for target, runs in ((2, 2), (0, 1)):
            moving = Deferred.fromCoroutine(self.cluster[2].migrations.migrate(subject_of(here), target))
            self.cluster.settle()
            self.assertEqual(self.successResultOf(moving) is None, target == runs)
            self.assertEqual([node for node, _program in self.cluster.programs()], [runs])
        self.check_settled()
        self.assertEqual(self.cluster.job().pid_there, self.cluster.job().pid)

    def test_a_detached_job_goes_and_comes_home(self) -> None:
        """Its output is kept at home wherever it runs, by its supervisor when that is there."""
        self.cluster.begin(detach=True)
        for source, target, at_home in ((1, 2, False), (2, 3, False), (3, 1, True)):
            self.move(source, target)
            tracked = self.cluster[1].tracker.jobs["1-1"]
            self.assertEqual(tracked.writer is None, at_home)
            [supervisor] = self.cluster.machines[target].supervisors
            self.assertEqual(supervisor.spec["detach"], at_home)
        self.cluster.machines[1].supervisors[0].end(4)
        self.cluster.settle()
        self.assertEqual(self.cluster.job().exit, 4)

    def test_its_lock_and_the_number_of_its_moves_go_along(self) -> None:
        """A guest is shown with both on the node it came to."""
        self.cluster.begin(node=2)
        self.cluster[2].jobs.set_lock("1-1", True)
        self.cluster.settle()
        self.move(2, 3)
        [here] = self.cluster[3].jobs.here()
        self.assertEqual((here.lock, here.nmigs), (True, 1))

    def test_a_signal_that_comes_while_it_is_frozen_arrives_once(self) -> None:
        """At the other node, whatever the source says twice."""
        job, _terminal = self.cluster.begin()
        sent: list[int] = []

        def signal(_count: int, _link: object) -> None:
            if self.cluster.programs("frozen") and not sent:
                sent.append(10)
                self.cluster[1].jobs.signal(job, 10, True)

        self.cluster.network.at = signal
        self.move(1, 2)
        [(_node, program)] = self.cluster.programs()
        self.assertEqual((sent, program.signals), ([10], [10]))

    def test_a_signal_whose_message_is_lost_arrives_too(self) -> None:
        """The connection breaks under the last word of the source, which has forgotten the move already."""
        job, _terminal = self.cluster.begin()
        sent: list[int] = []
        lost: list[bytes] = []

        def fault(_count: int, link: Link) -> None:
            if self.cluster.programs("frozen") and not sent:
                sent.append(10)
                self.cluster[1].jobs.signal(job, 10, True)
            if b'"word": "settled"' in link.outbox[0] and not lost:
                lost.append(link.outbox[0])
                _cut(self.cluster, 1, 2)

        self.cluster.network.at = fault
        moving = self.cluster.move(1, 2)
        self.cluster.settle()
        self.assertIsInstance(self.successResultOf(moving), MoveCost)
        self.check_settled()
        [(node, program)] = self.cluster.programs()
        self.assertEqual((node, len(lost), sent, program.signals), (2, 1, [10], [10]))

    def test_more_than_may_leave_at_a_time(self) -> None:
        """The others are queued, and all of them arrive."""
        for _ in range(MAX_CONCURRENT_LEAVING + 2):
            self.cluster.begin()
        machine = self.cluster.machines[1]
        machine.hold_freeze = True
        subjects = [subject_of(here) for here in self.cluster[1].jobs.here()]
        moving = [
            Deferred.fromCoroutine(self.cluster[1].migrations.migrate(subject, 2)) for subject in subjects
        ]
        self.cluster.settle()
        self.assertEqual(len(self.cluster[1].migrations.active), MAX_CONCURRENT_LEAVING)
        machine.hold_freeze = False
        for supervisor in tuple(machine.supervisors):
            supervisor.finish_freeze()
        self.cluster.settle()
        for each in moving:
            self.assertIsInstance(self.successResultOf(each), MoveCost)
        self.assertEqual([node for node, _program in self.cluster.programs()], [2] * len(subjects))
        self.check_settled()


class RefusedTests(Moving):
    """A job that stays where it is: the reason is told, and it runs on."""

    def test_the_target_looks_before_anything_is_frozen(self) -> None:
        """What it lacks is the reason, for the order and for a dry run."""
        self.cluster.begin()
        self.cluster.machines[2].lacks = "criu check: no such feature"
        self.assertIn("criu check: no such feature", self.refused(1, 2))
        self.assertEqual(self.cluster.machines[1].supervisors[0].program.seen, ["node1"])  # type: ignore[union-attr]
        [here] = self.cluster[1].jobs.here()
        asking = Deferred.fromCoroutine(self.cluster[1].migrations.reasons(subject_of(here), 2))
        self.cluster.settle()
        self.assertEqual(self.successResultOf(asking), ["node 2 node2: criu check: no such feature"])

    def test_each_part_that_fails_gives_its_own_reason(self) -> None:
        """criu here, criu there, the page server, what it has open, a target that takes no guests."""
        self.cluster.begin()
        source, target = self.cluster.machines[1], self.cluster.machines[2]
        source.dump_fails = "it holds a lock on a file"
        self.assertEqual(self.refused(1, 2), "it holds a lock on a file")
        source.dump_fails, target.restore_fails = "", "the pid is taken"
        self.assertIn("the pid is taken", self.refused(1, 2))
        target.restore_fails, self.cluster[2].criu.page_server_fails = "", "no space is left"
        self.assertEqual(self.refused(1, 2), "node 2 node2: no space is left")
        self.cluster[2].criu.page_server_fails, target.status = "", UP | Status.BLOCK
        self.assertEqual(self.refused(1, 2), "node 2 node2 takes no guests")
        target.status, source.needs = UP, replace(source.needs, stays=("it uses io_uring",))
        self.assertEqual(self.refused(1, 2), "it uses io_uring")
        told = {counter.name: counter.value for counter in self.cluster[1].migrations.counters()}
        self.assertEqual(told["migrations_failed"], 4)

    def test_a_node_that_is_full_for_its_user(self) -> None:
        """It takes no guest; what is at home there may always come back."""
        self.cluster.begin()
        self.cluster.machines[2].full = "50 jobs of yours are under way on this node already"
        self.assertEqual(
            self.refused(1, 2), "node 2 node2: 50 jobs of yours are under way on this node already"
        )
        self.move(1, 3)
        self.cluster.machines[1].full = "it is full"
        self.move(3, 1)

    def test_a_reason_that_is_a_book_is_cut(self) -> None:
        """It comes as one line of bounded length, not as a broken connection."""
        self.cluster.begin()
        self.cluster.machines[2].lacks = "a\nvery long reason " * 60_000
        why = self.refused(1, 2)
        self.assertLess(len(why), 2100)
        self.assertNotIn("\n", why)
        self.assertIn("very long reason", why)
        [here] = self.cluster[1].jobs.here()
        asking = Deferred.fromCoroutine(self.cluster[1].migrations.reasons(subject_of(here), 2))
        self.cluster.settle()
        [told] = self.successResultOf(asking)
        self.assertLess(len(told), 2100)

    def test_what_cannot_be_tried(self) -> None:
        """No such process, no such node, a node that is down or not reached, no criu here."""
        self.cluster.begin()
        moving = Deferred.fromCoroutine(
            self.cluster[1].migrations.migrate(MigrationSubject(4711, "1-4711"), 2)
        )
        self.assertIsInstance(failure_of(moving), NotFound)
        self.assertIsInstance(failure_of(self.cluster.move(1, 9)), NotFound)
        self.cluster.apart.add((1, 2))
        self.refused(1, 2, PeerUnreachable)
        self.cluster.crash(2)
        self.refused(1, 2, PeerUnreachable)
        self.cluster.stop(1)
        self.cluster.start(1)
        self.cluster.settle()
        self.cluster[1].criu.missing = "criu cannot be started"
        self.assertEqual(self.refused(1, 3), "criu cannot be started")
        self.assertEqual(self.cluster[1].migrations.cannot(), "criu cannot be started")

    def test_a_second_order_while_it_moves(self) -> None:
        """It is refused; the first one goes on. `cantmove` says what is going on."""
        self.cluster.begin()
        self.cluster.machines[1].hold_freeze = True
        first = self.cluster.move(1, 2)
        self.cluster.settle()
        self.assertIsInstance(failure_of(self.cluster.move(1, 3)), Conflict)
        self.assertEqual(self.cluster[1].jobs.here()[0].cantmove, "it is being moved")
        self.cluster.machines[1].supervisors[0].finish_freeze()
        self.cluster.settle()
        self.assertIsInstance(self.successResultOf(first), MoveCost)
        self.check_settled()

    def test_a_repeated_request_is_not_queued_again(self) -> None:
        """A second request for a queued job is refused at once, however often it is sent."""
        for _ in range(MAX_CONCURRENT_LEAVING + 1):
            self.cluster.begin()
        machine = self.cluster.machines[1]
        machine.hold_freeze = True
        subjects = [subject_of(here) for here in self.cluster[1].jobs.here()]
        migrate = self.cluster[1].migrations.migrate
        moving = [Deferred.fromCoroutine(migrate(subject, 2)) for subject in subjects]
        self.cluster.settle()
        for subject in subjects * 3:
            self.failureResultOf(Deferred.fromCoroutine(migrate(subject, 2)), Conflict)
        machine.hold_freeze = False
        for supervisor in tuple(machine.supervisors):
            supervisor.finish_freeze()
        self.cluster.settle()
        for each in moving:
            self.assertIsInstance(self.successResultOf(each), MoveCost)
        self.check_settled()

    def test_a_dry_run_beside_a_migration(self) -> None:
        """The question and the migration have nothing to do with each other."""
        self.cluster.begin()
        self.cluster.begin()
        source = self.cluster.machines[1]
        source.hold_freeze = True
        one, two = (subject_of(here) for here in self.cluster[1].jobs.here())
        moving = Deferred.fromCoroutine(self.cluster[1].migrations.migrate(one, 2))
        self.cluster.settle()
        target = self.cluster[2].threads
        target.hold = {"_offer"}
        asking = Deferred.fromCoroutine(self.cluster[1].migrations.reasons(two, 2))
        self.cluster.settle()
        source.supervisors[0].finish_freeze()
        self.cluster.settle()
        self.assertIsInstance(self.successResultOf(moving), MoveCost)
        self.assertNoResult(asking)
        target.release()
        self.cluster.settle()
        self.assertEqual(self.successResultOf(asking), [])
        self.check_settled()

    def test_a_job_that_ends_while_it_is_to_move(self) -> None:
        """Its exit status is its own, and nobody runs it again."""
        _job, terminal = self.cluster.begin()
        source = self.cluster.machines[1]
        source.hold_freeze = True
        moving = self.cluster.move(1, 2)
        self.cluster.settle()
        [supervisor] = source.supervisors
        supervisor.end(3)
        supervisor.finish_freeze()
        self.cluster.settle()
        self.cluster.run(2)
        self.assertIsInstance(failure_of(moving), CannotMove)
        self.assertEqual((terminal.exit, self.cluster.job().state), (3, JobState.DONE))
        self.assertEqual(self.cluster.programs(), [])
        self.check_settled()

    def test_it_is_offered_twice(self) -> None:
        """The same offer again changes nothing; another one for the same job is refused."""
        self.cluster.begin()
        source = self.cluster.machines[1]
        source.hold_freeze = True
        moving = self.cluster.move(1, 2)
        self.cluster.settle()
        [(name, source_side)] = self.leaving()
        source_side.send(MessageKind.OFFER, "")
        other = name[:-8] + "0" * 8
        heard: list[str] = []
        self.cluster[2].migrations.heard(
            MigrationMessage(other, "offer", 1, files={"needs.json": source_side._requirements}),
            lambda message: heard.append(f"{message.word}: {message.reason}"),
        )
        self.assertEqual(heard, ["refused: it is being moved there already"])
        self.cluster.settle()
        self.assertEqual(len(self.cluster[2].migrations.active), 1)
        source.supervisors[0].finish_freeze()
        self.cluster.settle()
        self.assertIsInstance(self.successResultOf(moving), MoveCost)
        self.check_settled()

    def test_more_offers_than_a_node_can_take(self) -> None:
        """What is beyond its bound is refused and leaves nothing: nobody fills its memory and its disk."""
        self.cluster[2].threads.hold = {"_offer"}
        self.cluster.begin()
        moving = self.cluster.move(1, 2)
        self.cluster.settle()
        [(_name, source_side)] = self.leaving()
        heard: list[str] = []
        self.cluster[2].migrations._dispatcher._limit = 5
        files = {"needs.json": source_side._requirements}
        for number in range(2, 9):
            offer = MigrationMessage(f"1-{number}-1-0123abcd", "offer", 1, files=files)
            self.cluster[2].migrations.heard(offer, lambda message: heard.append(message.reason))
        self.assertEqual(len(self.cluster[2].migrations.active), 5)
        self.assertEqual(len(heard), 3)
        self.assertIn("try later", heard[0])
        self.cluster.stop(2)
        self.cluster.settle()
        self.failureResultOf(moving, CannotMove)

    def test_called_off_while_the_target_looks(self) -> None:
        """No page server is begun for what does not come, no directory stays."""
        self.cluster.begin()
        for waiting in ("_offer", "_make", "<lambda>"):
            threads = self.cluster[2].threads
            threads.hold = {waiting}
            moving = self.cluster.move(1, 2)
            self.cluster.settle()
            self.assertEqual(len(threads.held), 1)
            self.cluster.network.cut_between(self.cluster[1], self.cluster[2])
            self.cluster.settle()
            self.assertIsInstance(failure_of(moving), CannotMove)
            threads.release()
            self.check_settled()
            self.assertEqual([each for each in self.cluster.machines[2].listening if not each.closed], [])
        self.move(1, 2)

    def test_called_off_before_it_is_frozen(self) -> None:
        """Then it is not frozen any more."""
        self.cluster.begin()
        threads = self.cluster[1].threads
        threads.hold = {"_make"}
        moving = self.cluster.move(1, 2)
        self.cluster.settle()
        self.cluster.network.cut_between(self.cluster[1], self.cluster[2])
        self.cluster.settle()
        self.assertIsInstance(failure_of(moving), CannotMove)
        threads.release()
        self.check_settled()
        self.assertEqual([node for node, _program in self.cluster.programs()], [1])


Fault = Callable[[Cluster, int, int], None]


def _kill_source(cluster: Cluster, source: int, target: int) -> None:
    cluster.kill(source)


def _stop_source(cluster: Cluster, source: int, target: int) -> None:
    cluster.stop(source)


def _kill_busy_source(cluster: Cluster, source: int, target: int) -> None:
    cluster.kill(source)
    cluster.machines[source].busy = 3


def _kill_busy_target(cluster: Cluster, source: int, target: int) -> None:
    cluster.kill(target)
    cluster.machines[target].busy = 3


def _kill_target(cluster: Cluster, source: int, target: int) -> None:
    cluster.kill(target)


def _stop_target(cluster: Cluster, source: int, target: int) -> None:
    cluster.stop(target)


def _cut(cluster: Cluster, source: int, target: int) -> None:
    if cluster.machines[source].daemon and cluster.machines[target].daemon:
        cluster.network.cut_between(cluster[source], cluster[target])
        cluster.network.cut_between(cluster[target], cluster[source])


def _crash_source(cluster: Cluster, source: int, target: int) -> None:
    cluster.crash(source)


def _crash_target(cluster: Cluster, source: int, target: int) -> None:
    cluster.crash(target)


class FaultTests(SynchronousTestCase):
    """Something fails at one step of a migration after the other; when all are up again, all is settled."""

    def begin(self, source: int) -> Cluster:
        """Start a job of node 1 and bring it to ``source``."""
        cluster = Cluster(quick_scratch(self))
        self.addCleanup(cluster.end)
        cluster.begin(detach=True)
        if source != 1:
            self.assertNoResult(cluster.move(1, source).addErrback(self.fail))
            cluster.settle()
            cluster.run(2, 1.0)
        return cluster

    def fail_at(self, fault: Fault, at: int, source: int, target: int) -> Cluster | None:
        """Let ``fault`` happen at that step; None when it takes fewer."""
        cluster = self.begin(source)
        begun = cluster.network.delivered
        happened: list[int] = []

        def strike(count: int, _link: object) -> None:
            if count - begun == at and not happened:
                happened.append(count)
                fault(cluster, source, target)

        cluster.network.at = strike
        cluster.move(source, target).addErrback(lambda failure: failure.trap(GomdError))
        cluster.settle()
        if not happened:
            return None
        for number, machine in cluster.machines.items():
            if machine.daemon is None:
                machine.up = True
                cluster.start(number)
        cluster.settle()
        cluster.run(16, 2.0)
        self.assertEqual(cluster.left(), [], (at, fault))
        return cluster

    def check_all(self, fault: Fault, source: int, target: int, first: int = 1, each: int = 1) -> None:
        """The job runs, once, where its home says; when it ends its home knows how."""
        at, places = first, set()
        while cluster := self.fail_at(fault, at, source, target):
            [(node, _program)] = cluster.programs()
            places.add(node)
            self.assertEqual(cluster.job().node, node, (at, fault))
            [supervisor] = cluster.machines[node].supervisors
            supervisor.end(7)
            cluster.settle()
            self.assertEqual((cluster.job().state, cluster.job().exit), (JobState.DONE, 7), (at, fault))
            cluster.end()
            at += each
        self.assertGreater(at, 12)
        self.assertEqual(places, {source, target})

    def test_a_daemon_that_cannot_ask_its_supervisors_at_first(self) -> None:
        """It has no descriptor free after its start: no copy is taken for gone, nor runs twice."""
        self.check_all(_kill_busy_source, 2, 3, each=2)
        self.check_all(_kill_busy_target, 2, 3, each=2)
        self.check_all(_kill_busy_target, 2, 1, each=3)

    def test_the_sources_daemon(self) -> None:
        """Killed, and stopped as it should, and started again; on its way to a third node, and from home."""
        self.check_all(_kill_source, 2, 3)
        self.check_all(_stop_source, 1, 2, first=2, each=5)

    def test_the_targets_daemon(self) -> None:
        """The same there, and where the target is the job's home."""
        self.check_all(_kill_target, 2, 3)
        self.check_all(_stop_target, 2, 1, first=2, each=4)

    def test_the_connection(self) -> None:
        """Broken at any step."""
        self.check_all(_cut, 2, 3, each=2)

    def test_a_machine_goes_down(self) -> None:
        """With the only copy the job is lost, and said to be; with any other one it runs on."""
        for fault, source, target in (
            (_crash_source, 1, 2), (_crash_source, 2, 3), (_crash_target, 2, 3), (_crash_target, 2, 1)
        ):  # fmt: skip
            found, at = set(), 1
            while cluster := self.fail_at(fault, at, source, target):
                running = [node for node, _program in cluster.programs()]
                job = cluster.job()
                self.assertLess(len(running), 2)
                if running:
                    self.assertEqual((job.state, job.node), (JobState.RUNNING, running[0]), (at, fault))
                else:
                    self.assertEqual((job.state, job.exit), (JobState.LOST, 143), (at, fault))
                    self.assertTrue(job.reason)
                found.add(tuple(running))
                cluster.end()
                at += 4
            self.assertEqual(found, {(), (target,) if fault is _crash_source else (source,)})

    def test_a_target_that_stays_away(self) -> None:
        """Who waits is told after a while that it is not known; it is settled when the node is back."""
        cluster = self.begin(1)
        moving = cluster.move(1, 2)
        while not self.decided(cluster):
            self.assertTrue(cluster.network.step())
        cluster.kill(2)
        cluster.settle()
        cluster.run(CALLER_TIMEOUT - 20, 10.0)
        self.assertNoResult(moving)
        cluster.run(30, 10.0)
        self.assertIsInstance(failure_of(moving), TimedOut)
        self.assertEqual(cluster.programs(), [])
        cluster.start(2)
        cluster.run(20, 2.0)
        [(node, _program)] = cluster.programs()
        self.assertEqual((node, cluster.job().node), (2, 2))
        self.assertEqual(cluster.left(), [])

    def decided(self, cluster: Cluster) -> bool:
        """Whether the source has decided."""
        return any(
            active.driver.side.state.word == "decided"
            for active in cluster[1].migrations.active._active.values()
        )
