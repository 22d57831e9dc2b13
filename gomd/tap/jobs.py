"""
The parts that run jobs and move them, joined. Imported when there may be a job, and not earlier.

With this file everything is imported that a move uses: nothing is left to be imported in the middle of one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from gomd.config import Config
from gomd.interfaces import (
    IEvents,
    IMembership,
    IMigrator,
    INodeSource,
    IPeers,
    IThreads,
)
from gomd.jobs import relocation  # noqa: F401 - what asks for a move too
from gomd.jobs.checkpoint import (
    first_inspection,
    inspection,  # noqa: F401 - now, and not when a job is first inspected
    requirements,  # noqa: F401
    tree_connection,  # noqa: F401
)
from gomd.jobs.checkpoint.criu import Criu, TlsFiles, find
from gomd.jobs.checkpoint.probes import ProbeNotes
from gomd.jobs.home.journal import Journal
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.admission import Admission
from gomd.jobs.lifecycle.carried_files import CarryLimits
from gomd.jobs.lifecycle.forkserver_client import ForkServerClient
from gomd.jobs.lifecycle.output_quota import OutputLimits
from gomd.jobs.lifecycle.remote_jobs import RemoteJobs
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracker import JobTracker
from gomd.jobs.migration import (
    requirements_file,  # noqa: F401
    tree_server,  # noqa: F401
)
from gomd.jobs.migration.channels import ChannelObserver, Channels
from gomd.jobs.migration.context import MigrationContext, Policy
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.migration.images import ImageDirectories
from gomd.jobs.migration.journal import MigrationJournal
from gomd.jobs.migration.local_jobs import LocalJobs
from gomd.jobs.migration.location import JobLocations
from gomd.jobs.migration.node_checks import CriuCheck, NodeChecks
from gomd.jobs.migration.openmosix import OpenMosixMigrator
from gomd.jobs.migration.page_server import PageServers
from gomd.jobs.migration.service import Migrations
from gomd.jobs.placement.choice import Placement
from gomd.jobs.service import Jobs
from gomd.jobs.supervisor.cgroups import find_place
from gomd.jobs.supervisor.file_store import AUTOMATIC
from libgomd.wallclock import Wall


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
    system_users: Callable[[], bool] = lambda: True,
) -> Jobs:
    """
    Return the jobs of this node, a service.

    :param moving: threads for migrations. :param journal: one for the journal. :param disk: for the spool.
    :param tls: writes the certificates for criu to a directory.
    :param wall: gives the time of stamps.
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
        return _criu(
            config,
            reactor,
            members,
            peers,
            moving,
            supervisors,
            tracker,
            table,
            locations,
            tls,
            wall,
            room,
            system_users,
        )

    return Jobs(
        reactor, members, threads, events, partial(RemoteJobs, reactor, members, peers), supervisors,
        placement, Journal(os.path.join(config.node.state_dir, "jobs", "journal"), journal), peers,
        wall=wall, own_uid=os.geteuid(), admission=room, output=output, disk=disk, migrator=migrator,
        carry=CarryLimits(
            config.jobs.carry_files, config.jobs.carry_bytes, config.jobs.carry_days * 86400.0
        ),
    )  # fmt: skip


def _criu(
    config: Config,
    reactor: Any,
    members: IMembership,
    peers: IPeers,
    threads: IThreads,
    supervisors: Supervisors,
    tracker: JobTracker,
    table: HomeTable,
    locations: JobLocations,
    tls: Callable[[str], TlsFiles],
    wall: Wall,
    room: Admission,
    system_users: Callable[[], bool],
) -> Migrations:
    state, own_id = config.node.state_dir, int(members.own_id)
    criu = Criu(find(config.jobs.criu))
    directory = os.path.join(config.jobs.spool, "moving")
    images = ImageDirectories(threads, directory, f"node {own_id} {config.node.name}")
    policy = Policy(
        os.geteuid() == 0, system_users, lambda uid: room.why_not(tracker.jobs.values(), (), uid, admin=False)
    )

    def context(observer: ChannelObserver) -> MigrationContext:
        works = CriuCheck(criu, threads, reactor, images.root)
        notes = ProbeNotes(os.path.join(images.root, ".probes"))
        checks = NodeChecks(
            threads, works, images, partial(first_inspection.look, notes=notes),
            withdraw=partial(first_inspection.withdraw, notes=notes), sweep=notes.sweep,
            private_limit=config.jobs.private_tmp,
        )  # fmt: skip
        return MigrationContext(
            reactor, wall, members, threads, criu.program, partial(tls, os.path.join(state, "tls")),
            PageServers(threads, config.peers.address, second="".join(config.peers.addresses[1:])), images,
            checks, policy,
            LocalJobs(own_id, tracker, table, supervisors, locations),
            MigrationJournal(os.path.join(state, "jobs", "migrations")), Channels(members, peers, observer),
            tracker.carried, config.jobs.precopy_from,
        )  # fmt: skip

    return Migrations(context)
