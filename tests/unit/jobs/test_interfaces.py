"""The parts that run jobs promise what they implement."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyClass

from gomd.interfaces import IJobs, IPeers
from gomd.jobs.jobs import Jobs
from gomd.jobs.nojobs import NoJobs
from gomd.protocols.forwarding import Peers
from gomd.protocols.nopeers import NoPeers


@pytest.mark.parametrize(
    ("interface", "part"), [(IJobs, Jobs), (IJobs, NoJobs), (IPeers, Peers), (IPeers, NoPeers)]
)
def test_it_has_every_method(interface: type, part: type) -> None:
    """With the arguments the interface says."""
    assert verifyClass(interface, part)
