"""The parts that run jobs promise what they implement."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyClass

from gomd.cluster.events import Events
from gomd.interfaces import IEvents, IJobs, IKin, IMembership, IMigrator, IPeers, IPlacement, IThreads
from gomd.jobs.jobs import Jobs
from gomd.jobs.migrations import Migrations
from gomd.jobs.migrators import NoMigrator, OpenMosixMigrator
from gomd.jobs.nojobs import NoJobs
from gomd.jobs.placement import Placement
from gomd.jobs.seen import Kin
from gomd.protocols.forwarding import Peers
from gomd.protocols.nopeers import NoPeers
from tests.unit.jobs import memory_parts, moving_nodes


@pytest.mark.parametrize(
    ("interface", "part"),
    [
        (IJobs, Jobs), (IJobs, NoJobs), (IPeers, Peers), (IPeers, NoPeers), (IMigrator, Migrations),
        (IMigrator, OpenMosixMigrator), (IMigrator, NoMigrator), (IPlacement, Placement), (IKin, Kin),
        (IMembership, moving_nodes.Members), (IPeers, moving_nodes.Peers), (IThreads, memory_parts.AtOnce),
        (IPlacement, memory_parts.NoPlacement), (IEvents, Events),
    ],
)  # fmt: skip
def test_it_has_every_method(interface: type, part: type) -> None:
    """With the arguments the interface says."""
    assert verifyClass(interface, part)
