"""
A supervisor that can freeze its job and hand it over to another one: the source's part of a migration.

It hands over more than criu's images: a `gomd.jobs.supervisor.handover` with what it has of the job's
streams. Standard library only.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Collection
from contextlib import suppress
from typing import NoReturn

from gomd.jobs.checkpoint import (
    core_mending,
    late_signals,
    permissions,
    process_tree,
    restrictions,
    terminals,
)
from gomd.jobs.checkpoint.criu import Criu, TlsFiles, pipe_name
from gomd.jobs.checkpoint.frozen_state import FrozenState
from gomd.jobs.checkpoint.kept_attributes import Attributes
from gomd.jobs.checkpoint.move_limits import largest
from gomd.jobs.checkpoint.private_files import check_locks
from gomd.jobs.checkpoint.private_mounts import PrivateView
from gomd.jobs.checkpoint.terminals import TERMINAL_STAYS
from gomd.jobs.supervisor import handover, job_terminal, pipes
from gomd.jobs.supervisor.child_task import ChildTask
from gomd.jobs.supervisor.early_group import EarlyGroup
from gomd.jobs.supervisor.exit_watcher import end_the_rest
from gomd.jobs.supervisor.handover import HandedInput, HandedJob, HandedOutput, Handover
from gomd.jobs.supervisor.job_group import FREEZE_ALLOWANCE
from gomd.jobs.supervisor.private_transfer import has_shared_memory, outside_order, send_trees, tree_sender
from gomd.jobs.supervisor.supervisor import Supervisor
from gomd.jobs.supervisor.terminal_state import HandedTerminal
from libgomd.errors import CannotMove
from libgomd.wire import frames, job_messages
from libgomd.wire.job_orders import END, FREEZE, AwaitOrder, FreezeOrder, LockOrder, Order, OrderOutcome
from libgomd.wire.resumable import CHUNK, Store

#: Seconds a child may take beyond criu's own limit.
CHILD_GRACE = 10.0
#: Seconds the answer to the order that ends this process may take.
_LAST_ANSWER_TIMEOUT = 5.0
#: Seconds that a freeze may take to let go of a thread when it is called off. It takes milliseconds.
_RELEASE_TIMEOUT = 2.0
#: Signals that wait while the job is frozen; more are dropped.
_MAX_WAITING_SIGNALS = 1000


class FreezingSupervisor(Supervisor):
    """
    A job in namespaces of its own. The orders of `libgomd.wire.job_messages` tell it what to do.

    Each is answered by one `OrderOutcome`, but for `LockOrder` and `KeepOrder`.
    """

    #: The child that runs criu, and the order it does that for.
    _task: ChildTask | None = None
    _order: FreezeOrder | None = None
    #: Processes that were stopped before the job was frozen and stay so when it goes on.
    _stopped: Collection[int] = ()
    #: Signals that came while the job is frozen: number, and whether for its process group.
    _waiting_signals: tuple[tuple[int, bool], ...] = ()
    #: Of its terminal, what was taken at the freeze, and whether descriptors of /dev/tty are among it.
    _taken: HandedTerminal | None = None
    _uses_tty = False
    #: The attributes that its processes came here with; None when it was started here.
    _arrival: Attributes | None = None
    #: Of its input, what was handed over.
    _handed: HandedInput | None = None
    #: When the last freeze began, as files have it; 0 when what criu left then has been removed.
    _links_since: int = 0

    def _carry_out(self, order: Order) -> None:
        try:
            if isinstance(order, FreezeOrder):
                self._freeze(order)
            elif isinstance(order, LockOrder):
                self._spec = self._spec._replace(lock=order.lock)
                self._write_job()
            elif isinstance(order, AwaitOrder):
                # Else it would be imported, for 15 ms, between the order to freeze and the freeze.
                with suppress(Exception):  # the freeze says why, and the job goes on
                    from gomd.jobs.checkpoint import page_relay  # noqa: F401
            elif order.do == END:
                self._leave_for_good()
            else:
                self._thaw()
                self._answer(order.do)
                if isinstance(self._group, EarlyGroup):
                    self._control.flush()
                    self._group.leave()
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
        pid, names = self._program.pid, [name for name in self._pipe_names() if name]
        terminal = -1 if self._terminal is None else self._terminal.slave
        self._uses_tty = uses_tty = self._has_tty_open(pid)
        if uses_tty:
            names.append(job_terminal.tty_device())
        supervisor, uid = os.getpid(), self._spec.uid
        _check_family(supervisor, (pid,))
        private, spec = self._private, self._spec
        if private is not None:
            if not order.tree_port:
                raise CannotMove("the other node cannot take its temporary files")
            order = outside_order(order, private)
        criu = Criu(order.criu)
        self._order = order
        self._links_since = os.stat(order.directory).st_mtime_ns
        self._stopped = process_tree.stopped(process_tree.descendants(pid, whole=False))

        arrival = self._arrival

        def work() -> dict[str, object]:
            own = os.getpid()
            memory_sent = bool(order.tree_port) and has_shared_memory(pid)

            def allows(_pid: int) -> None:
                _check_family(supervisor, (pid, own))
                if private is not None:  # else criu refuses all of them
                    check_locks(process_tree.descendants(pid), private.view())
                pids = process_tree.descendants(pid)
                if why := permissions.sockets_that_stay(pids, uid):
                    raise CannotMove(why)
                if self._has_tty_open(pid) != uses_tty:
                    raise CannotMove("it opened or closed /dev/tty just as it was to be frozen: try again")
                late_signals.note(pids, order.directory)

            waiting = core_mending.waiting_calls(process_tree.descendants(pid))
            before = restrictions.check(process_tree.descendants(pid), process_tree.high_pids)
            sender = tree_sender(order) if order.tree_port else None
            criu.dump(
                pid,
                order.directory,
                names,
                pages=None if memory_sent else (order.address, order.port),
                tls=TlsFiles(*order.tls),
                limit=order.limit,
                allows=allows,
                terminal=terminal,
                ghost_limit=largest(spec.private_tmp) if private is not None else 0,
                connected=permissions.is_connected(process_tree.descendants(pid, whole=False)),
            )
            core_mending.mend(order.directory, waiting)
            pids = process_tree.descendants(pid)
            if not process_tree.keep_stopped(pids):
                raise CannotMove("it does not stay stopped")
            restrictions.check_changed(pids, before, process_tree.high_pids)
            if sender is not None:
                send_trees(sender, order.directory, spec, private)
            state = FrozenState.read(pids, arrival, order.directory)
            return {"state": state.encode(), "memory_sent": memory_sent}

        self._set_frozen(True)
        self._limit_memory(FREEZE_ALLOWANCE)
        self._task = ChildTask(work, order.limit + CHILD_GRACE)

    def _limit_memory(self, more: int = 0) -> None:
        """Set the job's limit, and ``more`` bytes beyond it for what criu adds to a job that it freezes."""
        if self._group is not None:
            with suppress(OSError):
                self._group.limit(more)

    def _pipe_names(self) -> list[str]:
        """Return criu's names of stdin, stdout and stderr, empty for a stream that is closed or no pipe."""
        if self._terminal is not None:
            return ["", "", ""]
        ours = [self._stdio.stdin, *self._stdio.outputs.values()]
        return [pipe_name(descriptor) if descriptor >= 0 else "" for descriptor in ours]

    def _register(self, poll: select.poll) -> None:
        if self._task is not None:
            poll.register(self._task.fileno(), select.POLLIN)

    def _handle(self, ready: dict[int, int]) -> None:
        """Finish a freeze whose child has ended."""
        if self._task is None or self._task.fileno() not in ready or not self._task.feed():
            return
        task, self._task = self._task, None
        try:
            found = task.result()
            memory_sent = bool(found["memory_sent"])
            self._hand_over(FrozenState.decode(found["state"]))
        except (CannotMove, OSError) as error:
            self._thaw()
            self._answer(FREEZE, str(error))
        else:
            self._control.send(job_messages.encode(OrderOutcome(FREEZE, memory_sent=memory_sent)))

    def _hand_over(self, state: FrozenState) -> None:
        """
        Empty the pipes of the frozen job and write down all there is.

        :param state: of its processes.
        :raises OSError: a full disk. :raises CannotMove: a pipe cannot be emptied.
        """
        assert self._program is not None
        assert self._order is not None
        names = self._pipe_names()
        stdio, end, spec = self._stdio, self._attachment.end, self._spec
        if self._terminal is not None:
            self._taken, untyped = self._terminal.take(self._uses_tty)
            stdio.waiting[:0] = untyped
            end.outputs[frames.STDOUT].append(job_terminal.drain(self._terminal.master))
        else:
            for kind, descriptor in stdio.outputs.items():
                if descriptor >= 0:
                    end.outputs[kind].append(pipes.drain(descriptor))
                    pipes.check_empty(descriptor)
            if stdio.stdin >= 0:
                stdio.waiting[:0] = pipes.take_back(stdio.stdin)
        outputs = {}
        for kind, output in end.outputs.items():
            begin = output.end if spec.detach else output.store.base  # files stay where they are
            outputs[kind] = HandedOutput(begin, _bytes_from(output.store, begin), stdio.outputs[kind] >= 0)
        handed = HandedInput(end.stdin.received, end.stdin.taken, bytes(stdio.waiting), end.stdin_ended)
        job = HandedJob(
            spec.uid, spec.gid, spec.groups, spec.argv, spec.user, spec.cwd, spec.tty, spec.merge,
            spec.began, spec.memory_max, self._used(), spec.carry,
        )  # fmt: skip
        self._handed = handed
        view = PrivateView() if self._private is None else self._private.view()
        told = Handover(
            self._program.pid,
            tuple(names),
            tuple(self._stopped),
            job,
            outputs,
            handed,
            state,
            self._watcher.stops,
            view.places,
            view.shown,
            self._taken,
        )
        handover.write(self._order.directory, told)

    def _used(self) -> float:
        """Return the seconds of processor time used so far: the next kernel begins to count anew."""
        assert self._program is not None
        return (self._spec.used or 0.0) + sum(
            map(process_tree.cpu_seconds, process_tree.descendants(self._program.pid, whole=False))
        )

    def _thaw(self) -> None:
        if not self._frozen:
            return
        if self._task is not None:
            self._task.close()
            work, *others = process_tree.descendants(self._task.pid, whole=False)
            # It first, and when it holds no thread of the job (`gomd.jobs.checkpoint.injection`).
            process_tree.end((work,), _RELEASE_TIMEOUT, number=signal.SIGTERM)
            process_tree.end((*reversed(others), work))
            self._task = None
            self._answer(FREEZE, "it was told to go on")
        assert self._program is not None
        self._set_frozen(False)
        self._handed = None
        self._limit_memory()
        if self._private is not None and self._links_since:
            self._private.remove_link_remaps(self._links_since)
            self._links_since = 0
        self._put_terminal()
        self._stdio.set_waiting_size()
        # Children first: a shell that sees a stopped child takes that for Ctrl-Z.
        pids = process_tree.descendants(self._program.pid, whole=False)
        process_tree.thaw(reversed(pids), but=self._stopped)
        self._watcher.note_stop(self._program.pid in self._stopped)
        waiting, self._waiting_signals = self._waiting_signals, ()
        for number, group in waiting:
            self._signal(number, group)
        if self._attachment.end.stdin_ended and not self._stdio.waiting:
            self._stdio.close_input()

    def _put_terminal(self) -> None:
        """Let the terminal be as the job left it."""
        taken, self._taken = self._taken, None
        if self._terminal is not None and taken is not None:
            with suppress(OSError):  # the job is gone
                self._stdio.waiting[:0] = self._terminal.put(taken)

    def _has_tty_open(self, pid: int) -> bool:
        """Return whether the job has descriptors of /dev/tty. :raises CannotMove: criu cannot take them."""
        own = None if self._terminal is None else self._terminal.number
        return self._environment.terminals and terminals.uses_tty(process_tree.descendants(pid), own)

    def _signal(self, number: int, group: bool) -> None:
        """Send a signal; keep it while the job is frozen: it would be lost if the job goes on elsewhere."""
        if self._frozen:
            if len(self._waiting_signals) < _MAX_WAITING_SIGNALS:
                self._waiting_signals += ((number, group),)
        else:
            super()._signal(number, group)

    def _leave_for_good(self) -> NoReturn:
        """The job runs elsewhere: leave no trace. With this process the kernel ends the frozen one."""
        if not self._frozen:
            raise CannotMove("it is not frozen")
        told = OrderOutcome(END, "", self._waiting_signals)
        self._control.send_last(job_messages.encode(told), _LAST_ANSWER_TIMEOUT)
        end_the_rest(self._environment.namespace, 0)  # else it may see one more signal as this process ends
        self._remove_group()
        self._leave()
        os._exit(0)

    def _before_attach(self) -> None:
        """Forget input that came after the handover: the copy does not know of it, it has to come again."""
        if self._handed is not None:
            end = self._attachment.end
            end.stdin.rewind(self._handed.received)
            end.stdin_ended = self._handed.ended
            del self._stdio.waiting[len(self._handed.waiting) :]


def _check_family(supervisor: int, but: Collection[int]) -> None:
    """Check that criu, which dumps a process and its descendants, dumps all. :raises CannotMove: not all."""
    if any(pid not in but for pid in process_tree.strays(supervisor)):
        raise CannotMove(process_tree.STRAYS)


def _bytes_from(store: Store, position: int) -> bytes:
    """Return all that is kept from ``position`` on."""
    pieces = []
    while piece := store.read(position, CHUNK):
        pieces.append(piece)
        position += len(piece)
    return b"".join(pieces)
