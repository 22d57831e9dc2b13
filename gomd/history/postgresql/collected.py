"""
What a collector stores in the database: pages of nodes' histories, each with its cursor in one transaction.

Theory of operation. The table ``cursors`` has, for each node and stream, the cursor of the last page that
was stored, and which collector may store the next one: a lease of half a minute, by the database's clock. A
page is stored together with its cursor, and only if the cursor is still the one that the page was asked with.
So a page is stored once or not at all, whatever ends in mid-write: this daemon, the server, or the way
between. Of two collectors each takes the nodes that the other one does not have, and all of them when the
other is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import ClassVar, Final, TypeVar

import psycopg
from psycopg import errors
from twisted.logger import Logger
from zope.interface import implementer

from gomd.history.postgresql.connecting import (
    Breaker,
    Connect,
    Connection,
    DatabaseAway,
    DatabaseUnusable,
    reason_of,
)
from gomd.history.postgresql.partitions import expire
from gomd.history.postgresql.schema import upgrade
from gomd.history.postgresql.storing import LEASE, PageStore
from gomd.interfaces import AskedPage, ICollectedHistory
from libgomd.errors import NotPossible, SourceUnavailable
from libgomd.wallclock import Wall

R = TypeVar("R")
#: Seconds that one statement may take.
STATEMENT_TIMEOUT: Final = 30.0
#: Seconds by which the clocks of this node and of the database may differ for old rows to be removed.
MAX_SKEW: Final = 3600.0
#: Errors of a page, not of the database.
_NOT_TAKEN: Final = (
    psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded, OverflowError, RecursionError,
    ValueError, TypeError,
)  # fmt: skip


@implementer(ICollectedHistory)
class CollectedHistory:
    """
    Stores pages. Every method blocks; one thread at a time may use an object.

    :param own_id: id of this node, the collector. :param connect: makes a connection.
    :param wall: gives the time of this node.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, own_id: int, connect: Connect, wall: Wall) -> None:
        self._own_id = own_id
        self._connect = connect
        self._wall = wall
        self._connection: Connection | None = None
        self._breaker: Breaker | None = None
        self._busy = Lock()
        self._closed = False
        self._pages = PageStore(own_id, wall)

    def lease(self, nodes: Sequence[int], stream: str) -> Mapping[int, str]:
        """See `ICollectedHistory.lease`."""
        return self._run(lambda connection: self._lease(connection, nodes, stream))

    def _lease(self, connection: Connection, nodes: Sequence[int], stream: str) -> Mapping[int, str]:
        with connection.transaction():
            found = connection.execute(
                "INSERT INTO gomd.cursors AS known (node, stream, cursor, collector, lease) "
                "SELECT node, %s, '', %s, now() + make_interval(secs => %s) FROM unnest(%s::int[]) AS node "
                "ORDER BY node ON CONFLICT (node, stream) DO UPDATE "
                "SET collector = EXCLUDED.collector, lease = EXCLUDED.lease "
                "WHERE known.collector = EXCLUDED.collector OR known.lease < now() RETURNING node, cursor",
                (stream, self._own_id, LEASE, list(nodes)),
            ).fetchall()
        return dict(found)

    def store(self, pages: Sequence[AskedPage]) -> Sequence[int | None]:
        """See `ICollectedHistory.store`."""
        try:
            return self._run(lambda connection: self._pages.store(connection, pages))
        except _NOT_TAKEN as error:
            if len(pages) > 1:  # find out which one it is
                return [stored for page in pages for stored in self.store([page])]
            # A page that the database does not take would stop this node's stream for ever.
            [page] = pages
            self._log.error(
                "a page of node {node} was left out, because the database does not take it: {error}",
                node=page.node, error=reason_of(error),
            )  # fmt: skip
            empty = page._replace(page=page.page._replace(lines=()))
            return self._run(lambda connection: self._pages.store(connection, [empty]))

    def expire(self) -> int:
        """See `ICollectedHistory.expire`."""
        return self._run(self._expire)

    def _expire(self, connection: Connection) -> int:
        row = connection.execute("SELECT extract(epoch FROM now())").fetchone()
        assert row is not None
        theirs, own = float(row[0]), self._wall()
        connection.commit()
        if abs(theirs - own) > MAX_SKEW:
            self._log.warn(
                "nothing old is removed from the database: its clock is {seconds:.0f} s from this node's",
                seconds=theirs - own,
            )
            return 0
        try:
            return expire(connection, theirs)
        finally:
            self._pages.forget()

    def close(self) -> None:
        """See `ICollectedHistory.close`."""
        self._closed = True
        if self._busy.acquire(blocking=False):
            try:
                self._disconnect()
            finally:
                self._busy.release()
        elif (breaker := self._breaker) is not None:
            breaker.break_off()  # its thread may wait for a server that is silent, and would do so for ever

    def _disconnect(self) -> None:
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except psycopg.Error:
                pass  # it is gone

    def _run(self, work: Callable[[Connection], R]) -> R:
        """Do some work on the connection, which is made if there is none. Errors close it."""
        with self._busy:
            try:
                return self._try(work)
            finally:
                if self._closed:
                    self._disconnect()

    def _try(self, work: Callable[[Connection], R]) -> R:
        try:
            if self._connection is None:
                self._connection = self._connect(STATEMENT_TIMEOUT)
                self._breaker = Breaker(self._connection)
                self._connection.autocommit = True
                upgrade(self._connection)
            return work(self._connection)
        except DatabaseUnusable as error:
            self._disconnect()
            raise NotPossible(f"the database cannot be used: {error}") from error
        except DatabaseAway as error:
            self._disconnect()
            raise SourceUnavailable(f"the database cannot be used now: {error}") from error
        except _NOT_TAKEN:
            raise
        except (psycopg.Error, OSError) as error:
            self._disconnect()
            raise SourceUnavailable(f"the database cannot be used now: {reason_of(error)}") from error
