"""
Detects nodes all of whose datagrams are dropped as replayed.

This happens when a machine was returned to a snapshot: its daemon continues from an old sequence number, and
all other nodes drop what it sends. An attacker that replays datagrams of a node looks the same from here.
Old numbers are therefore never accepted. Instead, a warning (`ReplayWarning`) asks the node to continue with
new numbers, which only the node itself can do.
"""

from __future__ import annotations

from typing import Final

from gomd.protocols.clock_skew import remember
from libgomd.wire.datagrams import Sealer
from libgomd.wire.messages import Datagram, ReplayWarning

#: Seconds and datagrams without a new one until a node counts as replayed without other proof: any network
#: may deliver a packet twice.
MIN_REPLAY_SECONDS: Final = 1.0
MIN_REPLAYED_DATAGRAMS: Final = 3
#: Seconds between two warnings to one node, and largest number of warnings a second to all nodes together.
WARNING_INTERVAL: Final = 1.0
MAX_WARNINGS_PER_SECOND: Final = 20
#: Seconds between two reports of one node. Two copies of one machine would else cause reports all the time.
REPORT_INTERVAL: Final = 20.0
#: How old, in sequence numbers, the datagram may be that a warning quotes.
MAX_SEQUENCE_LAG: Final = 100_000


class _Heard:
    """:ivar since: when the first of its replayed datagrams came, after the last new one."""

    __slots__ = ("count", "reported", "since", "warned")

    def __init__(self, now: float) -> None:
        self.since = now
        self.count = 0
        self.reported = False
        self.warned = now - WARNING_INTERVAL


class ReplayReports:
    """
    :param own_name: of this node. :param instance: of this daemon. :param sealer: numbers its datagrams.
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
        Note that a datagram was dropped as replayed.

        :param known: the highest number received from its sender, and the newest time in ms.
        :param now: seconds of the monotonic clock.
        :returns: whether the sender is to be reported now, and the warning for it, None for no warning.
        """
        heard = self._heard.get(datagram.sender)
        if heard is None:
            heard = _Heard(now)
            remember(self._heard, datagram.sender, heard)
        heard.count += 1
        # The seal is valid and the time newer than any before: the node itself sent it, with an old number.
        proved = known is not None and datagram.sent_at > known[1]
        if not proved and (heard.count < MIN_REPLAYED_DATAGRAMS or now - heard.since < MIN_REPLAY_SECONDS):
            return False, None
        news, heard.reported = not heard.reported, True
        if news and now - self._reported.get(datagram.sender, now - REPORT_INTERVAL) < REPORT_INTERVAL:
            news = False
        if news:
            remember(self._reported, datagram.sender, now)
        if now - heard.warned < WARNING_INTERVAL or not self._may_warn(now):
            return news, None
        heard.warned = now
        highest = known[0] if known else 0
        return news, ReplayWarning(datagram.instance, datagram.sequence, highest, self._own_name)

    def _may_warn(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        self._in_second += 1
        return self._in_second <= MAX_WARNINGS_PER_SECOND

    def fresh(self, node: int) -> bool:
        """Note that a new datagram came from a node; True if the node had been reported."""
        heard = self._heard.pop(node, None)
        return heard is not None and heard.reported

    def believe(self, warning: ReplayWarning) -> bool:
        """Return whether ``warning`` quotes a recent datagram, sent since the last change of our numbers."""
        sealer = self._sealer
        return (
            warning.instance == self._instance
            and max(sealer.first, sealer.sequence - MAX_SEQUENCE_LAG) < warning.sequence <= sealer.sequence
        )
