"""Datagrams that cannot be sent are told of once, when it lasts."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.send_failures import FORGET_AFTER, REPORT_AFTER, REPORT_INTERVAL, SendFailures

ONE, OTHER = ("10.0.0.1", 5428), ("10.0.0.2", 5428)
ERROR = OSError(errno.ENETUNREACH, "Network is unreachable")


class SendTroubleTests(SynchronousTestCase):
    """A packet each half second."""

    def setUp(self) -> None:
        self.said: list[tuple[bool, str]] = []
        self.send_failures = SendFailures(lambda trouble, text: self.said.append((trouble, text)))
        self.now = 100.0

    def fail(self, seconds: float, *addresses: tuple[str, int]) -> None:  # type: ignore[override]
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            for address in addresses:
                self.send_failures.failed(address, ERROR, self.now)

    def send(self, *addresses: tuple[str, int]) -> None:
        for address in addresses:
            self.send_failures.sent(address, self.now)

    def test_a_moment_is_not_worth_a_word(self) -> None:
        """A packet or two are lost as on any network."""
        self.fail(REPORT_AFTER - 1, ONE)
        self.send(ONE)
        self.fail(REPORT_AFTER - 1, ONE)
        self.send(ONE)
        self.assertEqual(self.said, [])

    def test_what_lasts_is_said_once_and_its_end_too(self) -> None:
        """With the reason, to whom, and what to look at."""
        self.fail(600, ONE, OTHER)
        [(bad, text)] = self.said
        self.assertTrue(bad)
        for word in ("10.0.0.1:5428", "Network is unreachable", "datagrams_unsent"):
            self.assertIn(word, text)
        self.send(ONE)
        self.assertEqual(len(self.said), 1)
        self.send(OTHER)
        self.assertEqual(self.said[1:], [(False, "its datagrams can be sent again")])
        self.fail(REPORT_AFTER + 1, ONE)
        self.assertEqual(len(self.said), 3)

    def test_one_that_is_never_reached_does_not_hide_the_next_one(self) -> None:
        """It is told of later, and not each time."""
        self.fail(10, ONE)
        self.send(OTHER)
        self.fail(REPORT_INTERVAL + 10, ONE, OTHER)
        self.fail(300, ONE, OTHER)
        self.assertEqual([("10.0.0.1" in text, "10.0.0.2" in text) for _bad, text in self.said],
                         [(True, False), (False, True)])  # fmt: skip

    def test_what_is_not_sent_to_any_more_is_forgotten(self) -> None:
        """A seed that was taken out of gomd.ini."""
        self.fail(10, ONE)
        self.now += FORGET_AFTER + 1
        self.send(OTHER)
        self.assertEqual([bad for bad, _text in self.said], [True, False])

    def test_many_addresses_are_bounded(self) -> None:
        """In memory and in the sentence."""
        many = [(f"10.1.{number // 250}.{number % 250}", 5428) for number in range(2000)]
        self.fail(10, *many)
        [(_bad, text)] = self.said
        self.assertLess(len(text), 400)
        self.assertIn("and 252 more", text)
