"""`watch @all VERB` and `watch @NODE VERB` on node 1 of three, as a viewer sees it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gomd.interfaces import ForwardedReply
from gomd.verbs.replies import WatchReply
from gomd.verbs.round_times import MERGING_DELAY
from gomd.verbs.rounds import Watcher
from libgomd.errors import GomdError, PeerUnreachable
from libgomd.model import Caller, Event, EventKind, Node, Role, Status
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.three_nodes import BETA, GAMMA, UP, ThreeNodes


class Subscription:
    """One watch at another node, or one request in text, whose lines the test writes."""

    def __init__(
        self, node: int, request: Request, caller: Caller, take: Callable[[bytes], None] | None = None
    ) -> None:
        self.node, self.request, self.caller = node, request, caller
        self.closed = False
        self.ended: Deferred[None] = Deferred()
        self._take = take
        self._lines: list[list[str]] = []

    def round(self, number: int, *rows: dict[str, Any], **more: Any) -> None:
        """Send a round."""
        lines = [json.dumps({**row, **more, "round": number, "rows": len(rows)}) for row in rows]
        self.lines(*(lines or [json.dumps({"round": number, "rows": 0})]))

    def lines(self, *lines: str) -> None:
        self.data("".join(f"{line}\r\n" for line in lines).encode())

    def data(self, data: bytes) -> None:
        """Send bytes, as they are."""
        if self._take is None:
            self._lines.append(data.decode().split("\r\n")[:-1])
            return
        try:
            self._take(data)
        except GomdError as error:
            self.ended.errback(error)

    def end(self) -> None:
        self.ended.callback(None)

    async def rows(self) -> AsyncGenerator[list[str], None]:
        try:
            await self.ended
            for each in self._lines:
                yield each
        finally:
            self.closed = True


class Watched(ThreeNodes):
    """:ivar asked: the requests to other nodes. :ivar refuse: nodes that cannot be reached."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Subscription] = []
        self.refuse: set[int] = set()
        self.peers.ask = self._ask  # type: ignore[method-assign]
        self.peers.follow = self._follow  # type: ignore[method-assign]

    def _check(self, node: Node) -> None:
        if node.id in self.refuse or not node.up:
            raise PeerUnreachable(f"node {node.id} {node.name} is down: `events` may say why")

    async def _ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        assert not json
        self._check(node)
        self.asked.append(Subscription(node.id, request, caller))
        return ForwardedReply(201, "watching", self.asked[-1].rows())

    async def _follow(
        self,
        node: Node,
        request: Request,
        caller: Caller,
        opened: Callable[[], None],
        take: Callable[[bytes], None],
    ) -> None:
        self._check(node)
        asked = Subscription(node.id, request, caller, take)
        self.asked.append(asked)
        opened()
        try:
            await asked.ended
        finally:
            asked.closed = True

    def tell(self, kind: EventKind, node: Node) -> None:
        """Set a node, and publish what happened to it."""
        self.set_node(node)
        self.publish(Event(0.0, kind, node.id, node.name, "it happened", 1))

    def set_node(self, node: Node) -> None:
        self.members.known = [each for each in self.members.known if each.id != node.id] + [node]


@pytest.fixture
def node() -> Watched:
    """Node 1 of three; node 3 is not there. A merged round has just been due, so that the next is in 1 s."""
    made = Watched()
    made.clock.advance(MERGING_DELAY + 0.01)
    made.members.known = made.members.known[:2]
    return made


def in_json(node: Watched, role: Role = Role.ADMIN, user: str = "root", uid: int = 0) -> Talk:
    """A viewer in JSON."""
    talk = Talk(node, role, user, uid)
    talk.say("format json")
    return talk


def rows(heard: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in heard.splitlines() if line.startswith("{")]


def values(found: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["from"], row.get("value", row.get("code", row.get("left"))), row["round"]) for row in found]


@pytest.mark.parametrize("words", ["watch -n 1 @all load", "@all watch -n 1 load", "watch @ALL -n 1 load"])
def test_all_nodes_in_one_round(node: Watched, words: str) -> None:
    """The first round comes when everybody has answered; then one each period with what is newest."""
    talk = in_json(node)
    assert talk.say(words) == "201 watching load of @all every 1 s: send a line to stop\r\n"
    [asked] = node.asked
    assert (asked.node, asked.request) == (2, Request("watch", ("-n", "1", "load")))
    asked.round(1, {"value": 7})
    first = rows(talk.heard())
    assert values(first) == [(1, 200, 1), (2, 7, 1)] or [row["from"] for row in first] == [1, 2]
    assert {(row["rows"], row["rows_age"]) for row in first} == {(2, 0)}
    asked.round(2, {"value": 8})
    asked.round(3, {"value": 9})
    node.clock.advance(1.0)
    assert values(rows(talk.heard()))[1] == (2, 9, 2)
    talk.say("load")
    assert asked.closed
    node.clock.advance(60)
    assert len(node.asked) == 1


def test_a_slow_node_delays_only_the_first_round(node: Watched) -> None:
    """For two seconds; then it is said to have not answered."""
    talk = in_json(node)
    talk.say("watch -n 1 @all load")
    node.clock.advance(1.9)
    assert talk.heard() == ""
    node.clock.advance(0.2)
    found = rows(talk.heard())
    assert [(row["from"], row.get("code")) for row in found] == [(1, None), (2, 504)]
    assert "not answered" in found[1]["error"]


def test_a_silent_node_keeps_its_rows_and_they_age(node: Watched) -> None:
    """It is asked anew, and its rows are fresh when it answers."""
    talk = in_json(node)
    talk.say("watch -n 1 @all load")
    node.asked[0].round(1, {"value": 7})
    ages = []
    for _ in range(30):
        node.clock.advance(1.0)
        ages += [row["rows_age"] for row in rows(talk.heard()) if row["from"] == 2]
    assert ages[0] == 0
    assert ages[-1] > 25
    assert ages == sorted(ages)
    assert node.asked[0].closed
    assert len(node.asked) >= 2
    node.asked[-1].round(1, {"value": 70})
    node.clock.advance(1.0)
    [row] = [row for row in rows(talk.heard()) if row["from"] == 2]
    assert (row["value"], row["rows_age"]) == (70, 0)


def test_pauses_between_attempts_grow(node: Watched) -> None:
    """A node that cannot be reached is not asked every second; one that comes up is asked at once."""
    node.set_node(replace(BETA, status=Status.CONFIGURED))
    talk = in_json(node)
    found = rows(talk.say("watch -n 1 @all load"))
    assert [(row["from"], row.get("code")) for row in found] == [(1, None), (2, 502)]
    node.clock.pump([1.0] * 100)
    assert not node.asked
    node.tell(EventKind.UP, BETA)
    node.clock.pump([1.0] * 2)
    assert len(node.asked) == 1
    node.asked[0].round(1, {"value": 7})
    talk.heard()
    node.clock.advance(1.0)
    assert values(rows(talk.heard()))[1][:2] == (2, 7)


def test_nodes_join_and_leave(node: Watched) -> None:
    """A new one appears; one that has left is said to, once."""
    talk = in_json(node)
    talk.say("watch -n 1 @all load")
    node.asked[0].round(1, {"value": 7})
    talk.heard()
    node.tell(EventKind.JOIN, replace(GAMMA, status=UP))
    node.clock.advance(1.0)
    node.asked[1].round(1, {"value": 3})
    node.clock.advance(1.0)
    assert {row["from"] for row in rows(talk.heard())} == {1, 2, 3}
    node.tell(EventKind.LEAVE, GAMMA)
    node.clock.advance(1.0)
    assert next(row for row in rows(talk.heard()) if row["from"] == 3)["left"] is True
    assert node.asked[1].closed
    for _ in range(3):
        node.clock.advance(1.0)
        assert [row["from"] for row in rows(talk.heard())] == [1, 2]
    node.members.known = node.members.known[:1]
    gone = node.members.known[0]
    node.clock.pump([1.0] * 20)  # no event tells of a node that is configured no more
    left = [row["from"] for row in rows(talk.heard()) if row.get("left")]
    assert left == [3 - gone.id]


def test_equal_viewers_share_the_streams(node: Watched) -> None:
    """Of the same role and user; another user's are their own, and each node is asked as that user."""
    viewers = [in_json(node) for _ in range(5)]
    for viewer in viewers:
        viewer.say("watch -n 1 @all load")
    assert len(node.asked) == 1
    ada = in_json(node, Role.USER, "ada", 1000)
    ada.say("watch -n 1 @all load")
    assert [each.caller.uid for each in node.asked] == [0, 1000]
    node.asked[0].round(1, {"value": 7})
    assert all(values(rows(viewer.heard()))[1] == (2, 7, 1) for viewer in viewers)
    for viewer in viewers:
        assert not node.asked[0].closed
        viewer.say("load")
    assert node.asked[0].closed
    assert not node.asked[1].closed


def test_a_viewer_that_goes_before_its_first_round(node: Watched) -> None:
    """Such as a browser that is gone before it has read anything: nothing is begun for it, nor kept."""
    session = Watcher(Caller(Role.ADMIN, "root", 0, "tcp 192.0.2.9:1"), json=True)
    asked = Request("watch", ("-n", "1", "@all", "load"))
    for _ in range(3):
        reply = node.dispatch.ask(session, asked)
        assert isinstance(reply, WatchReply)
        Deferred.fromCoroutine(reply.answers.aclose())
    viewer = in_json(node)
    viewer.say("watch -n 1 @all load")
    [stream] = node.asked
    assert not stream.closed
    viewer.say("load")
    node.clock.advance(2.0)  # the first round is always given
    assert stream.closed


def test_rows_with_awkward_text(node: Watched) -> None:
    """Whatever a process calls itself, its row is one object."""
    talk = in_json(node)
    node.jobs.away = []
    talk.say("watch -n 1 @all ps")
    name = 'x", "round": 9, "rows": 1} {"from": 5 \x1b \u2028 \\'
    node.asked[0].round(1, {"command": name, "pid": 4}, {"command": "y", "pid": 5})
    found = [row for row in rows(talk.heard()) if row["from"] == 2]
    assert [(row["command"], row["pid"]) for row in found] == [(name, 4), ("y", 5)]


def test_an_empty_round_is_a_round(node: Watched) -> None:
    """What was there is no more."""
    talk = in_json(node)
    talk.say("watch -n 1 @2 ps --top 3")
    node.asked[0].round(1, {"pid": 4})
    assert [row["from"] for row in rows(talk.heard())] == [2]
    node.asked[0].round(2)
    node.clock.advance(1.0)
    assert rows(talk.heard()) == [{"round": 2, "rows": 0}]


@pytest.mark.parametrize(
    "line", ["junk", '{"code": 500, "error": "a \\"bug\\""}', "[1]", '{"round": 1, "rows": 999999}']
)
def test_a_node_that_answers_nonsense(node: Watched, line: str) -> None:
    """Is listed with an error, and asked again later."""
    talk = in_json(node)
    talk.say("watch -n 1 @all load")
    node.asked[0].lines(line)
    [row] = [row for row in rows(talk.heard()) if row["from"] == 2]
    assert row["error"]
    assert node.asked[0].closed
    node.clock.pump([0.5] * 4)
    assert len(node.asked) == 2


def test_in_text(node: Watched) -> None:
    """Lines as `@all` has them, an empty line between rounds, and old lines are said to be old."""
    talk = Talk(node)
    talk.say("watch -n 1 @all load")
    assert node.asked[0].request == Request("load", ())
    node.asked[0].lines("7")
    node.asked[0].end()
    heard = talk.heard().splitlines()
    assert heard[0].startswith("1: ")
    assert heard[1] == "2: 7"
    node.refuse = {2}
    node.clock.advance(1.0)
    heard = talk.heard().splitlines()
    assert heard[0] == ""
    assert heard[2] == "2: 7"
    node.clock.pump([1.0] * 5)
    assert any(
        line.startswith("2: (as it was ") and "502 node 2 beta" in line for line in talk.heard().splitlines()
    )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("watch @all watch load", "takes the verb itself"), ("@all @all load", "name the nodes once"),
        ("watch @all @all load", "name the nodes once"), ("watch @2 @all load", "name the nodes once"),
        ("@all watch @all load", "name the nodes once"), ("watch @all events", "watch events"),
        ("watch @all do x", "one node at a time"), ("watch @all signal 5 TERM", "only reads"),
        ("watch @all", "usage: watch"), ("watch @ load", "all"), ("watch @all load 1 2", "usage: load"),
        ("watch @all nothing", "there is no verb"), ("watch @all quit", "only reads"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(node: Watched, words: str, hint: str) -> None:
    """400, with what to do."""
    said = Talk(node).say(words)
    assert said.startswith("400 "), said
    assert hint in said
    assert not node.asked


def test_one_caller_has_not_all_of_them(node: Watched) -> None:
    """429 beyond its share, and the places come back."""
    talks = [Talk(node, Role.READ, "", None, "tcp 192.0.2.9:1") for _ in range(33)]
    said = [talk.say(f"watch -n {at + 1} @all load") for at, talk in enumerate(talks)]
    assert [line[:3] for line in said] == ["201"] * 32 + ["429"]
    talks[0].say("load")
    node.clock.advance(2.0)  # the first round is always given
    assert talks[-1].say("watch -n 99 @all load").startswith("201")
