"""The verb `busiest`: the processes that use most processor time and memory, as other nodes remember them."""

from __future__ import annotations

import heapq
from typing import Any, ClassVar, Final

from gomd.jobs.ownership import JobTrees
from gomd.verbs.context import ISession, Parts
from gomd.verbs.process_columns import PROCESS_COLUMNS
from gomd.verbs.replies import Reply, Rows
from gomd.verbs.table import Verb
from gomd.verbs.visible_processes import seen_by
from libgomd.model import Process, Role

#: Processes by either measure.
COUNT: Final = 10
#: Seconds that the process table may be old: it is not scanned again for this.
MAX_TABLE_AGE: Final = 60.0
#: What the status line says on a node where /proc hides the processes of others.
HIDDEN_WORDS: Final = "hidden from other users"


class _Busy:
    """A process, and whether it belongs to a job."""

    JSON: ClassVar[tuple[str, ...]] = (*Process.JSON, "in_job")
    __slots__ = ("_process", "in_job")

    def __init__(self, process: Process, in_job: bool) -> None:
        self._process = process
        self.in_job = in_job

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)


def _processor_time(process: Process) -> float:
    return process.cpu_percent or 0.0


def _memory(process: Process) -> float:
    return process.rss or 0


async def busiest(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """List the ten processes that use most processor time, and the ten that use most memory."""
    table = await parts.collector.processes(MAX_TABLE_AGE)
    trees, parents = JobTrees(parts.jobs.here()), {each.pid: each.ppid for each in table.processes}
    own_id = parts.members.own_id
    seen = seen_by(parts, session.caller, table.processes)
    chosen = {
        each.identity: each
        for measure in (_processor_time, _memory)
        for each in heapq.nlargest(COUNT, seen, measure)
    }
    shown = parts.annotations.annotate([*chosen.values()], trees, parents, own_id)
    rows = [_Busy(parts.kept_command(each), trees.job_of(each.pid, parents) is not None) for each in shown]
    text = f"{len(rows)} processes" + (f", {HIDDEN_WORDS}" if parts.hides_others() else "")
    return Rows(text, rows, PROCESS_COLUMNS)


VERBS = (
    Verb(
        "busiest", "", Role.READ, "list the processes that use most processor time and memory", busiest,
        fields=_Busy.JSON, slow=True,
    ),
)  # fmt: skip
