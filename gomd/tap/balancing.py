"""What moves processes to better nodes by itself, if `[jobs] balance` asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from gomd.config import Config
from gomd.interfaces import ICollector, IJobs, IMembership, IMigrator, MigrationSubject
from gomd.jobs.ownership import whole
from libgomd.model import STANDARD_SPEED, Process

if TYPE_CHECKING:
    from gomd.services.balancer import Balancer

_log = Logger()


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
    from gomd.jobs.placement.balancing import Balance, MoveCosts
    from gomd.services.balancer import PERIOD, Balancer

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
