"""However often somebody causes a message, the log gets some of them a minute, and how many there were."""

from __future__ import annotations

import io
import re

from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gomd.services.log_rate_limit import MAX_LINES_PER_PERIOD, LogRateLimit
from gomd.services.logging import DaemonLog


class LogBudgetTests(SynchronousTestCase):
    """Events as Twisted makes them, at times that the test gives."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e9)
        self.budget = LogRateLimit(lines=3)

    def refused(self, sentence: str, level: str = "warn", namespace: str = "gomd.test") -> bool:
        from twisted.logger import LogLevel

        return self.budget.refuses(
            {
                "log_level": LogLevel.lookupByName(level), "log_format": sentence, "log_namespace": namespace,
                "log_time": self.clock.seconds(),
            }
        )  # fmt: skip

    def test_each_sentence_has_its_own(self) -> None:
        """The values in it do not count; where it comes from does."""
        self.assertEqual([self.refused("refused {caller}") for _ in range(5)], [False] * 3 + [True] * 2)
        self.assertFalse(self.refused("something else"))
        self.assertFalse(self.refused("refused {caller}", namespace="gomd.other"))

    def test_a_minute_later_it_is_logged_again(self) -> None:
        """Also when the clock was put back meanwhile."""
        for step in (60.0, -3600.0):
            while not self.refused("refused {caller}"):
                pass
            self.clock.rightNow += step
            self.assertFalse(self.refused("refused {caller}"))
        self.flushLoggedErrors()

    def test_debug_is_not_counted(self) -> None:
        """Whoever switched it on sees everything."""
        self.assertEqual({self.refused("junk", "debug") for _ in range(1000)}, {False})

    def test_the_log_of_a_daemon_keeps_to_it(self) -> None:
        """Ten thousand events are `MAX_LINES_PER_PERIOD` lines."""
        out = io.StringIO()
        publisher = LogPublisher(DaemonLog(out, "text"))
        logger = Logger("gomd.test", observer=publisher)
        for number in range(10_000):
            logger.warn("refused {number}", number=number)
        logger.error("something that matters")
        lines = out.getvalue().splitlines()
        self.assertEqual(
            len([line for line in lines if re.search(r"refused \d+$", line)]), MAX_LINES_PER_PERIOD
        )
        self.assertIn("something that matters", lines[-1])
