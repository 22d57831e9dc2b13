"""
The parts that move processes by criu, joined. Imported when a process may have to be moved, and not earlier.

With this file everything is imported that a move uses: nothing is left to be imported in the middle of one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from gomd.config import Config
from gomd.interfaces import IMembership, IPeers, IThreads
from gomd.jobs.checkpoint import (
    first_inspection,
    inspection,  # noqa: F401 - here, and not when a job is first inspected
    requirements,  # noqa: F401
    tree_connection,  # noqa: F401
)
from gomd.jobs.checkpoint.criu import Criu, TlsFiles, find
from gomd.jobs.checkpoint.probes import ProbeNotes
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle import carried_moves  # noqa: F401
from gomd.jobs.lifecycle.admission import Admission
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracker import JobTracker
from gomd.jobs.migration import (
    requirements_file,  # noqa: F401
    tree_server,  # noqa: F401
)
from gomd.jobs.migration.channels import ChannelObserver, Channels
from gomd.jobs.migration.context import MigrationContext, Policy
from gomd.jobs.migration.images import ImageDirectories
from gomd.jobs.migration.journal import MigrationJournal
from gomd.jobs.migration.local_jobs import LocalJobs
from gomd.jobs.migration.location import JobLocations
from gomd.jobs.migration.node_checks import CriuCheck, NodeChecks
from gomd.jobs.migration.page_server import PageServers
from gomd.jobs.migration.service import Migrations
from gomd.tap.jobs import migration_journal
from libgomd.wallclock import Wall


def migrations_of(
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
    """Return what moves processes by criu. The parameters are those of `gomd.tap.jobs.jobs_of`."""
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
            PageServers(threads, config.peers.address), images, checks, policy,
            LocalJobs(own_id, tracker, table, supervisors, locations),
            MigrationJournal(migration_journal(state)), Channels(members, peers, observer),
            tracker.carried,
        )  # fmt: skip

    return Migrations(context)
