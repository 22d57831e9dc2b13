"""Migrations between daemons in memory that are refused, called off, or asked for twice."""

from __future__ import annotations

import os
from dataclasses import replace

from twisted.internet.defer import Deferred

from gomd.interfaces import MigrationSubject, MoveCost
from gomd.jobs.migration.messages import MigrationMessage
from gomd.jobs.migration.protocol import MessageKind
from gomd.jobs.migration.service import MAX_CONCURRENT_PER_USER
from libgomd.errors import CannotMove, Conflict, NotFound, PeerUnreachable
from libgomd.model import JobState, Status
from tests.unit.jobs.memory_machine import UP
from tests.unit.jobs.migration.moving import Moving
from tests.unit.jobs.moving_nodes import failure_of, subject_of


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

    def test_what_was_prepared_is_ended(self) -> None:
        """The supervisor gets ready while the job is offered, and hears of it when the job stays."""
        self.cluster.begin()
        source, target = self.cluster.machines[1], self.cluster.machines[2]
        target.lacks = "criu check: no such feature"
        self.refused(1, 2)
        self.assertEqual(source.supervisors[0].orders, ["await", "thaw"])
        target.lacks, source.needs = "", replace(source.needs, stays=("it uses io_uring",))
        self.refused(1, 2)
        self.assertEqual(source.supervisors[0].orders, ["await", "thaw"] * 2)
        source.needs = replace(source.needs, stays=())
        source.supervisors[0].orders.clear()
        [supervisor] = source.supervisors
        self.move(1, 2)
        self.assertEqual(supervisor.orders, ["await", "freeze", "end"])
        moving = self.cluster[1].context.images.root
        self.assertEqual([name for name in os.listdir(moving) if not name.startswith(".")], [])

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
        for _ in range(MAX_CONCURRENT_PER_USER + 1):
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
