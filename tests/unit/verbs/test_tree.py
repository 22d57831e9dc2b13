"""`@all` beyond `[peers] fan_out` nodes: asked through other nodes, whatever becomes of these."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from gomd.verbs.branch_rows import BranchReader
from gomd.verbs.branches import MAX_BRANCH, RELAY, BranchRequest, divide, ids_in, parse_branch
from gomd.verbs.fan_out import NODE_TIMEOUT
from gomd.verbs.kept_shares import KeptShare
from libgomd.errors import MalformedReply
from libgomd.model import Caller, Role
from libgomd.wire.lines import MAX_LINE, Request, encode_request
from tests.tree_cluster import TreeCluster, node_of, slow_reading
from tests.unit.protocols.talk import a_process

ADA = Caller(Role.USER, "ada", 1000, "unix")
#: What a node sends instead of what it should, as `Wires.lie`.
Lie = Callable[[Request], AsyncGenerator[Sequence[str], None]]


def relays(cluster: TreeCluster) -> list[int]:
    """The nodes that node 1 asked to relay, in order."""
    return [to for sender, to, request in cluster.wires.asked if sender == 1 and request.verb == RELAY]


def asked_by_first(cluster: TreeCluster) -> set[int]:
    return {to for sender, to, _ in cluster.wires.asked if sender == 1}


@pytest.fixture
def ten() -> TreeCluster:
    """Ten nodes, of which each asks three."""
    return TreeCluster(10, fan_out=3)


LOADS = [f"{number}: {number}" for number in range(1, 11)]


@pytest.mark.parametrize(
    "words",
    ["load", "load 3", "nodes", "ps", "ps 77", "get /proc/hpc/admin/stay", "get /proc/4711/stat",
     "ls /proc/hpc", "where 4711", "where 99", "events", "status", "ps --top 2 --sort cpu", "measures",
     "history 3 load"],
)  # fmt: skip
@pytest.mark.parametrize("as_json", [False, True])
def test_the_answer_is_that_of_nodes_asked_directly(words: str, as_json: bool) -> None:
    """Lines, errors and order; a node that is down is counted, one that is dead is named."""

    def answer(fan_out: int) -> tuple[int, str, list[str]]:
        cluster = TreeCluster(
            12, fan_out, lambda node: [a_process(4711, node=node, home=node), a_process(node, node=node)]
        )
        for daemon in cluster.daemons.values():
            daemon.members.known[13] = node_of(13, up=False)
        cluster.wires.dead = {5}
        code, text, lines, _seconds = cluster.answer(f"@all {words}", as_json)
        assert bool(relays(cluster)) is (fan_out == 3)
        return code, text, lines

    assert answer(3) == answer(100)


def test_few_nodes_are_asked_as_ever(ten: TreeCluster) -> None:
    """As many as `fan_out` beside this one: no relay is asked."""
    for daemon in ten.daemons.values():
        daemon.members.known = {each: daemon.members.known[each] for each in (1, 2, 3, 4)}
    assert ten.answer("@all load")[2] == LOADS[:4]
    assert [(to, request.verb) for _, to, request in ten.wires.asked] == [
        (2, "load"),
        (3, "load"),
        (4, "load"),
    ]


def test_each_daemon_asks_few_and_each_node_is_asked_once() -> None:
    """Also where a branch has to be divided again."""
    cluster = TreeCluster(100, fan_out=4)
    assert cluster.answer("@all load")[2] == [f"{number}: {number}" for number in range(1, 101)]
    asked = Counter(sender for sender, _, _ in cluster.wires.asked)
    assert max(asked.values()) <= 4, asked
    assert Counter(to for _, to, _ in cluster.wires.asked) == dict.fromkeys(range(2, 101), 1)


def test_two_hundred_nodes_with_ten_dead_relays() -> None:
    """Every live node's answer comes once, the dead ones are named, and nobody waits for a timeout."""
    cluster = TreeCluster(200, fan_out=32)
    cluster.answer("@all load")
    dead = set(relays(cluster)[:10])
    cluster.wires.dead = dead
    cluster.wires.asked.clear()
    code, text, lines, seconds = cluster.answer("@all load", json=True)
    assert (code, text) == (201, "200 nodes asked")
    found = [json.loads(line) for line in lines]
    assert [row["from"] for row in found] == list(range(1, 201))
    for row in found:
        if row["from"] in dead:
            assert row["code"] == 502
            assert f"node {row['from']} n{row['from']}" in row["error"]
        else:
            assert row["value"] == row["from"]
    assert len(dead) == 10
    assert seconds < 1.0
    assert len(asked_by_first(cluster)) <= 32 + 10


def _one(words: Sequence[str], cluster: TreeCluster, pause: float) -> Lie:
    """A relay that sends these rows, each after a pause, and then nothing more for ever."""

    async def rows(_request: Request) -> AsyncGenerator[Sequence[str], None]:
        for row in words:
            await deferLater(cluster.clock, pause)
            yield [row]
        await Deferred()

    return rows


def test_a_relay_that_hangs_is_replaced(ten: TreeCluster) -> None:
    """After five seconds of silence, for all of its branch, and it is not asked again for a while."""
    ten.wires.hung = {3}
    began = ten.clock.seconds()
    answer = ten.ask("@all load")
    ten.clock.advance(4.0)
    assert relays(ten)[0] == 3
    assert not answer.called
    ten.clock.advance(40.0)
    assert ten.clock.seconds() > began
    lines = ten_lines(answer)
    assert [line for line in lines if not line.startswith("3: ")] == [
        line for line in LOADS if line[0] != "3"
    ]
    assert lines[2].startswith("3: 504 node 3 n3 did not answer")
    ten.wires.hung = set()
    ten.wires.asked.clear()
    _, _, again, seconds = ten.answer("@all load")
    assert (again, 3 in relays(ten)) == (LOADS, False)
    assert seconds < 1.0


def ten_lines(answer: Deferred[tuple[int, str, list[str]]]) -> list[str]:
    return list(answer.result[2])  # type: ignore[index]


def test_a_relay_that_dies_halfway(ten: TreeCluster) -> None:
    """What it has answered is kept, the rest is asked otherwise, and no row comes twice."""
    ten.wires.lie[3] = _one(["2:2", "3=half of"], ten, 0.5)
    answer = ten.ask("@all load")
    ten.clock.advance(1.2)
    ten.wires.kill(3)
    ten.clock.advance(1.0)
    lines = ten_lines(answer)
    assert [line for line in lines if line[0] != "3"] == [line for line in LOADS if line[0] != "3"]
    assert lines[2].startswith("3: 502 node 3 n3 cannot be reached")
    assert [request.verb for request in ten.to_node(2)] == []
    assert [request.verb for request in ten.to_node(4)] == ["load"]


def test_a_relay_that_is_slow_for_ever(ten: TreeCluster) -> None:
    """It says that it is there, and nothing else: its branch is asked otherwise after its time."""
    ten.wires.lie[3] = _one(["+"] * 1000, ten, 0.9)
    _, _, lines, seconds = ten.answer("@all load")
    assert lines == LOADS
    assert 20.0 < seconds < 25.0


@pytest.mark.parametrize(("size", "fan_out"), [(10, 3), (100, 4)])
@pytest.mark.parametrize("trouble", ["", "dead", "hung", "slow for ever"])
def test_a_node_that_hangs_behind_a_relay(size: int, fan_out: int, trouble: str) -> None:
    """It is reported after as long as one that is asked directly, also when its relay is no good either."""
    cluster = TreeCluster(size, fan_out=fan_out)
    cluster.answer("@all load")
    branches = {to: request for _, to, request in cluster.wires.asked if request.verb == RELAY}
    # The last one that was asked is as deep in the tree as any.
    relay, request = list(branches.items())[-1]
    end = next(each for each in ids_in(request.arguments[2], relay) if each not in branches)
    cluster.wires.hung = {end} | ({relay} if trouble == "hung" else set())
    cluster.wires.dead = {relay} if trouble == "dead" else set()
    if trouble == "slow for ever":
        cluster.wires.lie[relay] = _one(["+"] * 1000, cluster, 0.9)
    _, _, lines, seconds = cluster.answer("@all load")
    assert NODE_TIMEOUT - 0.1 <= seconds <= NODE_TIMEOUT + 0.5
    late = "504 node {0} n{0} did not answer within 30 s"
    wanted = {each: str(each) for each in range(1, size + 1)} | {end: late.format(end)}
    if trouble == "hung":
        wanted[relay] = late.format(relay)
    elif trouble == "dead":
        wanted[relay] = f"502 node {relay} n{relay} cannot be reached: no route"
    assert lines == [f"{each}: {said}" for each, said in wanted.items()]


@pytest.mark.parametrize(
    "rows",
    [["9:66"], ["2:2", "2:3"], ["2:2", "2!502 no"], ["1:0"], ["junk"], ["99999:5"], [""],
     ["2:2", "77.", "4:9"]],
)  # fmt: skip
def test_a_relay_that_lies(ten: TreeCluster, rows: list[str]) -> None:
    """Rows of nodes that it was not asked about, or a second one, are dropped, and it is believed no more."""
    ten.wires.lie[3] = _one(rows, ten, 0.01)
    _, _, lines, seconds = ten.answer("@all load")
    assert lines == LOADS
    assert seconds < 5.0


def test_the_lines_of_one_node_are_bounded() -> None:
    """Beyond the limit nothing more of the relay is used; what is not complete is counted."""
    reader = BranchReader(frozenset({2, 3}), most=3)
    assert list(reader.feed(["2=ab", "3.", "2=cd"])) == [(3, [], "")]
    assert reader.held == 4
    assert list(reader.feed(["2:e"])) == [(2, ["ab", "cd", "e"], "")]
    assert reader.held == 0
    with pytest.raises(MalformedReply, match="more than 3 lines of node 4"):
        list(BranchReader(frozenset({4}), most=3).feed(["4=x"] * 5))


def test_a_relay_that_leaves_nodes_out(ten: TreeCluster) -> None:
    """They are asked otherwise."""

    async def rows(_request: Request) -> AsyncGenerator[Sequence[str], None]:
        yield ["3:3"]

    ten.wires.lie[3] = rows
    assert ten.answer("@all load")[2] == LOADS


def test_older_versions_are_asked_directly(ten: TreeCluster) -> None:
    """A few or all of them: no answer is lost, and it is remembered who does not know the verb."""
    ten.wires.old = {3, 6}
    assert ten.answer("@all load")[2] == LOADS
    ten.wires.old = set(range(2, 11))
    assert ten.answer("@all load")[2] == LOADS
    ten.wires.asked.clear()
    assert ten.answer("@all load")[2] == LOADS
    assert Counter(to for _, to, _ in ten.wires.asked)[3] == 1
    assert 3 not in relays(ten)


def test_a_relay_that_knows_or_reaches_fewer_nodes(ten: TreeCluster) -> None:
    """What it does not know, or cannot reach, this node asks itself."""
    [relay, *_] = (ten.answer("@all load"), relays(ten))[1]
    assert relay == 3
    del ten.daemons[3].members.known[4]
    ten.wires.cut = {(3, 2)}
    ten.wires.asked.clear()
    assert ten.answer("@all load")[2] == LOADS
    assert {(1, 2), (1, 4)} <= {
        (sender, to) for sender, to, request in ten.wires.asked if request.verb == "load"
    }


def test_each_end_decides_for_itself_what_the_caller_may() -> None:
    """A node that takes nothing from admins of others answers as ever, and may be a relay all the same."""
    processes = [a_process(5, uid=1000), a_process(6, uid=0, user="root")]
    cluster = TreeCluster(10, 3, lambda _node: processes)
    straight = TreeCluster(10, 30, lambda _node: processes)
    for each in (cluster, straight):
        for node in (3, 4):
            each.daemons[node].trust.admins = False
    for words in ("@all jobs", "@all ps", "@all get /proc/6/io"):
        for caller in (None, ADA):
            assert cluster.answer(words, caller=caller)[2] == straight.answer(words, caller=caller)[2], words
    assert 3 in relays(cluster)


def test_the_caller_travels_to_the_ends(ten: TreeCluster) -> None:
    """With role, uid and name; a reader is a reader everywhere."""
    seen: list[tuple[int, Caller]] = []
    for number, daemon in ten.daemons.items():
        whole = daemon.heard

        async def heard(
            sender: int, request: Request, caller: Caller, json: bool, at: int = number, whole: object = whole
        ) -> object:
            seen.append((at, caller))
            return await whole(sender, request, caller, json)  # type: ignore[operator]

        daemon.heard = heard  # type: ignore[method-assign,assignment]
    ten.answer("@all load", caller=ADA)
    assert {at for at, _ in seen} == set(range(2, 11))
    assert {(caller.role, caller.uid, caller.user) for _, caller in seen} == {(Role.USER, 1000, "ada")}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("relay 2 20 1-3 load", "names node 2"), ("relay 2 20 5,5 load", "node 5 twice"),
        ("relay 2 20 5-7,6 load", "node 6 twice"), ("relay 4 20 5 load", "DEPTH"),
        ("relay 2 0 5 load", "SECONDS"), ("relay 2 20 0 load", "NODES"), ("relay 2 20 70000 load", "NODES"),
        ("relay 2 20 9-3 load", "NODES"), ("relay 2 20 1000-9000 load", "more than 400"),
        ("relay 2 20 5 moved 1-2 3 4", "not passed on"), ("relay 2 20 5 relay 1 2 6 load", "not passed on"),
        ("relay 2 20 5 shutdown", "not passed on"), ("relay 2 20 5", "usage: relay"),
        ("relay 2 20 5 @all", "not passed on"), ("relay 2 20 5 migration", "not passed on"),
    ],
)  # fmt: skip
def test_what_is_not_relayed(ten: TreeCluster, words: str, hint: str) -> None:
    """One sentence, and nobody is asked."""
    verb, *arguments = words.split()
    peers = ten.first.peers
    found: list[Any] = []
    Deferred.fromCoroutine(
        peers.ask(node_of(2), Request(verb, tuple(arguments)), Caller(Role.ADMIN, "root", 0, "unix"), False)
    ).addBoth(found.append)
    ten.clock.advance(1.0)
    code, text, rows = found[0]
    assert (code, rows) == (400, None)
    assert hint in text, text
    assert len(ten.wires.asked) == 1


def test_only_daemons_ask_for_a_relay(ten: TreeCluster) -> None:
    """Everybody else is refused, and it is not sent to another node either."""
    found: list[Any] = []
    for words in ("relay 2 20 2-3 load", "@3 relay 2 20 2 load", "@all relay 2 20 2 load"):
        ten.ask(words).addBoth(found.append)
    ten.clock.advance(0.1)
    assert [failure.value.code for failure in found] == [403, 405, 405]
    assert not ten.wires.asked


def test_verbs_that_change_something_are_asked_directly(ten: TreeCluster) -> None:
    """A node must not do them twice because a relay was lost."""
    ten.answer("@all block")
    assert not relays(ten)
    assert asked_by_first(ten) == set(range(2, 11))


def test_what_is_kept_is_bounded() -> None:
    """A reader who is slow does not fill this node's memory, and gets everything in the end."""
    cluster = TreeCluster(60, 4, lambda node: [a_process(pid, node=node) for pid in range(1, 101)])
    whole = cluster.answer("@all ps", True)[2]
    size = sum(map(len, whole))
    answers, done = slow_reading(cluster, "ps", KeptShare(size, size // 10), 0.1)
    cluster.clock.advance(60.0)
    assert done.result == whole
    largest_answer = 2 * size // 60
    assert answers.peak < size // 10 + 4 * largest_answer


def test_what_is_kept_for_all_requests_is_bounded() -> None:
    """However many read slowly; each goes on, and gets everything in the end."""
    cluster = TreeCluster(60, 4, lambda node: [a_process(pid, node=node) for pid in range(1, 101)])
    whole = cluster.answer("@all ps", True)[2]
    size = sum(map(len, whole))
    share = KeptShare(size // 2, size)
    readers = [slow_reading(cluster, "ps", share, 0.1) for _ in range(4)]
    peak = 0
    for _ in range(200):
        cluster.clock.advance(0.1)
        peak = max(peak, share.kept)
    assert all(done.result == whole for _answers, done in readers)
    largest_answers = 4 * 4 * size // 60
    assert size // 2 < peak < size // 2 + size // 4 + largest_answers < 4 * size
    assert (share.kept, share.requests) == (0, 0)


def test_a_caller_who_leaves_ends_everything(ten: TreeCluster) -> None:
    """The relays are asked no more, and they ask no more."""
    ten.wires.hung = {2, 4}
    answer = ten.ask("@all load")
    answer.addErrback(lambda _: None)
    ten.clock.advance(0.5)
    assert any(ten.wires.open.values())
    answer.cancel()
    ten.clock.advance(0.1)
    assert not any(ten.wires.open.values())


def test_the_list_of_a_branch_is_short() -> None:
    """It fits into a request line, however many nodes there are and whatever their ids are."""
    nodes = tuple(range(1, 65536, 2))
    parts = divide(nodes, 32)
    assert sum(map(len, parts)) == len(nodes)
    assert max(map(len, parts)) <= MAX_BRANCH
    longest = BranchRequest(2, 20.0, tuple(parts[-1]), Request("load"))
    line = encode_request(longest.as_request())
    assert len(line) < MAX_LINE - 1000
    assert parse_branch(longest.as_request().arguments, 2) == longest
