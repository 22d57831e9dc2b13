"""`ps` of a home whose jobs run on other nodes: which nodes are asked, and for which processes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libgomd.model import Role
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.three_nodes import AWAY, GUEST, OWN, ThreeNodes


@pytest.fixture
def node() -> ThreeNodes:
    """Node 1 of three: job 9 of its own runs on node 2, job 4 of node 2 runs here."""
    return ThreeNodes()


def asked(node: ThreeNodes) -> list[tuple[int, tuple[str, ...]]]:
    """Return which nodes were asked, for which processes."""
    return [(each, request.arguments) for each, request, _caller in node.peers.asked]


@pytest.mark.parametrize("words", ["ps", "ps --jobs", f"ps {AWAY.pid}", f"ps {OWN.pid} {AWAY.pid}"])
def test_the_node_of_a_job_is_asked_for_it(node: ThreeNodes, words: str) -> None:
    """By the number that its process has there."""
    assert Talk(node).say(words).startswith("201 ")
    assert asked(node) == [(AWAY.node, (str(AWAY.pid_there),))]


@pytest.mark.parametrize("pids", [(OWN.pid,), (GUEST.pid,), (5,), tuple(range(2, 60))])
def test_no_node_is_asked_for_other_processes(node: ThreeNodes, pids: tuple[int, ...]) -> None:
    """Somebody who names processes of this node waits for no other one."""
    Talk(node).say(f"ps {' '.join(map(str, pids))}")
    assert asked(node) == []


def test_the_question_of_a_home_ends_here(node: ThreeNodes) -> None:
    """
    It is about a guest, even if a job of this node has the same number and runs on another one.

    Were it asked on, nodes that run jobs of each other would ask around until all questions have timed out.
    """
    node.jobs.away = [replace(AWAY, pid=GUEST.pid)]
    home = Talk(node, Role.ADMIN, "", None, "node 2")
    assert str(GUEST.pid) in home.say(f"ps {GUEST.pid}")
    assert asked(node) == []


def test_what_a_person_asks_through_another_node_is_asked_on(node: ThreeNodes) -> None:
    """`@1 ps` at node 2, and `@1 ps PID`, show what `ps` shows here."""
    person = Talk(node, Role.USER, "ada", 1000, "node 2")
    for words in ("ps", f"ps {AWAY.pid}"):
        node.peers.asked.clear()
        assert str(AWAY.pid) in person.say(words)
        assert asked(node) == [(AWAY.node, (str(AWAY.pid_there),))]
