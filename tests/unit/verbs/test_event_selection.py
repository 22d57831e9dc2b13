"""Which events `events` lists, alone and merged from several nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomd.sources.memory import MemorySource
from gomd.verbs.event_selection import parse
from libgomd import calls
from libgomd.errors import MalformedRequest
from libgomd.model import Event, EventKind
from libgomd.testing import MemoryDaemon
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import Talk


def daemon() -> MemoryDaemon:
    found = MemoryDaemon(MemorySource([1]))
    for at, kind in enumerate((EventKind.UP, EventKind.MIGRATED, EventKind.DOWN, EventKind.MIGRATED), 1):
        found.publish(Event(float(at), kind, at, "beta", f"event {at}", 1))
    return found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", [1, 2, 3, 4]), ("--kind migrated", [2, 4]), ("--kind=migrated", [2, 4]),
        ("--kind UP,down", [1, 3]), ("--newest 2", [3, 4]), ("--newest=1 --kind migrated", [4]),
        ("--newest 9", [1, 2, 3, 4]), ("--kind join", []),
    ],
)  # fmt: skip
def test_the_options_select(words: str, expected: list[int]) -> None:
    said = Talk(daemon()).say(f"events {words}")
    assert [at for at in range(1, 5) if f"event {at}" in said] == expected
    assert said.startswith(f"201 {len(expected)} events")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("--kind", "takes a value: --kind migrated"), ("--kind moved", "there is no kind of event moved"),
        ("--kind=", "there is no kind of event"), ("--newest 0", "--newest is a whole number"),
        ("--newest=x", "--newest is a whole number"), ("--top 3", "events has no option --top"),
        ("migrated", "events has no option migrated"), ("--newest 1 --newest 2", "given twice"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_in_a_sentence(words: str, hint: str) -> None:
    said = Talk(daemon()).say(f"events {words}")
    assert said.startswith("400 ")
    assert hint in said


@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_words_are_options_or_one_error(words: list[str]) -> None:
    try:
        kinds, newest, _times = parse(tuple(words))
    except MalformedRequest:
        return
    assert all(isinstance(kind, EventKind) for kind in kinds)
    assert newest is None or newest > 0


def test_the_library_asks_for_them() -> None:
    call = calls.events(EventKind.MIGRATED, EventKind.DOWN, newest=5)
    assert call.request == Request("events", ("--kind=migrated,down", "--newest=5"))
    assert calls.events().request == Request("events")


def test_a_selection_can_be_watched_on_all_nodes() -> None:
    """All events cannot: they would be sent again in each round."""
    talk = Talk(daemon())
    said = talk.say("watch -c 1 @all events --kind migrated --newest 1")
    assert said.startswith("201 ")
    assert "event 4" in said
    assert "event 2" not in said
    assert Talk(daemon()).say("watch @all events").startswith("400 ")
