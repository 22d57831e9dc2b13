"""Writes rows into an open database: samples, scans, nodes, events, jobs. Every method blocks."""

from __future__ import annotations

import json
import sqlite3
import zlib
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gomd.history.fields import NODE_FIELDS
from gomd.history.sqlite.merging import MERGE_SAMPLES, MERGE_SCANS, TIME_FIELD, merge_samples, merge_scans
from gomd.history.sqlite.numbers import Numbers
from gomd.history.sqlite.scans import KEPT_FOR_MEMORY, KEPT_PROCESSES, busiest, encode_scan
from gomd.interfaces import RememberedTable
from libgomd.model import Event, Job, Node, Process, ProcessTable
from libgomd.wire.values import encode

#: Characters of a command line that are kept.
MAX_COMMAND: Final = 512
#: The values of a node that are kept as smallest, mean and largest of a minute; the others as the last one.
RANGED: Final = ("load", "util", "mem", "rmem")


class Tables:
    """
    The tables of one open database. A transaction that was rolled back needs a new object.

    :param own_id: the id of this node.
    """

    def __init__(self, connection: sqlite3.Connection, own_id: int) -> None:
        self._connection = connection
        self._own_id = own_id
        self._number = Numbers(connection).next
        run = connection.execute
        run("INSERT OR IGNORE INTO fields VALUES (?, 'time')", (TIME_FIELD,))
        self._fields: dict[str, int] = {name: number for number, name in run("SELECT id, name FROM fields")}
        self._layouts: dict[tuple[str, ...], int] = {
            tuple(names.split(",")): number for number, names in run("SELECT id, fields FROM layouts")
        }
        self._samples: int = run("SELECT count(*) FROM recent").fetchone()[0]
        self._scans: int = run("SELECT count(*) FROM recent_scans").fetchone()[0]
        self._live: dict[str, tuple[int, Process | None, bool]] = {}
        self._users: dict[int, int] = {}  # of processes that the daemon before has seen, by number
        for number, identity, uid in run("SELECT id, identity, uid FROM processes WHERE ended IS NULL"):
            self._live[identity] = (number, None, False)
            self._users[number] = uid
        self._is_first_scan = True
        self._minute = -1
        self._of_minute: dict[int, dict[str, list[float]]] = {}

    def sample(self, time: float, numbers: Mapping[str, float]) -> None:
        """Store one sample."""
        layout = tuple(numbers)
        number = self._layouts.get(layout)
        if number is None:
            number = self._new_layout(layout)
        self._connection.execute(
            "INSERT INTO recent(id, time, layout, data) VALUES (?, ?, ?, ?)",
            (self._number(), round(time, 3), number, array("d", numbers.values()).tobytes()),
        )
        self._samples += 1

    def _new_layout(self, layout: tuple[str, ...]) -> int:
        for name in layout:
            if name not in self._fields:
                self._fields[name] = self._insert("INSERT INTO fields(name) VALUES (?)", name)
        number = self._insert("INSERT INTO layouts(fields) VALUES (?)", ",".join(layout))
        self._layouts[layout] = number
        return number

    def merge(self) -> bool:
        """Merge samples and scans when there are enough of them; return whether that was done."""
        done = False
        if self._samples >= MERGE_SAMPLES:
            by_number = {
                number: tuple(self._fields[name] for name in layout)
                for layout, number in self._layouts.items()
            }
            self._samples = merge_samples(self._connection, by_number, self._number)
            done = True
        if self._scans >= MERGE_SCANS:
            merge_scans(self._connection)
            self._scans = 0
            done = True
        return done

    def scan(self, node: Node, table: ProcessTable, hidden: bool, in_jobs: frozenset[str]) -> None:
        """Store a scan: processes that began or ended since the last one, and the values of the busiest."""
        now = round(table.taken_at, 3)
        if self._is_first_scan:
            self._end_lost(table, now)
        live: dict[str, tuple[int, Process | None, bool]] = {}
        others: list[tuple[int, Process | None, bool]] = []
        for process in table.processes:
            identity = process.identity
            known, in_job = self._live.get(identity), identity in in_jobs
            if known is None or self._user_of(known) != process.uid:
                # What it did as another user stays that user's: whoever has it now may not see it.
                if known is not None:
                    others.append(known)
                number = self._born(node, process, now, in_job)
            else:
                number, old, was_in_job = known
                if was_in_job is not in_job or (
                    old is not process and (old is None or _lasting(old) != _lasting(process))
                ):
                    self._changed(number, process, in_job)
            live[identity] = (number, process, in_job)
        ended = [
            (now, None if old is None else old.cpu_seconds, self._number(), number)
            for number, old, _in_job in (
                *others, *(known for identity, known in self._live.items() if identity not in live)
            )
        ]  # fmt: skip
        self._connection.executemany(
            "UPDATE processes SET ended = ?, cpu_seconds = ?, change = ? WHERE id = ?", ended
        )
        self._live, self._users = live, {}
        kept = busiest(table.processes, KEPT_PROCESSES, KEPT_FOR_MEMORY)
        rows = [(live[process.identity][0], process) for process in kept]
        self._connection.execute(
            "INSERT INTO recent_scans(id, time, data) VALUES (?, ?, ?)",
            (self._number(), now, encode_scan(now, hidden, rows)),
        )
        self._scans += 1

    def _user_of(self, known: tuple[int, Process | None, bool]) -> int | None:
        number, process, _in_job = known
        return self._users.get(number) if process is None else process.uid

    def _end_lost(self, table: ProcessTable, now: float) -> None:
        """Processes that ended while no daemon ran ended after the last scan of the daemon before."""
        self._is_first_scan = False
        there = {process.identity for process in table.processes}
        gone = [number for identity, (number, *_rest) in self._live.items() if identity not in there]
        if not gone:
            return
        [last] = self._connection.execute(
            "SELECT max((SELECT ifnull(max(time), 0) FROM recent_scans), "
            "(SELECT ifnull(max(finish), 0) FROM scans))"
        ).fetchone()
        end = min(now, last + 0.001) if last else now
        self._connection.executemany(
            "UPDATE processes SET ended = ?, change = ? WHERE id = ?",
            [(end, self._number(), number) for number in gone],
        )
        self._live = {key: value for key, value in self._live.items() if key in there}

    def _born(self, node: Node, process: Process, now: float, in_job: bool) -> int:
        return self._insert(
            "INSERT INTO processes(node, identity, pid, ppid, home, uid, user, name, command, started, "
            'start_time, nmigs, "where", job, first_seen, change) '
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            node.id, process.identity, process.pid, process.ppid, process.home, process.uid, process.user,
            process.name, process.command[:MAX_COMMAND], process.started, process.start_time, process.nmigs,
            process.where, in_job, now, self._number(),
        )  # fmt: skip

    def _changed(self, number: int, process: Process, in_job: bool) -> None:
        # A process that ends has no command line any more, only its name in brackets: the old one stays.
        ending = process.command.startswith("[") and process.command.endswith("]")
        self._connection.execute(
            "UPDATE processes SET ppid = ?, uid = ?, user = ?, name = ?, "
            "command = CASE WHEN ? THEN command ELSE ? END, nmigs = ?, "
            '"where" = ?, job = ?, change = ? WHERE id = ?',
            (
                process.ppid, process.uid, process.user, process.name, ending, process.command[:MAX_COMMAND],
                process.nmigs, process.where, in_job, self._number(), number,
            ),
        )  # fmt: skip

    def nodes(self, nodes: Sequence[Node], now: float) -> None:
        """Store what is known of all nodes in this minute, with what was said earlier in it."""
        minute = int(now // 60) * 60
        if minute != self._minute:
            self._minute, self._of_minute = minute, {}
            self._connection.execute("INSERT INTO looks VALUES (?, ?)", (self._number(), minute))
        self._connection.executemany(
            "INSERT OR REPLACE INTO nodes "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [self._node_row(node, minute) for node in nodes],
        )

    def end_minute(self) -> None:
        """Let the newest minute be over for those who collect: no row of it comes any more."""
        self._insert("INSERT INTO looks VALUES (?, ?)", self._number(), -1)

    def _node_row(self, node: Node, minute: int) -> tuple[Any, ...]:
        said = self._of_minute.setdefault(node.id, {})
        row: list[Any] = [node.id, minute, node.name, node.address, int(node.status)]
        for name in NODE_FIELDS:
            value = getattr(node, name)
            if name not in RANGED:
                row.append(value)
                continue
            sums = said.get(name)
            if value is not None:
                sums = said[name] = (
                    [value, value, 1, value]
                    if sums is None
                    else [min(sums[0], value), sums[1] + value, sums[2] + 1, max(sums[3], value)]
                )
            row += (None, None, None) if sums is None else (sums[0], round(sums[1] / sums[2], 2), sums[3])
        return tuple(row)

    def event(self, event: Event, hidden: bool) -> None:
        """Store an event."""
        self._insert(
            "INSERT INTO events(id, time, kind, node, name, reason, by, uid, seconds, stopped_seconds, "
            "bytes, hidden) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._number(), event.time, event.kind.value, event.node, event.name, event.reason, event.by,
            event.uid, event.seconds, event.stopped_seconds, event.bytes, hidden,
        )  # fmt: skip

    def jobs(self, jobs: Sequence[Job]) -> None:
        """Store jobs as they are now."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    job.home, job.job, job.started, job.node, job.pid, job.user, job.uid, job.state.value,
                    job.exit, job.command[:MAX_COMMAND], job.ended, job.reason, job.nmigs, job.identity,
                    self._number(),
                )
                for job in jobs
            ],
        )  # fmt: skip

    def remembered(self, table: RememberedTable) -> None:
        """Store the busiest processes of another node."""
        rows = [{**encode(each), "in_job": each.identity in table.in_jobs} for each in table.processes]
        data = zlib.compress(json.dumps(rows).encode(), 6)
        self._insert(
            "INSERT OR REPLACE INTO remembered VALUES (?, ?, ?, ?, ?)",
            table.node, round(table.taken_at, 3), table.hidden, data, self._number(),
        )  # fmt: skip

    def mark(self, name: str, now: float) -> None:
        """Store a mark."""
        self._insert("INSERT INTO marks(id, time, name) VALUES (?, ?, ?)", self._number(), now, name)

    def _insert(self, statement: str, *values: Any) -> int:
        number = self._connection.execute(statement, values).lastrowid
        assert number is not None
        return number


def _lasting(process: Process) -> tuple[Any, ...]:
    return (
        process.ppid, process.uid, process.user, process.name, process.command, process.nmigs, process.where
    )  # fmt: skip
