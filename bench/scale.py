"""
Measures what one daemon costs as its node and its cluster grow: 10,000 processes, 1,000 running jobs, and a
cluster of 500 nodes in memory (`bench.big_cluster`).

For each size: the median time of an answer that one client asks for again and again, what another client
waits for `load` meanwhile, and the daemon's memory. Sizes grow tenfold, so that the table shows whether the
cost grows faster than the size.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from bench.big_cluster import heard, serve
from bench.repeating import Waits, waits
from bench.rows import Row, limit, row, unmeasured
from bench.servers import echo, memory_of
from bench.sleepers import sleepers
from libgomd import blocking
from tests.integration.daemon import Daemon
from tests.integration.jobs import until

PROCESSES: Final = (100, 1_000, 10_000)
JOBS: Final = (10, 100, 1_000)
NODES: Final = (10, 100, 500)
#: Seconds for which each question is asked, and until the daemon has scanned what is new.
ASKED_SECONDS: Final = 5.0
SETTLE_SECONDS: Final = 6.0
#: Milliseconds that the honest client's 99th percentile may be above that of the echo.
HONEST_LIMIT: Final = 10.0
#: How much faster than the size the time of an answer may grow from the second size to the last one.
GROWTH_LIMIT: Final = 1.5
TOP: Final = "ps --top 20"


class Point(NamedTuple):
    """What was measured at one size: the waits of each question, and the daemon's memory in bytes."""

    size: int
    asked: dict[str, Waits]
    memory: int


def run() -> list[Row]:
    """Measure, print the table of all sizes, and return the rows."""
    with echo() as bare:
        found: list[Row] = []
        for kind, measured in KINDS.items():
            points = []
            for point in measured(bare.port):
                _tell(kind, point)
                points.append(point)
            found += rows_of(kind, points)
    return found


def rows_of(kind: str, points: Sequence[Point]) -> list[Row]:
    """Return the rows of one kind: each size, and how the cost of the last compares with the one before."""
    found = []
    *smaller, before, last = points
    for question in last.asked:
        name = f"`{question}`, {{:,}} {kind}"
        found += [
            unmeasured(name.format(each.size), each.asked[question].answer, "ms", "-", None)
            for each in smaller
        ]
        least = before.asked[question].answer
        found += [
            unmeasured(name.format(before.size), least, "ms", "-", None),
            row(
                name.format(last.size), last.asked[question].answer, "ms", f"with {before.size:,}", least,
                last.size / before.size * GROWTH_LIMIT,
            ),
        ]  # fmt: skip
    worst = max(each.honest - each.echo for each in last.asked.values())
    found.append(
        limit(f"p99 of `load` meanwhile, over an echo's, {last.size:,} {kind}", worst, "ms", HONEST_LIMIT)
    )
    found.append(
        unmeasured(f"memory, {last.size:,} {kind}", last.memory / 1e6, "MB", f"with {points[0].size:,}", None)
        | {"versus_value": round(points[0].memory / 1e6, 1)}
    )
    return found


def _tell(kind: str, point: Point) -> None:
    told = "; ".join(
        f"`{question}` {each.answer:.2f} ms, meanwhile `load` {each.honest:.2f}, an echo {each.echo:.2f} ms"
        for question, each in point.asked.items()
    )
    print(f"{point.size:,} {kind}: {told}; memory {point.memory / 1e6:.1f} MB", flush=True)


def _point(
    size: int, questions: dict[str, int], ask: Callable[[str, int], Waits], memory: Callable[[], int]
) -> Point:
    return Point(size, {question: ask(question, rows) for question, rows in questions.items()}, memory())


# -- a daemon on this machine


@contextmanager
def _daemon() -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with Daemon(directory / "node", "--set", f"jobs.most={2 * JOBS[-1]}") as daemon:
            yield daemon


def with_processes(bare: int) -> Iterator[Point]:
    with ExitStack() as stack:
        daemon = stack.enter_context(_daemon())
        there = 0
        for size in PROCESSES:
            stack.enter_context(sleepers(size - there))
            there = size
            time.sleep(SETTLE_SECONDS)
            yield _point(
                size, {TOP: 20, "ps": size},
                lambda asked, rows: waits(daemon.port, bare, asked, ASKED_SECONDS, rows), daemon.rss,
            )  # fmt: skip


def with_jobs(bare: int) -> Iterator[Point]:
    with _daemon() as daemon:
        there = 0
        try:
            for size in JOBS:
                begun = time.perf_counter()
                with blocking.connect(daemon.unix) as gomd:
                    for _ in range(size - there):
                        gomd.run(["sleep", "3600"], cwd="/", detach=True, limits={}).close()
                until(lambda size=size: len(_running(daemon)) == size)  # type: ignore[misc]
                print(f"{(size - there) / (time.perf_counter() - begun):.1f} jobs started a second")
                there = size
                time.sleep(SETTLE_SECONDS)
                yield _point(
                    size, {TOP: 20, "jobs": size},
                    lambda asked, rows: waits(str(daemon.socket), bare, asked, ASKED_SECONDS, rows),
                    daemon.rss,
                )  # fmt: skip
        finally:
            end_jobs(daemon)


def _running(daemon: Daemon) -> Sequence[int]:
    with daemon.connect_unix() as line:
        line.ask("format json")
        return [found["job"] for found in line.ask("jobs").rows if found["state"] in ("starting", "running")]


def end_jobs(daemon: Daemon) -> None:
    """End all jobs of a daemon: they would outlive it."""
    with daemon.connect_unix() as line:
        for job in _running(daemon):
            line.ask(f"kill {job} KILL")
    until(lambda: not _running(daemon))


# -- a cluster in memory


def with_nodes(bare: int) -> Iterator[Point]:
    """Yield the points of all sizes of cluster; ``bare`` is the port of an echo."""
    context = multiprocessing.get_context("spawn")
    for size in NODES:
        mine, its = context.Pipe()
        server = context.Process(target=serve, args=(heard(size), its))
        server.start()
        try:
            port, pid = mine.recv(), server.pid or 0
            yield _point(
                size, {"nodes": size, TOP: 20, f"@all {TOP}": 20 * size},
                lambda asked, rows, port=port: waits(port, bare, asked, ASKED_SECONDS, rows),  # type: ignore[misc]
                lambda pid=pid: memory_of(pid),  # type: ignore[misc]
            )  # fmt: skip
        finally:
            server.kill()
            server.join()


#: What grows, and what yields the points of all its sizes, given the port of an echo.
KINDS: Final[dict[str, Callable[[int], Iterator[Point]]]] = {
    "processes": with_processes, "jobs": with_jobs, "nodes": with_nodes,
}  # fmt: skip
