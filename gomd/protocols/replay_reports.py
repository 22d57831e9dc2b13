"""
Nodes that are heard, but only with numbers that came before.

That is what a machine does that was put back to a snapshot: its daemon counts from an old number again,
and everybody drops what it sends as replayed. Who plays recordings of a node that is gone looks the
same from here, so a node is never taken at its old numbers: it is asked to go on with new ones
(`ReplayWarning`), which only the node itself can.
"""

from __future__ import annotations

from typing import Final

from gomd.protocols.clock_skew import remember
from libgomd.wire.datagrams import Sealer
from libgomd.wire.messages import Datagram, ReplayWarning

#: Seconds and datagrams without a new one among them until a node counts as replayed, when nothing else
#: proves it: on any network a packet may come twice.
SURE_SECONDS: Final = 1.0
SURE_DATAGRAMS: Final = 3
#: Seconds between two warnings to one node. Warnings a second to all nodes together.
WARN_AGAIN: Final = 1.0
MOST_A_SECOND: Final = 20
#: Seconds between two reports of one node: of two copies of a machine each makes the other one replayed.
REPORT_AGAIN: Final = 20.0
#: How far back, in numbers, a datagram may be that a warning answers.
RECENT_NUMBERS: Final = 100_000


class _Heard:
    """:ivar since: when the first of its replayed datagrams came, after the last new one."""

    __slots__ = ("count", "reported", "since", "warned")

    def __init__(self, now: float) -> None:
        self.since = now
        self.count = 0
        self.reported = False
        self.warned = now - WARN_AGAIN


class ReplayReports:
    """
    :param own_name: of this node. :param instance: which start of it. :param sealer: numbers what it sends.
    """

    def __init__(self, own_name: str, instance: int, sealer: Sealer) -> None:
        self._own_name = own_name
        self._instance = instance
        self._sealer = sealer
        self._heard: dict[int, _Heard] = {}
        self._reported: dict[int, float] = {}
        self._second = 0
        self._in_second = 0

    def __contains__(self, node: int) -> bool:
        return node in self._heard

    def replayed(
        self, datagram: Datagram, known: tuple[int, int] | None, now: float
    ) -> tuple[bool, ReplayWarning | None]:
        """
        Take note that a datagram came before.

        :param known: the highest number that came from its sender, and its newest time in ms.
        :param now: seconds of a clock that is never set.
        :returns: whether it is news that its sender is heard no other way, and what to tell it, if anything.
        """
        heard = self._heard.get(datagram.sender)
        if heard is None:
            heard = _Heard(now)
            remember(self._heard, datagram.sender, heard)
        heard.count += 1
        # Its seal holds, and nothing as new ever came: the node itself made it, with an old number.
        proved = known is not None and datagram.sent_at > known[1]
        if not proved and (heard.count < SURE_DATAGRAMS or now - heard.since < SURE_SECONDS):
            return False, None
        news, heard.reported = not heard.reported, True
        if news and now - self._reported.get(datagram.sender, now - REPORT_AGAIN) < REPORT_AGAIN:
            news = False
        if news:
            remember(self._reported, datagram.sender, now)
        if now - heard.warned < WARN_AGAIN or not self._may_warn(now):
            return news, None
        heard.warned = now
        highest = known[0] if known else 0
        return news, ReplayWarning(datagram.instance, datagram.sequence, highest, self._own_name)

    def _may_warn(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        self._in_second += 1
        return self._in_second <= MOST_A_SECOND

    def fresh(self, node: int) -> bool:
        """Take note that something new came from a node; True when it had been reported."""
        heard = self._heard.pop(node, None)
        return heard is not None and heard.reported

    def believe(self, warning: ReplayWarning) -> bool:
        """Whether ``warning`` is about a datagram sent lately, and since our numbers leapt last."""
        sealer = self._sealer
        return (
            warning.instance == self._instance
            and max(sealer.first, sealer.sequence - RECENT_NUMBERS) < warning.sequence <= sealer.sequence
        )
