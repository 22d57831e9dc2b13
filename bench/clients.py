"""Compares the library in C with Python's json: the rows of `ps` of 5,000 processes; and how large it is."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.rows import Row, compared, limit, unmeasured
from bench.run import built
from libgomd.version import VERSION

PROCESSES: Final = 5000
ROUNDS: Final = 15
#: What the rows as structs may take in C, to the same lines as dicts in Python.
PARSE_GOAL: Final = 0.2
#: Bytes of the shared library.
SIZE_LIMIT: Final = 200_000


def run() -> list[Row]:
    """Measure, in processor time, and return the rows."""
    name = f"ps of {PROCESSES} processes parsed in C"
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory:
        program = built(Path(directory), "parse")
        if program is None:
            return [unmeasured(name, None, "ms", "no compiler", PARSE_GOAL)]
        library = built(Path(directory), f"libgomd.so.{VERSION}")
        assert library is not None
        size = library.stat().st_size
        lines = [json.dumps(process(number)) for number in range(1, PROCESSES + 1)]
        block = f"201 {PROCESSES} processes\r\n" + "".join(f"{line}\r\n" for line in lines) + ".\r\n"
        ours, theirs = [], []
        for _ in range(ROUNDS):
            done = subprocess.run(
                [str(program), "2"], input=block.encode(), capture_output=True, check=True
            )  # the first round of a process also gets its memory
            milliseconds, count = done.stdout.split()[2:]
            assert int(count) == PROCESSES
            ours.append(float(milliseconds))
            theirs.append(loads([line.encode() for line in lines]))
    return [
        compared(name, ours, "ms", "json.loads of the lines", theirs, PARSE_GOAL),
        limit("libgomd.so", size, "bytes", SIZE_LIMIT),
    ]


def loads(lines: list[bytes]) -> float:
    """Return the milliseconds that Python takes for the lines."""
    begun = time.process_time()
    rows = [json.loads(line) for line in lines]
    taken = time.process_time() - begun
    assert len(rows) == PROCESSES
    return taken * 1000


def process(number: int) -> dict[str, Any]:
    """Return a row as `ps` has it."""
    return {
        "node": 1 + number % 7, "home": 1, "pid": 1000 + number, "ppid": 1, "uid": 1000, "user": "someone",
        "state": "S", "nice": 0, "threads": 1 + number % 9, "cpu_percent": number % 100 / 7,
        "cpu_seconds": number / 3, "rss": number * 4096, "vsize": number * 65536,
        "start_time": 1700000000 + number / 100, "where": number % 7, "nmigs": 0, "lock": False,
        "cantmove": "it has open files that are not on its target node" if number % 3 else "",
        "command": f"/usr/lib/something/program --with-options={number} /home/someone/data/file-{number}",
        "read_rate": None, "write_rate": number / 9, "started": 4711 * number,
        "identity": f"1-{1000 + number}-{4711 * number}", "stuck": False, "age": 0.25, "name": "program",
    }  # fmt: skip
