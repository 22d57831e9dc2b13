"""Detects clocks that differ too much: warns their nodes, and tells genuine warnings from replayed ones."""

from __future__ import annotations

from typing import TypeVar

from libgomd.wire.datagrams import Sealer
from libgomd.wire.messages import ClockWarning, Datagram
from libgomd.wire.replay import RECOVERED_SKEW_SECONDS, differs

V = TypeVar("V")

#: Seconds between two warnings to one node. Both sides know within five seconds even if some are lost.
WARNING_INTERVAL = 2.0
#: Largest number of warnings a second to all nodes together, and of nodes that are remembered.
MAX_WARNINGS_PER_SECOND = 20
MAX_NODES = 4096
#: How old, in sequence numbers and in seconds, the datagram may be that a warning quotes. A recording of it
#: that is too old for a node whose clock is right is too old here as well.
MAX_SEQUENCE_LAG = 100_000
MAX_WARNING_AGE = 10.0


class ClockSkew:
    """
    A datagram with an old time may be a replayed one, and so may a warning. A node that is sent an old
    recording of this one's datagrams warns in good faith. A warning is therefore genuine only if it quotes a
    datagram that this node has just sent, and if the time stamp of the warning itself differs.
    """

    def __init__(self, own_name: str, instance: int, sealer: Sealer) -> None:
        self._own_name = own_name
        self._instance = instance
        self._sealer = sealer
        self._warned: dict[int, float] = {}
        self._reported: dict[int, None] = {}
        self._second = 0
        self._in_second = 0

    def warning_for(self, datagram: Datagram, now: float) -> ClockWarning | None:
        """
        Return the warning for the sender of ``datagram``, None while warnings are limited.

        :param now: seconds of the monotonic clock.
        """
        last = self._warned.get(datagram.sender)
        if last is not None and now - last < WARNING_INTERVAL:
            return None
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        if self._in_second >= MAX_WARNINGS_PER_SECOND:
            return None
        self._in_second += 1
        remember(self._warned, datagram.sender, now)
        return ClockWarning(datagram.instance, datagram.sequence, datagram.sent_at, self._own_name)

    def believe(self, datagram: Datagram, warning: ClockWarning, now: float) -> float | None:
        """
        Return how many seconds the sender is ahead of this node, None if ``warning`` is not genuine.

        :param now: seconds since the epoch.
        """
        if warning.instance != self._instance:
            return None
        if not self._sealer.sequence - MAX_SEQUENCE_LAG < warning.sequence <= self._sealer.sequence:
            return None
        if abs(now - warning.sent_at / 1000) > MAX_WARNING_AGE:
            return None
        skew = datagram.sent_at / 1000 - now
        return skew if differs(skew) else None

    def is_news(self, node: int) -> bool:
        """Return whether the clock of ``node`` is to be reported now; it then counts as reported."""
        if node in self._reported:
            return False
        remember(self._reported, node, None)
        return True

    def heard(self, datagram: Datagram, now: float) -> bool:
        """
        Note that a datagram came with a good time; True if the clock of its sender had been reported.

        :param now: seconds since the epoch.
        """
        node = datagram.sender
        if (node in self._reported or node in self._warned) and abs(
            datagram.sent_at / 1000 - now
        ) < RECOVERED_SKEW_SECONDS:
            self._warned.pop(node, None)
            return self._reported.pop(node, self) is None
        return False


def remember(known: dict[int, V], node: int, value: V) -> None:
    """Store a value for a node; if there are too many, forget the oldest."""
    known.pop(node, None)
    known[node] = value
    if len(known) > MAX_NODES:
        del known[next(iter(known))]
