"""
Balancing on real processes: two equal nodes with one processor each, as their own views of /proc tell them.

The spinners are nice: it is enough that they could run. How long anything takes is bounded, and never waited
out, but for the rest that has to be seen.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.cluster.asking import ask, counters, eventually, see, start
from tests.integration.hosts import Host, Network
from tests.integration.migration.moving import Job, end_jobs
from tests.integration.migration.views import Views
from tests.integration.test_criu import find_criu

SPINNER = ("nice", "-n", "19", "sh", "-c", "while :; do :; done")
#: Seconds in which nothing may move: more than the balancer needs to decide, and to rest after a move.
REST = 22.0


@pytest.fixture
def two() -> Iterator[list[Host]]:
    """Two hosts that balance, each with a load of its own and the same speed."""
    if reason := hosts.missing():
        pytest.skip(reason)
    criu = find_criu()
    home = Path(tempfile.mkdtemp(prefix="gomd-balance-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            for _ in range(2):
                network.add(home / "key").more = f"[jobs]\ncriu = {criu}\nbalance = yes\n"
            with Views(network.hosts):
                start(network.hosts)
                see(network.hosts, frozenset((1, 2)))
                for host in network.hosts:
                    assert ask(host, "setspeed 15000").code == 200
                yield network.hosts
                end_jobs(network.hosts)
    finally:
        shutil.rmtree(home)


def moves(two: list[Host]) -> int:
    """Return how many moves the balancers made; none may have failed."""
    told = [counters(host) for host in two]
    assert [one["balance_failures"] for one in told] == [0, 0]
    return sum(one["balance_moves"] for one in told)


def rest(two: list[Host], jobs: list[Job]) -> None:
    """Check that nothing moves for a while."""
    before, where = moves(two), [job.row()["node"] for job in jobs]
    end = time.monotonic() + REST
    while time.monotonic() < end:
        assert [job.row()["node"] for job in jobs] == where
        time.sleep(0.5)
    assert moves(two) == before


def test_three_spinners_settle_as_one_and_two(two: list[Host]) -> None:
    """Nothing moves with `stay`; then one does, and none that is locked; then all rest."""
    first, _second = two
    assert ask(first, "stay").code == 200
    jobs = [Job(first, "-n", "1", *words) for words in (("-l", *SPINNER), SPINNER, SPINNER)]
    eventually(lambda: int(ask(first, "load").text) > 250)
    time.sleep(REST / 2)  # without `stay` it would have moved by then
    assert [job.row()["nmigs"] for job in jobs] == [0, 0, 0]
    assert ask(first, "nostay").code == 200
    eventually(lambda: moves(two) == 1)
    assert sorted(job.row()["node"] for job in jobs) == [1, 1, 2]
    assert jobs[0].row()["nmigs"] == 0
    rest(two, jobs)
