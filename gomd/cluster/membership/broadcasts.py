"""
The broadcast queue: each notice about a node is sent eight times, so that it survives lost packets.

A newer notice about the same node invalidates the older one, as in memberlist's TransmitLimitedQueue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from libgomd.wire.messages import Notice

#: Ticks after the first transmission at which a notice is sent again. A node that receives none of them
#: detects the failure itself after five missed heartbeats, which is half a minute among a thousand nodes.
#: At 20 % packet loss, five transmissions miss one node of a thousand in every fourth case; eight miss one
#: in every 400.
_REPEAT_TICKS: Final = (1, 3, 6, 10, 15, 21, 28)
#: Maximum number of queued notices. When the queue is full, the oldest one is dropped.
_MAX_PENDING: Final = 256


class Broadcasts:
    """
    Notices that are still being repeated.

    :param tell: sends one notice to all peers that can be reached with one message.
    """

    def __init__(self, tell: Callable[[Notice], None]) -> None:
        self._tell = tell
        self._pending: dict[Notice, int] = {}

    def queue(self, notice: Notice) -> None:
        """Send ``notice`` now and seven times more. It replaces any queued notice about the same node."""
        self.invalidate(notice.node)
        while len(self._pending) >= _MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        self._pending[notice] = 0
        self._tell(notice)

    def invalidate(self, node: int) -> None:
        """Drop the queued notice about a node, because it is no longer true."""
        for notice in [each for each in self._pending if each.node == node]:
            del self._pending[notice]

    def step(self) -> None:
        """Send the notices that are due again. Call it once a tick."""
        for notice, ticks in list(self._pending.items()):
            self._pending[notice] = ticks + 1
            if ticks + 1 in _REPEAT_TICKS:
                self._tell(notice)
            if ticks + 1 >= _REPEAT_TICKS[-1]:
                del self._pending[notice]
