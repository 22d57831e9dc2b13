"""
Prepares the freeze of a job while it is looked at, and offered to the other node.

The directory of its images is made, and the job's supervisor starts what it needs to freeze the job. Nothing
is done with the job. If nothing comes of it, all of that is ended again.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from gomd.jobs.checkpoint.criu import TlsFiles
from gomd.jobs.migration.context import MigrationContext
from libgomd.errors import CannotMove

#: The side whose images are in the directory.
ROLE = "source"


class FreezePreparation:
    """
    One migration. `begin` it, then `take` what was prepared; call `end` in any case.

    :param migration: its id. :param job: name of the job.
    """

    def __init__(self, context: MigrationContext, migration: str, job: str) -> None:
        self.migration = migration
        self._context = context
        self._job = job
        self._made: Deferred[tuple[str, TlsFiles]] | None = None
        self._taken = False
        self._ended = False

    def begin(self) -> None:
        """Begin. Never raises: what fails is told by `take`."""
        self._made = Deferred.fromCoroutine(self._prepare())

    async def take(self) -> tuple[str, TlsFiles]:
        """
        Return the directory and the certificates, as soon as they are there. It is the caller's from now on.

        :raises CannotMove: the disk does not allow it, or `end` was called.
        """
        self._taken = True
        made = self._made
        if made is None:
            made = Deferred.fromCoroutine(self._prepare())
        return await made

    async def end(self) -> None:
        """End what was prepared, unless it was taken, and wait until nothing is left of it. Never raises."""
        if self._taken or self._ended:
            return
        self._ended = True
        made = self._made
        if made is not None:
            self._context.jobs.forgo_freeze(self._job)
            gone: Deferred[None] = Deferred()
            made.addBoth(lambda _result: self._context.in_background(self._remove(gone)))
            await gone

    async def _prepare(self) -> tuple[str, TlsFiles]:
        context = self._context
        tls = await context.certificates()
        directory = await context.images.make(self.migration, ROLE)
        if self._ended:
            raise CannotMove("it stays here")
        context.jobs.await_freeze(self._job, context.criu, directory, tls)
        return directory, tls

    async def _remove(self, gone: Deferred[None]) -> None:
        try:
            await self._context.images.remove(self.migration, ROLE)
        finally:
            gone.callback(None)
