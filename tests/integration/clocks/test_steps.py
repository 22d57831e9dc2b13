"""Three real daemons whose wall clock is set while they work: nothing stands still, and everybody is told."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from tests.integration.clocks.conftest import EVERYBODY, set_clock, set_right
from tests.integration.clocks.seeing import SOON, of_clock, within
from tests.integration.cluster.asking import ask, events, eventually, see, up
from tests.integration.hosts import Host, Network
from tests.integration.jobs import begin, jobs


class Work:
    """A job, a command and a watch on one host, and how they go on."""

    def __init__(self, host: Host) -> None:
        script = "n=0; while [ $n -lt 14 ]; do n=$((n+1)); echo line $n; sleep 0.5; done; exit 7"
        pipes: Any = {"stdin": subprocess.DEVNULL, "bufsize": 0}
        self._running = [
            begin(host.daemon, *words, **pipes)
            for words in (("run", "-n", str(host.node), "sh", "-c", script), ("do", "tick"),
                          ("watch", "-n", "0.5", "-c", "14", "load"))
        ]  # fmt: skip
        self.came: list[list[float]] = [[] for _ in self._running]
        for process, came in zip(self._running, self.came, strict=True):
            threading.Thread(target=self._listen, args=(process, came), daemon=True).start()

    @staticmethod
    def _listen(process: Any, came: list[float]) -> None:
        for _ in process.stdout:
            came.append(time.monotonic())

    def begun(self) -> bool:
        """Whether all of them said something."""
        return all(self.came)

    def end(self) -> list[int]:
        """Return how they ended."""
        return [process.wait(30) for process in self._running]

    def longest_silence(self) -> float:
        """Return the most seconds between two lines of any of them."""
        return max(b - a for came in self.came for a, b in pairwise(came))


@pytest.mark.parametrize("seconds", [-20, -3600, 3600])
def test_nothing_stands_still_when_a_clock_is_set(trio: Network, seconds: int) -> None:
    """A job, `do` and `watch` go on, samples stay new, and the jump is said once with its amount."""
    host = trio.hosts[2]
    log = len(host.daemon.lines)
    told = len(of_clock(host, 3, 0))
    work = Work(host)
    eventually(work.begun)
    set_clock(host, seconds)
    way = "back" if seconds < 0 else "on"
    jump = rf"its wall clock was set {way} by {abs(seconds)}\.\d s"
    within(SOON, lambda: of_clock(host, 3, told))
    assert work.end() == [7, 0, 0]
    assert work.longest_silence() < 8.0, work.came
    [reason] = of_clock(host, 3, told)
    assert re.match(jump, reason), reason
    assert len([line for line in host.daemon.lines[log:] if re.search(jump, line)]) == 1
    counted = {row["name"]: row["value"] for row in ask(host, "stats", as_json=True).rows}
    assert abs(counted["clock_last_jump"] - seconds) < 0.5
    assert 0 <= counted["load_age"] < 3.0
    [own] = [row for row in ask(host, "nodes", as_json=True).rows if row["id"] == 3]
    assert 0 <= own["age"] < 3.0
    assert jobs(host.daemon)[-1]["exit"] == 7


@pytest.mark.parametrize("seconds", [-20, -3600])
def test_a_death_is_found_on_a_clock_that_was_set_back(trio: Network, seconds: int) -> None:
    """All clocks are set, a node is killed: the others call it down as fast as ever."""
    victim = trio.hosts[1]
    for host in trio.hosts:
        set_clock(host, seconds)
    see(trio.hosts, EVERYBODY)
    victim.daemon.kill()
    for host in (trio.hosts[0], trio.hosts[2]):
        assert within(8.0, lambda host=host: up(host) == {1, 3}) < 8.0  # type: ignore[misc]
    for host in trio.hosts:
        set_right(host)


def test_stamps_are_of_the_wall_clock(trio: Network) -> None:
    """Events, jobs and the start times of processes carry the time of day, not that of a monotonic clock."""
    host, now = trio.hosts[0], time.time()  # noqa: TID251 - what people see
    work = begin(host.daemon, "run", "-n", "1", "true", stdin=subprocess.DEVNULL)
    assert work.wait(30) == 0
    job = jobs(host.daemon)[-1]
    assert abs(job["started"] - now) < 30
    assert abs(job["ended"] - now) < 30
    assert all(abs(event["time"] - now) < 4000 + 600 for node in EVERYBODY for event in events(host, node))
    assert all(abs(row["start_time"] - now) < 1e8 for row in ask(host, "ps", as_json=True).rows)
