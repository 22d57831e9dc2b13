"""The verbs about the past: what was known then, whose memory it is, and who may see it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jsonschema
import pytest
from zope.interface import implementer

from gomd.history.moments import MAX_EVENTS
from gomd.history.none import NoHistory
from gomd.interfaces import IHistory, RememberedEvent, RememberedTable
from gomd.verbs.context import Parts
from gomd.verbs.schemas import DIRECTORY
from libgomd.model import Event, EventKind, HistoryRow, Measure, Node, Output, Process, Role, Status
from libgomd.testing import START_TIME
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import Talk, a_process
from tests.unit.verbs.three_nodes import ALPHA, BETA, GAMMA, ThreeNodes

THEN = START_TIME - 3600.0
OWN = a_process(5, cpu_percent=80.0, read_rate=10.0, write_rate=0.0)
OTHER = a_process(6, uid=1001, user="bob", command="./secret", read_rate=7.0, write_rate=3.0)
STARTED = Event(THEN, EventKind.STARTED, 1, "alpha", "job 3 of bob: ./secret", 1, uid=1001)
MEASURES = (
    Measure("filesystem_free_bytes", 7e9, {"mountpoint": "/"}, text="free space"),
    Measure("forks", 3.0, kind="counter", text="started"),
)
DOWN = Event(THEN + 1, EventKind.DOWN, 3, "gamma", "no answer", 1)


@implementer(IHistory)
class Remembered(NoHistory):
    """
    A history that a test writes.

    :ivar tables: of each node. :ivar hidden: whether others were hidden then.
    :ivar asked: what values were asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[int, tuple[Process, ...]] = {1: (OWN, OTHER)}
        self.hidden = False
        self.asked: list[tuple[Any, ...]] = []
        self.kinds: list[Collection[str]] = []
        self.stored = [STARTED, DOWN]
        self.more: list[RememberedEvent] = []
        self.rows: list[HistoryRow] = [HistoryRow(THEN, "load", 1, 2.5, 4, 1, 1)]
        self.then: Sequence[Node] = [ALPHA, replace(GAMMA, status=ALPHA.status, load=300)]
        self.gone = Node(9, "delta", "10.0.0.9", Status.CONFIGURED)

    def fields(self, node: int) -> Sequence[str]:
        return ("load", "mem", "fs_root_free")

    def find_node(self, key: str) -> Node | None:
        return self.gone if key in ("9", "delta") else None

    def values(
        self, node: int, fields: Sequence[str], since: float, until: float, points: int
    ) -> Sequence[HistoryRow]:
        self.asked.append((node, tuple(fields), since, until, points))
        return [replace(row, node=node) for row in self.rows]

    def nodes_at(self, moment: float) -> Sequence[Node]:
        return self.then if moment >= THEN else ()

    def processes_at(self, node: int, moment: float) -> RememberedTable | None:
        if node not in self.tables or moment < THEN:
            return None
        return RememberedTable(node, 1, THEN, self.hidden, self.tables[node], frozenset({OWN.identity}))

    def events(self, since: float, until: float, kinds: Collection[str] = ()) -> Sequence[RememberedEvent]:
        self.kinds.append(kinds)
        stored = [*self.more, *(RememberedEvent(each, self.hidden) for each in self.stored)]
        return [
            each
            for each in stored
            if since <= each.event.time <= until and (not kinds or each.event.kind.value in kinds)
        ]


class Remembering(ThreeNodes):
    """Node 1 of three, which remembers. :ivar hides: whether others are hidden now."""

    def __init__(self) -> None:
        self.history: IHistory = Remembered()
        self.hides = False
        self.kept_event: Callable[[Event], Event] = lambda event: event
        super().__init__()

    def _parts(
        self, commands: Mapping[str, Sequence[Output]] | None, tokens: Mapping[str, Any] | None
    ) -> Parts:
        parts = super()._parts(commands, tokens)
        return replace(
            parts,
            history=self.history,
            hides_others=lambda: self.hides,
            measures=lambda: MEASURES,
            kept_event=lambda event: self.kept_event(event),
        )


@pytest.fixture
def node() -> Remembering:
    return Remembering()


def said(daemon: Remembering, line: str, **who: Any) -> tuple[str, list[dict[str, Any]]]:
    """Return the status line and the rows of an answer in JSON."""
    talk = Talk(daemon, **who)
    talk.say("format json")
    first, *lines = talk.say(line).splitlines()
    return first, [json.loads(each) for each in lines if each != "."]


ADA = {"role": Role.USER, "user": "ada", "uid": 1000}
READER = {"role": Role.READ, "user": "", "uid": None}


def test_values_of_this_node(node: Remembering) -> None:
    """An hour in sixty rows unless said otherwise; a moment may begin with a minus."""
    first, rows = said(node, "history alpha load,mem")
    assert first == "201 1 rows of node 1 alpha"
    assert rows == [{"time": THEN, "field": "load", "min": 1, "mean": 2.5, "max": 4, "node": 1, "by": 1}]
    said(node, "history 1 load --since -90 --until 15s --points 5")
    said(node, f"history 1 load --since={THEN} --until 2001-09-09T01:46:40Z")
    assert node.history.asked == [  # type: ignore[attr-defined]
        (1, ("load", "mem"), START_TIME - 3600, START_TIME, 60),
        (1, ("load",), START_TIME - 90, START_TIME - 15, 5),
        (1, ("load",), THEN, START_TIME, 60),
    ]
    for row in rows:
        jsonschema.validate(row, json.loads((DIRECTORY / "history.json").read_text(encoding="utf-8")))


def test_nothing_known_is_an_empty_block(node: Remembering) -> None:
    """Never zeros."""
    node.history.rows = []  # type: ignore[attr-defined]
    assert said(node, "history 1 load --since 3d") == ("201 0 rows of node 1 alpha", [])
    assert said(node, f"history 1 load --since {START_TIME + 500}")[1] == []
    assert said(node, "history 1 load --since 5m --until 5m")[1] == []
    assert said(node, f"events --since {START_TIME + 500}")[1] == []
    assert said(node, "nodes --at 3d")[1] == []
    assert said(node, "ps --at 3d")[1] == []
    assert said(node, f"ps --at {START_TIME + 500}")[1] == []


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("history", 400, "usage: history NODE FIELD"),
        ("history 1", 400, "usage: history NODE FIELD"),
        ("history 1 load mem", 400, "usage: history NODE FIELD"),
        ("history 1 laod", 400, "did you mean load?"),
        ("history 1 load,load", 400, "each once"),
        ("history 1 load --since yesterday", 400, "--since is a moment such as"),
        ("history 1 load --points 0", 400, "whole number from 1"),
        ("history 1 load --since", 400, "--since takes a value"),
        ("history 1 load --from 3", 400, "it has --since --until --points"),
        ("history 1 load --since 1 --since 2", 400, "given twice"),
        ("history 1 load --since 5m --until 10m", 400, "is later than --until"),
        ("events --since 5m --until 1h", 400, "give the earlier moment to --since"),
        ("measures fork_", 404, "did you mean forks?"),
        ("measures nosuch", 404, "`measures` lists what there is"),
        ("history 17 load", 404, "there is no node 17"),
        ("history gamma busy_percent", 404, "of other nodes only load,"),
        ("nodes 1", 400, "usage: nodes"),
        ("nodes --at 03:12", 400, "--at is a moment such as"),
        ("ps --at", 400, "--at takes a value"),
        ("ps --of 2", 400, "--of is for the past"),
        ("ps 4711 --at 1h", 404, "there was no process 4711"),
        ("events 3", 400, "events has no option 3: it has --kind --newest --since --until"),
    ],
)
def test_what_is_wrong_is_said(node: Remembering, line: str, code: int, words: str) -> None:
    """With the right way to say it."""
    heard = Talk(node).say(line)
    assert heard.startswith(f"{code} ")
    assert words in heard


def test_a_node_that_is_up_is_asked_itself(node: Remembering) -> None:
    """It knows more of itself; the moments are sent as seconds."""
    node.peers.answer = lambda number, request: (201, "60 rows of node 2 beta")
    assert said(node, "history beta busy_percent --since 1h --points 7")[0] == "201 60 rows of node 2 beta"
    [(asked, request, _caller)] = node.peers.asked
    assert (asked, request.verb) == (2, "history")
    assert request.arguments == (
        "2", "busy_percent", f"--since={START_TIME - 3600:.3f}", f"--until={START_TIME:.3f}", "--points=7"
    )  # fmt: skip


def test_one_that_keeps_nothing_is_answered_for(node: Remembering) -> None:
    """What this node heard of it is better than nothing."""
    node.peers.answer = lambda number, request: (405, "this node keeps no history")
    first, rows = said(node, "history 2 load")
    assert first == "201 1 rows of node 2 beta, as node 1 alpha remembers them"
    assert rows[0]["by"] == 1


def test_a_node_that_is_down_is_answered_for(node: Remembering) -> None:
    """The answer says whose memory it is, whichever way the node is named, forgotten ones too."""
    for line in ("history gamma load", "@3 history 3 load"):
        first, rows = said(node, line)
        assert first == "201 1 rows of node 3 gamma, as node 1 alpha remembers them"
        assert [row["node"] for row in rows] == [3]
    assert said(node, "history delta load")[0] == "201 1 rows of node 9 delta, as node 1 alpha remembers them"


def test_processes_of_a_node_that_is_down(node: Remembering) -> None:
    """From this node's memory, else from that of the nodes behind it; about now it stays an error."""
    node.history.tables[3] = (replace(OWN, node=3, home=3, identity="3-5-100"),)  # type: ignore[attr-defined]
    first, rows = said(node, "@gamma ps --at 59m --top 3")
    assert first.startswith("201 1 of 1 processes of node 3 gamma at 2001-09-09T00:47:40Z, as node 1 alpha ")
    assert [(row["pid"], row["node"], row["age"]) for row in rows] == [(5, 3, 60.0)]
    assert said(node, "@gamma ps")[0].startswith("502 ")
    del node.history.tables[3]  # type: ignore[attr-defined]
    node.peers.answer = lambda number, request: (
        201,
        "4 processes of node 3 gamma, as node 2 beta remembers them",
    )
    assert said(node, "@gamma ps --top 3 --at 59m --match x")[0].endswith("as node 2 beta remembers them")
    asked, request, _caller = node.peers.asked[-1]
    assert (asked, request.arguments) == (2, (
        "--top", "3", "--match", "x", f"--at={START_TIME - 59 * 60:.3f}", "--of=3"
    ))  # fmt: skip
    node.peers.answer = lambda number, request: (201, "0 processes of node 3 gamma")
    assert said(node, "@gamma ps --at 59m")[0].startswith("201 0 processes of node 3 gamma at ")


def answering(code: int, text: str, number: int, request: Request) -> tuple[int, str]:
    """Answer for another node."""
    return code, text


def test_a_machine_that_has_come_by_the_id_of_another_one(node: Remembering) -> None:
    """It knows nothing of the time before: that is answered from memory, and what it knows is its own."""
    history = node.history
    assert isinstance(history, Remembered)
    memory = ", as node 1 alpha remembers them"
    history.tables[2] = (replace(OWN, node=2, home=2, identity="2-5-100"),)
    for line, text in (
        ("history beta load --since 1h", "0 rows of node 2 beta"),
        ("@2 history 2 load --since 1h", "0 rows of node 2 beta"),
        ("@2 ps --at 59m", "0 processes of node 2 beta at 2001-09-09T00:47:40Z"),
    ):
        for code, heard in ((201, text), (405, "this node keeps no history that can be read")):
            node.peers.answer = partial(answering, code, heard)
            first, rows = said(node, line)
            assert (first.endswith(memory), len(rows)) == (True, 1), (line, code)
    for line, text in (
        ("@2 ps --at 59m --match nothing", "0 of 312 processes of node 2 beta at 2001-09-09T00:47:40Z"),
        ("@2 ps --at 3d", "0 processes of node 2 beta at 2001-09-06T01:46:40Z"),
        (f"history 2 load --since {START_TIME + 9}", "0 rows of node 2 beta"),
        ("@2 ps", "0 processes"),
    ):
        node.peers.answer = partial(answering, 201, text)
        assert said(node, line) == (f"201 {text}", [])
    node.peers.answer = lambda number, request: (405, "it keeps none")
    del history.tables[2]
    assert said(node, "@2 ps --at 59m")[0] == "405 it keeps none"


def test_a_daemon_that_is_asked_asks_no_further(node: Remembering) -> None:
    """Two nodes that remember nothing do not ask each other for ever."""
    said(node, "ps --at 59m --of 3", role=Role.READ, user="", uid=None, via="node 2")
    assert node.peers.asked == []


def test_nodes_of_a_moment(node: Remembering) -> None:
    """As they were then."""
    first, rows = said(node, "nodes --at 59m")
    assert first.startswith("201 2 nodes, 2 up at 2001-09-09T00:47:40Z, as node 1 alpha remembers them")
    assert [(row["id"], row["up"], row["load"]) for row in rows] == [(1, True, 200), (3, True, 300)]


def test_who_may_see_processes_then(node: Remembering) -> None:
    """The rules of now: rates for the owner, others only where /proc hides nothing, neither now nor then."""

    def shown(**who: Any) -> list[tuple[int, Any]]:
        return [(row["pid"], row["read_rate"]) for row in said(node, "ps --at 59m", **who)[1]]

    assert shown() == [(5, 10.0), (6, 7.0)]
    assert shown(**ADA) == [(5, 10.0), (6, None)]
    assert shown(**READER) == [(5, None), (6, None)]
    node.history.hidden = True  # type: ignore[attr-defined]
    assert shown(**ADA) == [(5, 10.0)]
    assert shown(**READER) == []
    assert shown() == [(5, 10.0), (6, 7.0)]
    node.history.hidden, node.hides = False, True  # type: ignore[attr-defined]
    assert shown(**ADA) == [(5, 10.0)]
    assert Talk(node, **ADA).say("ps 6 --at 59m").startswith("404 ")  # type: ignore[arg-type]


def test_an_owner_on_another_node_has_the_same_name(node: Remembering) -> None:
    """A uid alone may be somebody else's there."""
    there = replace(OWN, node=3, home=3, user="eve", identity="3-5-100")
    node.history.tables[3] = (there,)  # type: ignore[attr-defined]
    [row] = said(node, "@3 ps --at 59m", **ADA)[1]
    assert row["read_rate"] is None
    node.history.hidden = True  # type: ignore[attr-defined]
    assert said(node, "@3 ps --at 59m", **ADA)[1] == []


def test_hidden_rates_do_not_rank_then(node: Remembering) -> None:
    """`--sort io` is by what the caller may see; the selection is that of `ps`."""
    assert [row["pid"] for row in said(node, "ps --at 59m --sort io --top 1", **ADA)[1]] == [5]
    first, rows = said(node, "ps --at 59m --fields pid,command --match SECRET")
    assert (rows, first[:8]) == ([{"pid": 6, "command": "./secret"}], "201 1 of")
    assert [row["pid"] for row in said(node, "ps --at 59m --jobs")[1]] == [5]


def test_events_of_a_time(node: Remembering) -> None:
    """Those that were stored and those of the last second, without what the caller may not know."""
    newest = Event(START_TIME - 1, EventKind.UP, 3, "gamma", "it answers", 1)
    node.publish(newest)
    assert [row["kind"] for row in said(node, "events --since 2h")[1]] == ["started", "down", "up"]
    assert [row["kind"] for row in said(node, "events --since 2h --until 30m")[1]] == ["started", "down"]
    assert [row["kind"] for row in said(node, "events --since -30m")[1]] == ["up"]
    node.history.hidden = True  # type: ignore[attr-defined]
    assert [row["kind"] for row in said(node, "events --since 2h", **ADA)[1]] == ["down", "up"]
    assert "up" in Talk(node).say("events")


def test_events_of_a_kind_and_of_too_long_a_time(node: Remembering) -> None:
    """The kind is asked of the history itself, and an answer that does not have all of them says so."""
    history = node.history
    assert isinstance(history, Remembered)
    assert [row["kind"] for row in said(node, "events --since 2h --kind down")[1]] == ["down"]
    assert history.kinds == [["down"]]
    history.more = [RememberedEvent(replace(DOWN, time=THEN + at / 1e5), False) for at in range(MAX_EVENTS)]
    assert (
        "of the newest 10000 of that time: --kind and --until find others"
        in said(node, "events --since 2h --newest 1")[0]
    )


def test_past_events_are_told_once_and_as_they_are_kept(node: Remembering) -> None:
    """Where `[history] commands` keeps no command lines, those it remembers are not told either."""
    node.kept_event = lambda event: replace(event, reason=event.reason.partition(":")[0])
    node.publish(STARTED)
    history = node.history
    assert isinstance(history, Remembered)
    history.stored = [node.kept_event(STARTED)]
    assert [row["reason"] for row in said(node, "events --since 2h --kind started")[1]] == ["job 3 of bob"]


def test_a_checkpoint_is_an_event(node: Remembering) -> None:
    """Its name is found again, with the moment."""
    Talk(node).say("checkpoint before-lunch")
    [row] = said(node, "events --since 1m --kind checkpoint")[1]
    assert (row["time"], row["node"], row["reason"]) == (START_TIME, 1, "before-lunch")


def test_a_job_of_the_same_uid_on_another_node(node: Remembering) -> None:
    """Where others are hidden, only the node that said it knows whose job it is; admins see all."""
    for by in (1, 3):
        node.publish(Event(START_TIME - by, EventKind.ENDED, by, "", "job 5 ended", by, uid=1000))
    for hides, who, expected in (
        (False, ADA, [3, 1]),
        (True, ADA, [1]),
        (True, {}, [3, 1]),
        (True, READER, []),
    ):
        node.hides = hides
        rows = said(node, "events --since 1m", **who)[1]
        assert [row["by"] for row in rows if row["kind"] == "ended"] == expected


def test_without_a_history(node: Remembering) -> None:
    """The error says what to set; events since the start are known all the same."""
    none = ThreeNodes()
    none.publish(DOWN)
    for line in ("history 1 load", "nodes --at 1h", "ps --at 1h"):
        assert "set [history] kind = sqlite" in Talk(none).say(line)
    heard = Talk(none).say("events --since 2h")
    assert heard.startswith("201 1 events, only those since the start of this daemon")
    assert BETA.name not in heard


def test_measures(node: Remembering) -> None:
    """All, or those whose names begin so; their labels are an object."""
    first, rows = said(node, "measures")
    assert (first, len(rows)) == ("201 2 measures", 2)
    assert said(node, "measures file")[1] == [
        {"name": "filesystem_free_bytes", "labels": {"mountpoint": "/"}, "value": 7e9, "kind": "gauge",
         "text": "free space"}
    ]  # fmt: skip
    for row in rows:
        jsonschema.validate(row, json.loads((DIRECTORY / "measures.json").read_text(encoding="utf-8")))
    assert "mountpoint=/" in Talk(node).say("measures")
