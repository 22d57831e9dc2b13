"""The settings of membership, and every interval that follows from them. Seconds, but for the counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gomd.cluster.membership.transport import Address

#: Heartbeats that reach a node in a second, at most: past so many nodes they come less often. Opening
#: and taking one costs 45 to 130 us, by how cold the caches are: 0.7 to 2 % of a core.
MOST_HEARD: Final = 150
#: Peers that one heartbeat, or one piece of news, is sent to directly where there is no multicast.
FAN_OUT: Final = 32
#: How many others watch a node; two of them have to agree before it is called down quickly.
WATCHERS: Final = 3
#: Others that are asked to try a silent node, each time.
HELPERS: Final = 2
#: Nodes that are being checked at once, at most.
MOST_CHECKS: Final = 128
#: Lost addresses asked in one tick, at most.
MOST_SEARCHED: Final = 4
#: A lost address is asked again after this share of the time it has been lost ...
SEARCH_SHARE: Final = 1 / 50
#: ... and for ever at least this often, in seconds.
SEARCH_SLOWEST: Final = 20.0


@dataclass(frozen=True, slots=True)
class Settings:
    """
    :ivar heartbeat: seconds between heartbeats while there are at most `MOST_HEARD` nodes. All other
        intervals are in proportion to it.
    :ivar forget: seconds that a node which is down stays listed.
    :ivar max_nodes: nodes known at once, this one and those that are down among them.
    :ivar seeds: peers that are always looked for; the own address among them does no harm.
    :ivar discovery: whether there is multicast.
    :ivar port: UDP port of this node; ``stream_port`` its TCP port for peers, 0 for none.
    """

    heartbeat: float = 1.0
    forget: float = 86400.0
    max_nodes: int = 4096
    seeds: tuple[Address, ...] = ()
    discovery: bool = True
    port: int = 5428
    stream_port: int = 5428


@dataclass(frozen=True, slots=True)
class Timing:
    """
    What happens when, for one length of the heartbeat.

    A node that dies says nothing from 0 to 1 heartbeat after its last one, so that with these numbers
    it is called down 2.3 to 3.3 heartbeats after its death, and half a tick more.
    """

    heartbeat: float

    @property
    def tick(self) -> float:
        """How often anything is looked at."""
        return self.heartbeat / 5

    @property
    def silence(self) -> float:
        """A node that is watched is probed when nothing came from it for so long: one heartbeat missed."""
        return self.heartbeat * 1.5

    @property
    def probe(self) -> float:
        """Between two probes of a node that does not answer."""
        return self.heartbeat / 5

    @property
    def help(self) -> float:
        """From the first probe until others are asked to try; from then until others are, twice that."""
        return self.heartbeat * 0.2

    @property
    def suspect(self) -> float:
        """From the first probe until the others are told of a suspicion; less than that is no silence."""
        return self.heartbeat * 0.8

    @property
    def agreed(self) -> float:
        """From the suspicion until the node is down, if somebody else suspects it too, or nobody else is."""
        return self.heartbeat

    @property
    def alone(self) -> float:
        """The same, for as long as nobody agrees."""
        return self.heartbeat * 2.5

    def beat(self, nodes: int) -> float:
        """Between two heartbeats to the same peer by multicast, in a cluster of so many nodes."""
        return self.heartbeat * max(1.0, nodes / MOST_HEARD)

    def search(self, lost: float) -> float:
        """Until the next try at a peer that has been lost for so long: ever more rarely, but for ever."""
        return min(max(self.heartbeat, lost * SEARCH_SHARE), max(self.heartbeat, SEARCH_SLOWEST))
