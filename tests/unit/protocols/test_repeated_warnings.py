"""What a caller causes again and again is said at once, then once a minute with how often it was."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.repeated_warnings import (
    CALLER_INTERVAL,
    MAX_CALLERS,
    MAX_LINES_PER_INTERVAL,
    RepeatedWarnings,
)
from libgomd.model import Caller, Role
from libgomd.testing import MemoryDaemon
from tests.unit.protocols.talk import Talk


class RepeatsTests(SynchronousTestCase):
    """Who is logged when."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.repeats = RepeatedWarnings(self.clock)

    def test_at_once_and_then_once_a_minute(self) -> None:
        """The line of the next minute has the number of those that were not said."""
        self.assertEqual([self.repeats.count("a") for _ in range(4)], [1, 0, 0, 0])
        self.clock.advance(CALLER_INTERVAL)
        self.assertEqual([self.repeats.count("a") for _ in range(2)], [4, 0])

    def test_callers_do_not_hide_each_other(self) -> None:
        """Each has its own minute."""
        self.assertEqual([self.repeats.count(caller) for caller in "aabbc"], [1, 0, 1, 0, 1])

    def test_many_callers_are_a_bounded_number_of_lines(self) -> None:
        """And are remembered to a bounded number; who was not said is said in a later minute."""
        said = [self.repeats.count(str(number)) for number in range(5 * MAX_CALLERS)]
        self.assertEqual(sum(said), MAX_LINES_PER_INTERVAL)
        self.assertLessEqual(len(self.repeats._callers), MAX_CALLERS)
        self.clock.advance(CALLER_INTERVAL)
        self.assertEqual(self.repeats.count(str(5 * MAX_CALLERS - 1)), 2)


class WrongTokenTests(SynchronousTestCase):
    """Guessing tokens."""

    def test_the_tenth_wrong_token_ends_the_connection(self) -> None:
        """It is answered; what was asked behind it is not done."""
        talk = Talk(MemoryDaemon(), Role.READ, "", None)
        heard = talk.say(*("auth guess" for _ in range(9)), "load")
        self.assertEqual([line[:3] for line in heard.splitlines()], ["403"] * 9 + ["200"])
        self.assertFalse(talk.transport.disconnecting)
        heard = talk.say("auth guess", "load", "auth guess")
        self.assertEqual([line[:3] for line in heard.splitlines()], ["403"])
        self.assertTrue(talk.transport.disconnecting)

    def test_a_right_one_in_between_does_not_begin_anew(self) -> None:
        """Whoever has one token may not try others without end."""
        daemon = MemoryDaemon(tokens={"right": Caller(Role.READ, "ada", 1000, "tcp")})
        talk = Talk(daemon, Role.READ, "", None)
        for _ in range(9):
            talk.say("auth wrong", "auth right")
        self.assertFalse(talk.transport.disconnecting)
        talk.say("auth wrong")
        self.assertTrue(talk.transport.disconnecting)
