"""The parts that run jobs and move them, joined."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.logger import Logger

from gomd.config import Config
from gomd.interfaces import ICollector, IEvents, IJobs, IMembership, IMigrator, INodeSource, IPeers, IThreads
from gomd.jobs.abroad import Abroad
from gomd.jobs.backlog import AUTOMATIC
from gomd.jobs.balance import Balance, MoveCosts
from gomd.jobs.cgroups import find_place
from gomd.jobs.criu import Criu, TlsFiles, find
from gomd.jobs.ground import Ability, Ground, Machine
from gomd.jobs.jobs import Jobs
from gomd.jobs.journal import Journal
from gomd.jobs.keeper import Keeper
from gomd.jobs.kept import Limits
from gomd.jobs.launching import Launcher
from gomd.jobs.looks import Looks
from gomd.jobs.migrations import Migrations
from gomd.jobs.migrators import NoMigrator, OpenMosixMigrator
from gomd.jobs.movelog import MoveLog
from gomd.jobs.placement import Placement
from gomd.jobs.post import Post
from gomd.jobs.room import Room
from gomd.jobs.seen import whole
from gomd.jobs.supervisors import Supervisors
from gomd.jobs.table import HomeTable
from gomd.jobs.whereabouts import Whereabouts
from gomd.protocols.loopback import uid_of_connection
from gomd.services.balancer import PERIOD, Balancer
from libgomd.model import STANDARD_SPEED, Process

_log = Logger()


def jobs_of(
    config: Config,
    reactor: Any,
    source: INodeSource,
    members: IMembership,
    peers: IPeers,
    threads: IThreads,
    moving: IThreads,
    events: IEvents,
    placement: Placement,
    tls: Callable[[str], TlsFiles | None],
) -> Jobs:
    """
    Return the jobs of this node, a service.

    :param moving: threads for migrations. :param tls: writes the certificates for criu to a directory.
    """
    spool, node_id = config.jobs.spool, int(members.own_id)
    launcher = Launcher(reactor, os.path.join(spool, "log"))
    reserve = config.jobs.output_reserve or AUTOMATIC
    stream = min(config.jobs.output, config.jobs.output_per_user // 2, config.jobs.output_total // 2)
    here = Supervisors(
        launcher, spool, stream, os.geteuid() == 0, f"node {node_id} {config.node.name}",
        find_place, reserve,
    )  # fmt: skip
    room = Room(os.geteuid(), config.jobs.most, config.jobs.most_per_user, config.jobs.reserve)
    output = Limits(stream, config.jobs.output_per_user, config.jobs.output_total, reserve)

    def migrator(keeper: Keeper, table: HomeTable, whereabouts: Whereabouts) -> IMigrator:
        if source.kind == "openmosix":
            return OpenMosixMigrator(source, threads, node_id)
        if os.geteuid() != 0:
            return NoMigrator("the daemon does not run as root")
        return _criu(config, reactor, members, peers, moving, here, keeper, table, whereabouts, tls, room)

    return Jobs(
        reactor, members, threads, events, partial(Abroad, reactor, members, peers), here,
        placement, Journal(os.path.join(config.node.state_dir, "jobs", "journal")), peers,
        own_uid=os.geteuid(), room=room, output=output, migrator=migrator,
    )  # fmt: skip


def _criu(
    config: Config,
    reactor: Any,
    members: IMembership,
    peers: IPeers,
    threads: IThreads,
    here: Supervisors,
    keeper: Keeper,
    table: HomeTable,
    whereabouts: Whereabouts,
    tls: Callable[[str], TlsFiles | None],
    room: Room,
) -> Migrations:
    state = config.node.state_dir
    program = Criu(find(config.jobs.criu))
    machine = Machine(
        program, config.peers.address, os.geteuid(), os.path.join(config.jobs.spool, "moving"),
        partial(tls, os.path.join(state, "tls")), trusts,
    )  # fmt: skip
    post = Post(
        members, peers, lambda letter, answer: migrations.heard(letter, answer),
        lambda node, ours: migrations.cut(node, ours), lambda node: migrations.connected(node),
    )  # fmt: skip
    ground = Ground(
        reactor, members, threads, machine, Ability(program, threads, reactor), keeper, table, here,
        whereabouts, MoveLog(os.path.join(state, "jobs", "migrations")), post, Looks(threads),
        lambda uid: room.why_not(keeper.held.values(), (), uid, admin=False),
    )  # fmt: skip
    migrations = Migrations(ground)
    return migrations


def balancer_of(
    config: Config,
    reactor: Any,
    members: IMembership,
    collector: ICollector,
    jobs: IJobs,
    migrator: IMigrator,
) -> Balancer | None:
    """Return what offers the processes of this node to better nodes, None when nothing is to."""
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
        return migrator.migrate(process.pid, node)

    standard = config.node.sspeed or STANDARD_SPEED
    balance = Balance(own_id, MoveCosts(), Random().random, standard)  # noqa: S311 - jitter
    return Balancer(balance, members, processes, migrate, reactor)


def no_files(directory: str) -> TlsFiles | None:
    """Return no certificates: there is no other node, or only over loopback."""
    return None


def trusts(connection: socket.socket, uid: int) -> bool:
    """Whether a connection over loopback is of root, of the daemon's own user, or of user ``uid``."""
    theirs, ours = (IPv4Address("TCP", *end) for end in (connection.getpeername(), connection.getsockname()))
    return uid_of_connection(theirs, ours) in (0, os.geteuid(), uid)
