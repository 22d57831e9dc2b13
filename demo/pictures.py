"""
Makes the pictures of the live screens that the documentation shows: `make pictures`.

The screens are the real ones, in textual without a terminal. The cluster is made up, and the same each time,
so that a picture changes only when its screen does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

from gom.monitor.feed import ClusterFeed, ClusterState, ProcessQuery
from gom.monitor.mon_model import ClusterView, presentable
from gom.monitor.mon_moves import Move
from gom.monitor.mon_program import MonProgram
from gom.monitor.mon_view import Metric, View
from gom.monitor.program import ScreenProgram
from gom.monitor.rows import BLOCK, EventRow, NodeRow
from gom.monitor.screen import Shell
from gom.monitor.subscription import DaemonEndpoints
from gom.monitor.table import MergedTable, fields, read_round
from gom.monitor.top_screen import TopScreen

#: The moment of all pictures: a wall clock in seconds since the epoch, and a monotonic one.
NOW: Final = 1_764_367_500.0
AT: Final = 1000.0
GIB: Final = 1 << 30
MIB: Final = 1 << 20
UP: Final = 3
NAMES: Final = (
    "ada", "babbage", "curie", "dijkstra", "euler", "fermi", "gauss", "hopper", "iverson", "jordan", "kelvin",
    "lovelace",
)  # fmt: skip
#: Loads in hundredths of a busy standard processor; of `gauss`, which is down, none.
LOADS: Final = (24, 88, 51, 8, 37, 142, 0, 31, 45, 22, 40, 70)
#: What runs, with its user and the share of a processor.
COMMANDS: Final = (
    ("./simulate --grid 512 --steps 40000", "ada", 99.6),
    ("/usr/bin/python3 train.py --epochs 90 --data runs/7", "grace", 97.2),
    ("ffmpeg -i lecture-12.mkv -c:v libx265 lecture-12.mp4", "emmy", 96.8),
    ("make -j4 -C linux-6.12", "linus", 88.1),
    ("cc1 -O2 -o sched.o kernel/sched/core.c", "linus", 71.4),
    ("R --no-save --file=bootstrap.R", "ronald", 64.0),
    ("postgres: checkpointer", "postgres", 12.5),
    ("blastp -query proteins.fa -db nr -num_threads 2", "rosalind", 98.9),
    ("xz -9 -T1 archive-2025.tar", "ada", 99.1),
    ("/usr/bin/node server.js", "tim", 4.2),
    ("sshd: grace@pts/0", "grace", 0.4),
    ("/usr/sbin/nginx: worker process", "www-data", 1.8),
)


def nodes() -> tuple[NodeRow, ...]:
    """Return twelve nodes: one is down, one refuses guests, one has said nothing new for a while."""
    found = []
    for number, (name, load) in enumerate(zip(NAMES, LOADS, strict=True), 1):
        address = f"10.0.0.{number}"
        if name == "gauss":
            found.append(NodeRow(number, name, address, 1, False))
            continue
        cpus, total = (4, 16) if number % 3 else (8, 32)
        speed = 21000 if number % 2 else 30000
        free = int(total * GIB * (0.15 + number * 37 % 60 / 100))
        status = UP | (BLOCK if name == "iverson" else 0)
        age = 21.0 if name == "kelvin" else 0.6
        found.append(
            NodeRow(number, name, address, status, True, load, speed, cpus, 100 * cpus - 3, free, free // 2,
                 total * GIB, age)
        )  # fmt: skip
    return presentable(found)


def many_nodes(count: int) -> tuple[NodeRow, ...]:
    """Return a large cluster: some nodes are busy, a few are down or refuse guests."""
    random = Random(42)  # noqa: S311 - the same numbers each time
    found = []
    for number in range(1, count + 1):
        address = f"10.1.{number >> 8}.{number & 255}"
        if random.random() < 0.03:
            found.append(NodeRow(number, f"rack{number:03}", address, 1, False))
            continue
        status = UP | (BLOCK if random.random() < 0.03 else 0)
        load = int(60 * random.random() ** 2 + 50 * (number // 40 % 2))
        found.append(
            NodeRow(number, f"rack{number:03}", address, status, True, load, 21000, 16, 1590,
                 20 * GIB, 18 * GIB, 64 * GIB, 0.8)
        )  # fmt: skip
    return presentable(found)


MOVES: Final = (
    Move(6, 4, NOW - 4.0, 6, 31, "of ada: ./simulate --grid 512"),
    Move(2, 10, NOW - 19.0, 2, 12, "of emmy: ffmpeg -i lecture-12.mkv"),
    Move(12, 8, NOW - 47.0, 12, 7, "of ronald: R --no-save"),
)


class Still:
    """A cluster that does not change."""

    def __init__(self, cluster: ClusterView) -> None:
        self._cluster = cluster

    def start(self) -> None:
        """Nothing has to be followed."""

    def stop(self) -> None:
        """Nothing was."""

    def cluster(self) -> ClusterView:
        """Return it."""
        return self._cluster


class StillFeed(ClusterFeed):
    """Processes that do not change."""

    def __init__(self, snapshot: ClusterState) -> None:
        self._still = snapshot

    def start(self) -> None:
        """Nothing has to be followed."""

    def stop(self) -> None:
        """Nothing was."""

    def snapshot(self) -> ClusterState:
        """Return them."""
        return self._still

    def want(self, wanted: ProcessQuery) -> None:
        """Nothing else is there."""


def mon(cluster: ClusterView, view: View) -> ScreenProgram:
    """Return `gom mon` with this cluster."""
    return MonProgram(lambda changed: Still(cluster), view, lambda: NOW)


def processes() -> list[dict[str, Any]]:
    """Return rows as the nodes send them, the busiest first on each node."""
    found = []
    for node in nodes():
        if not node.up:
            continue
        for place in range(4):
            command, user, percent = COMMANDS[(node.id * 5 + place * 7) % len(COMMANDS)]
            pid = 800 + 391 * node.id + 57 * place
            home = 6 if node.id == 4 and place == 0 else node.id
            values: Mapping[str, Any] = {
                "node": node.id, "home": home, "pid": pid, "ppid": 1, "user": user,
                "state": "R" if percent > 50 else "S", "cpu_percent": max(0.1, percent - 3.1 * place),
                "cpu_seconds": 37.0 * percent + node.id, "rss": (20 + 9 * int(percent)) * MIB,
                "read_rate": None, "write_rate": None, "nice": 0, "threads": 1 + place,
                "start_time": NOW - 3600.0, "nmigs": int(home != node.id), "lock": place == 3,
                "cantmove": "" if percent > 60 else "foreign", "stuck": False, "command": command,
                "identity": f"{home}-{pid}-{pid * 7}",
            }  # fmt: skip
            found.append(
                {"from": node.id, **{name: values.get(name) for name in fields("cpu")}, "matched": 131}
            )
    return found


def top() -> ScreenProgram:
    """Return `gom top` with the same cluster."""
    rows = processes()
    lines = [
        json.dumps({**row, "rows_age": 0, "round": 1, "rows": len(rows)}).encode() for row in rows
    ]  # fmt: skip
    wanted = ProcessQuery()
    table = MergedTable(wanted.sort, read_round(lines, wanted.sort, AT, {}), AT)
    event = EventRow(
        NOW - 4.0, "migrated", 4, "dijkstra", "job 31 of ada moved to node 4: ./simulate", 6, 0.8
    )
    snapshot = ClusterState(AT, nodes(), AT, table, wanted, (event,), 17, "admin", "root")
    feed = StillFeed(snapshot)
    return TopScreen(DaemonEndpoints((), ""), wanted, 1.0, lambda moment: "23:05:00", lambda changed: feed)


#: The size of each picture in cells, its title and what makes its program.
PICTURES: Final[dict[str, tuple[tuple[int, int], str, Callable[[], ScreenProgram]]]] = {
    "top": ((120, 32), "gom top", top),
    "mon": ((110, 30), "gom mon", lambda: mon(ClusterView(nodes(), MOVES, asked=1), View(selected=6))),
    "mon-memory": (
        (110, 30),
        "gom mon -m",
        lambda: mon(ClusterView(nodes(), asked=1), View(metric=Metric.MEMORY)),
    ),
    "mon-map": ((110, 30), "gom mon, 240 nodes", lambda: mon(ClusterView(many_nodes(240), asked=1), View())),
}  # fmt: skip


async def svg(program: ScreenProgram, size: tuple[int, int], title: str) -> str:
    """Return the screen of a program as SVG."""
    shell = Shell(program, {})
    shell.animation_level = "none"
    program.start(shell.news)
    async with shell.run_test(size=size) as pilot:
        await pilot.pause()
        return shell.export_screenshot(title=title)


def main(directory: Path) -> None:
    """Make all pictures below ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, (size, title, make) in PICTURES.items():
        path = directory / f"{name}.svg"
        path.write_text(asyncio.run(svg(make(), size, title)))
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures"))
