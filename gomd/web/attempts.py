"""Counts the unknown tokens of each address, so that guessing costs the guesser and nobody else."""

from __future__ import annotations

from typing import ClassVar, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.web.limits import MAX_WRONG_TOKENS
from libgomd.errors import TooMany

#: Seconds after which unknown tokens are forgotten, and addresses that are remembered at most.
WINDOW: Final = 60.0
MAX_ADDRESSES: Final = 4096


class Attempts:
    """The unknown tokens of the last minute."""

    _log: ClassVar[Logger] = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._wrong: dict[str, tuple[float, int]] = {}

    def check(self, address: str) -> None:
        """Check that ``address`` may try a token. :raises TooMany: it has tried too many unknown ones."""
        since, count = self._wrong.get(address, (0.0, 0))
        if count >= MAX_WRONG_TOKENS and self._clock.seconds() - since < WINDOW:
            raise TooMany("too many unknown tokens came from your address: try again in a minute")

    def failed(self, address: str) -> None:
        """Count an unknown token; the first one of a minute is logged."""
        now = self._clock.seconds()
        since, count = self._wrong.get(address, (now, 0))
        if now - since >= WINDOW:
            since, count = now, 0
        if not count:
            self._log.warn("an unknown token came over http from {address}", address=address)
        if address not in self._wrong and len(self._wrong) >= MAX_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[address] = (since, count + 1)
