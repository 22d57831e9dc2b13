"""Fields of `ps` that are read when they are asked for: swap, descriptors, control group, memory of GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gomd.verbs.context import Parts
from libgomd.errors import TimedOut
from libgomd.model import Caller, Holdings, Process, Role

#: Seconds that reading them may take, for all rows of one answer.
READ_TIMEOUT: Final = 10.0
_NOTHING: Final = Holdings()


class Holder:
    """A process with what it holds."""

    __slots__ = ("_held", "_process")

    def __init__(self, process: Process, held: Holdings) -> None:
        self._process = process
        self._held = held

    def __getattr__(self, name: str) -> Any:
        return getattr(self._held if name in Holdings.JSON else self._process, name)


async def with_holdings(
    parts: Parts, caller: Caller, shown: Sequence[Process], fields: tuple[str, ...]
) -> Sequence[Any]:
    """
    Return ``shown`` with what each process holds, if one of ``fields`` needs it.

    Only processes of this node are read, those whose files block are not. Descriptors are for the owner and
    for admins, as in /proc; the rest every user can read there of whatever process they see.

    :raises TimedOut: it takes too long: fewer processes should be selected.
    """
    if not any(name in Holdings.JSON for name in fields):
        return shown
    own = parts.members.own_id
    rows = list(shown)
    here = [at for at, process in enumerate(rows) if process.node == own and not process.stuck]
    asked = [(parts.jobs.pid_here(rows[at].pid), rows[at].uid) for at in here]
    try:
        read = await parts.threads.run_apart(
            READ_TIMEOUT, ("holdings", caller.uid), ("holdings", caller.uid), parts.holdings, asked
        )
    except TimedOut as error:
        raise TimedOut(f"{error.text}: select fewer processes, with --top or by their ids") from error
    held = dict(zip(here, read, strict=True))
    return [
        Holder(process, _seen(caller, process, held.get(at, _NOTHING))) for at, process in enumerate(rows)
    ]


def without_holdings(shown: Sequence[Process], fields: tuple[str, ...]) -> Sequence[Any]:
    """Return ``shown``, processes of the past, of which nothing of that is known."""
    needs = any(name in Holdings.JSON for name in fields)
    return [Holder(process, _NOTHING) for process in shown] if needs else shown


def _seen(caller: Caller, process: Process, held: Holdings) -> Holdings:
    """Return ``held`` without what ``caller`` could not read in /proc."""
    if caller.role >= Role.ADMIN or caller.owns(process.uid) or held.descriptors is None:
        return held
    return Holdings(held.swap, None, held.cgroup, held.container, held.gpu_memory)
