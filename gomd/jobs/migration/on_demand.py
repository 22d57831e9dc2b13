"""The migrator of criu for a daemon that may never move a job: see `gomd.jobs.on_demand`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import IMigrator, MigrationSubject, MoveCost
from gomd.jobs.migration.counts import migration_counters
from gomd.jobs.migration.stateless import StatelessMigrator
from libgomd.errors import CannotMove, GomdError, NotPossible
from libgomd.model import Counter


@implementer(IMigrator)
class MigrationsOnDemand(StatelessMigrator):
    """
    The jobs load, start and stop the migrator behind it.

    :param ready: returns it, made if need be; raises `GomdError`.
    :param made: returns it, None before it was made.
    """

    kind = "criu"
    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, ready: Callable[[], Awaitable[IMigrator]], made: Callable[[], IMigrator | None]
    ) -> None:
        self._make_ready = ready
        self._made = made

    async def _ready(self) -> IMigrator:
        """Return the migrator. :raises CannotMove: its code cannot be loaded. :raises GomdError: not now."""
        try:
            return await self._make_ready()
        except NotPossible as error:
            raise CannotMove(str(error)) from error

    def join(self, node: int, stream: Any) -> None:
        """See `IMigrator.join`. Nothing is read from the stream until there is a migrator."""
        made = self._made()
        if made is not None:
            made.join(node, stream)
        else:
            stream.pause_reading(True)
            Deferred.fromCoroutine(self._join(node, stream)).addErrback(
                lambda failure: self._log.failure("taking a stream failed", failure=failure)
            )

    async def _join(self, node: int, stream: Any) -> None:
        try:
            migrator = await self._ready()
        except GomdError as error:
            self._log.warn("no job can come from node {node} now: {error}", node=node, error=error)
            stream.close()
        except BaseException:
            stream.close()  # else the other node would wait for ever
            raise
        else:
            if not stream.gone:
                migrator.join(node, stream)

    def cannot(self) -> str:
        """See `IMigrator.cannot`. Nothing is known before there is a migrator."""
        made = self._made()
        return "" if made is None else str(made.cannot())

    async def check(self) -> str:
        """See `IMigrator.check`."""
        try:
            migrator = await self._ready()
        except CannotMove as error:
            return str(error)
        found: Awaitable[str] = migrator.check()
        return await found

    async def reasons(self, subject: MigrationSubject, node: int) -> Sequence[str]:
        """See `IMigrator.reasons`."""
        try:
            migrator = await self._ready()
        except CannotMove as error:
            return [str(error)]
        found: Awaitable[Sequence[str]] = migrator.reasons(subject, node)
        return await found

    async def migrate(self, subject: MigrationSubject, node: int) -> MoveCost | None:
        """See `IMigrator.migrate`."""
        migrator = await self._ready()
        moved: Awaitable[MoveCost | None] = migrator.migrate(subject, node)
        return await moved

    def counters(self) -> Iterable[Counter]:
        """See `IMigrator.counters`."""
        made = self._made()
        return migration_counters() if made is None else made.counters()
