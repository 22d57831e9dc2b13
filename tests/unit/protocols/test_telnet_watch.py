"""`watch` over the telnet line: a round at a time, until something more is said."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.memory import MemorySource
from libgomd.model import Event, EventKind, Role
from libgomd.testing import START_TIME, MemoryDaemon
from tests.unit.protocols.talk import Talk


class WatchTests(SynchronousTestCase):
    """Answers that go on until something more is said."""

    def setUp(self) -> None:
        self.daemon = MemoryDaemon(MemorySource([10, 20, 30, 40]))
        self.talk = Talk(self.daemon)

    def test_each_round_is_a_line(self) -> None:
        """With the newest value, once a period."""
        heard = self.talk.say("watch -n 1 load")
        for _ in range(2):
            self.daemon.advance(1.0)
            heard += self.talk.heard()
        self.assertEqual(heard.splitlines()[1:], ["10", "20", "30"])

    def test_the_next_request_ends_it_and_is_answered(self) -> None:
        """The block is closed first."""
        self.talk.say("watch load")
        self.assertEqual(self.talk.say("cpus"), ".\r\n200 1\r\n")
        self.daemon.advance(5.0)
        self.assertEqual(self.talk.heard(), "")

    def test_an_empty_line_only_ends_it(self) -> None:
        """No reply of its own."""
        self.talk.say("watch load")
        self.assertEqual(self.talk.say(""), ".\r\n")
        self.assertEqual(self.talk.say("cpus"), "200 1\r\n")

    def test_what_was_asked_in_the_same_packet_ends_it_after_one_round(self) -> None:
        """One answer is always given."""
        self.assertEqual(self.talk.say("watch load", "cpus").splitlines()[1:], ["10", ".", "200 1"])

    def test_a_count_ends_it(self) -> None:
        """`watch -c 2`."""
        self.talk.say("watch -c 2 -n 1 load")
        self.daemon.advance(1.0)
        self.assertEqual(self.talk.heard(), "20\r\n.\r\n")

    def test_jobs_can_be_watched_by_who_may_see_them(self) -> None:
        """It only reads, although it is not for everybody who reads."""
        for words in ("watch -c 1 jobs", "watch -c 1 @all jobs"):
            self.assertEqual(Talk(self.daemon, Role.READ).say(words)[:4], "403 ", words)
            user = Talk(self.daemon, Role.USER)
            user.send(f"{words}\r\n".encode())
            self.daemon.advance(3.0)
            heard = user.heard().splitlines()
            self.assertEqual((heard[0][:4], heard[1].split()[-1], heard[-1]), ("201 ", "COMMAND", "."))
        for verb in ("stay", "kill 1", "run", "put /proc/1/lock 1"):
            self.assertEqual(Talk(self.daemon, Role.ADMIN).say(f"watch {verb}")[:4], "400 ", verb)

    def test_hanging_up_ends_it(self) -> None:
        """Nothing is left on the clock but the collector's own."""
        before = len(self.daemon.clock.getDelayedCalls())
        self.talk.say("watch -n 0.3 load")
        self.talk.hang_up()
        self.assertEqual(len(self.daemon.clock.getDelayedCalls()), before)

    def test_events_come_as_they_happen(self) -> None:
        """`watch events` says nothing until then."""
        heard = self.talk.say("watch events")
        self.assertEqual(len(heard.splitlines()), 2)  # the status line and the heading
        self.daemon.publish(Event(START_TIME, EventKind.DOWN, 3, "gamma", "silent for 10 s", 1))
        self.assertIn("down", self.talk.heard())
        self.assertEqual(self.talk.say(""), ".\r\n")
