"""Limits the memory for job descriptions that are longer than a frame usually is: megabytes of arguments."""

from __future__ import annotations

from types import TracebackType
from typing import Final

#: Bytes of long descriptions that are received at a time; as many as three of the longest.
MAX_BYTES: Final = 48 << 20


class LongSpecs:
    """Counts the bytes of long descriptions that are on their way or being started."""

    def __init__(self, most: int = MAX_BYTES) -> None:
        self._left = most

    def ticket(self) -> SpecTicket:
        """Return a ticket for one job. It is a context manager, which gives back what it has taken."""
        return SpecTicket(self)

    def take(self, size: int) -> bool:
        """Take ``size`` bytes, if there are as many left."""
        taken = size <= self._left
        if taken:
            self._left -= size
        return taken

    def give_back(self, size: int) -> None:
        """Let others have ``size`` bytes that were taken."""
        self._left += size


class SpecTicket:
    """
    The bytes that one job's description may have.

    :ivar refused: whether it was too long for what was left.
    """

    def __init__(self, owner: LongSpecs) -> None:
        self._owner = owner
        self._taken = 0
        self.refused = False

    def admits(self, size: int) -> bool:
        """Return whether a description of ``size`` bytes is taken; asked again, it takes nothing more."""
        if not self._taken and self._owner.take(size):
            self._taken = size
        self.refused = self._taken < size
        return not self.refused

    def __enter__(self) -> SpecTicket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._owner.give_back(self._taken)
        self._taken = 0
