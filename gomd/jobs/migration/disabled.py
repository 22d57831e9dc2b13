"""Stands in for a migrator on a node that can move no process, and says why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from zope.interface import implementer

from gomd.interfaces import IMigrator, MigrationSubject, MoveCost
from gomd.jobs.migration.stateless import StatelessMigrator
from libgomd.errors import CannotMove
from libgomd.model import Counter


@implementer(IMigrator)
class NoMigrator(StatelessMigrator):
    """:param reason: why nothing can move here, a clause. Every process shows it as its ``cantmove``."""

    kind = "none"

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def cannot(self) -> str:
        """See `IMigrator.cannot`."""
        return self._reason

    async def check(self) -> str:
        """See `IMigrator.check`."""
        return self._reason

    async def reasons(self, subject: MigrationSubject, node: int) -> Sequence[str]:
        """See `IMigrator.reasons`."""
        return [self._reason]

    async def migrate(self, subject: MigrationSubject, node: int) -> MoveCost | None:
        """See `IMigrator.migrate`. Always raises `CannotMove`."""
        raise CannotMove(self._reason)

    def join(self, node: int, stream: Any) -> None:
        """See `IMigrator.join`. The stream is closed: this node takes part in no migration."""
        stream.close()

    def counters(self) -> Iterable[Counter]:
        """See `IMigrator.counters`."""
        return ()
