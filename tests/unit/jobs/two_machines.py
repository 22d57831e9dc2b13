"""Two machines with daemons, journals and copies of one process, in memory, and every event there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gomd.jobs.migration.protocol import (
    Act,
    Local,
    MessageKind,
    MigrationSide,
    SourceState,
    State,
    Step,
    TargetState,
    Write,
    answer_unknown,
)


class Twice(AssertionError):
    """The process ran, or could have run, in two places."""


class Machine(NamedTuple):
    """
    One machine. ``state`` is the daemon's memory, None when it knows of no migration; ``up``: it runs.

    ``record`` is the last line of its journal. ``copy`` is the process: running, freezing, frozen, gone at
    the source; gone, restoring, stopped, running at the target. ``watched``: the daemon started what goes on.
    """

    state: State | None
    record: State | None
    copy: str
    todo: tuple[Step, ...] = ()
    up: bool = True
    watched: bool = False
    crashed: bool = False


class World(NamedTuple):
    """
    Both machines, all messages ever sent (any may come, late, twice or never), and what ran since.

    ``thawed``: the source went on after its memory was complete. ``ran``: the copy ran at the target.
    """

    source: Machine
    target: Machine
    sent: frozenset[MessageKind]
    thawed: bool = False
    ran: bool = False


def begin() -> World:
    """A process that runs, and a source that was just told to move it."""
    migration, steps = MigrationSide.offer()
    return World(
        Machine(migration.state, None, "running", tuple(steps)), Machine(None, None, "gone"), frozenset()
    )


_TO_TARGET = frozenset(
    {
        MessageKind.OFFER,
        MessageKind.IMAGES,
        MessageKind.GO,
        MessageKind.SETTLED,
        MessageKind.ABORT,
        MessageKind.ASK,
    }
)
_WORK_OVER = {"freezing": ("frozen", "running"), "restoring": ("stopped", "gone")}


def place(world: World, at: str, machine: Machine, **more: object) -> World:
    """Return the world with another machine ``at`` source or target."""
    return world._replace(**{at: machine, **more})  # type: ignore[arg-type]


def tell(world: World, at: str, event: MessageKind | Local) -> World:
    """Tell the daemon ``at`` of ``event``; it queues the steps that follow."""
    machine: Machine = getattr(world, at)
    if machine.state is None:
        if event is MessageKind.OFFER:
            migration, steps = MigrationSide.accept()
        else:
            answer = answer_unknown(event) if isinstance(event, MessageKind) else None
            return world._replace(sent=world.sent | {answer}) if answer else world
    else:
        migration = MigrationSide(machine.state)
        steps = migration.tell(event)
    return place(world, at, machine._replace(state=migration.state, todo=tuple(steps)))


def do_next(world: World, at: str) -> World:
    """Let the daemon ``at`` do its first step."""
    machine: Machine = getattr(world, at)
    step, machine = machine.todo[0], machine._replace(todo=machine.todo[1:])
    if isinstance(step, Write):
        return place(world, at, machine._replace(record=step.state))
    if isinstance(step, MessageKind):
        return place(world, at, machine, sent=world.sent | {step})
    return _act(world, at, machine, step)


def _act(world: World, at: str, machine: Machine, act: Act) -> World:
    if act is Act.PREPARE:
        return place(world, at, machine._replace(watched=True))
    if act is Act.FREEZE:
        return place(world, at, machine._replace(copy="freezing", watched=True))
    if act is Act.RESTORE:
        return place(world, at, machine._replace(copy="restoring", watched=True))
    if act is Act.THAW and machine.copy == "freezing":
        return place(world, at, machine._replace(copy="running"))  # what was sent is not complete
    if act is Act.THAW and machine.copy == "frozen":
        if world.ran:
            raise Twice(f"thawed at the source after it ran at the target: {world}")
        return place(world, at, machine._replace(copy="running"), thawed=True)
    if act is Act.THAW and machine.copy == "stopped":
        if world.thawed or world.source.copy == "running":
            raise Twice(f"runs at the target after it went on at the source: {world}")
        return place(world, at, machine._replace(copy="running"), ran=True)
    if act in (Act.END, Act.CLEAR):
        if machine.copy == "running":
            raise Twice(f"a running process is killed: {world}")
        return place(world, at, machine._replace(copy="gone"))
    return place(world, at, machine)


def finish_work(world: World, at: str, well: bool) -> World:
    """Let criu ``at`` end, well or not; the daemon is told if it is the one that started it."""
    machine: Machine = getattr(world, at)
    after = machine.copy
    if after in _WORK_OVER:
        after = _WORK_OVER[after][0 if well else 1]
        event = (Local.DUMPED if at == "source" else Local.BROUGHT_UP) if well else Local.FAILED
    else:
        event = Local.PREPARED if well else Local.FAILED
    heard = machine.watched and machine.up
    world = place(world, at, machine._replace(copy=after, watched=False))
    return tell(world, at, event) if heard else world


def restart(world: World, at: str) -> World:
    """Start the daemon ``at``, which reads its journal."""
    machine: Machine = getattr(world, at)
    if machine.record is None:
        return place(world, at, machine._replace(up=True, state=None, todo=()))
    copy = machine.copy != "gone"
    migration, steps = MigrationSide.recover(machine.record, copy)
    return place(world, at, machine._replace(up=True, state=migration.state, todo=tuple(steps)))


def everything(world: World) -> Iterator[World]:
    """Return every world that can come next, by any step, message, timer, cut or crash anywhere."""
    for at in ("source", "target"):
        machine: Machine = getattr(world, at)
        if machine.copy in _WORK_OVER and (not machine.todo or not machine.up):
            yield finish_work(world, at, True)
            yield finish_work(world, at, False)
        if not machine.up:
            yield restart(world, at)
        else:
            yield place(world, at, machine._replace(up=False, state=None, todo=(), watched=False))
            if machine.todo:
                yield do_next(world, at)
            else:
                for event in world.sent:
                    if (event in _TO_TARGET) == (at == "target"):
                        yield tell(world, at, event)
                if machine.state is not None:
                    for local in (Local.CUT, Local.CONNECTED, Local.TIMER, Local.EXPIRED):
                        yield tell(world, at, local)
                if machine.state is TargetState.RECEIVING and machine.watched:
                    yield finish_work(world, at, True)
                if machine.state in (TargetState.RECEIVING, TargetState.HOLDING, SourceState.FROZEN):
                    yield tell(world, at, Local.FAILED)
        if not machine.crashed:
            fallen = Machine(None, machine.record, "gone", up=False, crashed=True)
            yield place(world, at, fallen)


def settle(world: World) -> World:
    """Return what becomes of ``world`` when all messages under way are lost and nothing fails any more."""
    for at in ("source", "target"):
        machine: Machine = getattr(world, at)
        if not machine.up:
            world = restart(world, at)
    world = _until_quiet(world._replace(sent=frozenset()))
    for event in (Local.CONNECTED, Local.EXPIRED, Local.TIMER):
        for at in ("source", "target"):
            world = _until_quiet(tell(world, at, event))
    return world


def _until_quiet(world: World) -> World:
    """Do every step and deliver every message, once and in order."""
    delivered: frozenset[MessageKind] = frozenset()
    for _ in range(100):
        before = world
        for at in ("source", "target"):
            machine: Machine = getattr(world, at)
            if machine.todo:
                world = do_next(world, at)
            elif machine.watched or machine.copy in _WORK_OVER:
                world = finish_work(world, at, True)
        if world == before:
            waiting = [message for message in MessageKind if message in world.sent - delivered]
            if not waiting:
                return world._replace(sent=frozenset())
            delivered |= {waiting[0]}
            world = tell(world, "target" if waiting[0] in _TO_TARGET else "source", waiting[0])
    raise AssertionError(f"they never stop talking: {world}")
