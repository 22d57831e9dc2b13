"""
Measures the live screens: `gom top` at 500 simulated nodes and 5,000 rows, and what it costs the daemons.

The asked daemon is node 1 of a cluster in memory (`bench.watched_cluster`); what another node pays for being
watched, and the pictures of `--once`, are measured with real daemons.
"""

from __future__ import annotations

import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.big_cluster import heard
from bench.on_terminal import OnTerminal
from bench.readers import readers
from bench.rows import Row, compared, limit, unmeasured
from bench.servers import cpu_seconds_of
from bench.sleepers import sleepers
from bench.watched_cluster import PROCESSES, serve_watched
from gom.monitor.feed import ProcessQuery
from gom.monitor.top_selection import FIRST_MOST
from gomd.sources.linux.source import LinuxSource
from tests.integration.cluster_of import cluster_of
from tests.integration.jobs import GOM, Pair

NODES: Final = 500
VIEWERS: Final = 20
#: How often each start is measured, the first left out.
STARTS: Final = 6
ONCES: Final = 8
#: Seconds over which processor time is measured, and until what has just begun is steady.
SECONDS: Final = 20.0
SETTLE: Final = 4.0
#: Processes of the real nodes.
SLEEPERS: Final = 400
_PROGRAM: Final = b"/usr/bin/program"
_MIB: Final = 1 << 20
#: What `gom top` asks for, and the same without a choice among all rows.
_WORDS: Final = ("watch", "-n", "1", *ProcessQuery(top=PROCESSES, most=FIRST_MOST).words())
_ALL_ROWS: Final = ("watch", "-n", "1", *ProcessQuery(top=PROCESSES).words())


def run() -> list[Row]:
    """Measure, and return the rows."""
    return [*_simulated(), *_watched_node(), *_pictures()]


# -- 500 nodes in memory


def _simulated() -> list[Row]:
    with _served() as (port, _):
        top = (*GOM, "-c", f"tcp:127.0.0.1:{port}", "top")
        mon = (*GOM, "-c", f"tcp:127.0.0.1:{port}", "mon")
        empty = (sys.executable, "-m", "bench.empty_screen")
        rows = _starts(top, mon, empty)
        for name, command, awaited in (("gom top", top, _PROGRAM), ("gom mon", mon, b" running on ")):
            with OnTerminal(command, awaited) as screen:
                screen.first_seconds()
                time.sleep(SETTLE)
                used = _percent(screen.cpu_seconds)
                rows += [
                    limit(f"processor time of `{name}`, {_SIZE}", used, "% of one", 2.0),
                    limit(f"memory of `{name}`, {_SIZE}", screen.memory() / _MIB, "MiB", 60.0),
                ]
    return rows + _viewers()


def _viewers() -> list[Row]:
    """Measure what viewers cost a daemon that nobody has asked anything before."""
    rows = []
    with _served() as (port, pid):
        idle = _percent(lambda: cpu_seconds_of(pid))
        for count, most in ((1, 1.0), (VIEWERS, 3.0)):
            percent, rate = _asked(port, pid, count, _WORDS)
            rows.append(limit(f"the asked daemon, {count} viewers", percent - idle, "% of one", most))
        rows.append(unmeasured("bytes to a screen, a second", rate, "B", "-", None))
        percent, rate = _asked(port, pid, 1, _ALL_ROWS)
        rows.append(
            unmeasured("the asked daemon, 1 viewer of all rows", percent - idle, "% of one", "-", None)
        )
        each = f"bytes for {PROCESSES} rows, a node and second"
        rows.append(unmeasured(each, rate / NODES, "B", "-", None))
    return rows


def _asked(port: int, pid: int, count: int, words: Sequence[str]) -> tuple[float, float]:
    """Return the share of a processor that the daemon takes with viewers, and the bytes a second to each."""
    with readers(port, count, words) as viewers:
        time.sleep(SETTLE)
        before, since = viewers.bytes(), time.perf_counter()
        percent = _percent(lambda: cpu_seconds_of(pid))
        return percent, (viewers.bytes() - before) / (time.perf_counter() - since) / count


_SIZE: Final = f"{NODES} nodes, {NODES * PROCESSES:,} rows"


def _starts(top: tuple[str, ...], mon: tuple[str, ...], empty: tuple[str, ...]) -> list[Row]:
    """Measure until something is shown; the programs take turns."""
    taken: dict[str, list[float]] = {"top": [], "mon": [], "empty": []}
    programs = (("empty", empty, b"ready"), ("top", top, _PROGRAM), ("mon", mon, b" running on "))
    for _ in range(STARTS):
        for name, command, awaited in programs:
            with OnTerminal(command, awaited) as screen:
                taken[name].append(1000 * screen.first_seconds())
    theirs = taken["empty"][1:]
    return [
        compared(f"first rows of `gom top`, {_SIZE}", taken["top"][1:], "ms", "textual, empty", theirs, 2.0),
        compared(
            f"first bars of `gom mon`, {NODES} nodes", taken["mon"][1:], "ms", "textual, empty", theirs, 2.0
        ),
    ]


@contextmanager
def _served() -> Iterator[tuple[int, int]]:
    """Run the daemon of a simulated cluster; yield its port and its process id."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    server = context.Process(target=serve_watched, args=(heard(NODES), its))
    server.start()
    try:
        yield mine.recv(), server.pid or 0
    finally:
        server.kill()
        server.join()


def _percent(cpu_seconds: Callable[[], float]) -> float:
    """Return the share of one processor that is used from now on. Blocks."""
    used, since = cpu_seconds(), time.perf_counter()
    time.sleep(SECONDS)
    return 100.0 * (cpu_seconds() - used) / (time.perf_counter() - since)


# -- a real node that is watched by way of another one


def _watched_node() -> list[Row]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gomd-bench-")))
        stack.enter_context(sleepers(SLEEPERS))
        asked, other = stack.enter_context(Pair(directory / "pair"))
        time.sleep(SETTLE)
        used = cpu_seconds_of(other.process.pid)
        scan = _scan_seconds(directory)
        idle = 100.0 * (cpu_seconds_of(other.process.pid) - used) / SECONDS
        words = ("watch", "-n", "1", *ProcessQuery().words())
        with readers(str(asked.socket), 1, words):
            time.sleep(SETTLE)
            watched = _percent(lambda: cpu_seconds_of(other.process.pid))
    name = "another node that is watched, over idle"
    return [compared(name, [watched - idle], "% of one", "a scan a second", [100.0 * scan], 1.2)]


def _scan_seconds(directory: Path) -> float:
    """Return the processor time of a scan of the processes here, made once a second. Blocks."""
    source = LinuxSource(1, "bench", "127.0.0.1", "/proc", str(directory / "state"), speed=15000)
    for _ in range(3):
        source.processes(time.time())
    taken = []
    since = time.perf_counter()
    while time.perf_counter() - since < SECONDS - 1.0:
        time.sleep(1.0)
        before = time.process_time()
        source.processes(time.time())
        taken.append(time.process_time() - before)
    time.sleep(max(0.0, SECONDS - (time.perf_counter() - since)))
    return statistics.fmean(taken)


# -- pictures


def _pictures() -> list[Row]:
    """Compare `--once` with the plainest answer that the same nodes give."""
    with (
        tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory,
        cluster_of(Path(directory), 5) as daemons,
    ):
        gom = (*GOM, "-c", daemons[0].unix)
        commands: dict[str, tuple[str, ...]] = {name: (*gom, name, "--once") for name in ("top", "mon")}
        commands["nodes"] = (*gom, "nodes")
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ONCES):
            for name, command in commands.items():
                since = time.perf_counter()
                subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
                taken[name].append(1000 * (time.perf_counter() - since))
    plain = taken["nodes"][1:]
    return [
        compared(f"`gom {name} --once`, 5 nodes", taken[name][1:], "ms", "gom nodes", plain, 4.0)
        for name in ("top", "mon")
    ]
