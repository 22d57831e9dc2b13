"""
A supervisor that can freeze its job and hand it over to another one: the source's part of a migration.

It hands over more than criu's images: a `gomd.jobs.supervisor.handover` with what it has of the job's
streams (`gomd.jobs.supervisor.handing`). Standard library only.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from gomd.jobs.checkpoint import process_tree, tcp_repair
from gomd.jobs.checkpoint.frozen_state import FrozenState
from gomd.jobs.checkpoint.terminals import TERMINAL_STAYS
from gomd.jobs.supervisor import job_terminal, pipes
from gomd.jobs.supervisor.child_task import ChildTask
from gomd.jobs.supervisor.control_socket import ControlSocket
from gomd.jobs.supervisor.early_freeze import EARLY_LIMIT, EarlyFreeze
from gomd.jobs.supervisor.early_group import EarlyGroup
from gomd.jobs.supervisor.exit_watcher import end_the_rest
from gomd.jobs.supervisor.freeze_work import CHILD_GRACE, FreezeWork, check_family
from gomd.jobs.supervisor.handing import HandingSupervisor
from gomd.jobs.supervisor.job_group import FREEZE_ALLOWANCE
from gomd.jobs.supervisor.lingering import DESERTED_CHECK_INTERVAL
from gomd.jobs.supervisor.precopying import CALLED_OFF, FreezeFacts, Gate
from gomd.jobs.supervisor.private_transfer import outside_order
from gomd.jobs.supervisor.spawn import SupervisorEnvironment
from libgomd.errors import CannotMove
from libgomd.wire import job_messages
from libgomd.wire.job_messages import SpawnSpec
from libgomd.wire.job_orders import END, FREEZE, AwaitOrder, FreezeOrder, LockOrder, Order, OrderOutcome

#: Seconds the answer to the order that ends this process may take.
_LAST_ANSWER_TIMEOUT = 5.0
#: Seconds that a freeze may take to let go of a thread when it is called off. It takes milliseconds.
_RELEASE_TIMEOUT = 2.0


#: Seconds that criu has to let go of a job whose freeze is called off, before it is killed.
_CRIU_TIMEOUT = 5.0


class FreezingSupervisor(HandingSupervisor):
    """
    A job in namespaces of its own. The orders of `libgomd.wire.job_messages` tell it what to do.

    Each is answered by one `OrderOutcome`, but for `LockOrder` and `KeepOrder`.
    """

    #: The child that runs criu, and the order it does that for.
    _task: ChildTask | None = None
    #: Where that child waits while the job still runs.
    _gate: Gate | None = None
    _order: FreezeOrder | None = None
    #: SO_REUSEADDR of the job's TCP sockets as the last freeze began: criu overwrites it.
    _reuse: Mapping[str, int] = {}
    #: A pidfd of the last freeze's child, which may not have ended yet, see `FreezeWork.linger`; -1: of none.
    #: It is no number: the child that gets ready for the next freeze has the same one, once that has ended.
    _last_child: int = -1
    #: When the last freeze began, as files have it; 0 when what criu left then has been removed.
    _links_since: int = 0

    def __init__(
        self,
        spec: SpawnSpec,
        environment: SupervisorEnvironment,
        control: ControlSocket,
        deserted_check: float = DESERTED_CHECK_INTERVAL,
    ) -> None:
        super().__init__(spec, environment, control, deserted_check)
        self._early = EarlyFreeze()

    def _carry_out(self, order: Order) -> None:
        try:
            if isinstance(order, FreezeOrder):
                self._freeze(order)
            elif isinstance(order, LockOrder):
                self._spec = self._spec._replace(lock=order.lock)
                self._write_job()
            elif isinstance(order, AwaitOrder):
                self._get_ready(order)
            elif order.do == END:
                self._leave_for_good()
            else:
                self._thaw()
                self._answer(order.do)
                if isinstance(self._place.group, EarlyGroup):
                    self._control.flush()
                    self._place.group.leave()
        except CannotMove as error:
            self._answer(order.do, str(error))

    def _answer(self, did: str, error: str = "") -> None:
        self._control.send(job_messages.encode(OrderOutcome(did, error)))

    def _set_frozen(self, frozen: bool) -> None:
        """Stop, or let go on, what this process does by itself with the job, its input above all."""
        self._frozen = self._stdio.paused = self._watcher.paused = frozen

    def _freeze(self, order: FreezeOrder) -> None:
        if self._frozen or self._task is not None:
            raise CannotMove("it is being moved already")
        if self._program is None or self._watcher.status is not None:
            raise CannotMove("it has ended")
        if not self._environment.namespace:
            raise CannotMove(self._environment.why_not)
        if self._spec.tty and self._terminal is None:
            raise CannotMove(TERMINAL_STAYS)
        if self._place.private is not None:
            if not order.tree_port:
                raise CannotMove("the other node cannot take its temporary files")
            order = outside_order(order, self._place.private)
        if order.precopy or not self._early.is_for(order):
            self._early.end()
        self._end_last_child()
        check_family(os.getpid(), (self._program.pid, self._early.pid))
        self._order = order
        limit, work = order.limit + CHILD_GRACE, self._work(self._program.pid)
        if order.precopy:
            gate = Gate()
            self._task = ChildTask(lambda: work.run(order, gate), limit, work.linger)
            gate.enter_supervisor()
            self._gate = gate
            return
        facts = self._begin_freeze(order)
        self._task = self._early.take(order, facts, limit) or ChildTask(
            lambda: work.run(order, facts), limit, work.linger
        )

    def _end_last_child(self) -> None:
        """End the child of the last freeze, if it still lingers. Blocks for milliseconds."""
        handle, self._last_child = self._last_child, -1
        if handle >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(_RELEASE_TIMEOUT * 1000)
            os.close(handle)

    def _get_ready(self, order: AwaitOrder) -> None:
        """Let a child get ready to freeze the job, unless it cannot be frozen: the freeze says why not."""
        if self._frozen or self._task is not None or not order.criu:
            return
        program, watcher, has_terminal = self._program, self._watcher, self._terminal is not None
        if program is None or watcher.status is not None or self._spec.tty != has_terminal:
            return
        if not self._environment.namespace:
            return
        expected = FreezeOrder(order.criu, order.directory, "", 0, order.tls, EARLY_LIMIT)
        if self._place.private is not None:
            expected = outside_order(expected, self._place.private)
        self._early.end()
        self._early.begin(expected, self._facts(program.pid), self._work(program.pid))

    def _facts(self, pid: int) -> FreezeFacts:
        """Return what criu has to know of the job now. :param pid: of its first process."""
        names, uses_tty = [name for name in self._pipe_names() if name], self._has_tty_open(pid)
        if uses_tty:
            names.append(job_terminal.tty_device())
        return FreezeFacts(tuple(names), uses_tty)

    def _begin_freeze(self, order: FreezeOrder) -> FreezeFacts:
        """From here on do nothing with the job by itself; return what criu has to know of it."""
        assert self._program is not None
        pid = self._program.pid
        facts = self._facts(pid)
        self._uses_tty = facts.uses_tty
        self._links_since = os.stat(order.directory).st_mtime_ns
        pids = process_tree.descendants(pid, whole=False)
        self._stopped = process_tree.stopped(pids)
        self._reuse = tcp_repair.note_reuse(pids)
        self._set_frozen(True)
        self._limit_memory(FREEZE_ALLOWANCE)
        return facts

    def _admit(self) -> None:
        """Let the child that has sent the memory ahead freeze the job, or call it off."""
        gate, self._gate = self._gate, None
        assert gate is not None
        assert self._order is not None
        try:
            if not gate.is_waiting():
                return  # it has failed, and says why
            if self._program is None or self._watcher.status is not None:
                raise CannotMove("it has ended")
            os.utime(self._order.directory)  # what criu leaves is newer than this
            gate.open(self._begin_freeze(self._order))
        except (CannotMove, OSError) as error:
            self._call_off(str(error))
        finally:
            gate.close()

    def _call_off(self, reason: str) -> None:
        """End the child that sends the memory ahead: the job has not been touched."""
        self._early.end()
        task, self._task = self._task, None
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.close()
        if task is not None:
            task.close()
            process_tree.end((task.pid,))
            self._answer(FREEZE, reason)

    def _on_disconnected(self) -> None:
        super()._on_disconnected()
        if not self._frozen:
            self._call_off("the daemon that wanted it is gone")

    def _work(self, pid: int) -> FreezeWork:
        """Return what a child does that freezes the job. :param pid: of its first process."""
        terminal = -1 if self._terminal is None else self._terminal.slave
        return FreezeWork(
            pid, self._spec, self._place.private, self._arrival, terminal, self._let_go, self._has_tty_open
        )

    def _let_go(self) -> None:
        """Close, in a child, what the job or the daemon sees the end of when this supervisor closes it."""
        self._control.disconnect()
        for descriptor in {self._stdio.stdin, *self._stdio.outputs.values()}:
            pipes.close(descriptor)

    def _limit_memory(self, more: int = 0) -> None:
        """Set the job's limit, and ``more`` bytes beyond it for what criu adds to a job that it freezes."""
        if self._place.group is not None:
            with suppress(OSError):
                self._place.group.limit(more)

    def _register(self, poll: select.poll) -> None:
        for waiting in (self._task, self._gate):
            if waiting is not None:
                poll.register(waiting.fileno(), select.POLLIN)
        self._early.register(poll)

    def _handle(self, ready: dict[int, int]) -> None:
        """Let a child freeze the job, and finish a freeze whose child has ended."""
        self._early.handle(ready)
        if self._gate is not None and self._gate.fileno() in ready:
            self._admit()
        if self._task is not None and self._task.fileno() in ready and self._task.feed():
            self._finish_freeze(self._task)

    def _end_the_rest(self, pid: int) -> None:
        """Hear first what the child has to say that freezes the job: it may know why that has ended."""
        if not self._frozen:
            self._call_off("it has ended")
        elif self._task is not None and self._task.read_for(_CRIU_TIMEOUT):
            self._finish_freeze(self._task)
        super()._end_the_rest(pid)

    def _finish_freeze(self, task: ChildTask) -> None:
        """Tell what came of a freeze whose child has ended."""
        self._task = None
        self._end_last_child()
        with suppress(ProcessLookupError):
            self._last_child = os.pidfd_open(task.pid)
        try:
            found = task.result()
            assert self._order is not None
            self._hand_over(FrozenState.decode(found["state"]), self._order.directory)
        except (CannotMove, OSError) as error:
            self._thaw()
            ended = self._watcher.status is not None
            self._answer(FREEZE, f"it has ended ({error})" if ended else str(error))
        else:
            memory_sent, precopied, seconds = found["sent"]
            done = OrderOutcome(FREEZE, "", (), bool(memory_sent), int(precopied), float(seconds))
            self._control.send(job_messages.encode(done))

    def _thaw(self) -> None:
        if not self._frozen:
            self._call_off(CALLED_OFF)
            return
        if self._task is not None:
            self._task.close()
            # It first, and when it holds no thread of the job (`gomd.jobs.checkpoint.injection`).
            others = process_tree.end_parent(self._task.pid, _RELEASE_TIMEOUT)
            # A criu that is killed may take the job with it. Without the other end of its connection it fails
            # by itself, or it has the memory, and then it is ready at once.
            process_tree.wait_for((pid for pid in others if _is_another_program(pid)), _CRIU_TIMEOUT)
            process_tree.end((*reversed(others), self._task.pid))
            self._task = None
            self._answer(FREEZE, CALLED_OFF)
        assert self._program is not None
        self._set_frozen(False)
        self._handed = None
        self._limit_memory()
        if self._place.private is not None and self._links_since:
            self._place.private.remove_link_remaps(self._links_since)
            self._links_since = 0
        self._put_terminal()
        self._stdio.set_waiting_size()
        # Children first: a shell that sees a stopped child takes that for Ctrl-Z.
        pids = process_tree.descendants(self._program.pid, whole=False)
        if self._reuse:
            tcp_repair.end_repair(pids, self._reuse)
            self._reuse = {}
        process_tree.thaw(reversed(pids), but=self._stopped)
        self._watcher.note_stop(self._program.pid in self._stopped)
        waiting, self._waiting_signals = self._waiting_signals, ()
        for number, group in waiting:
            self._signal(number, group)
        if self._attachment.end.stdin_ended and not self._stdio.waiting:
            self._stdio.close_input()

    def _leave_for_good(self) -> NoReturn:
        """The job runs elsewhere: leave no trace. With this process the kernel ends the frozen one."""
        if not self._frozen:
            raise CannotMove("it is not frozen")
        told = OrderOutcome(END, "", self._waiting_signals)
        self._control.send_last(job_messages.encode(told), _LAST_ANSWER_TIMEOUT)
        end_the_rest(self._environment.namespace, 0)  # else it may see one more signal as this process ends
        self._place.remove_group()
        self._leave()
        os._exit(0)


def _is_another_program(pid: int) -> bool:
    """Whether a process runs another program than this one, as criu does. False when it is gone."""
    try:
        return not os.path.samefile(f"/proc/{pid}/exe", "/proc/self/exe")
    except OSError:
        return False
