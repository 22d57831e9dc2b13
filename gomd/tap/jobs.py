"""The parts that run jobs, joined."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from gomd.config import Config
from gomd.interfaces import IEvents, IMembership, IPeers, IThreads
from gomd.jobs.abroad import Abroad
from gomd.jobs.jobs import Jobs
from gomd.jobs.journal import Journal
from gomd.jobs.launching import Launcher
from gomd.jobs.placement import Placement
from gomd.jobs.supervisors import Supervisors

#: Bytes of output that are kept of a detached job, of each of its two streams.
SPOOL_BYTES = 64 << 20


def jobs_of(
    config: Config,
    reactor: Any,
    node_id: int,
    members: IMembership,
    peers: IPeers,
    threads: IThreads,
    events: IEvents,
) -> Jobs:
    """Return the jobs of this node, a service."""
    spool = config.jobs.spool
    launcher = Launcher(reactor, os.path.join(spool, "log"))
    here = Supervisors(
        launcher, spool, SPOOL_BYTES, os.geteuid() == 0, f"node {node_id} {config.node.name}"
    )  # fmt: skip
    return Jobs(
        reactor, members, threads, events, partial(Abroad, reactor, members, peers), here,
        Placement(node_id, reactor), Journal(os.path.join(config.node.state_dir, "jobs", "journal")),
        own_uid=os.geteuid(),
    )  # fmt: skip
