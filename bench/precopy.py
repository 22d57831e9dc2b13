"""
Measures what it spares a program to have its memory sent before it is stopped: over a network of 1 Gbit/s.

Two hosts of namespaces send the same program to a third one: one ahead of the stop, the other one all of it
during the stop, as before. The program stands still, but for its clock; or it writes to a tenth of its memory
all the time.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from bench.moved_job import STEP_TIMEOUT, MovingJob, gom
from bench.rows import Row, compared
from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.hosts import Host, Network

#: Megabytes of the program, and how often each kind moves each way.
SIZE: Final = 500
ROUNDS: Final = 3
#: What the stop may be of the one in which all is sent, by the share of its memory that the program writes.
GOALS: Final = {0: 0.5, 10: 0.7}
RATE: Final = "1gbit"
_WRITES: Final = """
import time
memory = bytearray({size})
for place in range(0, len(memory), 4096):
    memory[place] = 1
print("ready", flush=True)
last, longest, place = time.time(), 0, 0
while True:
    for place in range(place, place + 4096 * 200, 4096) if {written} else ():
        memory[place % {written}] += 1 if memory[place % {written}] < 255 else -255
    time.sleep(0.001)
    now = time.time()
    if now - last > 0.02 and now - last > longest:
        longest = now - last
        print(longest, flush=True)
    last = now
"""


def run(criu: str) -> list[Row]:
    """Measure, and return the rows; none where there can be no hosts."""
    if why_not := hosts.missing() or ("" if shutil.which("tc") else "there is no tc (iproute2)"):
        print(f"migrate: not measured over a network: {why_not}")
        return []
    home = Path(tempfile.mkdtemp(prefix="gomd-bench-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            ahead, plain, target = (network.add(home / "key") for _ in range(3))
            for host in network.hosts:
                more = "precopy_from = 0\n" if host is plain else ""
                host.more = f"[jobs]\ncriu = {criu}\n{more}"
                host.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", RATE, "burst", "512kb",
                         "latency", "100ms")  # fmt: skip
                host.start()
            return [_row(share, goal, ahead, plain, target) for share, goal in GOALS.items()]
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _row(share: int, goal: float, ahead: Host, plain: Host, target: Host) -> Row:
    for host in (ahead, plain):
        _until_up(host, target)
    rounds = [(_stop(ahead, target, share), _stop(plain, target, share)) for _ in range(ROUNDS)]
    what = f", {share} % written all the time" if share else ""
    return compared(
        f"stop of {SIZE} MB over 1 Gbit/s{what}",
        [one for one, _ in rounds],
        "ms",
        "all sent during the stop",
        [other for _, other in rounds],
        goal,
    )


class _At(NamedTuple):
    """The daemon of a host."""

    unix: str


def _at(host: Host) -> _At:
    return _At(f"unix:{host.home / 'gomd.sock'}")


def _until_up(host: Host, other: Host) -> None:
    end = time.monotonic() + STEP_TIMEOUT
    while not any(
        row["id"] == other.number and row["up"]
        for row in map(json.loads, gom(_at(host), "--json", "nodes").splitlines())
    ):
        assert time.monotonic() < end, "the hosts do not see each other"
        time.sleep(0.2)


def _stop(source: Host, target: Host, share: int) -> float:
    """Move the program; return the longest stop that it has seen, in milliseconds."""
    size = SIZE * 1_000_000
    job = MovingJob(_at(source), _WRITES.format(size=size, written=size * share // 100), source.number)
    time.sleep(0.5)
    before = len(job.until(1))
    job.move(str(target.number))
    job.until(before + 1)
    time.sleep(1.0)
    told = job.output.splitlines()[before:]
    job.end()
    return max(map(float, told)) * 1000
