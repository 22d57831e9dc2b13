"""
Measures `expel` and `bring` of twenty jobs, compared with moving the same jobs one after the other.

Two daemons with a key on this machine. A round takes all jobs to the other node and back, once one by one
with `migrate` and once with `bring` or `expel`; the ways take turns, so that whatever else the machine does
hits them alike.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.rows import Row, compared, unmeasured
from bench.scale import end_jobs
from gomd.jobs.checkpoint.criu import Criu
from libgomd import blocking
from libgomd.keys import new_key_file
from tests.integration.daemon import Daemon
from tests.integration.jobs import Pair, until

JOBS: Final = 20
MEASURED_ROUNDS: Final = 3
#: What the whole time has to be at most, to that of one move after the other. On two cores, which the two
#: nodes share here, half of that time is work that cannot be done twice at once.
GOAL: Final = 0.8
#: Seconds that one request has: `bring` answers when the last job has moved.
STEP_TIMEOUT: Final = 120.0


def run() -> list[Row]:
    """Measure, and return the rows; without root and a criu that works here they have no verdict."""
    names = [f"{verb} of {JOBS} jobs" for verb in ("bring", "expel")]
    program = next((p for p in ("/opt/gomd-criu/criu", shutil.which("criu")) if p and os.path.exists(p)), "")
    if why_not := Criu(program or "criu").check():
        return [unmeasured(name, None, "s", why_not, GOAL) for name in names]
    with _moved_pair(program) as (home, other):
        rounds = [_round(home, other) for _ in range(MEASURED_ROUNDS)]
    there, home_again, brought, expelled = zip(*rounds, strict=True)
    print(f"{JOBS} jobs one after the other: away {min(there):.2f} s, home {min(home_again):.2f} s")
    return [
        compared(name, taken, "s", "`migrate` one by one", home_again, GOAL)
        for name, taken in zip(names, (brought, expelled), strict=True)
    ]


def _round(home: Daemon, other: Daemon) -> tuple[float, float, float, float]:
    """Return the seconds of: all there one by one, all home one by one, `bring`, `expel`."""
    there = _one_by_one(home, "2")
    back = _one_by_one(home, "home")
    _one_by_one(home, "2")
    brought = _all_at_once(home, "bring", "nolstay")
    _one_by_one(home, "2")
    return there, back, brought, _all_at_once(other, "expel", "noblock")


def _one_by_one(home: Daemon, target: str) -> float:
    with home.connect_unix() as line:
        line.ask("format json")
        pids = [row["pid"] for row in line.ask("jobs").rows if row["state"] == "running"]
        assert len(pids) == JOBS, pids
        begun = time.perf_counter()
        for pid in pids:
            said = line.ask(f"migrate {pid} {target}")
            assert said.code == 200, said.text
        return time.perf_counter() - begun


def _all_at_once(node: Daemon, verb: str, undo: str) -> float:
    with node.connect_unix() as line:
        line.set_patience(STEP_TIMEOUT)
        line.ask("format json")
        begun = time.perf_counter()
        said = line.ask(verb)
        taken = time.perf_counter() - begun
        assert said.code == 200, said.text
        assert said.value["moved"] == JOBS, said.text
        assert line.ask(undo).code == 200
        return taken


@contextmanager
def _moved_pair(program: str) -> Iterator[tuple[Daemon, Daemon]]:
    """Run two daemons with a key, and the jobs, which sleep, on the first; yield both."""
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        key_file = str(directory / "key")
        new_key_file(key_file)
        with Pair(directory, "--key-file", key_file, "--set", f"jobs.criu={program}") as (home, other):
            with blocking.connect(home.unix) as gomd:
                for _ in range(JOBS):
                    gomd.run(["sleep", "3600"], cwd="/", node="1", detach=True, limits={}).close()
            try:
                until(lambda: len(_running(home)) == JOBS)
                yield home, other
            finally:
                end_jobs(home)


def _running(home: Daemon) -> Sequence[int]:
    with home.connect_unix() as line:
        line.ask("format json")
        return [row["job"] for row in line.ask("jobs").rows if row["state"] == "running"]
