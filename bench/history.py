"""
Measures the history: bytes of a node-day, questions next to the sqlite3 shell, commits beside a reader.

A day of a busy two-core node is replayed: a sample a second, 300 processes scanned every five seconds, three
of them new. The shell answers the same questions from tables of plain rows, one for each of them.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from bench.rows import Row, limit, row, unmeasured
from bench.servers import gomd
from gomd.history.sqlite import SqliteHistory
from libgomd.model import (
    Cpu,
    Disk,
    Interface,
    Load,
    Measure,
    Memory,
    Node,
    Paging,
    Pressure,
    Process,
    ProcessTable,
    Sample,
    Status,
)
from libgomd.wallclock import wall_clock

DAY: Final = 86_400
#: Seconds from scan to scan, processes in one, and how many of them are new.
SCAN_PERIOD: Final = 5
PROCESSES: Final = 300
NEW_PROCESSES: Final = 3
#: Seconds from one set of measures to the next, and how many of them are kept.
MEASURES_PERIOD: Final = 15
MEASURES: Final = 40
ROUNDS: Final = 15
#: Seconds for which a reader of a month and the writer go on together; and an idle daemon is measured.
BESIDE: Final = 8.0
IDLE: Final = 60.0
SHELL: Final = shutil.which("sqlite3")
START: Final = float(1_700_000_000 // DAY * DAY)


def run() -> list[Row]:
    """Measure, and return the rows."""
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory:
        path = Path(directory, "history.sqlite")
        store, clock = _replayed(path)
        rows = [limit("a node-day on disk", path.stat().st_size / 1e6, "MB", 25.0)]
        _long_ago(path)
        rows += _questions(store, path, clock)
        rows.append(_beside(path))
        rows.append(_killed(Path(directory)))
    from bench.collecting import run as collecting  # its node is the one of this file

    return rows + collecting() + _idle()


class _Node:
    """A busy node whose values wander."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._busy, self._mem = 50.0, 4e9
        self._counts = [0.0] * 13
        self._measured = [1e6] * MEASURES
        self._pid = 1000
        self._processes = [self._process() for _ in range(PROCESSES)]

    def sample(self, at: float) -> tuple[Node, Sample]:
        """Return the sample of a second."""
        draw = self._random
        self._busy = min(100.0, max(0.0, self._busy + draw.gauss(0, 4)))
        self._mem = min(8e9, max(1e9, self._mem + draw.gauss(0, 4e6)))
        mem, load = int(self._mem) // 4096 * 4096, int(self._busy * 2)
        self._counts = [count + draw.randrange(int(5 + self._busy)) * 512 for count in self._counts]
        counts = [int(count) for count in self._counts]
        sample = Sample(
            at, Load(load, draw.randrange(4), (load / 100, load / 110, load / 120)),
            Cpu(2, 15000, 200, self._busy, draw.random() * 3),
            Memory(mem, mem // 2, 8 << 30, 2 << 30, 2 << 30), Paging(*counts[:4]),
            (Disk("sda", counts[4], counts[5], counts[6]),), (Interface("eth0", *counts[7:13]),),
            Pressure(*(round(draw.random() * 5, 2) for _ in range(5))),
        )  # fmt: skip
        return _node(load, mem), sample

    def measures(self) -> list[Measure]:
        """Return as many measures as the history keeps of a node with three file systems and two sensors."""
        draw = self._random
        self._measured = [value + draw.randrange(100) * 512 for value in self._measured]
        return [
            Measure("measure", value, {"number": str(number)}, kept=True)
            for number, value in enumerate(self._measured)
        ]

    def table(self, at: float) -> ProcessTable:
        """Return the scan of a moment: some end, some begin, a tenth works."""
        draw, processes = self._random, self._processes
        for _ in range(NEW_PROCESSES):
            processes[draw.randrange(PROCESSES // 2, PROCESSES)] = self._process()
        for at_work in range(0, PROCESSES, 10):
            old = processes[at_work]
            percent = round(draw.random() * 20, 1)
            processes[at_work] = replace(
                old, cpu_percent=percent, cpu_seconds=round((old.cpu_seconds or 0) + percent / 20, 2),
                rss=(old.rss or 0) + draw.randrange(4) * 4096,
            )  # fmt: skip
        return ProcessTable(at, tuple(processes))

    def _process(self) -> Process:
        self._pid += self._random.randrange(1, 9)
        name = self._random.choice(("cc1", "python3", "postgres", "sshd", "bash", "worker"))
        rss = self._random.randrange(1 << 28) // 4096 * 4096
        command = f"/usr/bin/{name} --job {self._pid} --input /srv/data/{self._pid:08d}"
        return Process(
            7, 7, self._pid, 1, 1000, "alice", "S", 0, 1, 0.0, 0.5, rss, 1 << 30, START, 0, 0, False, "",
            command,
            self._pid * 100, name=name,
        )  # fmt: skip


def _node(load: int, mem: int) -> Node:
    return Node(
        7,
        "alpha",
        "10.0.0.7",
        Status.CONFIGURED | Status.UP,
        load,
        15000,
        2,
        200,
        mem,
        mem // 2,
        8 << 30,
        0.1,
    )


def _replayed(path: Path) -> tuple[SqliteHistory, float]:
    """Return a history with a day in it, and its last moment."""
    ticks = iter(range(1 << 60))
    now = START
    store = SqliteHistory(str(path), 7, 1 << 28, lambda: now, monotonic=lambda: float(next(ticks)))
    machine, put = _Node(), 0
    for second in range(DAY):
        now = START + second
        node, sample = machine.sample(now)
        store.write(node, sample)
        put += 1
        if second % SCAN_PERIOD == 0:
            store.write_processes(node, machine.table(now), False, frozenset())
            put += 1
        if second % 10 == 0:
            store.write_nodes([node], now)
            put += 1
        if second % MEASURES_PERIOD == 0:
            store.write_measures(machine.measures(), now)
            put += 1
        if second % 500 == 0:
            while _counter(store, "history_written") < put - 500:
                time.sleep(0.005)
    store.close()
    if _counter(store, "history_lost"):
        raise RuntimeError("the replay lost records")
    return store, now


def _counter(store: SqliteHistory, name: str) -> float:
    return next(float(each.value) for each in store.counters() if each.name == name)


def _long_ago(path: Path) -> None:
    """Put a month of minutes of ten values, and two years of hours of one, before the day; and plain rows."""
    connection = sqlite3.connect(path)
    [load] = connection.execute("SELECT id FROM fields WHERE name = 'load'").fetchone()
    for table, step, days, fields in (
        ("minutes", 60, 30, range(load, load + 10)),
        ("hours", 3600, 730, [load]),
    ):
        for field in fields:
            times = range(int(START) - days * DAY, int(START), step)
            connection.executemany(
                f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?)",
                ((field, at, at % 97, at % 101, at % 103) for at in times),
            )
    connection.execute("CREATE TABLE plain(time REAL PRIMARY KEY, value REAL) WITHOUT ROWID")
    connection.executemany("INSERT INTO plain VALUES (?, ?)", ((START + at, at % 97) for at in range(DAY)))
    connection.execute(
        "CREATE TABLE plain_scans(time REAL, pid INTEGER, cpu REAL, rss INTEGER, number INTEGER)"
    )
    connection.execute("CREATE INDEX plain_scans_by_time ON plain_scans(time)")
    numbers = [number for (number,) in connection.execute("SELECT id FROM processes LIMIT 50")]
    connection.executemany(
        "INSERT INTO plain_scans VALUES (?, ?, ?, ?, ?)",
        (
            (START + at, number, at % 97, at % 101, number)
            for at in range(0, DAY, SCAN_PERIOD)
            for number in numbers
        ),
    )
    connection.commit()
    connection.close()


def _questions(store: SqliteHistory, path: Path, end: float) -> list[Row]:
    """Compare questions with the same ones in the shell, from its start to its end."""
    read = store.reader
    moment = START + DAY / 3 + 2.5
    asked: tuple[tuple[str, Callable[[], Sequence[Any]], str], ...] = (
        (
            "the last hour of a value by second", lambda: read.values(7, ["load"], end - 3600, end, 3600),
            f"SELECT time, value, value, value FROM plain WHERE time >= {end - 3600} AND time < {end};",
        ),
        (
            "a day of a value by minute", lambda: read.values(7, ["load"], end - DAY, end, 1440),
            f"SELECT time, min, mean, max FROM by_minute WHERE field = 'load' AND time >= {end - DAY};",
        ),
        (
            "two years of a value by hour",
            lambda: read.values(7, ["load"], end - 730 * DAY, end, 730 * 24),
            f"SELECT time, min, mean, max FROM by_hour WHERE field = 'load' AND time >= {end - 730 * DAY};",
        ),
        (
            "the processes of a moment", lambda: _processes(store, moment),
            "SELECT p.*, s.cpu, s.rss FROM processes p LEFT JOIN plain_scans s ON s.number = p.id AND "
            "s.time = "
            f"(SELECT max(time) FROM plain_scans WHERE time <= {moment}) WHERE p.first_seen <= {moment} AND "
            f"(p.ended IS NULL OR p.ended > {moment});",
        ),
    )  # fmt: skip
    rows = []
    for name, ours, theirs in asked:
        if not (found := ours()):
            raise RuntimeError(f"{name}: nothing was found")
        times = [_seconds(ours) for _ in range(ROUNDS)]
        taken = min(times) * 1000  # the best of all: other programs of the machine make it longer only
        if SHELL is None:
            rows.append(unmeasured(f"{name}, {len(found)} rows", taken, "ms", "no sqlite3 here", 3.0))
            continue
        shell = min(_shell(path, theirs) for _ in range(ROUNDS)) * 1000
        rows.append(row(f"{name}, {len(found)} rows", taken, "ms", "sqlite3", shell, 3.0))
    return rows


def _processes(store: SqliteHistory, moment: float) -> Sequence[Process]:
    table = store.reader.processes_at(7, moment)
    return () if table is None else table.processes


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _shell(path: Path, query: str) -> float:
    """Return the seconds from the start of the shell to the end of its answer."""
    assert SHELL is not None
    return _seconds(lambda: subprocess.run([SHELL, str(path), query], check=True, stdout=subprocess.DEVNULL))


def _beside(path: Path) -> Row:
    """Measure the longest pause between commits while a reader reads a month again and again."""
    store = SqliteHistory(str(path), 7, 1 << 29, wall_clock)
    over = Event()

    def read() -> None:
        while not over.is_set():
            store.reader.values(7, ["load"], START - 30 * DAY, START, 43_200)

    machine = _Node()
    reader = Thread(target=read)
    reader.start()
    longest, last, seen = 0.0, time.monotonic(), -1.0
    end = last + BESIDE
    try:
        while (now := time.monotonic()) < end:
            node, sample = machine.sample(wall_clock())
            store.write(node, sample)
            time.sleep(0.05)
            written = _counter(store, "history_written")
            if written != seen:
                longest, last, seen = max(longest, now - last), now, written
    finally:
        over.set()
        reader.join()
        store.close()
    # Commits come every 0.9 s by themselves; what is more than that is late.
    return limit("a commit beside a reader of a month, late by", max(0.0, longest - 0.9), "s", 1.0)


_WRITER: Final = """
import sys, time
from bench.history import _Node
from gomd.history.sqlite import SqliteHistory
from libgomd.wallclock import wall_clock
store, machine = SqliteHistory(sys.argv[1], 7, 1 << 28, wall_clock), _Node()
while True:
    node, sample = machine.sample(wall_clock())
    store.write(node, sample)
    print(sample.taken_at, flush=True)
    time.sleep(0.1)
"""


def _killed(directory: Path) -> Row:
    """Kill a writer at ten moments; return the most that was lost. A file that is not whole is an error."""
    worst = 0.0
    for number in range(10):
        path = directory / f"killed{number}"
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[1],
        )  # fmt: skip
        assert writer.stdout is not None
        told = [float(writer.stdout.readline()) for _ in range(12 + 3 * number)]
        writer.kill()
        told += [float(line) for line in writer.stdout.read().splitlines() if line]
        writer.wait()
        connection = sqlite3.connect(path)
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise RuntimeError("the file is not whole after kill -9")
        [last] = connection.execute("SELECT ifnull(max(time), 0) FROM recent").fetchone()
        connection.close()
        worst = max(worst, told[-1] - last if last else told[-1] - told[0])
    return limit("lost by kill -9, of ten", worst, "s", 2.0)


@contextmanager
def _running(kind: str) -> Iterator[Any]:
    with gomd("--set", f"history.kind={kind}") as daemon:
        yield daemon


def _idle() -> list[Row]:
    """Compare an idle daemon that keeps a history with one that keeps none."""
    with _running("sqlite"):
        pass  # it writes its bytecode
    with _running("sqlite") as ours, _running("none") as theirs:
        time.sleep(6.0)
        before = ours.cpu_seconds(), theirs.cpu_seconds()
        time.sleep(IDLE)
        percents = [100.0 * (each.cpu_seconds() - then) / IDLE
                    for each, then in zip((ours, theirs), before, strict=True)]  # fmt: skip
        memory = (ours.memory() - theirs.memory()) / 1e6
    return [
        limit("processor time of an idle daemon with history", percents[0], "% of one", 0.45),
        unmeasured("processor time of an idle daemon, kind = none", percents[1], "% of one", "-", None),
        limit("memory more than with kind = none", memory, "MB", 10.0),
    ]
