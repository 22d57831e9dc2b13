"""Rows as a daemon sends them, for tests of screens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gom.monitor.feed import Feed, Snapshot, Wanted
from gom.monitor.rows import Event, Node, Process
from gom.monitor.subscription import Round
from gom.monitor.table import KEY_FIELDS, NodeRows, Table, fields, read_round

GB = 1 << 30


def a_process(pid: int, node: int = 1, **given: Any) -> Process:
    """Return a process; its home is its node unless said."""
    home = given.pop("home", node)
    values: dict[str, Any] = {
        "ppid": 0, "user": "ada", "state": "S", "cpu_percent": 0.0, "cpu_seconds": 1.0, "rss": 1000,
        "nice": 0, "threads": 1, "command": f"prog{pid}",
    }  # fmt: skip
    values |= given
    return Process(f"{home}-{pid}-9", node, home, pid, **values)


def a_node(number: int, **values: Any) -> Node:
    """Return a node that is up."""
    values = {"up": True, "status": 3, "load": 50, "speed": 15000, "cpus": 2, "mem": 3 * GB, "tmem": 4 * GB,
              "rmem": GB} | values  # fmt: skip
    return Node(number, f"n{number}", **values)


def row(process: Process, sort: str = "cpu", *, sender: int | None = None, **more: Any) -> dict[str, Any]:
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
    processes: Sequence[Process], sort: str = "cpu", matched: int | None = None, at: float = 0.0
) -> Table:
    """Return the table of these processes, which came at a moment."""
    count = Counter(process.node for process in processes)
    rows = [row(process, sort, matched=matched or count[process.node]) for process in processes]
    smallest_first = sort == "pid"

    def rank(each: dict[str, Any]) -> tuple[int, bool, float]:
        values = [each[name] for name in KEY_FIELDS[sort] if each[name] is not None]
        return int(each["from"]), not values, sum(values) if smallest_first else -sum(values)

    rows.sort(key=rank)
    return Table(sort, read_round(round_of(rows), sort, at, {}), at)


class ScriptedFeed(Feed):
    """A feed without threads: a test says what it knows."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.now = snapshot
        self.wants: list[Wanted] = []

    def start(self) -> None:
        """See `Feed.start`."""

    def stop(self) -> None:
        """See `Feed.stop`."""

    def snapshot(self) -> Snapshot:
        """See `Feed.snapshot`."""
        return self.now

    def want(self, wanted: Wanted) -> None:
        """Keep what is wanted."""
        self.wants.append(wanted)


def a_snapshot(
    processes: Sequence[Process], *, nodes: Sequence[Node] = (), at: float = 1.0, **values: Any
) -> Snapshot:
    """Return a snapshot with a table of these processes."""
    wanted = values.pop("wanted", Wanted())
    matched = values.pop("matched", None)
    given = {"table": a_table(processes, wanted.sort, matched, at), "wanted": wanted, "role": "admin",
             "nodes": tuple(nodes) or (a_node(1), a_node(2)), "nodes_at": at, "jobs": 1,
             "events": (Event(5.0, "join", 2, "n2", "up at 10.0.0.2"),)} | values  # fmt: skip
    return Snapshot(at, **given)


__all__ = ["NodeRows", "ScriptedFeed", "a_node", "a_process", "a_snapshot", "a_table", "round_of", "row"]
