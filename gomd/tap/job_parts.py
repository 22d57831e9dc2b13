"""The parts that start, place, move and balance jobs, on a daemon that runs jobs and on one that does not."""

from __future__ import annotations

import os
import sys
from functools import partial
from importlib import import_module
from typing import Any, Final

from twisted.application.service import Service

import gomd
import libgomd
from gomd.config import Config
from gomd.interfaces import IJobs, IMigrator
from gomd.interfaces.counters import Counting
from gomd.jobs.disabled import NoJobs
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.migration.openmosix import OpenMosixMigrator
from gomd.jobs.ownership import JobOwnership
from gomd.jobs.placement.choice import Placement
from gomd.jobs.relocation import Relocation
from gomd.services.installed_files import InstalledFiles
from gomd.tap.jobs import balancer_of, jobs_of
from gomd.tap.network import Network
from gomd.tap.no_network import NoNetwork
from gomd.tap.node import NodeParts
from gomd.tree.guests import Guests
from libgomd.wallclock import Wall

#: The directories from which a part that is first needed later is imported.
_PACKAGES: Final = (os.path.dirname(gomd.__file__), os.path.dirname(libgomd.__file__))


class JobParts:
    """
    :ivar jobs: starts and tracks jobs. :ivar migrator: moves processes of this node.
    :ivar relocation: sends a process where somebody wants it. :ivar guests: shows jobs in the tree.
    """

    def __init__(
        self, config: Config, reactor: Any, node: NodeParts, network: Network | NoNetwork, wall: Wall
    ) -> None:
        threads, members, peers = node.threads, network.members, network.peers
        placement = Placement(int(members.own_id), reactor)
        self.jobs: IJobs = NoJobs()
        self.migrator: IMigrator = NoMigrator("this daemon runs no jobs")
        self._services: tuple[Service, ...] = ()
        if config.node.source == "openmosix":
            self.migrator = OpenMosixMigrator(node.source, threads.asking, int(members.own_id))
        if config.node.proc_root == "/proc" and config.node.source != "memory":
            jobs = jobs_of(
                config, reactor, node.source, members, peers, threads.asking, threads.moving,
                threads.journal, threads.disk, node.events, placement, network.criu_files, wall,
                partial(_load_moving, InstalledFiles(_PACKAGES)), lambda: network.trust.admins,
            )  # fmt: skip
            self.jobs, self.migrator, self._services = jobs, jobs.migrator, (jobs,)
        ownership = JobOwnership(self.jobs, node.collector)
        self.relocation = Relocation(
            reactor, members, peers, threads.asking, node.source, node.collector, self.jobs, ownership,
            self.migrator, placement,
        )  # fmt: skip
        self.guests = Guests(
            self.jobs, node.collector, members, None if self.relocation.by_kernel else ownership,
            lambda: bool(node.source.hides_others),
        )  # fmt: skip
        balancer = balancer_of(config, reactor, members, node.collector, self.jobs, self.migrator)
        self._balancers = () if balancer is None else (balancer,)

    def services(self) -> tuple[Service, ...]:
        """Return the services. The jobs come last: they stop first, and their callers see no goodbye."""
        return *self._balancers, *self._services

    def counting(self) -> tuple[Counting, ...]:
        """Return the parts that count something."""
        return self.jobs, *self._balancers


def _load_moving(installed: InstalledFiles) -> None:
    """Import what moves processes. Blocks. :raises NotPossible: it would belong to another version."""
    if "gomd.tap.moving" not in sys.modules:
        installed.check()
    import_module("gomd.tap.moving")
