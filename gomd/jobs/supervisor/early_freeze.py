"""
The child of a supervisor that gets ready to freeze the job, from the offer to another node on.

It waits at a gate. The order to freeze lets it pass, and it is the child of the freeze from then on. If none
comes, if the other node or the daemon is gone or the job ends, it is ended, and so is the criu that it has
started: neither has done anything with the job. Standard library only.
"""

from __future__ import annotations

import select

from gomd.jobs.checkpoint import process_tree
from gomd.jobs.supervisor.child_task import ChildTask
from gomd.jobs.supervisor.freeze_work import FreezeWork
from gomd.jobs.supervisor.precopying import FreezeFacts, Gate
from libgomd.wire.job_orders import FreezeOrder

#: Seconds that a child waits for the order. Later ones are carried out by a new child.
EARLY_LIMIT = 60.0
#: Seconds that it may take to end with its criu, before both are killed. It takes milliseconds.
_END_TIMEOUT = 3.0


class EarlyFreeze:
    """At most one such child, in which nothing is frozen yet."""

    def __init__(self) -> None:
        self._task: ChildTask | None = None
        self._gate: Gate | None = None
        self._order: FreezeOrder | None = None

    @property
    def pid(self) -> int:
        """The child's process id; 0 when there is none."""
        return 0 if self._task is None else self._task.pid

    def begin(self, order: FreezeOrder, facts: FreezeFacts, work: FreezeWork) -> None:
        """
        Start the child.

        :param order: what is known of the order that may come. :param facts: those of now.
        """
        gate = Gate()
        self._task = ChildTask(lambda: work.run_early(order, facts, gate), EARLY_LIMIT, work.linger)
        gate.enter_supervisor()
        self._gate, self._order = gate, order

    def is_for(self, order: FreezeOrder) -> bool:
        """Whether there is a child that has got ready for ``order``."""
        mine = self._order
        return mine is not None and mine[:2] == order[:2] and mine.tls == order.tls

    def take(self, order: FreezeOrder, facts: FreezeFacts, limit: float) -> ChildTask | None:
        """
        Let the child freeze the job, and give it away; None when there is none any more.

        :param limit: seconds that it has from now on.
        """
        task, gate = self._task, self._gate
        if task is None or gate is None:
            return None
        try:
            gate.open(facts, order)
        except OSError:
            self.end()
            return None
        self._forget()
        task.extend(limit)
        return task

    def register(self, poll: select.poll) -> None:
        """Poll for the end of the child."""
        if self._task is not None:
            poll.register(self._task.fileno(), select.POLLIN)

    def handle(self, ready: dict[int, int]) -> None:
        """Take note of its end."""
        if self._task is not None and self._task.fileno() in ready and self._task.feed():
            self.end()

    def end(self) -> None:
        """End the child, if there is one. Blocks for some milliseconds."""
        task, gate = self._task, self._gate
        self._forget()
        if gate is not None:
            gate.close()
        if task is not None:
            task.close()
            # By itself: it ends its criu first.
            if not process_tree.wait_for((task.pid,), _END_TIMEOUT):
                process_tree.end((*reversed(process_tree.end_parent(task.pid, 0.0)), task.pid))

    def _forget(self) -> None:
        self._task = self._gate = self._order = None
