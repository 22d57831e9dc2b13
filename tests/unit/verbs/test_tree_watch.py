"""`watch @all` beyond `[peers] fan_out` nodes: through a few of them, whatever becomes of these."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from gomd.verbs.branch_rounds import BranchCutter, PassedOnBytes, joined_bytes, refusal_bytes, round_bytes
from gomd.verbs.branches import JOINED, RELAY
from gomd.verbs.node_rounds import NodeRound, whole_round
from libgomd.errors import GomdError, NotFound, TimedOut
from libgomd.model import Event, EventKind, Role
from libgomd.wire.lines import Request
from tests.tree_cluster import ROOT, TreeCluster, WiredPeers, node_of
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.branches.relays import relays

EVERYBODY = list(range(1, 13))


class Viewer(Talk):
    """A viewer at node 1, in JSON. :ivar seen: every row that it was sent."""

    def __init__(self, cluster: TreeCluster, words: str, role: Role = Role.ADMIN) -> None:
        super().__init__(cluster.first, role)
        self._cluster = cluster
        self.seen: list[dict[str, Any]] = []
        self.say("format json")
        assert self.say(words).startswith("201 watching")

    def rounds(self, seconds: float) -> list[list[dict[str, Any]]]:
        """Let time pass, and return the rounds that came meanwhile."""
        self._cluster.clock.advance(seconds)
        rows = [json.loads(line) for line in self.heard().splitlines() if line.startswith("{")]
        self.seen += rows
        found: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            found.setdefault(row["round"], []).append(row)
        return list(found.values())


@pytest.fixture
def twelve() -> Iterator[TreeCluster]:
    """Twelve nodes, of which each asks three."""
    cluster = TreeCluster(12, fan_out=3)
    yield cluster
    end(cluster)


def end(cluster: TreeCluster) -> None:
    """Let all viewers go, and whatever that ends end."""
    for viewer in tuple(Talk.open):
        viewer.hang_up()
    cluster.clock.advance(1.0)


def streams(cluster: TreeCluster) -> int:
    """How many streams node 1 has opened so far."""
    return sum(sender == 1 for sender, _, _ in cluster.wires.asked)


def of(rounds: list[list[dict[str, Any]]], node: int) -> list[dict[str, Any]]:
    return [row for each in rounds for row in each if row["from"] == node]


def test_all_nodes_through_a_few(twelve: TreeCluster) -> None:
    """Each round has each node once, fresh, with its own value; three streams bring them, also for others."""
    viewer = Viewer(twelve, "watch -n 1 @all load")
    rounds = viewer.rounds(10.0)
    assert len(rounds) >= 9
    for each in rounds:
        assert [row["from"] for row in each] == EVERYBODY
    assert {(row["value"], row["rows_age"]) for row in of(rounds, 7)} == {(7, 0)}
    assert (streams(twelve), len(relays(twelve))) == (3, 3)
    assert Counter(to for _, to, _ in twelve.wires.asked) == dict.fromkeys(EVERYBODY[1:], 1)
    more = Viewer(twelve, "watch -n 1 @all load")
    assert [row["from"] for row in more.rounds(2.0)[-1]] == EVERYBODY
    assert streams(twelve) == 3
    viewer.say("load")
    twelve.clock.advance(1.0)
    assert sum(twelve.wires.open.values()) == 11
    more.say("load")
    twelve.clock.advance(1.0)
    assert not any(twelve.wires.open.values())


def test_the_rounds_are_those_of_nodes_watched_directly() -> None:
    """Also in text, and the first rows of all."""

    def first(fan_out: int, words: str, is_json: bool) -> str:
        cluster = TreeCluster(12, fan_out)
        talk = Talk(cluster.first)
        if is_json:
            talk.say("format json")
        talk.say(words)
        cluster.clock.advance(2.5)
        assert bool(relays(cluster)) is (fan_out == 3)
        heard = talk.heard()
        end(cluster)
        return heard

    for words, is_json in (
        ("watch -n 1 -c 2 @all load", True), ("watch -n 1 -c 2 @all load", False),
        ("watch -n 1 -c 2 @all nodes", True), ("watch -n 1 -c 2 --most 5 @all ps --top 3 --sort cpu", True),
    ):  # fmt: skip
        assert first(3, words, is_json) == first(30, words, is_json), words


def test_a_relay_that_dies_is_replaced(twelve: TreeCluster) -> None:
    """No node is lost or doubled, and only the dead one's rows grow old."""
    viewer = Viewer(twelve, "watch -n 1 @all load")
    viewer.rounds(3.0)
    dead = relays(twelve)[1]
    twelve.wires.kill(dead)
    rounds = viewer.rounds(30.0)
    for each in rounds:
        assert [row["from"] for row in each] == EVERYBODY
    for node in EVERYBODY:
        ages = [row["rows_age"] for row in of(rounds, node)]
        assert (ages[-1] > 25) if node == dead else (max(ages) == 0), (node, ages)
    twelve.wires.dead.clear()
    rounds = viewer.rounds(60.0)
    assert [row["rows_age"] for row in rounds[-1]] == [0] * 12


def test_a_relay_that_hangs_is_replaced(twelve: TreeCluster) -> None:
    """From the beginning: its branch is there in the next seconds, and it is named itself."""
    twelve.wires.hung = {3}
    viewer = Viewer(twelve, "watch -n 1 @all load")
    rounds = viewer.rounds(15.0)
    assert relays(twelve)[0] == 3
    assert [row["from"] for row in rounds[-1]] == EVERYBODY
    assert {row["from"] for row in rounds[-1] if row.get("rows_age") != 0} == {3}
    assert "code" in of(rounds, 3)[-1]


def test_branches_of_branches() -> None:
    """Forty nodes, three streams each; a relay behind a relay dies, and only its own rows grow old."""
    cluster = TreeCluster(40, fan_out=3)
    viewer = Viewer(cluster, "watch -n 1 @all load")
    rounds = viewer.rounds(4.0)
    assert [(row["from"], row["value"], row["rows_age"]) for row in rounds[-1]] == [
        (node, node, 0) for node in range(1, 41)
    ]
    streams_of = Counter(sender for sender, _, _ in cluster.wires.asked)
    assert max(streams_of.values()) == 3
    assert Counter(to for _, to, _ in cluster.wires.asked) == dict.fromkeys(range(2, 41), 1)
    second = next(to for by, to, request in cluster.wires.asked if by != 1 and request.verb == RELAY)
    cluster.wires.kill(second)
    rounds = viewer.rounds(20.0)
    for each in rounds:
        assert [row["from"] for row in each] == list(range(1, 41))
    assert {row["from"] for row in rounds[-1] if row["rows_age"] > 0} == {second}
    end(cluster)


@pytest.mark.parametrize("how", ["dead", "hung"])
def test_a_relay_is_replaced_in_text(twelve: TreeCluster, how: str) -> None:
    """Each node has its line in each round; that of the relay says what is wrong with it."""
    setattr(twelve.wires, how, {3})
    talk = Talk(twelve.first)
    talk.say("watch -n 1 @all load")
    twelve.clock.advance(30.0)
    last = talk.heard().strip().split("\r\n\r\n")[-1].splitlines()
    assert [line for line in last if not line.startswith("3: ")] == [
        f"{node}: {node}" for node in EVERYBODY if node != 3
    ]
    assert any(line.startswith(("3: 502 ", "3: 504 ")) for line in last), last


def _lies(cluster: TreeCluster, pieces: Sequence[bytes], pause: float = 0.3) -> Callable[..., Any]:
    async def lie(_request: Request) -> AsyncGenerator[Sequence[str], None]:
        for each in pieces:
            await deferLater(cluster.clock, pause)
            yield PassedOnBytes(each)
        await Deferred()

    return lie


ROUND = b'{"value": 66, "round": 1, "rows": 1}\r\n'


def joined(*nodes: int, data: bytes = ROUND) -> bytes:
    """Return the same round of each node, joined."""
    return b"".join(joined_bytes([(node, whole_round(data)) for node in nodes], lambda _: None))


def _changed(before: bytes, after: bytes) -> bytes:
    """Return what is joined, changed in one place."""
    data = joined(4, 5)
    assert data.count(before) == 1
    return data.replace(before, after)


@pytest.mark.parametrize(
    "pieces",
    [[round_bytes(9, ROUND)], [b"junk\r\n"], [b"5*99999999999\r\n"], [b"x" * 9000], [b".\r\n"],
     [b'{"code": 500, "error": "a bug"}\r\n'], [round_bytes(4, b"no row\r\n")],
     [joined(9)], [joined(4, 9)], [b"*999 9\r\n"], [b"*2 999999999\r\n"], [b"*2 30\r\n" + b"x" * 30],
     [_changed(b"*2 ", b"*1 ")], [_changed(b"\0\5\0\0", b"\0\5\0\1")],
     [joined(4).replace(b'"round', b'"ruond')], [joined(4).replace(b"66", b"\xff6")],
     [joined(4).replace(b"\0\1\0\0\0\1", b"\0\2\0\0\0\1")]],
)  # fmt: skip
def test_a_relay_that_lies(twelve: TreeCluster, pieces: list[bytes]) -> None:
    """Rounds of nodes that it was not asked about are shown to nobody; its branch is watched otherwise."""
    twelve.wires.lie[3] = _lies(twelve, pieces)
    viewer = Viewer(twelve, "watch -n 1 @all load")
    rounds = viewer.rounds(20.0)
    assert 3 in relays(twelve)
    assert {row.get("value") for row in of(rounds, 9)} <= {9, None}
    assert [(row["from"], row.get("value"), row["rows_age"]) for row in rounds[-1]] == [
        (node, node, 0) for node in EVERYBODY
    ]


def test_a_relay_that_only_says_that_it_is_there(twelve: TreeCluster) -> None:
    """The nodes of its branch are silent, and each is asked directly then."""
    twelve.wires.lie[3] = _lies(twelve, [b"+\r\n"] * 1000, 0.9)
    viewer = Viewer(twelve, "watch -n 1 @all load")
    rounds = viewer.rounds(40.0)
    assert [(row["from"], row["rows_age"]) for row in rounds[-1]] == [(node, 0) for node in EVERYBODY]


def test_a_relay_that_knows_or_reaches_fewer_nodes(twelve: TreeCluster) -> None:
    """Those are watched directly; older versions are no relays."""
    del twelve.daemons[3].members.known[4]
    twelve.wires.cut = {(3, 5)}
    twelve.wires.old = {7}
    viewer = Viewer(twelve, "watch -n 1 @all load")
    rounds = viewer.rounds(10.0)
    assert [(row["from"], row.get("value"), row["rows_age"]) for row in rounds[-1]] == [
        (node, node, 0) for node in EVERYBODY
    ]


def test_relays_of_an_older_version(twelve: TreeCluster) -> None:
    """They are asked once to join rounds, and then for each by itself; a viewer sees no difference."""
    twelve.wires.separate = set(EVERYBODY)
    for _ in range(2):
        viewer = Viewer(twelve, "watch -n 1 @all load")
        for each in viewer.rounds(5.0):
            assert [(row["from"], row["value"], row["rows_age"]) for row in each] == [
                (node, node, 0) for node in EVERYBODY
            ]
        viewer.say("load")
    asked = [request for _, _, request in twelve.wires.asked if request.verb == RELAY]
    assert [JOINED in request.arguments for request in asked] == [True] * 3 + [False] * 6
    twelve.wires.separate = set()
    twelve.clock.advance(600.0)
    Viewer(twelve, "watch -n 1 @all load").rounds(2.0)
    asked = [request for _, _, request in twelve.wires.asked if request.verb == RELAY]
    assert all(JOINED in request.arguments for request in asked[-3:])


def test_an_older_version_asks(twelve: TreeCluster) -> None:
    """It gets each round by itself, as ever; a newer one gets them together, once a period."""
    words = ("-n", "1", "load")

    def heard(*words: str) -> list[list[tuple[int, bytes]]]:
        request = Request(RELAY, ("0", "86400", "4-6", "watch", *words))
        relay = node_of(3)
        pieces: list[bytes] = []
        following = Deferred.fromCoroutine(
            WiredPeers(1, twelve.wires).follow(relay, request, ROOT, lambda: None, pieces.append)
        )
        twelve.clock.advance(3.0)
        following.addErrback(lambda _: None)
        following.cancel()
        twelve.clock.advance(1.0)
        assert all((b"*4 " in each) is (JOINED in words) for each in pieces[1:])
        found = [list(BranchCutter().feed(each)) for each in pieces[1:]]
        return [
            [(node, rows.data if isinstance(rows, NodeRound) else rows or b"") for node, rows, _ in each]
            for each in found
        ]

    plain, together = heard(*words), heard(JOINED, *words)
    assert len(together) >= 2
    for rounds in (*plain, *together):
        assert sorted(node for node, _ in rounds) == [3, 4, 5, 6]
        for node, data in rounds:
            assert json.loads(data)["value"] == node


def test_a_node_that_is_silent_grows_old(twelve: TreeCluster) -> None:
    """Whether or not its relay is well; the others stay fresh, and it returns."""
    viewer = Viewer(twelve, "watch -n 1 @all load")
    viewer.rounds(3.0)
    [silent] = [to for sender, to, _ in twelve.wires.asked if sender != 1][:1]
    twelve.wires.kill(silent)
    rounds = viewer.rounds(20.0)
    old = {row["from"] for row in rounds[-1] if row["rows_age"] > 10}
    assert old == {silent}
    twelve.wires.dead.clear()
    assert [row["rows_age"] for row in viewer.rounds(60.0)[-1]] == [0] * 12


def test_nodes_come_and_go(twelve: TreeCluster) -> None:
    """A new node is watched, one that leaves is said to, once, and the streams stay few."""
    viewer = Viewer(twelve, "watch -n 1 @all load")
    viewer.rounds(3.0)
    for number in range(13, 19):
        twelve.add(number)
        twelve.first.publish(Event(0.0, EventKind.JOIN, number, f"n{number}", "", number))
        rounds = viewer.rounds(3.0)
        assert [row["from"] for row in rounds[-1]] == list(range(1, number + 1))
    now = {to for to, count in twelve.wires.open.items() if count}
    assert len(now) == 17
    assert twelve.wires.opened_by(1) <= 2 * 3
    twelve.first.members.known[5] = node_of(5, up=False)
    twelve.first.publish(Event(0.0, EventKind.LEAVE, 5, "n5", "", 5))
    rounds = viewer.rounds(5.0)
    assert [row.get("left") for row in of(rounds, 5) if "left" in row] == [True]
    assert 5 not in [row["from"] for row in rounds[-1]]


def test_what_a_relay_sends_is_cut_anywhere() -> None:
    """The bytes may come one by one; each round and each reason is found once."""
    data = (
        round_bytes(3, ROUND) + b"+\r\n" + refusal_bytes(4, NotFound("node 4 is not known"))
        + round_bytes(5, ROUND * 3)
    )  # fmt: skip
    expected = [(3, ROUND, ""), (4, None, "404 node 4 is not known"), (5, ROUND * 3, "")]
    data += joined(7, 8) + joined(6)
    expected += [(node, ROUND, "") for node in (7, 8, 6)]
    for size in (1, 2, 7, 50, 1000):
        cutter = BranchCutter()
        found = [
            (node, rows.data if isinstance(rows, NodeRound) else rows, why)
            for at in range(0, len(data), size)
            for node, rows, why in cutter.feed(data[at : at + size])
        ]
        assert found == expected, size
    with pytest.raises(TimedOut):
        list(BranchCutter().feed(b".\r\n"))
    with pytest.raises(GomdError, match="a bug"):
        list(BranchCutter().feed(b'{"code": 500, "error": "a bug"}\r\n'))
