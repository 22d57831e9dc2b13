"""Counts Ctrl-C for a job without a terminal: one that does not end at Ctrl-C can still be ended."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

#: Seconds in which a second Ctrl-C counts as such.
REPEAT_TIMEOUT: Final = 1.0
#: Seconds in which the next one answers the question.
ANSWER_TIMEOUT: Final = 10.0


class Press(Enum):
    """The meanings of a Ctrl-C."""

    FORWARD = "The job gets it."
    ASK = "The job gets it, and the caller is told what one more does."
    END = "The job is ended."
    LEAVE = "It has been ended and nothing came of it."


class InterruptCounter:
    """
    Says what each Ctrl-C means.

    :param now: returns seconds on a monotonic clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last: float | None = None
        self._said = Press.FORWARD

    def press(self) -> Press:
        """Return the meaning of a Ctrl-C at this moment."""
        now = self._now()
        age = ANSWER_TIMEOUT + 1 if self._last is None else now - self._last
        self._last = now
        if self._said in (Press.END, Press.LEAVE):
            self._said = Press.LEAVE
        elif self._said is Press.ASK and age <= ANSWER_TIMEOUT:
            self._said = Press.END
        elif age <= REPEAT_TIMEOUT:
            self._said = Press.ASK
        else:
            self._said = Press.FORWARD
        return self._said
