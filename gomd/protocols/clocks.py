"""Clocks that differ too much: warns their nodes, and tells a true warning from an old recording."""

from __future__ import annotations

from libgomd.wire.datagrams import Sealer
from libgomd.wire.messages import ClockWarning, Datagram

#: Seconds between two warnings to one node, and between two reports of one node in the log.
WARN_AGAIN = 5.0
REPORT_AGAIN = 3600.0
#: Warnings a second to all nodes together, and nodes that are remembered.
MOST_A_SECOND = 20
MOST_NODES = 4096
#: How far back, in numbers and in seconds, a datagram may be that a warning answers.
RECENT_NUMBERS = 100_000
RECENT_SECONDS = 60.0


class Clocks:
    """
    A datagram that is too old may be a recording that somebody plays again, and a warning as well. A
    warning proves itself by what it quotes: a datagram of ours that we did send just now.
    """

    def __init__(self, own_name: str, instance: int, sealer: Sealer) -> None:
        self._own_name = own_name
        self._instance = instance
        self._sealer = sealer
        self._warned: dict[int, float] = {}
        self._reported: dict[int, float] = {}
        self._second = 0
        self._in_second = 0

    def warning_for(self, datagram: Datagram, now: float) -> ClockWarning | None:
        """Return what to tell the sender of ``datagram``, None when he or others were told just now."""
        last = self._warned.get(datagram.sender)
        if last is not None and 0 <= now - last < WARN_AGAIN:
            return None
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        if self._in_second >= MOST_A_SECOND:
            return None
        self._in_second += 1
        _remember(self._warned, datagram.sender, now)
        return ClockWarning(datagram.instance, datagram.sequence, datagram.sent_at, self._own_name)

    def believe(self, datagram: Datagram, warning: ClockWarning, now: float) -> float | None:
        """Return how many seconds the sender is ahead of us, None when ``warning`` proves nothing."""
        if warning.instance != self._instance:
            return None
        if not self._sealer.sequence - RECENT_NUMBERS < warning.sequence <= self._sealer.sequence:
            return None
        if abs(now - warning.sent_at / 1000) > RECENT_SECONDS:
            return None
        return datagram.sent_at / 1000 - now

    def is_news(self, node: int, now: float) -> bool:
        """Whether the clock of ``node`` has not been reported for an hour; it is now."""
        last = self._reported.get(node)
        if last is not None and 0 <= now - last < REPORT_AGAIN:
            return False
        _remember(self._reported, node, now)
        return True


def _remember(moments: dict[int, float], node: int, now: float) -> None:
    moments.pop(node, None)
    moments[node] = now
    if len(moments) > MOST_NODES:
        del moments[next(iter(moments))]
