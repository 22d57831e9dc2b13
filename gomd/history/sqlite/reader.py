"""Reads the history: values over time, and the nodes and processes of a moment. Every method blocks."""

from __future__ import annotations

import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Final

from zope.interface import implementer

from gomd.history.answers import Steps, Summed, ValueRows, by_step
from gomd.history.fields import NODE_FIELDS
from gomd.history.moments import KINDS, MAX_EVENTS, NODE_GAP, READ_TIMEOUT, node_in, process_in
from gomd.history.sqlite.file import is_damage
from gomd.history.sqlite.last_scan import scan_at
from gomd.history.sqlite.levels import values_of
from gomd.history.sqlite.numbers import owned_times
from gomd.history.sqlite.pages import page_after
from gomd.history.sqlite.retention import DISTINCT_NODES
from gomd.interfaces import HistoryPage, IHistory, RememberedEvent, RememberedTable
from libgomd.errors import MalformedReply, NotPossible, SourceUnavailable, TimedOut
from libgomd.model import Event, EventKind, HistoryRow, Node, Process, Status
from libgomd.wire.values import decode

#: Seconds that a question waits for a lock where there is no write-ahead log.
BUSY_TIMEOUT: Final = 1.0
_PROCESS_COLUMNS: Final = (
    'id, node, identity, pid, ppid, home, uid, user, name, command, started, start_time, nmigs, "where", job'
)


@implementer(IHistory)
class HistoryReader:
    """
    Reads the file at ``path`` over a connection of its own for each question.

    :param own_id: the id of this node. :param gap: seconds for which a scan answers about a later moment.
    :param refused: gives the reason why the file must not be used, empty when it may.
    :param damaged: is called when a question finds damage.
    """

    def __init__(
        self,
        path: str,
        own_id: int,
        gap: float,
        refused: Callable[[], str] = lambda: "",
        damaged: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._own_id = own_id
        self._gap = gap
        self._refused = refused
        self._damaged = damaged

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection | None]:
        """Give a connection that only reads; None while there is no file."""
        if reason := self._refused():
            raise NotPossible(reason)
        if not os.path.exists(self._path):
            yield None
            return
        end = time.monotonic() + READ_TIMEOUT
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(
                f"file:{_quoted(self._path)}?{_way_to_open(self._path)}",
                uri=True,
                timeout=BUSY_TIMEOUT,
                isolation_level=None,
            )
            connection.set_progress_handler(lambda: time.monotonic() > end, 20_000)
            connection.execute("BEGIN")
            yield connection
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise TimedOut("reading the history takes too long: ask for less of it") from error
            if "no such table" in str(error):  # the first second of a new file
                raise SourceUnavailable("the history has just been begun: ask again in a second") from error
            raise SourceUnavailable(f"the history cannot be read now: {error}") from error
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                self._damaged()
            raise SourceUnavailable(f"the history cannot be read: {error}") from error
        except OSError as error:
            raise SourceUnavailable(f"the history cannot be read now: {error.strerror or error}") from error
        except (ValueError, zlib.error) as error:
            self._damaged()
            raise SourceUnavailable(f"the history is damaged: {error}") from error
        finally:
            if connection is not None:
                connection.close()

    def fields(self, node: int) -> Sequence[str]:
        """See `IHistory.fields`."""
        with self._open() as connection:
            if connection is None or not any(owned_times(connection, node)):
                return () if node == self._own_id else sorted(NODE_FIELDS)
            found = connection.execute("SELECT name FROM fields WHERE id > 0 ORDER BY name")
            return [name for (name,) in found]

    def find_node(self, key: str) -> Node | None:
        """See `IHistory.find_node`."""
        with self._open() as connection:
            if connection is None:
                return None
            for (node,) in connection.execute(DISTINCT_NODES.format(table="nodes")).fetchall():
                row = connection.execute(
                    "SELECT time, name, address, status, load, speed, cpus, util, mem, rmem, tmem FROM nodes "
                    "WHERE node = ? ORDER BY time DESC LIMIT 1",
                    (node,),
                ).fetchone()
                if key in (str(node), row[1]):
                    known = node_in(node, row, row[0])
                    return Node(known.id, known.name, known.address, Status.CONFIGURED)
            return None

    def values(
        self, node: int, fields: Sequence[str], since: float, until: float, points: int
    ) -> Sequence[HistoryRow]:
        """See `IHistory.values`."""
        with self._open() as connection:
            if connection is None or until <= since:
                return ()
            steps = Steps(since, until, (until - since) / points)
            found: list[tuple[int, int, Summed]] = []
            for order, field in enumerate(fields):
                values = values_of(connection, node, field, steps)
                found += [(one[0], order, one) for one in by_step(values, points - 1)]
            if len(fields) > 1:
                found.sort(key=itemgetter(0, 1))
            return ValueRows(found, tuple(fields), steps, node, self._own_id)

    def nodes_at(self, moment: float) -> Sequence[Node]:
        """See `IHistory.nodes_at`."""
        with self._open() as connection:
            if connection is None:
                return ()
            found = []
            for (node,) in connection.execute(DISTINCT_NODES.format(table="nodes")).fetchall():
                row = connection.execute(
                    "SELECT time, name, address, status, load, speed, cpus, util, mem, rmem, tmem FROM nodes "
                    "WHERE node = ? AND time <= ? AND time > ? ORDER BY time DESC LIMIT 1",
                    (node, moment, moment - NODE_GAP),
                ).fetchone()
                if row is not None:
                    found.append(node_in(node, row, moment))
            return found

    def processes_at(self, node: int, moment: float) -> RememberedTable | None:
        """See `IHistory.processes_at`."""
        with self._open() as connection:
            if connection is None:
                return None
            if not any(start <= moment < end for start, end in owned_times(connection, node)):
                return self._of_another(connection, node, moment)
            scan = scan_at(connection, moment)
            if scan is None or moment - scan.time > self._gap:
                return None
            values = {row.number: row for row in scan.rows}
            then = f"SELECT {_PROCESS_COLUMNS} FROM processes WHERE first_seen <= ?2 AND"  # noqa: S608
            found = connection.execute(
                f"{then} ended IS NULL UNION ALL {then} ended > ?2 AND ended IS NOT NULL".replace("?2", "?1"),
                (scan.time,),
            ).fetchall()
            processes = sorted(
                (process_in(row, values.get(row[0])) for row in found), key=lambda each: each.pid
            )
            return RememberedTable(
                node, self._own_id, scan.time, scan.hidden, processes,
                frozenset(row[2] for row in found if row[14]),
            )  # fmt: skip

    def _of_another(self, connection: sqlite3.Connection, node: int, moment: float) -> RememberedTable | None:
        row = connection.execute(
            "SELECT time, hidden, data FROM remembered WHERE node = ? AND time <= ? AND time > ? "
            "ORDER BY time DESC LIMIT 1",
            (node, moment, moment - NODE_GAP),
        ).fetchone()
        if row is None:
            return None
        try:
            said = json.loads(zlib.decompress(row[2]))
            processes = [decode(Process, each) for each in said]
            in_jobs = frozenset(each["identity"] for each in said if each.get("in_job"))
        except (MalformedReply, KeyError, TypeError) as error:
            raise ValueError(f"processes of node {node}: {error}") from error
        return RememberedTable(node, self._own_id, row[0], bool(row[1]), processes, in_jobs)

    def events(self, since: float, until: float, kinds: Collection[str] = ()) -> Sequence[RememberedEvent]:
        """See `IHistory.events`."""
        with self._open() as connection:
            if connection is None:
                return ()
            found = connection.execute(
                "SELECT time, kind, node, name, reason, by, uid, seconds, stopped_seconds, bytes, hidden "
                "FROM events WHERE time >= ?1 AND time <= ?2 "
                "AND (?3 = ',,' OR instr(?3, ',' || kind || ',')) "
                "ORDER BY time DESC, id DESC LIMIT ?4",
                (since, until, f",{','.join(kinds)},", MAX_EVENTS),
            ).fetchall()
            return [
                RememberedEvent(Event(row[0], EventKind(row[1]), *row[2:10]), bool(row[10]))
                for row in reversed(found)
                if row[1] in KINDS
            ]

    def page(self, cursor: str, stream: str) -> HistoryPage:
        """See `IHistory.page`."""
        with self._open() as connection:
            if connection is None:
                return HistoryPage(cursor, False, ())
            return page_after(connection, self._own_id, cursor, stream)


def _way_to_open(path: str) -> str:
    """
    Return how SQLite shall open the file.

    On a disk that is read-only it cannot make the files beside it; without them it reads one that nobody
    writes, and that was closed.
    """
    if os.statvfs(path).f_flag & os.ST_RDONLY and not os.path.exists(f"{path}-wal"):
        return "immutable=1"
    return "mode=ro"


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
