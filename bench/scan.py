"""
Measures a scan of 1,000 sleeping processes, compared with a minimal one in C and with psutil.

The three take turns, so that whatever else the machine does hits them alike; medians are compared. All run on
one processor: otherwise the thread of a scan runs on another one than the C program in one run and not in the
next, and what is in a processor's caches decides a tenth of the ratio. Whoever comes after psutil finds them
emptied, and whoever comes next finds the kernel's part in them, so the C program and the scan change places
each round.

No other program starts while it measures, as on a quiet machine, so most scans need not list /proc; the C
program lists it each time. A second row has the scans of a machine where something has started before each.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from bench.one_processor import on_one_processor
from bench.rows import Row, compared, stated
from bench.sleepers import sleepers
from gomd.sources.linux.process_visitor import ROTATION
from gomd.sources.linux.source import LinuxSource

SLEEPERS: Final = 1000
#: Two whole rotations, so that what is only read now and then has its share in the median's scans.
MEASURED_ROUNDS: Final = 2 * ROTATION
#: What psutil calls the fields of `libgomd.model.Process`.
FIELDS: Final = (
    "pid", "ppid", "uids", "username", "status", "nice", "num_threads", "cpu_percent", "cpu_times",
    "memory_info", "create_time", "name", "cmdline", "io_counters",
)  # fmt: skip


def run() -> list[Row]:
    """Measure, print the first scans, and return the rows of the steady ones."""
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory, sleepers(SLEEPERS):
        source = LinuxSource(1, "bench", "127.0.0.1", "/proc", os.path.join(directory, "state"), speed=15000)
        with _floor(directory) as floor, on_one_processor(floor.pid):
            _floor_ms(floor)
            first, first_psutil = _ours_ms(source), _psutil_ms()
            _ours_ms(source)  # the second scan reads all again, to know the first shares and rates
            rounds = [_round(source, floor, number, starts=False) for number in range(MEASURED_ROUNDS)]
            busier = [_round(source, floor, number, starts=True) for number in range(MEASURED_ROUNDS)]
    least, ours, theirs = zip(*rounds, strict=True)
    busier_least, busier_ours, _ = zip(*busier, strict=True)
    print(
        f"scan of {SLEEPERS} processes: first {first:.1f} ms (psutil {first_psutil:.1f} ms), "
        f"then {statistics.median(ours):.1f} ms in the median, {statistics.fmean(ours):.1f} ms in the mean"
    )
    return [
        compared("scan of 1,000 processes, to C", ours, "ms", "C: open, read, close", least, 1.25),
        stated("the same, a process started before", busier_ours, "ms", "C: open, read, close", busier_least),
        compared("scan of 1,000 processes, to psutil", ours, "ms", "psutil, same fields", theirs, 0.5),
    ]


def _round(
    source: LinuxSource, floor: subprocess.Popen[str], number: int, *, starts: bool
) -> tuple[float, float, float]:
    """Return the milliseconds of one scan in C, by gomd and by psutil."""
    if starts:
        subprocess.run(["true"], check=True)
    if number % 2:
        ours, least = _ours_ms(source), _floor_ms(floor)
    else:
        least, ours = _floor_ms(floor), _ours_ms(source)
    return least, ours, _psutil_ms()


def _ours_ms(source: LinuxSource) -> float:
    now, before = time.time(), time.perf_counter()
    table = source.processes(now)
    taken = time.perf_counter() - before
    assert len(table.processes) > SLEEPERS
    return taken * 1000.0


def _psutil_ms() -> float:
    before = time.perf_counter()
    found = [process.info for process in psutil.process_iter(FIELDS)]
    taken = time.perf_counter() - before
    assert len(found) > SLEEPERS
    return taken * 1000.0


def _floor_ms(program: subprocess.Popen[str]) -> float:
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("\n")
    program.stdin.flush()
    seen, nanoseconds = program.stdout.readline().split()
    assert int(seen) > SLEEPERS
    return int(nanoseconds) / 1e6


@contextmanager
def _floor(directory: str) -> Iterator[subprocess.Popen[str]]:
    """Compile and start the C program, which scans once for each line of input."""
    binary = os.path.join(directory, "scan")
    source = Path(__file__).with_suffix(".c")
    try:
        subprocess.run(["cc", "-O2", "-o", binary, str(source)], check=True)
    except FileNotFoundError:
        raise SystemExit("this benchmark needs a C compiler: on Debian, apt install gcc") from None
    with subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        yield program
