"""A machine that was cloned with its STATE: two daemons with one id, certificate and table of jobs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.cluster.asking import ask, events, eventually, see, start
from tests.integration.hosts import Host, Network
from tests.integration.test_history import GOM

LINES = 12


@pytest.fixture
def network() -> Iterator[Network]:
    """Three hosts with one key; the third one is for the clone of the first."""
    if reason := hosts.missing():
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="gomd-clones-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as made:
            for _ in range(3):
                made.add(home / "key")
            yield made
    finally:
        shutil.rmtree(home)


def gom(host: Host, *words: str) -> str:
    """Run `gom` at the socket of a host; return what it printed."""
    done = subprocess.run(
        [GOM, "-c", f"unix:{host.home / 'gomd.sock'}", *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout


def job(host: Host) -> tuple[str, int | None]:
    [found] = ask(host, "jobs", as_json=True).rows
    return found["state"], found["exit"]


def test_a_clone_takes_nothing_of_a_job(network: Network) -> None:
    """
    Its table has the job, too, and it calls the node where that runs, as the home that it was. The real home
    gets every line and the exit status.
    """
    first, second, clone = network.hosts
    start([first, second])
    see([first, second], frozenset({1, 2}))
    count = f"for i in $(seq {LINES}); do echo $i; sleep 0.5; done; exit 7"
    gom(first, "run", "--detach", "-n", "2", "sh", "-c", count)
    eventually(lambda: job(first)[0] == "running")
    shutil.copytree(first.daemon.state, clone.daemon.state, ignore=shutil.ignore_patterns("*.sock", "lock"))
    clone.node = 1
    clone.start()
    eventually(
        lambda: [each for each in events(second, 1, "suspect") if "two nodes use the id 1" in each["reason"]]
    )
    assert job(clone)[0] == "running"
    eventually(lambda: job(first) == ("done", 7))
    assert gom(first, "attach", "1").split() == [str(each + 1) for each in range(LINES)]
    assert job(clone) == ("running", None)
    # When the first one is switched off the clone is the node.
    first.daemon.stop()
    eventually(
        lambda: [row["address"] for row in ask(second, "nodes", as_json=True).rows][:1] == [clone.address]
    )
    eventually(lambda: ask(clone, "@2 load").code == 200)
