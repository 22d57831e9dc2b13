"""
Compares the libraries in C, Java and Perl with Python's json: the rows of `ps` of 5,000 processes; and sizes.

Of Java it is the last of many rounds of a process, when what it uses is compiled. Java and Perl have no goal.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.rows import Row, compared, limit, stated, unmeasured
from bench.run import built
from libgomd.version import VERSION

PROCESSES: Final = 5000
ROUNDS: Final = 15
#: What the rows as structs may take in C, to the same lines as dicts in Python.
PARSE_GOAL: Final = 0.2
#: Rounds of one process until Java has compiled what it uses, and how often Java and Perl are measured so.
JAVA_ROUNDS: Final = 60
STATED_ROUNDS: Final = 3
#: Bytes of the shared library, and of the jar.
SIZE_LIMIT: Final = 200_000
JAR_LIMIT: Final = 100_000
VERSUS: Final = "json.loads of the lines"
CLIENTS: Final = Path(__file__).parents[1] / "clients"


def run() -> list[Row]:
    """Measure, in processor time, and return the rows."""
    name = f"ps of {PROCESSES} processes parsed in "
    lines = [json.dumps(process(number)) for number in range(1, PROCESSES + 1)]
    block = f"201 {PROCESSES} processes\r\n" + "".join(f"{line}\r\n" for line in lines) + ".\r\n"
    encoded = [line.encode() for line in lines]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory:
        for language, command, rounds, goal, why in (
            ("C", _in_c(Path(directory)), 2, PARSE_GOAL, "no compiler"),
            ("warm Java", _in_java(Path(directory)), JAVA_ROUNDS, None, "no JDK"),
            ("Perl", _in_perl(), 1, None, "no perl"),
        ):
            if command is None:
                rows.append(unmeasured(name + language, None, "ms", why, goal))
                continue
            ours, theirs = [], []
            # One process of Perl takes seconds; the spread of the others is worth as many rounds.
            for _ in range(ROUNDS if goal is not None else STATED_ROUNDS):
                ours.append(_last_round((*command, str(rounds)), block.encode()))
                theirs.append(loads(encoded))
            if goal is None:
                rows.append(stated(name + language, ours, "ms", VERSUS, theirs))
            else:
                rows.append(compared(name + language, ours, "ms", VERSUS, theirs, goal))
        library = built(Path(directory), f"libgomd.so.{VERSION}")
        if library is not None:
            rows.append(limit("libgomd.so", library.stat().st_size, "bytes", SIZE_LIMIT))
        jar = Path(directory) / "java" / "gomd.jar"
        if jar.exists():
            rows.append(limit("gomd.jar", jar.stat().st_size, "bytes", JAR_LIMIT))
    return rows


def _last_round(command: Sequence[str], block: bytes) -> float:
    """Return the milliseconds of the last round of a process; those before also get its memory and code."""
    done = subprocess.run(command, input=block, capture_output=True, check=True)
    milliseconds, count = done.stdout.split()[-2:]
    assert int(count) == PROCESSES
    return float(milliseconds)


def _in_c(directory: Path) -> tuple[str, ...] | None:
    program = built(directory, "parse")
    return None if program is None else (str(program),)


def _in_java(directory: Path) -> tuple[str, ...] | None:
    if not (shutil.which("make") and shutil.which("javac")):
        return None
    place = str(directory / "java")
    source = CLIENTS / "java"
    subprocess.run(["make", "-s", "-C", str(source), f"BUILD={place}"], check=True)
    subprocess.run(
        ["javac", "-cp", f"{place}/gomd.jar", "-d", f"{place}/parse", str(source / "test/gomd/Parse.java")],
        check=True,
    )
    return ("java", "-cp", f"{place}/gomd.jar:{place}/parse", "gomd.Parse")


def _in_perl() -> tuple[str, ...] | None:
    perl = CLIENTS / "perl"
    return ("perl", f"-I{perl / 'lib'}", str(perl / "t" / "parse.pl")) if shutil.which("perl") else None


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
