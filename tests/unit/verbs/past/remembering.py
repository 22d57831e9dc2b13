"""Node 1 of three, with a history that a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zope.interface import implementer

from gomd.history.none import NoHistory
from gomd.interfaces import IHistory, RememberedEvent, RememberedTable
from gomd.verbs.context import Parts
from libgomd.model import Event, EventKind, HistoryRow, Measure, Node, Output, Process, Role, Status
from libgomd.testing import START_TIME
from tests.unit.protocols.talk import Talk, a_process
from tests.unit.verbs.three_nodes import ALPHA, GAMMA, ThreeNodes

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


def said(daemon: Remembering, line: str, **who: Any) -> tuple[str, list[dict[str, Any]]]:
    """Return the status line and the rows of an answer in JSON."""
    talk = Talk(daemon, **who)
    talk.say("format json")
    first, *lines = talk.say(line).splitlines()
    return first, [json.loads(each) for each in lines if each != "."]


ADA = {"role": Role.USER, "user": "ada", "uid": 1000}
READER = {"role": Role.READ, "user": "", "uid": None}
