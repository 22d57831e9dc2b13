"""`bring` and `expel`: all jobs at once, as an administrator sees it on node 1 of three."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gomd.interfaces import (
    JobHere,
)
from libgomd.errors import PeerUnreachable
from libgomd.model import Job, Role
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.migrating import as_ada, moved_there, read
from tests.unit.verbs.three_nodes import AWAY, GUEST, OWN, ThreeNodes


@pytest.fixture
def node() -> ThreeNodes:
    """Node 1 of three."""
    return ThreeNodes()


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
