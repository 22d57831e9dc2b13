"""
The migrator of criu for a daemon that may never move a job: the code behind it is loaded when it is needed.

It takes more than two megabytes of memory. It is needed as soon as a job runs here, when another node opens a
stream for one, and when somebody asks about moves; at the start, when an earlier daemon has left something
unsettled. Everything that a move uses is loaded at once, so that no import is left for the time in which a
process stands still.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import IMigrator, IThreads, MigrationSubject, MoveCost
from gomd.jobs.migration.counts import migration_counters
from libgomd.errors import CannotMove, GomdError
from libgomd.model import Counter

#: Seconds that reading the code from the disk may take.
LOAD_TIMEOUT: Final = 60.0


@implementer(IMigrator)
class MigrationsOnDemand:
    """
    :param threads: on which the code is loaded while the daemon runs.
    :param load_code: imports it. Blocks; raises ImportError, or `GomdError` when it must not be loaded.
    :param make: returns the migrator, once the code is loaded.
    :param has_leftovers: tells whether an earlier daemon has left anything about migrations. Blocks briefly.
    """

    kind = "criu"
    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        threads: IThreads,
        load_code: Callable[[], None],
        make: Callable[[], IMigrator],
        has_leftovers: Callable[[], bool],
    ) -> None:
        self._threads = threads
        self._load_code = load_code
        self._make = make
        self._has_leftovers = has_leftovers
        self._made: IMigrator | None = None
        self._running = False

    # -- the daemon's start and end

    def load(self) -> tuple[frozenset[str], frozenset[str]]:
        """See `IMigrator.load`."""
        if self._made is None and self._has_leftovers():
            self._load_code()
            self._made = self._make()
        if self._made is None:
            return frozenset(), frozenset()
        unsettled: tuple[frozenset[str], frozenset[str]] = self._made.load()
        return unsettled

    def start(self) -> None:
        """See `IMigrator.start`."""
        self._running = True
        if self._made is not None:
            self._made.start()

    def stop(self) -> None:
        """See `IMigrator.stop`."""
        self._running = False
        if self._made is not None:
            self._made.stop()

    def node_down(self, node: int) -> None:
        """See `IMigrator.node_down`."""
        if self._made is not None:
            self._made.node_down(node)

    # -- when it is needed

    def job_came(self) -> None:
        """
        Load the code, for a job that this daemon has begun to track. Does not block and never raises while
        the daemon runs; before that it blocks, because the jobs of an earlier daemon are found again.
        """
        if self._made is not None:
            return
        if self._running:
            Deferred.fromCoroutine(self._expect_moves())
        else:
            self._load_code()
            self._made = self._make()
            self._made.load()

    async def _expect_moves(self) -> None:
        """Load the code. Never raises: whoever asks for a move is told what is wrong."""
        try:
            await self._ready()
        except GomdError as error:
            self._log.warn("jobs cannot be moved now: {error}", error=error)

    async def _ready(self) -> IMigrator:
        """Return the migrator, made if need be. :raises CannotMove: its code cannot be loaded."""
        if self._made is None:
            try:
                await self._threads.run(LOAD_TIMEOUT, self._load_code)
            except CannotMove:
                raise
            except GomdError as error:
                raise CannotMove(str(error)) from error
            except ImportError as error:
                raise CannotMove(f"this installation of gomd is broken, install it again: {error}") from error
            if not self._running:
                raise CannotMove("this daemon is stopping")
        if self._made is None:  # else another caller has made it meanwhile
            made = self._make()
            try:
                made.load()
            except OSError as error:
                raise CannotMove(f"the journal of migrations cannot be read: {error}") from error
            made.start()
            self._made = made
        return self._made

    def join(self, node: int, stream: Any) -> None:
        """See `IMigrator.join`. Nothing is read from the stream until the code is loaded."""
        if self._made is not None:
            self._made.join(node, stream)
        else:
            stream.pause_reading(True)
            Deferred.fromCoroutine(self._join(node, stream))

    async def _join(self, node: int, stream: Any) -> None:
        try:
            migrator = await self._ready()
        except GomdError as error:
            self._log.warn("no job can come from node {node} now: {error}", node=node, error=error)
            stream.close()
        else:
            if not stream.gone:
                migrator.join(node, stream)

    # -- what is asked

    def cannot(self) -> str:
        """See `IMigrator.cannot`. Nothing is known before the code is loaded."""
        return "" if self._made is None else str(self._made.cannot())

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
        return migration_counters() if self._made is None else self._made.counters()
