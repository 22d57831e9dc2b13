"""The first contact: the seeds, and when this node announces itself again while it knows too few others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gomd.cluster.membership.heartbeats import Heartbeats
from gomd.cluster.membership.settings import Settings, Timing
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address
from libgomd.model import Node
from libgomd.wire.addresses import is_ipv6

#: Times after the start, in heartbeats, at which the node announces itself again while it knows too few.
_ANNOUNCEMENT_TIMES: Final = (0.1, 0.3, 0.6, 1.0, 1.8, 3.2)


class Announcements:
    """
    Repeats the first announcement, because it or its answer may have been lost.

    :param own: gives this node. :param settings: have its port and the first seeds.
    :param families: those in which this node has an address, True for IPv6.
    """

    def __init__(
        self,
        own: Callable[[], Node],
        members: Members,
        heartbeats: Heartbeats,
        settings: Settings,
        families: frozenset[bool],
        timing: Timing,
    ) -> None:
        self._own = own
        self._members = members
        self._heartbeats = heartbeats
        self._seeds = settings.seeds
        self._port = settings.port
        self._families = families
        self._timing = timing
        self._times: list[float] = []

    @property
    def are_due(self) -> bool:
        """Whether this node may announce itself again, now or later."""
        return bool(self._times)

    def set_seeds(self, seeds: tuple[Address, ...]) -> None:
        """Replace the seeds."""
        self._seeds = seeds

    def seeds(self) -> list[Address]:
        """
        Return the seeds but for this node itself, and those that it has no address to reach. Called several
        times a second.
        """
        if not self._seeds:
            return []
        me, port, families = self._own(), self._port, self._families
        own = {(host, port) for host in me.addresses or (me.address,)}
        return [seed for seed in self._seeds if seed not in own and is_ipv6(seed[0]) in families]

    def schedule(self, now: float) -> None:
        """Plan all announcements but the first one, which is made now."""
        self._times = [now + self._timing.heartbeat * each for each in _ANNOUNCEMENT_TIMES]

    def step(self, total: int, who: Address | None, now: float) -> None:
        """
        Announce this node again if it is time for that. Call it once a tick.

        :param total: the largest number of nodes that a roster announced, and ``who`` sent that one.
        """
        if self._times and now >= self._times[0]:
            del self._times[0]
            self._announce(total, who)

    def _announce(self, total: int, who: Address | None) -> None:
        if not self._members.up:
            self._heartbeats.announce(self.seeds(), multicast=True)
        elif who is not None and self._members.up_count + 1 < total:
            self._heartbeats.announce([who], multicast=False)
