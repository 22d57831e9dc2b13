"""Answers about values over time: which of seconds, minutes and hours each part of them comes from."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from gomd.history.answers import HOURS, MINUTES, SECONDS, Summed, by_level

DAY = 86_400.0
#: Where each level begins and ends.
Ends = dict[int, tuple[float, float]]


def asked(ends: Ends, since: float, until: float, seconds: float) -> list[tuple[int, float, float]]:
    """Return which level was asked for which time."""
    found: list[tuple[int, float, float]] = []

    def rows(level: int, start: float, end: float) -> Iterator[Summed]:
        if start < end:
            found.append((level, start, end))
        return iter(())

    list(by_level(seconds, since, until, ends.__getitem__, rows))
    return found


class ByLevelTests(SynchronousTestCase):
    """The coarsest rows that fit, coarser ones for what is gone, finer ones for what is new."""

    def test_each_level_gives_what_only_it_has(self) -> None:
        """Two days of a file that is a month old: the hours end where the minutes begin, and so on."""
        ends: Ends = {HOURS: (0, 60 * DAY), MINUTES: (30 * DAY, 60 * DAY + 60), SECONDS: (59 * DAY, 1e12)}
        self.assertEqual(
            asked(ends, 29 * DAY, 61 * DAY, 1.0),
            [(HOURS, 29 * DAY, 30 * DAY), (MINUTES, 30 * DAY, 59 * DAY), (SECONDS, 59 * DAY, 61 * DAY)],
        )
        self.assertEqual(
            asked(ends, 29 * DAY, 61 * DAY, 60.0),
            [
                (HOURS, 29 * DAY, 30 * DAY), (MINUTES, 30 * DAY, 60 * DAY + 60),
                (SECONDS, 60 * DAY + 60, 61 * DAY),
            ],
        )  # fmt: skip

    def test_the_first_row_is_not_asked_for_the_time_before_it(self) -> None:
        """Of a file that began at half past, the row of the hour says nothing of the time before."""
        ends: Ends = {HOURS: (7200, 7200), MINUTES: (9000, 9660), SECONDS: (9001, 1e12)}
        self.assertEqual(asked(ends, 0.0, 9660.0, 60.0), [(MINUTES, 9000, 9660.0)])
        self.assertEqual(asked(ends, 0.0, 9060.0, 1.0), [(SECONDS, 9001, 9060.0)])

    def test_a_value_that_is_gone_has_its_hours(self) -> None:
        """Of a file system that was removed a month ago only hours are left, however fine the question is."""
        ends: Ends = {HOURS: (0, 20 * DAY), MINUTES: (0, 0), SECONDS: (0, 1e12)}
        for seconds in (1.0, 60.0):
            self.assertEqual(asked(ends, DAY, 21 * DAY, seconds)[0], (HOURS, DAY, 21 * DAY))
