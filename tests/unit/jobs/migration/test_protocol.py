"""A process that moves runs in one place, whatever happens to the two machines, and both journals end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gomd.jobs.migration.protocol import (
    FINAL,
    JOURNALLED,
    RECOVERY,
    SOURCE,
    TARGET,
    Act,
    Local,
    MessageKind,
    MigrationSide,
    SourceState,
    State,
    TargetState,
    Write,
)
from tests.unit.jobs.two_machines import World, begin, everything, settle

_DOCS = Path(__file__).parents[4] / "docs"
_DECISION = _DOCS / "migration-decision.md"
_PAGE = _DECISION if _DECISION.exists() else _DOCS / "migration.md"


@pytest.fixture(scope="module")
def worlds() -> set[World]:
    """Every world that can be reached, by any sequence of faults."""
    seen = {begin()}
    todo = list(seen)
    while todo:
        for world in everything(todo.pop()):
            if world not in seen:
                seen.add(world)
                todo.append(world)
    return seen


def test_it_never_runs_twice(worlds: set[World]) -> None:
    """In no reachable world it runs in both places, or went on at home after it ran elsewhere."""
    assert len(worlds) > 1000
    for world in worlds:
        running = [m.copy for m in (world.source, world.target)].count("running")
        assert running <= 1, world
        assert not (world.ran and world.thawed), world


def test_every_state_is_reached(worlds: set[World]) -> None:
    """No state, message or row of the tables is there for nothing."""
    states = {m.state for world in worlds for m in (world.source, world.target)}
    assert states >= {*SourceState, *TargetState}
    assert set().union(*(world.sent for world in worlds)) == set(MessageKind)


def test_both_journals_are_settled_and_it_is_not_lost(worlds: set[World]) -> None:
    """From anywhere, once both daemons are up and hear each other, one copy runs and both know where."""
    ends = {world: settle(world) for world in worlds}
    for world, end in ends.items():
        for machine in (end.source, end.target):
            assert machine.record is None or machine.record in FINAL, (world, end)
            assert machine.state is machine.record, (world, end)
        running = [m.copy for m in (end.source, end.target)].count("running")
        assert running <= 1, (world, end)
        if not world.source.crashed and not world.target.crashed:
            assert running == 1, (world, end)
        if end.source.record is SourceState.MOVED:
            assert end.target.record is TargetState.SETTLED, (world, end)
            assert end.source.copy == "gone", (world, end)
        else:
            assert end.target.record in (TargetState.REFUSED, None), (world, end)


def test_the_target_machine_dies(worlds: set[World]) -> None:
    """Unless the target had written that it runs there, the process is not lost with it."""
    for world in worlds:
        down = world.target.crashed and not world.target.up and world.target.copy == "gone"
        if down and not world.source.crashed:
            written = world.target.record in (TargetState.RUNNING, TargetState.SETTLED)
            end = settle(world)
            assert ("running" in (end.source.copy, end.target.copy)) is not written, world


def test_the_source_machine_dies(worlds: set[World]) -> None:
    """A copy that the target holds is used, unless the process had gone on at the source."""
    tried = 0
    for world in worlds:
        tracked = world.target.record is TargetState.HOLDING and world.target.copy == "stopped"
        asks = world.source.record not in (SourceState.STAYED, SourceState.LOST)
        if world.source.crashed and tracked and asks and not world.target.todo:
            assert settle(world).target.copy == "running", world
            tried += 1
    assert tried


def test_before_the_decision_every_failure_leaves_it_at_the_source() -> None:
    """Whatever goes wrong before `decided` ends in `stayed`, with the process thawed if it was stopped."""
    for state in (SourceState.ASKING, SourceState.FREEZING, SourceState.FROZEN):
        for event in (Local.CUT, Local.EXPIRED, Local.FAILED, MessageKind.REFUSED):
            migration = MigrationSide(state)
            steps = migration.tell(event)
            assert migration.state is SourceState.STAYED
            assert steps[0] == Write(SourceState.STAYED)
            assert (Act.THAW in steps) is (state is not SourceState.ASKING)


def test_what_is_decided_is_written_first() -> None:
    """No message and nothing done to the process goes before the record it rests on."""
    rows: list[tuple[State, MessageKind | Local, State]] = [
        *((state, event, to) for (state, event), (to, _) in SOURCE.items()),
        *((state, event, to) for (state, event), (to, _) in TARGET.items()),
    ]
    for state, event, to in rows:
        steps = MigrationSide(state).tell(event)
        written = [step for step in steps if isinstance(step, Write)]
        assert written == ([Write(to)] if to is not state and to in JOURNALLED else [])
        assert written == steps[: len(written)]
    assert {state for (state, _) in RECOVERY} == JOURNALLED


def test_the_page_says_what_the_tables_say() -> None:
    """The page has a line for every state, message, event and act, with the same sentence."""
    page = _PAGE.read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", page, re.MULTILINE))
    told = {
        (each.word, each.sentence)
        for kind in (SourceState, TargetState, MessageKind, Local, Act)
        for each in kind
    }
    assert told - rows == set()
    assert {row for row in rows if row[1] not in {sentence for _, sentence in told}} == set()
