"""Jobs of this home on other nodes, and what daemons tell each other of moves, on node 1 of three."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from libgomd.model import Role
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.migrating import as_ada, moved_there
from tests.unit.verbs.three_nodes import AWAY, ThreeNodes


@pytest.fixture
def node() -> ThreeNodes:
    """Node 1 of three."""
    return ThreeNodes()


# -- jobs of this home on other nodes


def test_a_job_elsewhere_is_moved_by_its_node(node: ThreeNodes) -> None:
    """Asked for by its number at home, on behalf of the same caller, with nodes by their ids."""
    node.peers.answer = moved_there
    talk = as_ada(node)
    assert talk.say("migrate 5000009 home") == "200 process 5000009 runs on node 1 alpha\r\n"
    [(at, request, caller)] = node.peers.asked
    assert (at, request) == (2, Request("migrate", ("811", "1")))
    assert (caller.role, caller.user, caller.uid) == (Role.USER, "ada", 1000)
    assert talk.say("migrate 5000009 beta") == "200 process 5000009 runs on node 2 beta already\r\n"
    assert talk.say("migrate 5000009 gamma").startswith("502 node 3 gamma is down")
    assert len(node.peers.asked) == 1


def test_who_is_told_of_a_move_finds_it_made(node: ThreeNodes) -> None:
    """The old node answers before the new one has told this home: the answer waits, but not for ever."""
    node.peers.answer = lambda at, request: (200, '{"pid":811,"node":1,"moved":true}')
    talk = as_ada(node)
    assert talk.say("migrate 5000009 home") == ""
    node.jobs.hear_of_a_move(811)
    node.clock.advance(0.02)
    assert talk.heard() == "200 process 5000009 runs on node 1 alpha\r\n"
    assert talk.say("migrate 5000009 home") == ""
    node.clock.pump([0.02] * 260)
    assert talk.heard() == "200 process 5000009 runs on node 1 alpha\r\n"


@pytest.mark.parametrize(
    ("request_", "sent", "value", "answer"),
    [
        ("home dry-run", ("811", "1", "dry-run"), {"node": 1, "moved": False}, "can move to node 1 alpha"),
        ("best", ("811", "best"), {"node": 1, "moved": True}, "runs on node 1 alpha"),
        ("best", ("811", "best"), {"node": 2, "moved": False}, "stays on node 2 beta: no other"),
        ("best dry-run", ("811", "best", "dry-run"), {"node": 1, "moved": False}, "can move to node 1 alpha"),
    ],
)
def test_what_its_node_answers_is_passed_on(
    node: ThreeNodes, request_: str, sent: tuple[str, ...], value: dict[str, object], answer: str
) -> None:
    """`best` is found where the job runs: that node knows what it needs."""
    node.peers.answer = lambda at, request: (200, json.dumps(value))
    assert as_ada(node).say(f"migrate 5000009 {request_}").startswith(f"200 process 5000009 {answer}")
    assert [request.arguments for _, request, _ in node.peers.asked] == [sent]


def test_a_refusal_of_its_node_is_passed_on(node: ThreeNodes) -> None:
    """With its number there, and under the same code."""
    for code in (405, 403, 404, 409, 502):
        node.peers.answer = lambda at, request, code=code: (code, "it has a socket")  # type: ignore[misc]
        assert as_ada(node).say("migrate 5000009 home") == (
            f"{code} node 2 beta, where it is process 811: it has a socket\r\n"
        )
    node.peers.answer = lambda at, request: (200, '"home"')
    assert as_ada(node).say("migrate 5000009 home").startswith("500 node 2 answered")


def test_a_job_that_has_just_moved_is_waited_for(node: ThreeNodes) -> None:
    """Its new process id comes a moment later; it is not asked for as `None`."""
    node.peers.answer = moved_there
    node.jobs.away = [replace(AWAY, pid_there=None)]
    talk = as_ada(node)
    assert talk.say("migrate 5000009 home") == ""
    node.jobs.away = [AWAY]
    node.clock.advance(0.5)
    assert talk.heard().startswith("200 process 5000009 runs on node 1")
    node.jobs.away = [replace(AWAY, pid_there=None)]
    talk.say("migrate 5000009 home")
    node.clock.pump([0.25] * 30)
    assert talk.heard().startswith("502 job 9 has just moved to node 2")
    talk.say("renice 5000009 5")
    node.clock.pump([0.1] * 55)
    assert talk.heard().startswith("502 job 9 has just moved to node 2 and its process id")
    talk.say("renice 5000009 5")
    node.jobs.away = [AWAY]
    node.clock.advance(0.1)
    assert node.peers.asked[-1][1] == Request("renice", ("811", "5"))


@pytest.mark.parametrize("request_", ["signal 5000009 USR1", "kill 9 USR1"])
def test_a_signal_waits_for_a_job_that_has_just_moved(node: ThreeNodes, request_: str) -> None:
    """It is sent when the job can be reached again; when it cannot be for long, that is said."""
    node.jobs.unreached = True
    talk = as_ada(node)
    assert talk.say(request_) == ""
    node.jobs.unreached = False
    node.clock.advance(0.1)
    assert talk.heard().startswith("200 sent SIGUSR1 to ")
    assert node.jobs.told == [("signal", 9, 10)]
    node.jobs.unreached = True
    assert talk.say(request_) == ""
    node.clock.pump([0.1] * 55)
    assert talk.heard() == "502 job 9 on node 2 cannot be reached now: try again\r\n"


# -- between daemons


def daemon_of(node: ThreeNodes, via: str, role: Role = Role.ADMIN) -> Talk:
    """The stream of another node's daemon."""
    talk = Talk(node, role)
    assert talk.line.session is not None
    talk.line.session.caller = replace(talk.line.session.caller, via=via)
    return talk


def test_migration_messages_are_the_migrators(node: ThreeNodes) -> None:
    """From 202 on the stream is its own; who writes is told by the certificate."""
    talk = daemon_of(node, "node 2")
    assert talk.say("migration") == "202 migration messages\r\n"
    [(sender, stream)] = node.migrator.joined
    assert sender == 2
    assert stream is talk.line._frames


@pytest.mark.parametrize(
    "via", ["unix", "tcp 10.0.0.2:40000", "loopback 127.0.0.1", "node", "node x", "node 2 3", "nodes 2"]
)
@pytest.mark.parametrize("request_", ["migration", "moved 1-9 2 4"])
def test_people_do_not_speak_for_daemons(node: ThreeNodes, via: str, request_: str) -> None:
    """Administrators neither, nor by way of another node."""
    assert daemon_of(node, via).say(request_).startswith("403 only the daemons of the cluster")
    for prefix in ("@2", "@1", "@all"):
        assert daemon_of(node, "node 2").say(f"{prefix} {request_}").startswith("405 ")
    assert daemon_of(node, "node 2", Role.USER).say(request_).startswith("403 ")
    assert not node.migrator.joined
    assert not node.jobs.told
    assert not node.peers.asked


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("1-9 2 4", 200), ("1-8 2 4", 404), ("2-9 2 4", 405), ("9 2 4", 400), ("1-x 2 4", 400),
        ("1-9 0 4", 400), ("1-9 2 -1", 400), ("1-9 65536 4", 400), ("1-9 2", 400),
    ],
)  # fmt: skip
def test_a_home_is_told_where_its_job_is(node: ThreeNodes, words: str, code: int) -> None:
    """404 means that there is no such job: not that another node is its home."""
    assert daemon_of(node, "node 2").say(f"moved {words}").startswith(f"{code} ")
    assert node.jobs.told == ([("moved", "1-9", 2, 4)] if code == 200 else [])
