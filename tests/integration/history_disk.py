"""Writes a history on a disk that becomes full, then read-only: test_history.py runs it in its own mounts."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from itertools import count

from gomd.history.sqlite import SqliteHistory
from gomd.interfaces import IHistory
from tests.unit.history.contract import EVENT, NODE, SAMPLE

START = 1_699_999_200.0


def main(directory: str) -> None:
    """Fail with an AssertionError when something is not as it should be."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "none", directory], check=True)
    path = os.path.join(directory, "history.sqlite")
    assert write(path, 0, 100) == (100, 0)
    ballast = os.open(os.path.join(directory, "ballast"), os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(ballast, b"x" * 65536)
    except OSError:
        os.close(ballast)
    written, lost = write(path, 100, 400, size=2000)
    assert lost > 0, "the disk is full"
    assert written + lost == 300
    os.unlink(os.path.join(directory, "ballast"))
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert write(path, 400, 500) == (100, 0)
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
    written, lost = write(path, 500, 600)
    assert (written, lost) == (0, 100)
    assert len(loads(reader_of(path))) == 200, "what was written before can be read"
    subprocess.run(["mount", "-o", "remount,rw", directory], check=True)
    assert write(path, 600, 700) == (100, 0)
    assert len(loads(reader_of(path))) == 300


def store_of(path: str) -> SqliteHistory:
    ticks = count()
    return SqliteHistory(path, 7, 1 << 28, lambda: START, monotonic=lambda: float(next(ticks)))


def reader_of(path: str) -> IHistory:
    return store_of(path).reader


def write(path: str, first: int, last: int, size: int = 0) -> tuple[float, float]:
    """Write a sample, or an event of that size, a second; return how many were written and lost."""
    store = store_of(path)
    for at in range(first, last):
        if size:
            store.write_event(replace(EVENT, time=START + at, reason="x" * size), False)
        else:
            store.write(replace(NODE, load=at), replace(SAMPLE, taken_at=START + at))
    store.close()
    found = {each.name: float(each.value) for each in store.counters()}
    return found["history_written"], found["history_lost"]


def loads(reader: IHistory) -> list[float | None]:
    return [row.mean for row in reader.values(7, ["load"], START, START + 1000, 1000)]


if __name__ == "__main__":
    main(sys.argv[1])
