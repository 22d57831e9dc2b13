"""The daemon in memory that people test their own programs with."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from gomd.interfaces import ICommands, IStoppable, IThreads, ITokens
from libgomd import calls, testing
from libgomd.errors import ConnectionLost, NotAllowed, NotFound, PeerUnreachable
from libgomd.model import Caller, Event, EventKind, Output, Role, Status
from libgomd.testing import MemoryDaemon, MemorySource
from tests.unit.libgomd.test_calls import PROCESS


class MemoryDaemonTests(SynchronousTestCase):
    """What a test of somebody's program sees."""

    def setUp(self) -> None:
        admin = Caller(Role.ADMIN, "robot", None, "token")
        self.daemon = MemoryDaemon(
            MemorySource([50, 120], [[PROCESS]], {"/proc/loadavg": b"0.1 0.2 0.3 1/80 99\n"}, name="alpha"),
            commands={"greet": [Output("hello"), Output(None, 0)]},
            tokens={"s3cret": admin},
        )
        self.client = self.daemon.client()

    def ask(self, waited: Any) -> Any:
        return self.daemon.result(waited)

    def test_the_verbs_are_the_daemons_own(self) -> None:
        """Values come from the script, refusals from the real table of verbs."""
        self.assertEqual(self.ask(self.client.load()), 50)
        self.assertEqual(self.ask(self.client.node()).name, "alpha")
        self.assertEqual([process.pid for process in self.ask(self.client.ps())], [42])
        self.assertEqual(self.ask(self.client.get("/proc/loadavg")), "0.1 0.2 0.3 1/80 99")
        self.assertRaises(NotFound, self.ask, self.client.where(4711))
        self.assertRaises(NotAllowed, self.ask, self.client.get("/etc/passwd"))
        self.ask(self.client.stay())
        self.assertIn(Status.STAY, self.ask(self.client.status()))

    def test_time_passes_when_the_test_says(self) -> None:
        """The next sample is read a second later, not before."""
        self.daemon.advance(0.9)
        self.assertEqual(self.ask(self.client.load()), 50)
        self.daemon.advance(0.2)
        self.assertEqual(self.ask(self.client.load()), 120)

    def test_a_watch_goes_with_the_clock(self) -> None:
        """Each round comes after its time, and ends when it is left."""
        watch = self.client.watch(calls.load(), seconds=1)
        self.assertEqual(self.ask(watch.__anext__()), 50)
        second = Deferred.fromCoroutine(watch.__anext__())
        self.daemon.settle()
        self.assertNoResult(second)
        self.daemon.advance(1.2)
        self.assertEqual(self.successResultOf(second), 120)
        self.ask(watch.aclose())

    def test_roles_are_those_of_the_daemon(self) -> None:
        """A reader may not give orders; a token raises their role."""
        reader = self.daemon.client(Role.READ, "", None)
        self.assertRaises(NotAllowed, self.ask, reader.stay())
        robot = self.ask(self.daemon.connect(Role.READ, "", None, token="s3cret"))
        self.assertEqual(self.ask(robot.whoami()).user, "robot")
        self.assertRaises(NotAllowed, self.ask, self.daemon.connect(Role.READ, "", None, token="wrong"))

    def test_acts_on_processes_are_remembered(self) -> None:
        """A test can see what its program did."""
        self.ask(self.client.renice(42, 5))
        self.ask(self.client.signal(42, "TERM"))
        self.assertEqual(list(self.daemon.control.acts), [("renice", 42, 5), ("signal", 42, 15)])
        self.assertRaises(NotFound, self.ask, self.client.where(42))

    def test_commands_and_events(self) -> None:
        """What streams can be tested, too."""

        async def output() -> list[Output]:
            return [output async for output in self.client.do("greet")]

        self.assertEqual(self.ask(output()), [Output("hello"), Output(None, 0)])
        following = Deferred.fromCoroutine(self.client.watch_events().__anext__())
        self.daemon.settle()
        event = Event(1.0, EventKind.DOWN, 3, "beta", "nobody heard of it", 1)
        self.daemon.publish(event)
        self.assertEqual(self.successResultOf(following), event)

    def test_a_daemon_that_goes_away(self) -> None:
        """Broken connections, and a shutdown."""
        waiting = self.client.load()
        self.daemon.hang_up()
        self.failureResultOf(waiting, ConnectionLost)
        again = self.daemon.client()
        self.ask(again.shutdown())
        self.assertIn("root", str(self.daemon.stopped))
        self.assertEqual(self.daemon.clock.getDelayedCalls(), [])

    def test_what_still_waits_is_no_result(self) -> None:
        """A test that forgot to let time pass is told so."""
        error = self.assertRaises(AssertionError, self.ask, Deferred())
        self.assertIn("for time", str(error))

    def test_other_nodes_are_not_there(self) -> None:
        """One daemon has no peers."""
        self.assertRaises((NotFound, PeerUnreachable), self.ask, self.client.load(node="beta"))

    def test_its_parts_keep_the_interfaces(self) -> None:
        """What stands in for the machine can do what the machine's parts can."""
        verifyClass(IThreads, testing._NoThreads)
        verifyClass(ICommands, testing._ScriptedCommands)
        verifyClass(ITokens, testing._KnownTokens)
        verifyClass(IStoppable, testing._Stopping)
