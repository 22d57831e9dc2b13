"""Processes that are moved and locked, as their owners and administrators see it on node 1 of three."""

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
    JobHere,
    MoveCost,
)
from gomd.jobs.ownership import JobOwnership
from libgomd.errors import PeerUnreachable
from libgomd.model import Job, Role, Status
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.three_nodes import ALPHA, AWAY, BETA, GUEST, OWN, ThreeNodes


@pytest.fixture
def node() -> ThreeNodes:
    """Node 1 of three."""
    return ThreeNodes()


def as_ada(node: ThreeNodes) -> Talk:
    """The owner of all jobs."""
    return Talk(node, Role.USER, "ada", 1000)


def moved_there(node: int, request: Request) -> tuple[int, str]:
    """What node 2 answers when it has moved something home."""
    return 200, json.dumps({"pid": 811, "node": int(request.arguments[1]), "seconds": 0.2, "moved": True})


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
    node.migrator.held[0].callback(MoveCost(2.0, 0.12, 4096))
    code, _, value = talk.heard().partition(" ")
    told = {"pid": 300, "node": 2, "seconds": 2.5, "moved": True, "stopped_seconds": 0.12, "bytes": 4096}
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


def test_somebody_elses_job_is_his(node: ThreeNodes) -> None:
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


# -- the tree


def read(talk: Talk, path: str) -> str:
    """The one line of a file, or the refusal."""
    heard = talk.say(f"get {path}").split("\r\n")
    return heard[1] if heard[0].startswith("201 ") else heard[0]


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


# -- bring and expel


def away(number: int, at: int = 2) -> Job:
    """One more job of this home elsewhere."""
    return replace(AWAY, job=number, node=at, pid=5_000_000 + number, pid_there=800 + number)


@pytest.mark.parametrize("order", ["bring", "put /proc/hpc/admin/bring 1"])
def test_bring_returns_when_all_are_home(node: ThreeNodes, order: str) -> None:
    """Each is asked for where it runs, in its owner's name; lstay is set first."""
    node.peers.held = []
    node.peers.answer = moved_there
    node.jobs.away = [away(number) for number in range(1, 11)]
    talk = Talk(node)
    assert talk.say(order) == ""
    assert len(node.peers.held) == 8, "eight at a time"
    assert Talk(node).say("get /proc/hpc/admin/lstay").split("\r\n")[1] == "1"
    for _ in range(10):
        node.peers.held.pop(0).callback(None)
    assert talk.heard().startswith("200 ")
    assert {(request.verb, request.arguments[1]) for _, request, _ in node.peers.asked} == {("migrate", "1")}
    assert {(caller.role, caller.uid) for _, _, caller in node.peers.asked} == {(Role.USER, AWAY.uid)}
    assert sorted(int(request.arguments[0]) for _, request, _ in node.peers.asked) == list(range(801, 811))


def test_bring_says_who_stays_away(node: ThreeNodes) -> None:
    """409, with how many are home; the switch stays set. What has ended meanwhile is not missed."""
    node.jobs.away = [away(1), away(2), away(3, at=3), away(4), away(5)]

    def answer(at: int, request: Request) -> tuple[int, str]:
        if request.arguments[0] == "804":
            node.jobs.away = [job for job in node.jobs.away if job.job != 4]
        return (
            (405, "it has a socket") if request.arguments[0] in ("802", "804") else moved_there(at, request)
        )

    node.peers.answer = answer
    assert Talk(node).say("bring") == (
        "409 3 of 5 are home; job 2 stays on node 2: node 2 beta, where it is process 802: it has a socket; "
        "job 3 stays on node 3: node 3 gamma cannot be asked: the peers of this daemon are off, see its log; "
        "lstay stays set\r\n"
    )
    assert Talk(node).say("status") == "200 3 up\r\n", "as membership of this test says"
    assert read(Talk(node), "/proc/hpc/admin/lstay") == "1"


def test_bring_names_a_few_of_many(node: ThreeNodes) -> None:
    """One line stays one line."""
    node.jobs.away = [away(number, at=3) for number in range(1, 31)]
    heard = Talk(node).say("bring")
    assert heard.startswith("409 0 of 30 are home; job 1 stays on node 3: ")
    assert heard.count("stays on node 3") == 3
    assert "; and 27 more; " in heard


def test_bring_goes_on_when_one_move_fails_in_an_unknown_way(node: ThreeNodes) -> None:
    """Even a bug keeps no other job away, and the answer comes when all have been tried, with one line."""
    node.peers.held = []
    node.jobs.away = [away(number) for number in range(1, 13)]

    def answer(at: int, request: Request) -> tuple[int, str]:
        if request.arguments[0] == "801":
            raise ZeroDivisionError("a bug")
        return moved_there(at, request)

    node.peers.answer = answer
    talk = Talk(node)
    talk.say("bring")
    node.peers.held.pop(0).callback(None)
    assert talk.heard() == "", "the others are still on their way"
    while node.peers.held:
        node.peers.held.pop(0).callback(None)
    assert talk.heard() == (
        "409 11 of 12 are home; job 1-1: ZeroDivisionError, see the log of the daemon; lstay stays set\r\n"
    )
    assert len(node.peers.asked) == 12


def test_bring_looks_for_those_that_left_meanwhile(node: ThreeNodes) -> None:
    """One that was on its way out when it began comes home too."""
    node.jobs.away = [away(1)]

    def answer(at: int, request: Request) -> tuple[int, str]:
        node.jobs.away = [away(2)] if request.arguments[0] == "801" else []
        return moved_there(at, request)

    node.peers.answer = answer
    assert Talk(node).say("bring").startswith("200 ")
    assert [request.arguments[0] for _, request, _ in node.peers.asked] == ["801", "802"]


def test_two_who_bring_wait_for_the_same(node: ThreeNodes) -> None:
    """Nothing is asked for twice; when one hangs up the other is still answered."""
    node.peers.held = []
    node.peers.answer = moved_there
    first, second = Talk(node), Talk(node)
    first.say("bring")
    second.say("bring")
    assert len(node.peers.asked) == 1
    first.hang_up()
    node.peers.held[0].callback(None)
    assert second.heard() == "200 all local processes are home; lstay is set\r\n"


@pytest.mark.parametrize("order", ["expel", "put /proc/hpc/admin/expel 1"])
def test_expel_sends_every_guest_home(node: ThreeNodes, order: str) -> None:
    """Own jobs stay; block is set, so that none comes back."""
    other = JobHere(3, 5, 500, 499, 1000, 1000, "xz", 5_000_005, 0, False, "")
    node.jobs.running = [OWN, GUEST, other]
    assert Talk(node).say(order).startswith("200 ")
    assert node.migrator.moves == [(400, 2), (500, 3)]
    assert node.jobs.running == [OWN]
    assert read(Talk(node), "/proc/hpc/admin/block") == "1"


def test_expel_says_who_stays(node: ThreeNodes) -> None:
    """By the name of the job, which its home knows it by."""
    node.migrator.refusals[400] = ["it has a socket"]
    assert (
        Talk(node).say("expel") == "409 0 of 1 are gone; job 2-4 stays: it has a socket; block stays set\r\n"
    )
    assert read(Talk(node), "/proc/hpc/admin/block") == "1"


def test_expel_does_not_wait_for_ever(node: ThreeNodes) -> None:
    """A guest that hangs on its way is told of."""
    node.migrator.held = []
    talk = Talk(node)
    talk.say("expel")
    node.clock.advance(600.0)
    assert talk.heard().startswith("409 0 of 1 are gone; job 2-4 stays: it is still on its way to node 2")
    node.migrator.held[0].callback(None)


@pytest.mark.parametrize("order", ["bring", "expel", "put /proc/hpc/admin/bring 1"])
def test_on_openmosix_the_kernel_does_it(order: str) -> None:
    """The file is written, and that is all."""
    node = ThreeNodes("openmosix")
    assert Talk(node).say(order).startswith("200 ")
    assert not node.migrator.moves
    assert not node.peers.asked
    switch = "block" if "expel" in order else "lstay"
    assert read(Talk(node), f"/proc/hpc/admin/{switch}") == "1"


def test_everywhere_at_once_each_node_has_its_time(node: ThreeNodes) -> None:
    """`@all expel` waits as long as one `expel` would; a `load` that takes so long is an error."""
    node.peers.held = []
    node.migrator.held = []
    talk = Talk(node)
    talk.say("@all expel")
    node.clock.advance(300.0)
    node.migrator.held[0].callback(None)
    node.peers.held[0].callback(None)
    assert "1: all guests are gone" in talk.heard().replace("200 ", "")
    talk.say("@all load")
    node.clock.advance(31.0)
    assert "2: 504 node 2 beta did not answer within 30 s" in talk.heard()


def test_a_node_that_cannot_be_reached_is_the_answer(node: ThreeNodes) -> None:
    """502, not a sentence about a stream."""

    def answer(at: int, request: Request) -> tuple[int, str]:
        raise PeerUnreachable("node 2 beta ended the stream")

    node.peers.answer = answer
    assert as_ada(node).say("migrate 5000009 home") == "502 node 2 beta ended the stream\r\n"
