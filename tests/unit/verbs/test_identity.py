"""Acting on processes by their identity, HOME-PID-STARTED, on node 1 of three."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gomd.verbs.context import Parts
from libgomd.model import Role, Status
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.three_nodes import AWAY, GUEST, OWN, PROCESSES, ThreeNodes

STARTED = PROCESSES[0].started
VERBS = ("signal {} TERM", "renice {} 5", "migrate {} beta", "lock {}", "unlock {}")


class Hiding(ThreeNodes):
    """:ivar hidden: whether /proc hides the processes of others."""

    hidden = False

    def _parts(self, *more: Any) -> Parts:
        return replace(super()._parts(*more), hides_others=lambda: self.hidden)


@pytest.fixture
def node() -> Hiding:
    """Node 1 of three; its jobs have their identities."""
    made = Hiding()
    made.peers.answer = lambda _node, _request: (404, "process 1-812-6 has ended")
    made.jobs.running = [
        OWN._replace(identity="1-250-77"),  # it came home as another process
        GUEST._replace(identity="2-4000-88"),
    ]
    made.jobs.away = [replace(AWAY, identity=f"1-{AWAY.pid}-0")]
    return made


def as_ada(node: ThreeNodes) -> Talk:
    """The owner of all jobs."""
    return Talk(node, Role.USER, "ada", 1000)


def test_a_process_of_this_node(node: ThreeNodes) -> None:
    """Its identity is as good as its PID."""
    assert as_ada(node).say(f"signal 1-5-{STARTED} TERM") == "200 sent SIGTERM to process 5\r\n"
    assert list(node.control.acts) == [("signal", 5, 15)]


@pytest.mark.parametrize("request_", VERBS)
@pytest.mark.parametrize("at", ["@3 ", "@beta ", "@1 "])
def test_which_node_is_asked_makes_no_difference(node: ThreeNodes, at: str, request_: str) -> None:
    """Its home knows where it runs; another node, asked from there, would say that it has ended."""
    said = as_ada(node).say(at + request_.format(f"1-5-{STARTED}"))
    assert "has ended" not in said
    assert said == as_ada(Hiding()).say(request_.format(f"1-5-{STARTED}"))
    assert not node.peers.asked


@pytest.mark.parametrize("request_", VERBS)
def test_another_process_has_its_pid_by_now(node: ThreeNodes, request_: str) -> None:
    """409, and nothing happens to it."""
    said = as_ada(node).say(request_.format(f"1-5-{STARTED + 1}"))
    assert said.startswith(f"409 process 5 is another process now, 1-5-{STARTED + 1} has ended: "), said
    assert not node.control.acts
    assert not node.jobs.told
    assert not node.migrator.moves


@pytest.mark.parametrize("request_", VERBS)
def test_it_has_ended(node: ThreeNodes, request_: str) -> None:
    """404, also for one of another node's that this node is asked about by that node."""
    assert as_ada(node).say(request_.format("1-99-5")).startswith("404 process 1-99-5 has ended: ")
    talk = as_ada(node)
    assert talk.line.session is not None
    talk.line.session.caller = replace(talk.line.session.caller, via="node 2")
    assert talk.say(request_.format("2-99-5")).startswith("404 process 2-99-5 has ended: ")


def test_hidden_processes_stay_hidden(node: Hiding) -> None:
    """Whether a PID is another one's is not told where /proc hides that."""
    assert as_ada(node).say(f"signal 1-6-{STARTED + 1} TERM").startswith("409 ")
    node.hidden = True
    assert as_ada(node).say(f"signal 1-6-{STARTED + 1} TERM").startswith("404 ")
    assert as_ada(node).say(f"signal 1-5-{STARTED + 1} TERM").startswith("409 ")


@pytest.mark.parametrize(
    "word", ["1-5", "1-5-x", "0-5-5", "70000-5-5", "1--5-5", "-5", "x-y-z", "1-5-5-5", "1-0-5"]
)
def test_what_is_no_identity(node: ThreeNodes, word: str) -> None:
    """400, whatever it is."""
    assert as_ada(node).say(f"signal {word} TERM").startswith("400 ")


def test_a_job_that_came_home_keeps_its_identity(node: ThreeNodes) -> None:
    """It is another process of this kernel, and still the same one of the cluster."""
    talk = as_ada(node)
    talk.say("format json")
    [row] = [json.loads(line) for line in talk.say("ps 300").splitlines()[1:-1]]
    assert (row["identity"], row["pid"], row["started"]) == ("1-250-77", 300, 77)
    talk = as_ada(node)
    assert talk.say("signal 1-250-77 STOP") == "200 sent SIGSTOP to process 300\r\n"
    assert talk.say("lock 1-250-77").startswith("200 ")
    assert talk.say("migrate 1-250-77 beta") == "200 process 300 runs on node 2 beta\r\n"
    assert node.jobs.told == [("lock", "1-7", True)]


def test_a_guest_has_the_identity_of_its_home(node: ThreeNodes) -> None:
    """Its children are named by what they are here."""
    talk = as_ada(node)
    talk.say("format json")
    [row] = [json.loads(line) for line in talk.say("ps 400").splitlines()[1:-1]]
    assert (row["identity"], row["pid"], row["home"]) == ("2-4000-88", 400, 2)
    assert as_ada(node).say("renice 2-4000-88 7").startswith("200 ")
    assert as_ada(node).say("migrate 2-4000-88 home") == "200 process 400 runs on node 2 beta\r\n"


def test_a_guest_that_has_ended_is_not_the_process_that_got_its_pid(node: ThreeNodes) -> None:
    """Its supervisor is the parent of the process that is meant, and of no other one."""
    node.jobs.running = [GUEST._replace(identity="2-4000-88", supervisor=398)]
    assert as_ada(node).say("signal 2-4000-88 TERM").startswith("404 ")


def test_a_guest_is_locked_at_its_home(node: ThreeNodes) -> None:
    """Which notes it and tells this node; when it cannot be reached, it is locked here alone."""
    node.peers.answer = lambda _node, _request: (200, "process 4000 is locked")
    assert as_ada(node).say("lock 2-4000-88") == "200 process 4000 is locked\r\n"
    assert not node.jobs.told
    node.members.known[1] = replace(node.members.known[1], status=Status.CONFIGURED)
    assert as_ada(node).say("lock 2-4000-88") == "200 process 400 is locked\r\n"
    assert node.jobs.told == [("lock", "2-4", True)]


def test_a_job_elsewhere(node: ThreeNodes) -> None:
    """Signals go with its stream; its node is asked for a new niceness by the same identity."""
    node.peers.answer = lambda _node, _request: (200, json.dumps({"pid": 811, "nice": 5}))
    word = f"1-{AWAY.pid}-0"
    assert as_ada(node).say(f"signal {word} USR1").startswith("200 sent SIGUSR1")
    assert node.jobs.told == [("signal", 9, 10)]
    assert as_ada(node).say(f"renice {word} 5").startswith("200 ")
    assert node.peers.asked[-1][:2] == (2, Request("renice", (word, "5")))
    talk = as_ada(node)
    assert Talk(node, Role.USER, "bob", 1001).say(f"signal {word} USR1").startswith("403 ")
    node.peers.answer = lambda _node, _request: (404, "it has ended")
    assert talk.say(f"signal 1-{AWAY.pid}-1 USR1").startswith("404 ")


def test_one_of_another_home_is_for_its_home(node: ThreeNodes) -> None:
    """As the same caller; what that node answers is the answer."""
    node.peers.answer = lambda _node, _request: (409, "process 900 is another process now")
    assert as_ada(node).say("signal 2-900-5 TERM") == "409 process 900 is another process now\r\n"
    asked, request, caller = node.peers.asked[-1][:3]
    assert (asked, request, caller.uid) == (2, Request("signal", ("2-900-5", "TERM")), 1000)
    assert as_ada(node).say("signal 3-900-5 TERM").startswith("502 ")
    assert as_ada(node).say("signal 9-900-5 TERM").startswith("404 ")


def test_a_child_of_a_job_elsewhere_is_looked_for_there(node: ThreeNodes) -> None:
    """Only its node knows it; when it does not, this home says what it knows."""
    node.peers.answer = lambda _node, _request: (200, "sent SIGTERM to process 812")
    assert as_ada(node).say("signal 1-812-6 TERM") == "200 sent SIGTERM to process 812\r\n"
    assert node.peers.asked[-1][:2] == (2, Request("signal", ("1-812-6", "TERM")))
    node.peers.answer = lambda _node, _request: (404, "process 1-812-6 has ended")
    assert as_ada(node).say("signal 1-812-6 TERM").startswith("404 ")
