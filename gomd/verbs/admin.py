"""The verbs of an administrator: balancing switches, speed, commands, checkpoints, shutdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gomd.verbs import arguments as words
from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Reply, Rows, ValueReply
from gomd.verbs.switches import REASON, note, reason_in
from gomd.verbs.table import Verb
from libgomd.errors import MalformedRequest
from libgomd.model import MAX_SPEED, Event, EventKind, Output, Role
from libgomd.wire.tree import MAX_TREE_SPEED, TreePath

#: Verb -> (file of /proc/hpc/admin, value, meaning), as in openMosix's mosctl.
_SWITCHES = {
    "stay": ("stay", "1", "no process leaves this node by balancing"),
    "nostay": ("stay", "0", "processes may leave this node by balancing"),
    "lstay": ("lstay", "1", "no local process leaves this node by balancing"),
    "nolstay": ("lstay", "0", "local processes may leave this node by balancing"),
    "block": ("block", "1", "this node takes no guests"),
    "noblock": ("block", "0", "this node takes guests"),
    "quiet": ("quiet", "1", "this node does not share its load information"),
    "noquiet": ("quiet", "0", "this node shares its load information"),
}


def _admin_file(name: str) -> TreePath:
    return TreePath.parse(f"/proc/hpc/admin/{name}")


def _switch(verb: str) -> Callable[..., Any]:
    """Return the work of a verb that writes one value to one file of /proc/hpc/admin."""
    file, value, meaning = _SWITCHES[verb]

    async def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        reason = reason_in(arguments)
        await parts.tree.write_file(_admin_file(file), value)
        await note(parts, session, file, value == "1", reason)
        await parts.collector.refresh()
        status = parts.collector.own_node().status
        return ValueReply(meaning, {"status": int(status), "words": status.words()})

    return answer


async def set_speed(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Set the speed of this node; every value that `speed` shows is accepted."""
    speed = words.whole_number(arguments[0], "N", 1, MAX_SPEED)
    await parts.tree.set_speed(speed)
    await parts.collector.refresh()
    return ValueReply(f"speed is {speed}", speed)


async def set_yardstick(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Set the speed of a standard machine."""
    number = words.whole_number(arguments[0], "N", 1, MAX_TREE_SPEED)
    await parts.tree.write_file(_admin_file("sspeed"), str(number))
    await parts.collector.refresh()
    return ValueReply(f"the yardstick is {number}", number)


async def do(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Run a command of `[commands]`."""
    return Rows(f"{arguments[0]} runs", await parts.commands.start(arguments[0]), (), needs_caller=True)


async def checkpoint(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Write a mark into the history, and publish it as an event, to find this moment again."""
    name = arguments[0]
    if not name or len(name) > 80 or any(char.isspace() for char in name):
        raise MalformedRequest("NAME must be one word of at most 80 characters")
    now, own = parts.wall(), parts.collector.own
    await parts.threads.run(5.0, parts.sample_log.checkpoint, name, now)
    parts.events.publish(Event(now, EventKind.CHECKPOINT, own.id, own.name, name, own.id))
    return ValueReply(f"checkpoint {name}")


def shutdown(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Stop the daemon."""
    parts.daemon.stop(f"asked by {session.caller.user or 'an anonymous caller'} via {session.caller.via}")
    return ValueReply("gomd stops")


VERBS = (
    *(
        Verb(name, REASON, Role.ADMIN, meaning, _switch(name))
        for name, (_file, _value, meaning) in _SWITCHES.items()
    ),
    Verb("setspeed", "N", Role.ADMIN, "set the speed of a CPU of this node", set_speed),
    Verb("setyard", "N", Role.ADMIN, "set the speed of a standard CPU", set_yardstick),
    Verb("do", "NAME", Role.ADMIN, "run a command of [commands]", do, fields=Output.JSON),
    Verb(
        "checkpoint",
        "NAME",
        Role.ADMIN,
        "write a mark into the sample log, to find this moment again",
        checkpoint,
    ),
    Verb("shutdown", "", Role.ADMIN, "stop the daemon", shutdown),
)
