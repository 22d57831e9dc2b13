"""
A supervisor that can hand over what it has of its frozen job's streams, beside criu's images.

`gomd.jobs.supervisor.freezing` freezes the job. Standard library only.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from gomd.jobs.checkpoint import process_tree, terminals
from gomd.jobs.checkpoint.criu import pipe_name
from gomd.jobs.checkpoint.frozen_state import FrozenState
from gomd.jobs.checkpoint.kept_attributes import Attributes
from gomd.jobs.checkpoint.private_mounts import PrivateView
from gomd.jobs.supervisor import handover, job_terminal, pipes
from gomd.jobs.supervisor.handover import HandedInput, HandedJob, HandedOutput, Handover
from gomd.jobs.supervisor.supervisor import Supervisor
from gomd.jobs.supervisor.terminal_state import HandedTerminal
from libgomd.wire import frames
from libgomd.wire.resumable import CHUNK, Store

#: Signals that wait while the job is frozen; more are dropped.
_MAX_WAITING_SIGNALS = 1000


class HandingSupervisor(Supervisor):
    """A job whose streams and terminal can go to another supervisor."""

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

    def _pipe_names(self) -> list[str]:
        """Return criu's names of stdin, stdout and stderr, empty for a stream that is closed or no pipe."""
        if self._terminal is not None:
            return ["", "", ""]
        ours = [self._stdio.stdin, *self._stdio.outputs.values()]
        return [pipe_name(descriptor) if descriptor >= 0 else "" for descriptor in ours]

    def _hand_over(self, state: FrozenState, directory: str) -> None:
        """
        Empty the pipes of the frozen job and write down all there is.

        :param state: of its processes. :param directory: of the images.
        :raises OSError: a full disk. :raises CannotMove: a pipe cannot be emptied.
        """
        assert self._program is not None
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
        view = PrivateView() if self._place.private is None else self._place.private.view()
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
        handover.write(directory, told)

    def _used(self) -> float:
        """Return the seconds of processor time used so far: the next kernel begins to count anew."""
        assert self._program is not None
        return (self._spec.used or 0.0) + sum(
            map(process_tree.cpu_seconds, process_tree.descendants(self._program.pid, whole=False))
        )

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

    def _before_attach(self) -> None:
        """Forget input that came after the handover: the copy does not know of it, it has to come again."""
        if self._handed is not None:
            end = self._attachment.end
            end.stdin.rewind(self._handed.received)
            end.stdin_ended = self._handed.ended
            del self._stdio.waiting[len(self._handed.waiting) :]


def _bytes_from(store: Store, position: int) -> bytes:
    """Return all that is kept from ``position`` on."""
    pieces = []
    while piece := store.read(position, CHUNK):
        pieces.append(piece)
        position += len(piece)
    return b"".join(pieces)
