"""The parts that run jobs and move them, joined."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from gomd.config import Config
from gomd.interfaces import (
    ICollector,
    IEvents,
    IJobs,
    IMembership,
    IMigrator,
    INodeSource,
    IPeers,
    IThreads,
    MigrationSubject,
)
from gomd.jobs.home.journal import Journal
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.admission import Admission
from gomd.jobs.lifecycle.carried_files import CarryLimits
from gomd.jobs.lifecycle.forkserver_client import ForkServerClient
from gomd.jobs.lifecycle.output_quota import OutputLimits
from gomd.jobs.lifecycle.remote_jobs import RemoteJobs
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracker import JobTracker
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.migration.location import JobLocations
from gomd.jobs.migration.on_demand import MigrationsOnDemand
from gomd.jobs.migration.openmosix import OpenMosixMigrator
from gomd.jobs.ownership import whole
from gomd.jobs.placement.balancing import Balance, MoveCosts
from gomd.jobs.placement.choice import Placement
from gomd.jobs.service import Jobs
from gomd.jobs.supervisor.cgroups import find_place
from gomd.jobs.supervisor.file_store import AUTOMATIC
from gomd.services.balancer import PERIOD, Balancer
from libgomd.model import STANDARD_SPEED, Process
from libgomd.wallclock import Wall

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.criu import TlsFiles

_log = Logger()


def jobs_of(
    config: Config,
    reactor: Any,
    source: INodeSource,
    members: IMembership,
    peers: IPeers,
    threads: IThreads,
    moving: IThreads,
    journal: IThreads,
    disk: IThreads,
    events: IEvents,
    placement: Placement,
    tls: Callable[[str], TlsFiles],
    wall: Wall,
    load_code: Callable[[], None],
    system_users: Callable[[], bool] = lambda: True,
) -> Jobs:
    """
    Return the jobs of this node, a service.

    :param moving: threads for migrations. :param journal: one for the journal. :param disk: for the spool.
    :param tls: writes the certificates for criu to a directory.
    :param wall: gives the time of stamps.
    :param load_code: imports `gomd.tap.moving`, when a process may have to be moved.
    :param system_users: tells whether root's processes may come from other nodes.
    """
    spool, node_id = config.jobs.spool, int(members.own_id)
    fork_server = ForkServerClient(reactor, os.path.join(spool, "log"))
    reserve = config.jobs.output_reserve or AUTOMATIC
    stream = min(config.jobs.output, config.jobs.output_per_user // 2, config.jobs.output_total // 2)
    supervisors = Supervisors(
        fork_server, spool, stream, os.geteuid() == 0, f"node {node_id} {config.node.name}",
        find_place, reserve, config.jobs.private_tmp,
    )  # fmt: skip
    room = Admission(os.geteuid(), config.jobs.most, config.jobs.most_per_user, config.jobs.reserve)
    output = OutputLimits(stream, config.jobs.output_per_user, config.jobs.output_total, reserve)

    def migrator(tracker: JobTracker, table: HomeTable, locations: JobLocations) -> IMigrator:
        if source.kind == "openmosix":
            return OpenMosixMigrator(source, threads, node_id)
        if os.geteuid() != 0:
            return NoMigrator("the daemon does not run as root")

        def migrations() -> IMigrator:
            from gomd.tap.moving import migrations_of

            return migrations_of(
                config, reactor, members, peers, moving, supervisors, tracker, table, locations, tls, wall,
                room, system_users,
            )  # fmt: skip

        on_demand = MigrationsOnDemand(moving, load_code, migrations, partial(has_leftovers, config))
        tracker.began = on_demand.job_came
        return on_demand

    return Jobs(
        reactor, members, threads, events, partial(RemoteJobs, reactor, members, peers), supervisors,
        placement, Journal(os.path.join(config.node.state_dir, "jobs", "journal"), journal), peers,
        wall=wall, own_uid=os.geteuid(), admission=room, output=output, disk=disk, migrator=migrator,
        carry=CarryLimits(
            config.jobs.carry_files, config.jobs.carry_bytes, config.jobs.carry_days * 86400.0
        ),
    )  # fmt: skip


def balancer_of(
    config: Config,
    reactor: Any,
    members: IMembership,
    collector: ICollector,
    jobs: IJobs,
    migrator: IMigrator,
) -> Balancer | None:
    """Return the balancer of this node; None when balancing is off."""
    if not config.jobs.balance:
        return None
    if migrator.kind != "criu":
        by_kernel = "openMosix's kernel does it by itself"
        why = by_kernel if migrator.kind == "openmosix" else migrator.cannot()
        _log.warn("[jobs] balance: this daemon moves nothing by itself: {why}", why=why)
        return None
    own_id = int(members.own_id)

    async def processes() -> Sequence[Process]:
        here = jobs.here()
        return whole((await collector.processes(PERIOD)).processes, here, own_id) if here else ()

    def migrate(process: Process, node: int) -> Awaitable[object]:
        name = next((job.name for job in jobs.here() if job.pid == process.pid), "")
        return migrator.migrate(MigrationSubject(process.pid, name), node)

    standard = config.node.sspeed or STANDARD_SPEED
    balance = Balance(own_id, MoveCosts(), Random().random, standard)  # noqa: S311 - jitter
    return Balancer(balance, members, processes, migrate, reactor)


def has_leftovers(config: Config) -> bool:
    """Whether an earlier daemon has left migrations, images or proofs for criu. Blocks briefly."""
    images = os.path.join(config.jobs.spool, "moving")
    found = {name for name in _names(images) if not name.startswith(".")}
    return bool(
        found or _names(os.path.join(images, ".probes")) or _names(migration_journal(config.node.state_dir))
    )


def migration_journal(state: str) -> str:
    """Return the directory of the journal of migrations."""
    return os.path.join(state, "jobs", "migrations")


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
