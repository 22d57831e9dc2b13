"""Moves between nodes that do not trust each other's root: `[peers] admin_from_peers = no`."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.integration.cluster.asking import ask
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job

_SLEEP = ("sleep", "1000")


def trust(host: Host, word: str) -> None:
    """Change a setting of a daemon that runs."""
    host.daemon.configure(host.ini(admin_from_peers=word))
    seen = len(host.daemon.lines)
    host.daemon.signal(signal.SIGHUP)
    host.daemon.wait_for("configuration read again", seen)


@pytest.fixture
def wary(three: list[Host]) -> Iterator[list[Host]]:
    """Let the first two hosts take no jobs of root and of system users, and the third one take them."""
    for host in three[:2]:
        trust(host, "no")
    yield three
    for host in three[:2]:
        trust(host, "yes")


def test_a_persons_job_moves_as_ever(wary: list[Host]) -> None:
    """There, on, and home again: daemons go on with what they do for themselves. Its streams go on too."""
    job = Job(wary[0], "-n", "1", "cat", user="nobody")
    for number, target in enumerate(("2", "3", "home")):
        job.move(target)
        line = b"line %d\n" % number
        job.write(line)
        while line not in job.out:
            assert job.process.poll() is None, job.err
    job.close()
    assert job.wait() == 0
    assert job.out == b"line 0\nline 1\nline 2\n"
    assert job.err == b""


def test_a_job_of_root_is_not_taken(wary: list[Host]) -> None:
    """403 in one sentence, tried or done; it runs on where it was. Where root is let in it may go."""
    first, second, _third = wary
    job = Job(first, "-n", "1", *_SLEEP)
    for words in ("2", "2 dry-run"):
        said = ask(first, f"migrate {job.pid} {words}")
        assert said.code == 403, said
        assert "h2 takes no processes of root from other nodes ([peers] admin_from_peers = no" in said.text
        assert job.row()["node"] == 1
    job.move("3")
    # Nor is it taken back from a node that could have made anything of it.
    said = ask(first, f"migrate {job.pid} home")
    assert (said.code, job.row()["node"]) == (403, 3), said
    trust(first, "yes")
    job.move("home")
    assert ask(second, "nodes").code == 201


def test_best_passes_over_nodes_that_would_not_take_it(wary: list[Host]) -> None:
    """And says nothing of them."""
    first, _second, third = wary
    job = Job(first, "-n", "1", *_SLEEP)
    ask(third, "block")
    said = ask(first, f"migrate {job.pid} best")
    assert said.code in (200, 403, 405), said
    assert job.row()["node"] == 1
