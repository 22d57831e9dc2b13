"""Processes that are locked, and the files of the tree that migrate and lock, on node 1 of three."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libgomd.model import Status
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.migrating import as_ada, read
from tests.unit.verbs.three_nodes import BETA, ThreeNodes


@pytest.fixture
def node() -> ThreeNodes:
    """Node 1 of three."""
    return ThreeNodes()


# -- lock


def test_a_job_is_locked_by_any_of_its_processes(node: ThreeNodes) -> None:
    """Own or guest."""
    talk = as_ada(node)
    assert talk.say("lock 302") == "200 process 302 is locked\r\n"
    assert talk.say("unlock 400") == "200 process 400 is not locked\r\n"
    assert node.jobs.told == [("lock", "1-7", True), ("lock", "2-4", False)]


def test_a_job_elsewhere_is_locked_there_and_at_home(node: ThreeNodes) -> None:
    """Not at home alone when its node cannot be reached: balancing happens there."""
    talk = as_ada(node)
    talk.say("format json")
    assert talk.say("lock 5000009") == '200 {"pid": 5000009, "lock": true}\r\n'
    assert [request for _, request, _ in node.peers.asked] == [Request("lock", ("811",))]
    assert node.jobs.told == [("lock", "1-9", True)]
    node.members.known[1] = replace(BETA, status=Status.CONFIGURED)
    assert talk.say("unlock 5000009").startswith("502 ")
    assert node.jobs.told == [("lock", "1-9", True)]


def test_any_process_of_ones_own_can_be_locked(node: ThreeNodes) -> None:
    """As openMosix's /proc/PID/lock, though what gomd did not start does not move anyway."""
    talk = as_ada(node)
    assert talk.say("lock 5") == "200 process 5 is locked\r\n"
    assert talk.say("get /proc/5/lock") == "201 1 lines of /proc/5/lock\r\n1\r\n.\r\n"
    assert talk.say("unlock 5") == "200 process 5 is not locked\r\n"
    assert not node.jobs.told


# -- the tree


def test_the_tree_tells_of_jobs_here(node: ThreeNodes) -> None:
    """Of every process of theirs; 0 is at home, a guest is on this node."""
    talk = as_ada(node)
    names = ("where", "nmigs", "lock", "cantmove")
    assert [read(talk, f"/proc/302/{name}") for name in names] == ["0", "1", "0", ""]
    assert [read(talk, f"/proc/400/{name}") for name in names] == ["1", "2", "1", "it has a socket"]
    assert [read(talk, f"/proc/5/{name}") for name in names] == ["0", "0", "0", "foreign"]
    assert [read(talk, f"/proc/5000009/{name}") for name in names] == ["2", "3", "0", ""]
    assert read(talk, "/proc/99/where").startswith("404 ")
    assert read(talk, "/proc/300/goto").startswith("405 ")


@pytest.mark.parametrize(
    ("request_", "moves"),
    [
        ("put /proc/301/goto 2", [(300, 2)]),
        ("put /proc/300/migrate 2", [(300, 2)]),
        ("put /proc/400/goto 0", [(400, 2)]),
        ("put /proc/400/migrate home", [(400, 2)]),
        ("put /proc/300/goto 0", []),
    ],
)
def test_writing_where_to_go_is_migrate(
    node: ThreeNodes, request_: str, moves: list[tuple[int, int]]
) -> None:
    """openMosix's number is a node's id, 0 for home."""
    assert Talk(node).say(request_).startswith("200 ")
    assert node.migrator.moves == moves


@pytest.mark.parametrize(
    ("request_", "code"),
    [("goto -1", 400), ("goto balance", 400), ("goto 4", 404), ("goto 3", 502), ("lock 2", 400)],
)
def test_writing_nonsense_moves_nothing(node: ThreeNodes, request_: str, code: int) -> None:
    """And is told so."""
    assert Talk(node).say(f"put /proc/300/{request_}").startswith(f"{code} ")
    assert not node.migrator.moves
    assert not node.jobs.told


def test_writing_a_lock_is_lock(node: ThreeNodes) -> None:
    """For a job here, and for one elsewhere."""
    talk = Talk(node)
    assert talk.say("put /proc/300/lock 1").startswith("200 ")
    assert talk.say("put /proc/5000009/lock 1").startswith("200 ")
    assert node.jobs.told == [("lock", "1-7", True), ("lock", "1-9", True)]
    assert talk.say("put /proc/5/lock 1").startswith("200 ")
    assert read(talk, "/proc/5/lock") == "1"
