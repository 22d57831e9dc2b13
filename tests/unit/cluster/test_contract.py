"""Every engine of membership keeps the promises of IMembership."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.alone import Alone
from gomd.cluster.membership import IAdmission, MapAdmission
from gomd.interfaces import IMembership
from libgomd.model import Node, Status
from tests.nodes import PORT, address_of
from tests.unit.cluster.contract import MembershipContract, PeersContract


class _Collector:
    """Knows two nodes, as a source over an openMosix kernel does."""

    def known_nodes(self) -> Any:
        up = Status.CONFIGURED | Status.UP
        return (Node(3, "node3", "10.0.0.3", Status.CONFIGURED), Node(7, "node7", "10.0.0.7", up))


class AloneTests(MembershipContract, SynchronousTestCase):
    """Without peers: the nodes that the source knows."""

    def make_membership(self) -> IMembership:
        collector: Any = _Collector()
        return Alone(7, collector)


class MulticastTests(PeersContract, SynchronousTestCase):
    """One network, with multicast."""


class SeedTests(PeersContract, SynchronousTestCase):
    """No multicast: nodes find each other through the first two of them."""

    settings = {"discovery": False, "seeds": tuple((address_of(each), PORT) for each in (1, 2))}

    def make_membership(self) -> IMembership:
        members: IMembership = self.cluster(1, 7).nodes[7].engine
        return members


class DeafTests(PeersContract, SynchronousTestCase):
    """Multicast is on, but the network eats it: the seeds do."""

    settings = {"seeds": tuple((address_of(each), PORT) for each in (1, 2))}

    def make_membership(self) -> IMembership:
        members: IMembership = self.cluster(1, 7).nodes[7].engine
        return members

    def cluster(self, *numbers: int, settle: float = 6.0, seed: int = 1, **settings: Any) -> Any:
        cluster = super().cluster(seed=seed, settle=0.0, **settings)
        cluster.network.multicast = lambda *packet: None  # type: ignore[method-assign]
        for number in numbers:
            self.add(cluster, number)
        cluster.clock.advance(settle)
        return cluster


class MapTests(PeersContract, SynchronousTestCase):
    """The nodes of a map, without multicast or seeds."""

    settings = {"discovery": False}

    def admission(self) -> IAdmission:
        return MapAdmission({}, {node: (address_of(node),) for node in range(1, 11)})
