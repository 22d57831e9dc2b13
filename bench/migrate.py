"""
Measures how long a process stops while it moves between two daemons, compared with `criu dump` and `criu
restore` alone; and moves one process 200 times to and fro, checking its output byte by byte.

The process tells itself how long it stood: it notes the longest time between two of its steps, by the clock
on the wall, for criu lets its monotonic clock go on as if it had not stood still. The memory goes to a page
server on this machine, under TLS for the daemons; the bare commands have plain TCP.

Two programs are compared with: criu 4.1 as it is, where there is one ($GOMD_BENCH_CRIU, or what
`contrib/get-criu /opt/gomd-criu-4.1 trixie` unpacks), and the criu that the daemons use without its waits.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench import precopy
from bench.moved_job import PYTHON, MovingJob, gom, running
from bench.rows import Row, compared, limit, row
from gomd.jobs.checkpoint.criu import Criu
from libgomd.keys import new_key_file
from tests.integration.criu_host import Host
from tests.integration.daemon import Daemon
from tests.integration.jobs import Pair

#: Megabytes that the processes have touched, and what their stop may be of the sum of criu 4.1 as it is.
GOALS: Final = {0: 0.35, 10: 0.4, 100: 0.65, 1000: 0.85}
#: The size that is also moved by `gom migrate` from end to end, and what that may be of the same sum.
WHOLE_SIZE, WHOLE_GOAL = 10, 0.65
#: What they may be of the sum of another criu without its waits: its cork, and trying out the kernel.
OTHER_GOAL, OTHER_WHOLE_GOAL = 1.1, 2.0
#: Where a criu 4.1 is looked for.
OLDER: Final = "/opt/gomd-criu-4.1/criu"
MEASURED_ROUNDS: Final = 5
MOVES: Final = 200
#: Tells each stop once it is over, and touches its memory first.
_STANDS: Final = """
import time
memory = bytearray({size})
for place in range(0, len(memory), 4096):
    memory[place] = 1
print("ready", flush=True)
last, longest = time.time(), 0
while True:
    time.sleep(0.001)
    now = time.time()
    if now - last > 0.02 and now - last > longest:
        longest = now - last
        print(longest, flush=True)
    last = now
"""
#: Numbers its lines, until it is told to end.
_COUNTS: Final = """
import signal, sys, time
going = [True]
signal.signal(signal.SIGTERM, lambda *_: going.clear())
number = 0
while going:
    print(number)
    number += 1
    if number % 100 == 0:
        sys.stdout.flush()
        time.sleep(0.002)
print("end", number)
"""


class _Alone(NamedTuple):
    """
    A criu that is measured alone.

    :ivar version: of it.
    """

    program: str
    version: str

    @property
    def corked(self) -> bool:
        """Whether it works as it does by itself: over TCP, and trying out the kernel at each start."""
        return self.version.startswith("4.1")

    @property
    def name(self) -> str:
        """Return what the row says of it."""
        return f"criu {self.version} " + ("as it is" if self.corked else "without waits")

    def goal(self, size: int) -> float:
        """Return what the stop may be of its sum."""
        return GOALS[size] if self.corked else OTHER_GOAL

    @property
    def whole_goal(self) -> float:
        """Return what `gom migrate` may take of its sum."""
        return WHOLE_GOAL if self.corked else OTHER_WHOLE_GOAL


def run() -> list[Row]:
    """Measure, and return the rows; none without root and a criu that works here."""
    found = (p for p in ("/opt/gomd-criu/criu", shutil.which("criu")) if p and os.path.exists(p))
    program = next(found, "criu")
    why_not = Criu(program).check()
    if why_not:
        print(f"migrate: not measured: {why_not}")
        return []
    rows = []
    alone = [_Alone(each, Criu(each).version()) for each in (program, *_older()) if not Criu(each).check()]
    with _pair(program) as home:
        for size in GOALS:
            rounds = [
                (_moved(home, size), [_bare(each, size) for each in alone]) for _ in range(MEASURED_ROUNDS)
            ]
            stops, wholes = zip(*(moved for moved, _ in rounds), strict=True)
            for number, each in enumerate(alone):
                sums = [bare[number] for _, bare in rounds]
                name = f"stop of {size} MB that move"
                rows.append(compared(name, stops, "ms", each.name, sums, each.goal(size)))
                if size == WHOLE_SIZE:
                    name = f"`gom migrate` of {size} MB, end to end"
                    rows.append(compared(name, wholes, "ms", each.name, sums, each.whole_goal))
        good, median = _to_and_fro(home)
    rows += precopy.run(program)
    rows.append(row(f"of {MOVES} moves to and fro, whole", good, "moves", "all", MOVES, 1.0, at_least=True))
    rows.append(limit("one of them, as `gom migrate` takes", median * 1000, "ms", 5000.0))
    return rows


def _older() -> list[str]:
    """Return the program of a criu 4.1, if there is one."""
    path = os.environ.get("GOMD_BENCH_CRIU", OLDER)
    return [path] if os.access(path, os.X_OK) else []


@contextmanager
def _pair(program: str) -> Iterator[Daemon]:
    """Run two daemons with a key; yield the first."""
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        key_file = str(directory / "key")
        new_key_file(key_file)
        with Pair(directory, "--key-file", key_file, "--set", f"jobs.criu={program}") as (home, _other):
            try:
                yield home
            finally:
                for one in running(home):
                    gom(home, "kill", str(one["job"]), "KILL")


def _moved(home: Daemon, size: int) -> tuple[float, float]:
    """
    Move a program between two daemons.

    :returns: the longest stop that it sees, and how long `gom migrate` takes, in milliseconds.
    """
    job = MovingJob(home, _STANDS.format(size=size * 1_000_000))
    time.sleep(0.2)
    before = len(job.until(1))
    begun = time.perf_counter()
    job.move("2")
    whole = time.perf_counter() - begun
    job.until(before + 1)
    time.sleep(0.5)  # a busy machine has let it stand still before, too, and for a shorter time
    told = job.output.splitlines()[before:]
    job.end()
    return max(map(float, told)) * 1000, whole * 1000


def _to_and_fro(home: Daemon) -> tuple[int, float]:
    """Move a program so often; return how many moves kept its output whole, and the median time."""
    job = MovingJob(home, _COUNTS)
    taken = []
    for number in range(MOVES):
        begun = time.perf_counter()
        job.move("home" if number % 2 else "2")
        taken.append(time.perf_counter() - begun)
    moved = int(job.row()["nmigs"])
    *lines, last = job.end().splitlines()
    whole = lines == [b"%d" % number for number in range(len(lines))] and last == b"end %d" % len(lines)
    return (moved if whole else 0), statistics.median(taken)


class _Bare:
    """A program on one host, another host, and directories for images; removed at the end."""

    def __init__(self, program: str, size: int, known: bool) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="gomd-bench-"))
        self.source, self.target = Host(program), Host(program)
        self.here, self.far = (str(self.path / name) for name in ("here", "far"))
        empty = str(self.path / "run")
        for name in (self.here, self.far, empty):
            os.mkdir(name)
        for host in (self.source, self.target):
            host.do("use_run", directory=empty, known=known)
        self.source.do("start", argv=[PYTHON, "-c", _STANDS.format(size=size * 1_000_000)])
        while not self.source.do("read"):
            time.sleep(0.02)

    def __enter__(self) -> _Bare:
        return self

    def __exit__(self, *_: object) -> None:
        for host in (self.source, self.target):
            host.do("end")
            host.stop()
        shutil.rmtree(self.path)


def _bare(criu: _Alone, size: int) -> float:
    """Return the time of the two commands alone, in milliseconds."""
    with _Bare(criu.program, size, known=not criu.corked) as bare:
        taken: dict[str, Any] = bare.source.do(
            "bare_dump", directory=bare.here, far=bare.far, corked=criu.corked
        )
        for name in os.listdir(bare.here):
            if name.endswith(".img"):
                subprocess.run(["cp", os.path.join(bare.here, name), bare.far], check=True)
        back = bare.target.do("bare_restore", directory=bare.far, pid=taken["pid"], names=taken["names"])
        return float(taken["seconds"] + back["seconds"]) * 1000
