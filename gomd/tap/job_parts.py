"""The parts that start, place, move and balance jobs, on a daemon that runs jobs and on one that does not."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service

from gomd.config import Config
from gomd.interfaces import IJobs, IMigrator
from gomd.interfaces.counters import Counting
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.on_demand import JobsOnDemand
from gomd.jobs.ownership import JobOwnership
from gomd.jobs.relocation_on_demand import RelocationOnDemand
from gomd.services.installed_files import installed_files
from gomd.tap.balancing import balancer_of
from gomd.tap.leftovers import has_leftovers
from gomd.tap.network import Network
from gomd.tap.no_network import NoNetwork
from gomd.tap.node import NodeParts
from gomd.tree.guests import Guests
from libgomd.wallclock import Wall

if TYPE_CHECKING:
    from gomd.jobs.placement.choice import Placement
    from gomd.jobs.relocation import Relocation
    from gomd.jobs.service import Jobs


class JobParts:
    """
    :ivar jobs: starts and tracks jobs. :ivar migrator: moves processes of this node.
    :ivar relocation: sends a process where somebody wants it. :ivar guests: shows jobs in the tree.
    """

    def __init__(
        self, config: Config, reactor: Any, node: NodeParts, network: Network | NoNetwork, wall: Wall
    ) -> None:
        threads, members, peers = node.threads, network.members, network.peers
        own_id = int(members.own_id)

        @cache
        def placement() -> Placement:
            from gomd.jobs.placement.choice import Placement

            return Placement(own_id, reactor)

        self.migrator: IMigrator = NoMigrator("this daemon runs no jobs")
        self._services: tuple[Service, ...] = ()
        elsewise: IMigrator | None = None
        if config.node.source == "openmosix":
            from gomd.jobs.migration.openmosix import OpenMosixMigrator

            self.migrator = elsewise = OpenMosixMigrator(node.source, threads.asking, own_id)
        elif os.geteuid() != 0:
            elsewise = NoMigrator("the daemon does not run as root")
        if config.node.proc_root == "/proc" and config.node.source != "memory":

            def make() -> Jobs:
                from gomd.tap.jobs import jobs_of

                return jobs_of(
                    config, reactor, node.source, members, peers, threads.asking, threads.moving,
                    threads.journal, threads.disk, node.events, placement(), network.criu_files, wall,
                    lambda: network.trust.admins,
                )  # fmt: skip

            jobs = JobsOnDemand(
                threads.moving, partial(installed_files().load, "gomd.tap.jobs"), make,
                partial(has_leftovers, config), own_id, elsewise,
            )  # fmt: skip
            self.jobs: IJobs = jobs
            self.migrator, self._services = jobs.migrator, (jobs,)
        else:
            from gomd.jobs.disabled import NoJobs

            self.jobs = NoJobs()
        ownership = JobOwnership(self.jobs, node.collector)

        def relocation() -> Relocation:
            from gomd.jobs.relocation import Relocation

            return Relocation(
                reactor, members, peers, threads.asking, node.source, node.collector, self.jobs, ownership,
                self.migrator, placement(),
            )  # fmt: skip

        self.relocation = RelocationOnDemand(
            threads.asking, partial(installed_files().load, "gomd.jobs.relocation"), relocation,
            self.migrator.kind == "openmosix",
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
