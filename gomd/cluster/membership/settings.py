"""The settings of membership and all intervals that follow from them. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gomd.cluster.membership.transport import Address

#: Maximum number of heartbeats that reach a node per second. In larger clusters, nodes send less often.
#: Opening and processing one costs 45 to 130 us, depending on the caches: 0.7 to 2 % of a core in all.
MAX_HEARTBEATS_PER_SECOND: Final = 150
#: Maximum number of peers that one heartbeat or notice is sent to directly where there is no multicast.
MAX_FANOUT: Final = 32
#: Number of members that watch a node. Two of them must agree before it is declared down quickly.
WATCHERS_PER_NODE: Final = 3
#: Members asked for an indirect probe of a silent node each time: the k of SWIM.
INDIRECT_PROBE_HELPERS: Final = 2
#: Maximum number of silent nodes that are checked at once.
MAX_CONCURRENT_CHECKS: Final = 128
#: Maximum number of lost addresses contacted in one tick.
MAX_REJOINS_PER_TICK: Final = 4
#: A lost address is contacted again after this share of the time for which it has been lost ...
REJOIN_INTERVAL_SHARE: Final = 1 / 50
#: ... but at least this often, in seconds.
MAX_REJOIN_INTERVAL: Final = 20.0


@dataclass(frozen=True, slots=True)
class Settings:
    """
    The settings of one engine.

    :ivar heartbeat: seconds between two heartbeats, as long as there are at most
        `MAX_HEARTBEATS_PER_SECOND` nodes. All other intervals are in proportion to it.
    :ivar forget: seconds for which a node that is down stays listed.
    :ivar max_nodes: maximum number of nodes to remember, this one and those that are down included.
    :ivar seeds: peers to contact until they are up. The address of this node among them does no harm.
    :ivar discovery: whether multicast is used.
    :ivar port: UDP port of this node.
    :ivar stream_port: TCP port of this node for peers, 0 for none.
    :ivar families: those in which this node may have an address, True for IPv6; empty: those in which it has
        one at the start.
    """

    heartbeat: float = 1.0
    forget: float = 86400.0
    max_nodes: int = 4096
    seeds: tuple[Address, ...] = ()
    discovery: bool = True
    port: int = 5428
    stream_port: int = 5428
    families: frozenset[bool] = frozenset()


@dataclass(frozen=True, slots=True)
class Timing:
    """
    All intervals that follow from the heartbeat interval, in seconds.

    A node dies 0 to 1 heartbeats after its last datagram. With these numbers it is therefore declared down
    2.3 to 3.3 heartbeats after its death, plus half a tick.
    """

    heartbeat: float

    @property
    def tick(self) -> float:
        """Interval at which the engine does its periodic work."""
        return self.heartbeat / 5

    @property
    def silence_timeout(self) -> float:
        """Silence of a watched node after which it is probed: one missed heartbeat."""
        return self.heartbeat * 1.5

    @property
    def probe_interval(self) -> float:
        """Interval between two probes of a node that does not answer."""
        return self.heartbeat / 5

    @property
    def indirect_probe_delay(self) -> float:
        """
        Time from the first probe until indirect probes are requested.

        They are repeated at twice this interval.
        """
        return self.heartbeat * 0.2

    @property
    def suspect_delay(self) -> float:
        """Time from the first probe until the node is suspect. A node heard more recently is not silent."""
        return self.heartbeat * 0.8

    @property
    def min_suspicion_timeout(self) -> float:
        """Time from suspect to down, if another member suspects the node too or there is no other one."""
        return self.heartbeat

    @property
    def max_suspicion_timeout(self) -> float:
        """Time from suspect to down, as long as no other member suspects the node."""
        return self.heartbeat * 2.5

    @property
    def stale_news_time(self) -> float:
        """Time after the return of a node in which it may tell what it found out while it was cut off."""
        return self.heartbeat * 6

    def heartbeat_interval(self, nodes: int) -> float:
        """Return the interval between two multicast heartbeats in a cluster of ``nodes`` nodes."""
        return self.heartbeat * max(1.0, nodes / MAX_HEARTBEATS_PER_SECOND)

    def rejoin_interval(self, lost: float) -> float:
        """Return the time until the next try to contact a peer that has been lost for ``lost`` seconds."""
        return min(
            max(self.heartbeat, lost * REJOIN_INTERVAL_SHARE), max(self.heartbeat, MAX_REJOIN_INTERVAL)
        )
