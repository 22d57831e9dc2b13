"""Processes that are moved, as their owners and administrators see it on node 1 of three."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from zope.interface.verify import verifyObject

from gomd.interfaces import (
    IJobOwnership,
    IJobs,
    IMembership,
    IMigrator,
    IPeers,
    IRelocation,
    MoveCost,
)
from gomd.jobs.ownership import JobOwnership
from libgomd.model import Role, Status
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.migrating import as_ada, read
from tests.unit.verbs.three_nodes import ALPHA, AWAY, BETA, OWN, ThreeNodes


@pytest.fixture
def node() -> ThreeNodes:
    """Node 1 of three."""
    return ThreeNodes()


def test_the_parts_keep_their_promises(node: ThreeNodes) -> None:
    """Those that play, and those that do not."""
    for interface, part in (
        (IMembership, node.members), (IJobs, node.jobs), (IPeers, node.peers), (IMigrator, node.migrator),
        (IRelocation, node.relocation), (IJobOwnership, JobOwnership(node.jobs, node._collector)),
    ):  # fmt: skip
        assert verifyObject(interface, part)


# -- migrate


@pytest.mark.parametrize("pid", [300, 301, 302])
def test_a_job_moves_as_a_whole(node: ThreeNodes, pid: int) -> None:
    """By its first process, by a child of it, or by an orphan that fell to its supervisor."""
    assert as_ada(node).say(f"migrate {pid} beta") == f"200 process {pid} runs on node 2 beta\r\n"
    assert node.migrator.moves == [(300, 2)]


def test_in_json_it_says_how_long_it_took(node: ThreeNodes) -> None:
    """The seconds are those of the whole request."""
    node.migrator.held = []
    talk = as_ada(node)
    talk.say("format json")
    assert talk.say("migrate 300 2") == ""
    node.clock.advance(2.5)
    node.migrator.held[0].callback(MoveCost(2.0, 0.12, 4096, 2048))
    code, _, value = talk.heard().partition(" ")
    told = {
        "pid": 300,
        "node": 2,
        "seconds": 2.5,
        "moved": True,
        "stopped_seconds": 0.12,
        "bytes": 4096,
        "precopied": 2048,
    }
    assert (code, json.loads(value)) == ("200", told)


def test_a_guest_goes_home(node: ThreeNodes) -> None:
    """`home` is where it was started, not where it is asked for."""
    assert as_ada(node).say("migrate 400 home") == "200 process 400 runs on node 2 beta\r\n"
    assert node.migrator.moves == [(400, 2)]


@pytest.mark.parametrize("target", ["home", "1", "alpha"])
def test_what_is_there_already_stays(node: ThreeNodes, target: str) -> None:
    """It is an answer, no error."""
    assert as_ada(node).say(f"migrate 300 {target}") == "200 process 300 runs on node 1 alpha already\r\n"
    assert not node.migrator.moves


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("migrate 5 beta",
         "405 process 5 was not started by gomd and stays here; what `run` starts can be moved"),
        ("migrate 299 beta", "403 process 299 is not yours: you can move and lock only your own processes"),
        ("migrate 6 beta", "403 process 6 is not yours: you can move and lock only your own processes"),
        ("migrate 99 beta", "404 there is no process 99 on this node now; `ps` lists what runs"),
        ("migrate 300 3", "502 node 3 gamma is down: `events` may say why"),
        ("migrate 300 4", "404 "),
        ("migrate 300 bets", "404 "),
        ("migrate 300 beta now", "400 usage: migrate PID NODE|home|best [dry-run]"),
        ("migrate 300", "400 "),
        ("migrate 0 beta", "400 "),
        ("migrate x beta", "400 "),
        ("lock 99", "404 "),
        ("lock 6", "403 "),
        ("unlock 299", "403 "),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(node: ThreeNodes, request_: str, answer: str) -> None:
    """And nothing moves."""
    assert as_ada(node).say(request_).startswith(answer)
    assert not node.migrator.moves
    assert not node.jobs.told


def test_somebody_elses_job_is_theirs(node: ThreeNodes) -> None:
    """Wherever it runs: 403. An administrator may move everything."""
    for pid in (300, 301, 400, AWAY.pid):
        for request in (f"migrate {pid} beta", f"migrate {pid} best dry-run", f"lock {pid}"):
            assert Talk(node, Role.USER, "bob", 1001).say(request).startswith("403 "), request
    assert not node.peers.asked
    assert Talk(node).say("migrate 300 beta").startswith("200 ")


def test_the_reason_it_stays_is_the_migrators(node: ThreeNodes) -> None:
    """405, and it runs on."""
    node.migrator.refusals[300] = ["it has a socket to 10.0.0.9"]
    assert as_ada(node).say("migrate 300 beta") == "405 it has a socket to 10.0.0.9\r\n"


def test_a_dry_run_tells_every_reason_and_moves_nothing(node: ThreeNodes) -> None:
    """Or that nothing is in the way."""
    talk = as_ada(node)
    assert talk.say("migrate 301 beta dry-run") == "200 process 301 can move to node 2 beta\r\n"
    node.migrator.refusals[300] = ["it has a socket", "it has a device"]
    assert talk.say("migrate 301 beta dry-run") == (
        "405 process 301 cannot move to node 2 beta: it has a socket; it has a device\r\n"
    )
    assert not node.migrator.moves


def test_requests_behind_a_move_are_answered_after_it(node: ThreeNodes) -> None:
    """In order, however long it takes; the connection is not idle meanwhile, nor right afterwards."""
    node.migrator.held = []
    talk = as_ada(node)
    assert talk.say("migrate 300 beta", "load") == ""
    node.clock.advance(599.0)
    node.telnet_factory.end_idle()
    node.migrator.held[0].callback(None)
    assert talk.heard().split("\r\n")[0] == "200 process 300 runs on node 2 beta"
    node.clock.advance(599.0)
    node.telnet_factory.end_idle()
    assert talk.say("load") == "200 50\r\n"


def test_a_move_goes_on_when_its_caller_hangs_up(node: ThreeNodes) -> None:
    """Ctrl-C ends the waiting: a process is never left half moved for it."""
    node.migrator.held = []
    talk = as_ada(node)
    talk.say("migrate 300 beta")
    talk.hang_up()
    [move] = node.migrator.held
    assert not move.called
    move.callback(None)
    assert [job.pid for job in node.jobs.running] == [400]


def test_a_move_that_takes_too_long_is_not_waited_for(node: ThreeNodes) -> None:
    """504, which says how to find out; it goes on."""
    node.migrator.held = []
    talk = as_ada(node)
    talk.say("migrate 300 beta")
    node.clock.advance(600.0)
    assert talk.heard() == (
        "504 process 300 is still on its way to node 2 beta after 600 s: "
        "`where 300` tells when it is there\r\n"
    )
    assert not node.migrator.held[0].called
    node.migrator.held[0].callback(None)


# -- to the best node


def test_best_is_the_node_that_placement_takes(node: ThreeNodes) -> None:
    """The idle one; what the job itself uses does not count against where it is."""
    assert as_ada(node).say("migrate 300 best") == "200 process 300 runs on node 2 beta\r\n"
    assert node.migrator.moves == [(300, 2)]


def test_best_leaves_it_where_nothing_is_better(node: ThreeNodes) -> None:
    """Else it would go to and fro: alone on node 1 it is as well off as on an idle node 2."""
    node.source.change(301, state="R")
    node.advance(2.0)
    assert as_ada(node).say("migrate 300 best") == (
        "200 process 300 stays on node 1 alpha: no other one that can take it is better\r\n"
    )
    assert not node.migrator.moves


def test_best_passes_over_a_node_that_cannot_take_it(node: ThreeNodes) -> None:
    """It asks before anything is stopped, and tries the next best; at last the process stays."""
    node.members.known = [ALPHA, BETA, replace(BETA, id=3, name="gamma", load=10)]
    node.migrator.unfit[2] = ["it does not see /data"]
    talk = as_ada(node)
    assert talk.say("migrate 300 best dry-run") == "200 process 300 can move to node 3 gamma\r\n"
    assert talk.say("migrate 300 best") == "200 process 300 runs on node 3 gamma\r\n"
    assert node.migrator.moves == [(300, 3)]
    node.jobs.running = [OWN]
    node.migrator.unfit[3] = ["it has another kernel"]
    assert talk.say("migrate 300 best").startswith("200 process 300 stays on node 1 alpha")


def test_best_may_be_a_home_that_blocks_guests(node: ThreeNodes) -> None:
    """Its own process is no guest there; somebody else's goes elsewhere."""
    node.members.known[1] = replace(BETA, status=BETA.status | Status.BLOCK)
    talk = as_ada(node)
    assert talk.say("migrate 300 best").startswith("200 process 300 stays on node 1")
    assert talk.say("migrate 400 best") == "200 process 400 runs on node 2 beta\r\n"


# -- on openMosix


def test_on_openmosix_the_kernel_moves_any_process() -> None:
    """Nothing of it has to be a job."""
    node = ThreeNodes("openmosix")
    talk = as_ada(node)
    assert talk.say("migrate 5 beta") == "200 process 5 runs on node 2 beta\r\n"
    assert node.migrator.moves == [(5, 2)]
    assert talk.say("migrate 5 home") == "200 process 5 runs on node 1 alpha already\r\n"
    assert talk.say("migrate 6 beta").startswith("403 ")
    assert talk.say("migrate 99 beta").startswith("404 ")
    assert talk.say("lock 300") == "200 process 300 is locked\r\n"
    assert not node.jobs.told
    node.source.change(5, node=2, where=2)
    assert talk.say("migrate 5 home") == "200 process 5 runs on node 1 alpha\r\n"
    assert node.migrator.moves[-1] == (5, 1)


# -- numbers from before


def test_a_number_it_had_before_it_moved_still_finds_it(node: ThreeNodes) -> None:
    """In every verb about processes, and in the tree."""
    node.jobs.former[4711] = 300
    talk = as_ada(node)
    assert talk.say("where 4711") == "200 1\r\n"
    assert talk.say("ps 4711").split("\r\n")[2].split()[1] == "300"
    assert talk.say("ps 4712").startswith("404 there is no process 4712")
    assert read(talk, "/proc/4711/nmigs") == "1"
    assert talk.say("ls /proc/4711").startswith("201 ")
    assert talk.say("signal 4711 STOP") == "200 sent SIGSTOP to process 4711\r\n"
    assert talk.say("renice 4711 5").startswith("200 ")
    assert list(node.control.acts) == [("signal", 300, 19), ("renice", 300, 5)]
    assert talk.say("lock 4711").startswith("200 ")
    assert talk.say("migrate 4711 beta") == "200 process 4711 runs on node 2 beta\r\n"


def test_ps_of_one_process_tells_whose_job_it_is(node: ThreeNodes) -> None:
    """As the whole table does, though its parents are not asked for."""
    talk = as_ada(node)
    talk.say("format json")
    for request in ("ps 301", "ps"):
        rows = [json.loads(row) for row in talk.say(request).split("\r\n")[1:-2]]
        assert [(row["pid"], row["nmigs"]) for row in rows if row["pid"] == 301] == [(301, 1)]
    assert len(talk.say("ps 301 302").split("\r\n")) == 5
