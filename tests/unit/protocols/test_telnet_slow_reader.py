"""A client of the telnet line that reads slowly, or not at all."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.telnet import MAX_QUEUED_REQUESTS
from tests.unit.protocols.talk import MANY, Talk, crowded


class SlowReaderTests(SynchronousTestCase):
    """A client that does not read is waited for, but not for ever and not with everything in memory."""

    def setUp(self) -> None:
        self.daemon = crowded(MANY)
        self.talk = Talk(self.daemon)

    def test_no_more_is_made_while_the_client_does_not_read(self) -> None:
        """One piece of the block at most; the rest comes when there is room, all of it."""
        self.talk.send(b"ps\r\nload\r\n")
        self.talk.fill()
        first = self.talk.heard()
        self.assertLess(first.count("\r\n"), 60)
        self.daemon.advance(5.0)
        self.assertEqual(self.talk.heard(), "")
        self.talk.drain()
        whole = (first + self.talk.heard()).splitlines()
        self.assertEqual(whole[MANY + 2 :], [".", "200 50"])

    def test_short_requests_wait_too(self) -> None:
        """They are not answered into memory; read on is only so many of them."""
        self.talk.fill()
        self.talk.send(b"load\r\n" * (MAX_QUEUED_REQUESTS + 1))
        self.assertEqual(self.talk.heard(), "")
        self.assertEqual(self.talk.transport.producerState, "paused")
        self.talk.drain()
        self.assertEqual(self.talk.heard(), "200 50\r\n" * (MAX_QUEUED_REQUESTS + 1))
        self.assertEqual(self.talk.transport.producerState, "producing")

    def test_who_takes_nothing_for_too_long_is_dropped(self) -> None:
        """The connection is cut, what it waited for is given up, and it is counted."""
        self.talk.send(b"watch -n 1 ps\r\n")
        self.talk.fill()
        self.daemon.advance(29.0)
        self.assertFalse(self.talk.transport.disconnected)
        self.daemon.advance(1.5)
        self.assertTrue(self.talk.transport.disconnected)
        self.talk.hang_up()
        self.assertRegex(Talk(self.daemon).say("stats"), r"telnet_dropped +1 ")

    def test_who_reads_now_and_then_is_kept(self) -> None:
        """Each time there is room the time begins anew."""
        self.talk.send(b"watch -n 1 ps\r\n")
        for _ in range(5):
            self.talk.fill()
            self.daemon.advance(20.0)
            self.talk.drain()
        self.assertFalse(self.talk.transport.disconnected)

    def test_a_watch_of_a_slow_reader_skips_rounds(self) -> None:
        """Rounds that the client missed are not made up for."""
        self.talk.send(b"watch -n 1 load\r\n")
        self.talk.heard()
        self.talk.fill()
        self.daemon.advance(20.0)
        self.talk.drain()
        self.assertLess(self.talk.heard().count("\r\n"), 4)
