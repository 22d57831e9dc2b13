"""Past events: which are told, how often, and to whom."""

from __future__ import annotations

from dataclasses import replace

from gomd.history.moments import MAX_EVENTS
from gomd.interfaces import RememberedEvent
from libgomd.model import Event, EventKind
from libgomd.testing import START_TIME
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.past.remembering import ADA, DOWN, READER, STARTED, THEN, Remembered, Remembering, said


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
