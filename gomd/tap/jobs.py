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
        launcher, spool, config.jobs.output, os.geteuid() == 0, f"node {node_id} {config.node.name}"
    )  # fmt: skip
    return Jobs(
        reactor, members, threads, events, partial(Abroad, reactor, members, peers), here,
        Placement(node_id, reactor), Journal(os.path.join(config.node.state_dir, "jobs", "journal")),
        own_uid=os.geteuid(), most=config.jobs.most,
    )  # fmt: skip
