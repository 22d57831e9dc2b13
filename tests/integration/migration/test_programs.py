"""
Programs nobody here wrote are moved while they work: to another host, to a third one, and home again.

What they make is compared with what they make unmoved. Root's and an ordinary user's run at the same time.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.hosts import Host, Network
from tests.integration.migration.moving import LIMIT, TOUR, Job, TooQuick

USERS = ("root", "nobody")
#: Pieces that a program's input is given in: one before each move, and the rest.
PIECES = 4


@pytest.fixture
def shared(made: Network) -> Iterator[Path]:
    """A directory that all hosts see and everybody may write to."""
    path = made.hosts[0].home.parent / "shared"
    path.mkdir()
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


def need(program: str) -> None:
    """Skip the test when a program is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: make system")


def compare(
    three: list[Host], make: Callable[[str, int], Sequence[str]], cwd: Path | str = "/"
) -> tuple[dict[str, Job], bytes]:
    """
    Run a command as each user on the first host, moved all around, and once unmoved. All have to end well.

    :param make: gives the command of a user (``unmoved`` is none) for so many times the usual work: there is
        more of it when a reader was ready before it had been everywhere.
    :returns: the jobs, and what the unmoved one put out.
    """
    with ThreadPoolExecutor(len(USERS) + 1) as pool:
        for times in (1, 2, 4, 8, 16):
            alone = make("unmoved", times)
            unmoved = pool.submit(
                subprocess.run, alone, cwd=cwd, capture_output=True, timeout=LIMIT, check=True
            )
            jobs = {user: Job(three[0], "-n", "1", *make(user, times), user=user, cwd=cwd) for user in USERS}
            tours = [pool.submit(job.tour) for job in jobs.values()]
            ended = [(job.wait(), job.err) for job in jobs.values()]
            if not any(isinstance(tour.exception(), TooQuick) for tour in tours):
                break
    for tour in tours:
        tour.result()
    assert ended == [(0, b"")] * len(USERS)
    assert [(job.row()["node"], job.row()["nmigs"]) for job in jobs.values()] == [(1, 3)] * len(USERS)
    return jobs, unmoved.result().stdout


def test_xz_compresses_what_it_is_given(three: list[Host]) -> None:
    """30 MB go through it while it moves; what comes out is what comes out of one that stayed."""
    need("xz")
    random_words = random.Random(5)
    words = [random_words.randbytes(random_words.randrange(1, 9)).hex().encode() for _ in range(4000)]
    data = b" ".join(random_words.choices(words, k=3_000_000))
    command = ("xz", "-0", "-c")

    def journey(user: str) -> bytes:
        job = Job(three[0], "-n", "1", *command, user=user)
        size = len(data) // PIECES
        for number, target in enumerate(TOUR):
            job.write(data[number * size : (number + 1) * size])
            job.move(target)
        job.write(data[(PIECES - 1) * size :])
        job.close()
        assert (job.wait(), job.err) == (0, b"")
        return job.out

    with ThreadPoolExecutor(len(USERS) + 1) as pool:
        moved = pool.map(journey, USERS)
        stayed = subprocess.run(command, input=data, capture_output=True, timeout=LIMIT, check=True).stdout
        for out in moved:
            assert out == stayed
    assert subprocess.run(["xz", "-dc"], input=stayed, capture_output=True, check=True).stdout == data


def test_stress_ng_finds_no_mistake(three: list[Host]) -> None:
    """It checks what it computes, in a child of its own, with shared memory and timers."""
    need("stress-ng")

    def make(user: str, times: int) -> Sequence[str]:
        return ("stress-ng", "--cpu", "1", "--cpu-method", "matrixprod", "--cpu-ops", str(7000 * times),
                "--verify", "--metrics-brief", "--stdout")  # fmt: skip

    jobs, unmoved = compare(three, make, "/tmp")
    for out in (unmoved, *(job.out for job in jobs.values())):
        assert b"successful run completed" in out
        [done] = re.findall(rb"cpu +(\d+) ", out)
        assert int(done) >= 7000
        assert b"stress-ng: fail:" not in out


_THREADS = """
import hashlib, sys, threading
name, times = sys.argv[1], int(sys.argv[2])
results = {}
kept = open(name, "w+")
source = open("/usr/bin/env", "rb")
def work(number):
    value = b"%d" % number
    for step in range(90000 * times):
        value = hashlib.sha256(value * 100).digest()
        if step % 1000 == 0:
            with lock:
                kept.write("%d %d %s\\n" % (number, step, value.hex()))
                source.seek(step)
                value += source.read(16)
    results[number] = value.hex()
lock = threading.Lock()
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
kept.seek(0)
lines = sorted(kept, key=lambda line: [int(word) for word in line.split()[:2]])
print(len(lines), hashlib.sha256("".join(lines).encode()).hexdigest())
for number in sorted(results):
    print(number, results[number])
"""


def test_python_computes_with_threads_and_open_files(three: list[Host], shared: Path) -> None:
    """A file it reads, and one it reads and writes, where all hosts see them; four threads and a lock."""
    python = "/usr/bin/python3"
    need(python)

    def make(user: str, times: int) -> Sequence[str]:
        return (python, "-c", _THREADS, str(shared / user), str(times))

    jobs, unmoved = compare(three, make, shared)
    for user, job in jobs.items():
        assert job.out == unmoved
        lines = (shared / user).read_text().splitlines()
        assert sorted(lines) == sorted((shared / "unmoved").read_text().splitlines()), user
    assert (shared / "nobody").owner() == "nobody"


def a_large_program(times: int) -> str:
    """Return C that takes a compiler some seconds, or so many times that."""
    number = random.Random(7)
    functions = "".join(
        f"uint64_t f{each}(uint64_t x, uint64_t y)\n{{\n  uint64_t z = {number.getrandbits(32)}u;\n"
        f"  for (unsigned i = 0; i < {number.randrange(5, 50)}; i++) {{\n"
        f"    z ^= (x << {number.randrange(1, 31)}) + y * {number.getrandbits(30)}u;\n"
        f"    if (z & {1 << number.randrange(20)}) x += z >> {number.randrange(1, 31)}; else y ^= z;\n"
        "    switch (z % 5) { case 0: x++; break; case 1: y--; break; default: z -= y; }\n"
        "  }\n  return x ^ y ^ z;\n}\n"
        for each in range(900 * times)
    )
    return f"typedef unsigned long uint64_t;\n{functions}"


def test_gcc_compiles(three: list[Host], shared: Path) -> None:
    """A job of several processes with pipes between them: the object file is the same, byte for byte."""
    need("gcc")

    def make(user: str, times: int) -> Sequence[str]:
        source = f"large{times}.c"
        (shared / source).write_text(a_large_program(times))
        return ("gcc", "-O1", "-pipe", "-c", "-o", f"{user}.o", source)

    compare(three, make, shared)
    for user in USERS:
        assert (shared / f"{user}.o").read_bytes() == (shared / "unmoved.o").read_bytes(), user


def test_a_pipeline_of_a_shell(three: list[Host]) -> None:
    """`seq | sort | sha256sum`: sort with threads and temporary files."""

    def make(user: str, times: int) -> Sequence[str]:
        return ("sh", "-c", f"seq {3000000 * times} | sort -g -r -S 30M | sha256sum")

    jobs, unmoved = compare(three, make)
    assert [job.out for job in jobs.values()] == [unmoved] * len(USERS)
