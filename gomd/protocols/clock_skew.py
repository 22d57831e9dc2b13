"""Clocks that differ too much: warns their nodes, and tells a true warning from an old recording."""

from __future__ import annotations

from typing import TypeVar

from libgomd.wire.datagrams import Sealer
from libgomd.wire.messages import ClockWarning, Datagram

V = TypeVar("V")

#: Seconds between two warnings to one node: both sides know within five also when some are lost.
WARN_AGAIN = 2.0
#: Seconds that a clock which was reported may be off to be right again: one on the edge is reported once.
RIGHT = 25.0
#: Warnings a second to all nodes together, and nodes that are remembered.
MOST_A_SECOND = 20
MOST_NODES = 4096
#: How far back, in numbers and in seconds, a datagram may be that a warning answers.
RECENT_NUMBERS = 100_000
RECENT_SECONDS = 60.0


class ClockSkew:
    """
    A datagram that is too old may be a recording that somebody plays again, and a warning as well. A
    warning proves itself by what it quotes: a datagram of ours that we did send just now.
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
        Return what to tell the sender of ``datagram``, None when it or others were told just now.

        :param now: seconds of a clock that is never set.
        """
        last = self._warned.get(datagram.sender)
        if last is not None and now - last < WARN_AGAIN:
            return None
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        if self._in_second >= MOST_A_SECOND:
            return None
        self._in_second += 1
        remember(self._warned, datagram.sender, now)
        return ClockWarning(datagram.instance, datagram.sequence, datagram.sent_at, self._own_name)

    def believe(self, datagram: Datagram, warning: ClockWarning, now: float) -> float | None:
        """
        Return how many seconds the sender is ahead of us, None when ``warning`` proves nothing.

        :param now: seconds since the epoch.
        """
        if warning.instance != self._instance:
            return None
        if not self._sealer.sequence - RECENT_NUMBERS < warning.sequence <= self._sealer.sequence:
            return None
        if abs(now - warning.sent_at / 1000) > RECENT_SECONDS:
            return None
        return datagram.sent_at / 1000 - now

    def is_news(self, node: int) -> bool:
        """Whether the clock of ``node`` has not been reported since it was right; it is now."""
        if node in self._reported:
            return False
        remember(self._reported, node, None)
        return True

    def heard(self, datagram: Datagram, now: float) -> bool:
        """
        Take note that a datagram came in time; True when its sender's clock had been reported.

        :param now: seconds since the epoch.
        """
        node = datagram.sender
        if (node in self._reported or node in self._warned) and abs(datagram.sent_at / 1000 - now) < RIGHT:
            self._warned.pop(node, None)
            return self._reported.pop(node, self) is None
        return False


def remember(known: dict[int, V], node: int, value: V) -> None:
    """Keep a value for a node; of too many, the one that was kept longest goes."""
    known.pop(node, None)
    known[node] = value
    if len(known) > MOST_NODES:
        del known[next(iter(known))]
