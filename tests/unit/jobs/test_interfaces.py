"""The parts that run jobs promise what they implement."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyClass

from gomd.cluster.events import Events
from gomd.interfaces import (
    IEvents,
    IJobOwnership,
    IJobs,
    IMembership,
    IMigrator,
    IPeers,
    IPlacement,
    IThreads,
)
from gomd.jobs.disabled import NoJobs
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.migration.openmosix import OpenMosixMigrator
from gomd.jobs.migration.service import Migrations
from gomd.jobs.ownership import JobOwnership
from gomd.jobs.placement.choice import Placement
from gomd.jobs.service import Jobs
from gomd.protocols.no_peers import NoPeers
from gomd.protocols.peer_client import PeerClient
from tests.unit.jobs import memory_parts, memory_peers


@pytest.mark.parametrize(
    ("interface", "part"),
    [
        (IJobs, Jobs), (IJobs, NoJobs), (IPeers, PeerClient), (IPeers, NoPeers), (IMigrator, Migrations),
        (IMigrator, OpenMosixMigrator), (IMigrator, NoMigrator), (IPlacement, Placement),
        (IJobOwnership, JobOwnership),
        (IMembership, memory_peers.Members), (IPeers, memory_peers.Peers), (IThreads, memory_parts.AtOnce),
        (IPlacement, memory_parts.NoPlacement), (IEvents, Events),
    ],
)  # fmt: skip
def test_it_has_every_method(interface: type, part: type) -> None:
    """With the arguments the interface says."""
    assert verifyClass(interface, part)
