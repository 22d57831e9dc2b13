"""Nodes and processes of a moment, from rows of the database."""

from __future__ import annotations

import sqlite3
from typing import Any

from gomd.history.sqlite.scans import Scan, ScannedRow, last_before, plain
from libgomd.model import Node, Process, Status


def node_in(node: int, row: tuple[Any, ...], moment: float) -> Node:
    """Return a node as it was at ``moment``, from a row that begins with its time."""
    at, name, address, status, load, speed, cpus, util, mem, rmem, tmem = row
    age = round(max(0.0, moment - at), 2)

    def whole(value: float | None) -> int | None:
        return None if value is None else round(value)

    return Node(
        node, name, address, Status(status), whole(load), speed, cpus, whole(util), whole(mem), whole(rmem),
        tmem, age,
    )  # fmt: skip


def scan_at(connection: sqlite3.Connection, moment: float) -> Scan | None:
    """Return the last scan that is not later than ``moment``. :raises ValueError: it is damaged."""
    found: list[Scan] = []
    row = connection.execute(
        "SELECT data FROM recent_scans WHERE time <= ? ORDER BY time DESC LIMIT 1", (moment,)
    ).fetchone()
    if row is not None and (scan := last_before(row[0], moment)) is not None:
        found.append(scan)
    row = connection.execute(
        "SELECT data FROM scans WHERE start <= ? ORDER BY start DESC LIMIT 1", (moment,)
    ).fetchone()
    if row is not None and (scan := last_before(plain(row[0]), moment)) is not None:
        found.append(scan)
    return max(found, key=lambda each: each.time, default=None)


def process_in(row: tuple[Any, ...], values: ScannedRow | None) -> Process:
    """Return a process of a row of ``processes``, with what a scan says of it, if anything."""
    (
        _id,
        node,
        identity,
        pid,
        ppid,
        home,
        uid,
        user,
        name,
        command,
        started,
        start_time,
        nmigs,
        where,
        _job,
    ) = row
    if values is None:  # it was there, and used little
        return Process(
            node, home, pid, ppid, uid, user, "?", None, None, None, None, None, None, start_time, where,
            nmigs, False, "", command, started, name=name, identity=identity,
        )  # fmt: skip
    return Process(
        node, home, pid, ppid, uid, user, values.state, values.nice, values.threads, values.cpu_percent,
        values.cpu_seconds, values.rss, values.vsize, start_time, where, nmigs, values.lock, "", command,
        started, values.read_rate, values.write_rate, values.stuck, name=name, identity=identity,
    )  # fmt: skip
