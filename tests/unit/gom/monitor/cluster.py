"""Rows as a daemon sends them, for tests of screens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gom.monitor.feed import ClusterFeed, ClusterState, ProcessQuery
from gom.monitor.rows import EventRow, NodeRow, ProcessRow
from gom.monitor.subscription import Round
from gom.monitor.table import KEY_FIELDS, MergedTable, NodeRows, fields, read_round

GB = 1 << 30


def a_process(pid: int, node: int = 1, **given: Any) -> ProcessRow:
    """Return a process; its home is its node unless said."""
    home = given.pop("home", node)
    values: dict[str, Any] = {
        "ppid": 0, "user": "ada", "state": "S", "cpu_percent": 0.0, "cpu_seconds": 1.0, "rss": 1000,
        "nice": 0, "threads": 1, "command": f"prog{pid}",
    }  # fmt: skip
    values |= given
    return ProcessRow(f"{home}-{pid}-9", node, home, pid, **values)


def a_node(number: int, **values: Any) -> NodeRow:
    """Return a node that is up."""
    values = {"up": True, "status": 3, "load": 50, "speed": 15000, "cpus": 2, "mem": 3 * GB, "tmem": 4 * GB,
              "rmem": GB} | values  # fmt: skip
    return NodeRow(number, f"n{number}", **values)


def row(process: ProcessRow, sort: str = "cpu", *, sender: int | None = None, **more: Any) -> dict[str, Any]:
    """Return the row of a process, as `ps` with the fields of `gom top` gives it."""
    values = {name: getattr(process, name) for name in fields(sort)}
    return {"from": process.node if sender is None else sender, **values, **more}


def round_of(rows: Sequence[dict[str, Any]], number: int = 1, age: float = 0) -> Round:
    """Return the lines of one round."""
    lines = []
    for each in rows:
        tail: dict[str, Any] = {"round": number, "rows": len(rows)}
        if "code" not in each and "left" not in each:
            tail = {"rows_age": age} | tail
        lines.append(json.dumps(each | tail).encode())
    return lines


def a_table(
    processes: Sequence[ProcessRow], sort: str = "cpu", matched: int | None = None, at: float = 0.0
) -> MergedTable:
    """Return the table of these processes, which came at a moment."""
    count = Counter(process.node for process in processes)
    rows = [row(process, sort, matched=matched or count[process.node]) for process in processes]
    smallest_first = sort == "pid"

    def rank(each: dict[str, Any]) -> tuple[int, bool, float]:
        values = [each[name] for name in KEY_FIELDS[sort] if each[name] is not None]
        return int(each["from"]), not values, sum(values) if smallest_first else -sum(values)

    rows.sort(key=rank)
    return MergedTable(sort, read_round(round_of(rows), sort, at, {}), at)


class ScriptedFeed(ClusterFeed):
    """A feed without threads: a test says what it knows."""

    def __init__(self, snapshot: ClusterState) -> None:
        self.now = snapshot
        self.wants: list[ProcessQuery] = []

    def start(self) -> None:
        """See `ClusterFeed.start`."""

    def stop(self) -> None:
        """See `ClusterFeed.stop`."""

    def snapshot(self) -> ClusterState:
        """See `ClusterFeed.snapshot`."""
        return self.now

    def want(self, wanted: ProcessQuery) -> None:
        """Keep what is wanted."""
        self.wants.append(wanted)


def a_snapshot(
    processes: Sequence[ProcessRow], *, nodes: Sequence[NodeRow] = (), at: float = 1.0, **values: Any
) -> ClusterState:
    """Return a snapshot with a table of these processes."""
    wanted = values.pop("wanted", ProcessQuery())
    matched = values.pop("matched", None)
    given = {"table": a_table(processes, wanted.sort, matched, at), "wanted": wanted, "role": "admin",
             "nodes": tuple(nodes) or (a_node(1), a_node(2)), "nodes_at": at, "jobs": 1,
             "events": (EventRow(5.0, "join", 2, "n2", "up at 10.0.0.2"),)} | values  # fmt: skip
    return ClusterState(at, **given)


__all__ = ["NodeRows", "ScriptedFeed", "a_node", "a_process", "a_snapshot", "a_table", "round_of", "row"]
