"""News about nodes: each piece is told eight times, so that lost packets are no lost news."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from libgomd.wire.messages import Notice

#: Ticks after which a piece of news is told again. Who hears none of them finds out by itself, after five
#: of its heartbeats: half a minute among a thousand nodes. With 20 % lost, and told five times, one of the
#: thousand is left out in every fourth case; told eight times, in one of 400.
_AGAIN: Final = (1, 3, 6, 10, 15, 21, 28)
#: Pieces of news waiting to be told again, at most; the oldest is dropped for a new one.
_MOST: Final = 256


class Broadcasts:
    """:param tell: tells one notice to everybody who can be reached at once."""

    def __init__(self, tell: Callable[[Notice], None]) -> None:
        self._tell = tell
        self._pending: dict[Notice, int] = {}

    def spread(self, notice: Notice) -> None:
        """Tell it now and seven times more; what was still to be told about that node is taken back."""
        self.drop(notice.node)
        while len(self._pending) >= _MOST:
            del self._pending[next(iter(self._pending))]
        self._pending[notice] = 0
        self._tell(notice)

    def drop(self, node: int) -> None:
        """Tell no more about a node: it is no longer true."""
        for notice in [each for each in self._pending if each.node == node]:
            del self._pending[notice]

    def step(self) -> None:
        """Tell again what is due. Once a tick."""
        for notice, ticks in list(self._pending.items()):
            self._pending[notice] = ticks + 1
            if ticks + 1 in _AGAIN:
                self._tell(notice)
            if ticks + 1 >= _AGAIN[-1]:
                del self._pending[notice]
