"""Complete migrations between daemons in memory: what users, homes and disks see."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from twisted.internet.defer import Deferred

from gomd.interfaces import MoveCost
from gomd.jobs.checkpoint.requirements import Requirements
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.migration.journal import Record
from gomd.jobs.migration.messages import MigrationMessage
from gomd.jobs.migration.protocol import TargetState
from gomd.jobs.migration.service import MAX_CONCURRENT_PER_USER
from libgomd.model import Node
from libgomd.wire import frames
from tests.unit.jobs.memory_network import Link
from tests.unit.jobs.migration.moving import Moving, cut
from tests.unit.jobs.moving_nodes import subject_of


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

    def test_its_home_knows_which_process_it_is_there_before_it_is_connected_to(self) -> None:
        """The target says so when it runs: whoever has asked for the move need not wait for a stream."""
        self.cluster.begin()
        tracker = self.cluster[1].tracker
        waiting: list[TrackedJob] = []
        self.patch(tracker, "find_again", waiting.append)
        self.move(1, 2)
        [tracked], [there], known = waiting, self.cluster[2].jobs.here(), self.cluster.job()
        self.assertFalse(tracked.connected)
        self.assertEqual((known.nmigs, known.pid_there), (1, there.pid))

    def test_a_stream_that_is_closed_while_the_job_is_looked_at_is_opened_again(self) -> None:
        """A move that has just ended closes it. An offer that is lost would be waited for."""
        self.cluster.begin()
        checks, held = self.cluster[1].context.checks, Deferred[None]()
        look = checks.requirements

        async def slow(job: TrackedJob) -> Requirements:
            await held
            return await look(job)

        self.patch(checks, "requirements", slow)
        moving = self.cluster.move(1, 2)
        self.cluster.settle()
        self.cluster[1].migrations.active.hang_up_later(2)
        self.cluster.run(2)
        held.callback(None)
        self.cluster.settle()
        self.assertIsInstance(self.successResultOf(moving), MoveCost)
        self.check_settled()

    def test_a_job_that_cannot_leave_keeps_no_stream(self) -> None:
        """The stream to the target is opened before it is known that nothing is to be sent over it."""
        self.cluster.begin()
        machine = self.cluster.machines[1]
        machine.needs = replace(machine.needs, stays=("it waits in the kernel",))
        self.assertEqual(self.refused(1, 2), "it waits in the kernel")
        self.cluster.run(2)
        self.assertEqual(self.cluster[1].channels._streams, {})

    def test_nor_does_it_when_that_is_opened_late(self) -> None:
        """The target may be slow to shake hands, and the job is refused meanwhile."""
        self.cluster.begin()
        channels, held = self.cluster[1].channels, Deferred[None]()
        connect = channels.connect

        async def slow(node: Node) -> None:
            await held
            await connect(node)

        self.patch(channels, "connect", slow)
        machine = self.cluster.machines[1]
        machine.needs = replace(machine.needs, stays=("it waits in the kernel",))
        self.assertEqual(self.refused(1, 2), "it waits in the kernel")
        self.cluster.run(2)
        held.callback(None)
        self.cluster.settle()
        self.assertEqual(list(channels._streams), [2])
        self.cluster.run(2)
        self.assertEqual(channels._streams, {})

    def test_a_node_to_which_a_job_came_keeps_a_supervisor_for_the_next_one(self) -> None:
        """It is made behind the move, and not by a daemon that stops."""
        self.cluster.begin()
        kept: list[int] = []
        for node in (2, 3):
            self.patch(self.cluster[node].migrations._context.jobs, "keep_spare", partial(kept.append, node))
        moving = self.cluster.move(1, 2)
        self.cluster.settle()
        self.successResultOf(moving)
        self.assertEqual(kept, [])
        self.check_settled()
        self.assertEqual(kept, [2])
        moving = self.cluster.move(2, 3)
        self.cluster.settle()
        self.successResultOf(moving)
        self.cluster.stop(3)
        self.cluster.run(3)
        self.assertEqual(kept, [2])

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
                cut(self.cluster, 1, 2)

        self.cluster.network.at = fault
        moving = self.cluster.move(1, 2)
        self.cluster.settle()
        self.assertIsInstance(self.successResultOf(moving), MoveCost)
        self.check_settled()
        [(node, program)] = self.cluster.programs()
        self.assertEqual((node, len(lost), sent, program.signals), (2, 1, [10], [10]))

    def test_more_than_may_leave_at_a_time(self) -> None:
        """The others are queued, and all of them arrive."""
        for _ in range(MAX_CONCURRENT_PER_USER + 2):
            self.cluster.begin()
        machine = self.cluster.machines[1]
        machine.hold_freeze = True
        subjects = [subject_of(here) for here in self.cluster[1].jobs.here()]
        moving = [
            Deferred.fromCoroutine(self.cluster[1].migrations.migrate(subject, 2)) for subject in subjects
        ]
        self.cluster.settle()
        self.assertEqual(len(self.cluster[1].migrations.active), MAX_CONCURRENT_PER_USER)
        machine.hold_freeze = False
        for supervisor in tuple(machine.supervisors):
            supervisor.finish_freeze()
        self.cluster.settle()
        for each in moving:
            self.assertIsInstance(self.successResultOf(each), MoveCost)
        self.assertEqual([node for node, _program in self.cluster.programs()], [2] * len(subjects))
        self.check_settled()
