"""A tracked job goes from phase to phase as the table says, and tells its observer."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.job_phase import NEXT_PHASES, IllegalTransition, Phase, check_transition
from gomd.jobs.lifecycle.tracked import TrackedJob
from libgomd.errors import NotFound
from libgomd.wire import frames, job_messages
from libgomd.wire.job_messages import JobExit, JobReport, StartFailure
from tests.unit.jobs.observers import RecordingObserver

RUNS = JobReport("1-7", 4711, 4710, 1001)
ENDED = JobExit(3)


class TableTests(SynchronousTestCase):
    def test_every_phase_has_a_sentence_and_a_row(self) -> None:
        """So that none is forgotten when another one comes."""
        self.assertEqual(set(NEXT_PHASES), set(Phase))
        self.assertTrue(all(phase.value.endswith(".") for phase in Phase))

    def test_every_phase_can_be_reached_and_ends(self) -> None:
        """From STARTING to each, and from each to RELEASED, which is the last."""
        reached = {Phase.STARTING}
        for _ in Phase:
            reached |= {after for phase in reached for after in NEXT_PHASES[phase]}
        self.assertEqual(reached, set(Phase))
        for phase in set(Phase) - {Phase.RELEASED}:
            self.assertIn(Phase.RELEASED, NEXT_PHASES[phase])
        self.assertEqual(NEXT_PHASES[Phase.RELEASED], frozenset())

    def test_what_the_table_does_not_name_is_illegal(self) -> None:
        """All pairs: only those of the table, and staying."""
        for old in Phase:
            for new in Phase:
                if new is old or new in NEXT_PHASES[old]:
                    check_transition(old, new)
                else:
                    self.assertRaises(IllegalTransition, check_transition, old, new)


class TrackedJobTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.observer = RecordingObserver()
        self.job = TrackedJob(Clock(), self.observer, "1-7", 1001, 1, number=7)
        self.stream = FrameStream()
        self.stream.makeConnection(StringTransport())
        self.job.connect(self.stream)

    def tell(self, value: JobReport | JobExit | StartFailure) -> None:
        self.stream.dataReceived(job_messages.encode(value))

    def test_it_runs_and_ends(self) -> None:
        """A second connection tells the same again, and changes nothing."""
        for value in (RUNS, RUNS, ENDED, ENDED):
            self.tell(value)
        self.successResultOf(self.job.begun)
        self.assertEqual(self.observer.told, ["connected", "started", "started again", "ended", "ended"])
        self.assertEqual((self.job.phase, self.job.exit), (Phase.ENDED, ENDED))
        self.assertFalse(self.job.runs_on(1))

    def test_an_end_before_the_beginning_ends_the_connection(self) -> None:
        """No supervisor tells that."""
        self.stream.transport.abortConnection = self.stream.connectionLost
        self.tell(ENDED)
        self.assertEqual(self.observer.told, ["connected", "disconnected"])
        self.assertIs(self.job.phase, Phase.STARTING)

    def test_a_job_that_cannot_start(self) -> None:
        """Whoever waits for it is told, once."""
        self.job.fail(NotFound("no directory"))
        self.job.fail(NotFound("again"))
        self.assertEqual(str(self.failureResultOf(self.job.begun, NotFound).value), "no directory")

    def test_a_supervisor_that_is_lost_while_the_job_leaves(self) -> None:
        """The migration is told, and not when it is over; the end of the job is known to it."""
        told: list[str] = []
        self.tell(RUNS)
        self.assertFalse(self.job.supervisor_lost())
        self.job.leave(lambda: told.append("first"))
        self.job.leave(lambda: told.append("second"))
        self.assertTrue(self.job.supervisor_lost())
        self.assertTrue(self.job.runs_on(1))
        self.tell(ENDED)
        self.assertIs(self.job.phase, Phase.ENDED_LEAVING)
        self.assertTrue(self.job.supervisor_lost())
        self.job.stop_leaving()
        self.assertFalse(self.job.supervisor_lost())
        self.assertEqual((told, self.job.phase), (["second", "second"], Phase.ENDED))

    def test_a_job_that_stays(self) -> None:
        """It runs as before."""
        self.tell(RUNS)
        self.job.leave(lambda: None)
        self.job.stop_leaving()
        self.job.stop_leaving()
        self.job.stop_arriving()
        self.assertIs(self.job.phase, Phase.RUNNING)

    def test_it_goes_and_comes_home(self) -> None:
        """Its description is its new supervisor's, and missing in between."""
        self.tell(RUNS)
        self.job.moved_to(2)
        self.assertFalse(self.job.runs_on(2), "nothing has told so yet")
        self.job.arrive()
        self.job.came_home(1, RUNS._replace(pid=4800))
        self.assertIs(self.job.phase, Phase.RUNNING)
        self.assertTrue(self.job.runs_on(1))

    def test_a_job_that_has_ended_does_not_arrive(self) -> None:
        """It stays ended."""
        self.tell(RUNS)
        self.tell(ENDED)
        self.job.arrive()
        self.assertIs(self.job.phase, Phase.ENDED)

    def test_an_illegal_transition_is_logged_and_obeyed(self) -> None:
        """The log has the bug, which fails any other test; the job is not stopped by it."""
        self.job.leave(lambda: None)
        [failure] = self.flushLoggedErrors(IllegalTransition)
        self.assertEqual(str(failure.value), "from STARTING to LEAVING")
        self.assertIs(self.job.phase, Phase.LEAVING)

    def test_released(self) -> None:
        """Its connections are closed, but the one that has still to be told why it did not begin."""
        for began in (False, True):
            self.setUp()
            client = FrameStream()
            client.makeConnection(StringTransport())
            self.job.relay.join_client(client)
            if began:
                self.tell(RUNS)
            self.job.release()
            self.job.release()
            self.assertIs(self.job.phase, Phase.RELEASED)
            self.assertTrue(self.stream.transport.disconnecting)
            self.assertIs(client.transport.disconnecting, began)

    def test_a_caller_that_is_gone(self) -> None:
        """The job is told to end, and told again over a later connection."""
        self.tell(RUNS)
        self.stream.transport.clear()
        self.job.hang_up()
        self.job.resume()
        self.assertEqual(self.stream.transport.value(), frames.encode(frames.HANGUP) * 2)
