"""
A supervisor whose job can move: it freezes the job for another supervisor, or goes on where another left off.

The new supervisor keeps the copy stopped until it is told to let it go on. Standard library only.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from gomd.jobs.checkpoint import (
    inherited_attributes,
    permissions,
    process_tree,
    remapped_files,
    timerfds,
)
from gomd.jobs.checkpoint.action_script import RESTORED, RESUMING
from gomd.jobs.checkpoint.criu import Criu
from gomd.jobs.checkpoint.criu_process import CallerGone
from gomd.jobs.checkpoint.private_mounts import TEMPORARY
from gomd.jobs.checkpoint.tree_stream import STREAM_FILE
from gomd.jobs.supervisor import capped_attributes, handover, pipes
from gomd.jobs.supervisor.attributes import CannotReset, reset_for_copy
from gomd.jobs.supervisor.child_task import ChildTask
from gomd.jobs.supervisor.early_group import EarlyGroup
from gomd.jobs.supervisor.exit_watcher import end_the_rest
from gomd.jobs.supervisor.freezing import FreezingSupervisor
from gomd.jobs.supervisor.handover import Handover
from gomd.jobs.supervisor.job_group import FREEZE_ALLOWANCE, JobGroup, NoLimit, group_of
from gomd.jobs.supervisor.own_directories import show_carried
from gomd.jobs.supervisor.pipes import Streams
from gomd.jobs.supervisor.private_dirs import PrivateDirectories
from gomd.jobs.supervisor.private_transfer import is_quick, unpack_trees
from gomd.jobs.supervisor.spawn import CannotStart, Program
from libgomd.errors import CannotMove
from libgomd.wire.job_messages import SpawnSpec
from libgomd.wire.resumable import MemoryStore

T = TypeVar("T")
#: Seconds criu may take for a restore; a dump has its limit from the daemon.
RESTORE_TIMEOUT = 600.0
#: Seconds the checks of a restored copy may take.
FINISH_TIMEOUT = 30.0


class CheckpointingSupervisor(FreezingSupervisor):
    """Starts a job as `Supervisor` does, or restores one when its description names images."""

    def _start(self) -> None:
        if not self._spec.images:
            super()._start()
            return
        try:
            self._restore(self._spec.images)
        except (CannotMove, OSError) as error:
            raise CannotStart(CannotMove.code, str(error)) from error

    def _restore(self, directory: str) -> None:
        """Restore the job from ``directory``, stopped."""
        if not self._environment.namespace:
            raise CannotMove(self._environment.why_not)
        told = handover.read(directory)
        if self._spec.expected_uid not in (None, told.spec.uid):
            raise CannotMove("it is not of the user that it was offered for")
        self._spec = spec = self._spec._replace(**told.spec._asdict())
        private = self._cover(told)
        if private is not None:
            directory = private.outside(directory)
        if spec.tty and (not self._environment.terminals or told.terminal is None):
            raise CannotMove(f"{spec.where} cannot mount a /dev/pts for its terminal")
        streams = self._make_streams()
        if self._terminal is not None and told.terminal is not None:
            self._terminal.set_size(told.terminal)
        mapping = {name: stream for name, stream in zip(told.names, streams.job, strict=True) if name}
        terminal, own = -1, self._terminal
        if own is not None and told.terminal is not None:
            terminal = own.slave
            if told.terminal.device:
                mapping[told.terminal.device] = terminal
        program = spec.criu if private is None else private.outside(spec.criu)
        criu, uid, where, group = Criu(program), spec.uid, spec.where, self._make_group(spec)
        proc = self._environment.proc
        self._watcher.start()

        def opened(pid: int) -> None:
            pids = process_tree.descendants(pid)
            permissions.check_sockets(pids, uid, where)
            permissions.check_opened(pids, uid, where, directory)

        def rightful(pid: int) -> None:
            permissions.check_ids(process_tree.descendants(pid), uid, where)

        def prepare() -> None:
            """Be, in criu's process, what the copy is to be: it inherits that."""
            try:
                if group is not None:
                    group.enter()
                reset_for_copy(uid, spec.gid)
                if told.state is not None:
                    inherited_attributes.take_on(told.state.inherited)
            except (NoLimit, CannotReset) as error:
                raise CannotMove(f"{where}: {error}") from error

        def unpack() -> bool:
            if uid:  # before anything is done with the rights of these groups
                permissions.check_groups({spec.gid, *spec.groups}, uid, where)
            if group is not None:
                group.enter()
            if os.path.exists(os.path.join(directory, STREAM_FILE)):
                unpack_trees(directory, spec, private)
            if private is not None:
                private.show_paths(told.shown)
            is_copied = show_carried(spec, self._environment, self._place.carried, private)
            if uid:
                place = TEMPORARY[0] if private is not None and TEMPORARY[0] in private.places else ""
                is_own = _nothing_is_own if private is None else private.is_own
                remapped_files.keep_within(directory, is_own, place, where)
            return is_copied

        def finish() -> None:
            pids = process_tree.descendants(pid)
            if not process_tree.keep_stopped(pids):
                raise CannotMove("the copy does not stay stopped")
            if uid:
                permissions.check_ids(pids, uid, where)
            if needs_no_new_privileges:
                permissions.check_no_new_privileges(pids, where)
            if told.state is not None:
                told.state.restore(pids)
            if uid:  # after what the other node says of priorities
                capped_attributes.cap(pids, capped_attributes.allowed_here(proc))
            timerfds.restart(pids, {} if told.state is None else told.state.timers)

        # Of a user's job names are looked up, which may ask a server, and files are written as the user.
        quick = not uid and isinstance(group, EarlyGroup) and group.inside
        allows = {RESTORED: opened, RESUMING: rightful} if uid else None
        connection = self._control.connection
        assert connection is not None
        try:
            needs_no_new_privileges = self._do(
                unpack, RESTORE_TIMEOUT, quick and not told.shown and is_quick(directory, spec)
            )
            pid = criu.restore(
                directory, mapping, limit=RESTORE_TIMEOUT, allows=allows, before=prepare,
                caller=connection.fileno(), file_locks=private is not None, terminal=terminal,
            )  # fmt: skip
            if own is not None:
                own.hold()
            self._do(finish, FINISH_TIMEOUT, quick)
        except CallerGone:
            self._end_with_copy()
        except CannotMove:
            # A criu that was killed leaves a part of the copy: it ends before anybody hears of the failure.
            if self._environment.namespace:
                end_the_rest(True, 0)
            raise
        finally:
            streams.close_job_ends()
        if pid != told.pid:
            raise CannotMove(f"it came up as process {pid}, not {told.pid}")
        self._program = Program(pid, self._outside())
        self._set_frozen(True)
        self._limit_memory()
        self._stopped = told.stopped
        self._arrival = None if told.state is None else told.state.attributes
        self._watcher.stops = max(0, told.stops - (pid in told.stopped))  # it is counted as it goes on
        self._take_over(told, streams.ours)
        self._write_job()

    def _end_with_copy(self) -> NoReturn:
        """End, and with this process what there is of the copy, of which nothing runs once more."""
        end_the_rest(self._environment.namespace, 0)
        self._place.remove_private()
        os._exit(1)

    def _cover(self, told: Handover) -> PrivateDirectories | None:
        """Give the copy directories of its own, if the job had some. :raises CannotMove: others than here."""
        if not told.places:
            return None
        private = self._place.cover_anew(self._spec)
        if private.places != told.places:
            raise CannotMove(f"it has temporary directories of its own that {self._spec.where} has not")
        return private

    def _make_group(self, spec: SpawnSpec) -> JobGroup | None:
        """Make its cgroup, with room for criu. :raises CannotMove: it has a limit, and there can be none."""
        early = self._place.group
        if isinstance(early, EarlyGroup):
            if spec.memory_max is None:
                return early
            early.remove()  # what this process has used in it would count against the job's limit for ever
        try:
            group = self._place.group = group_of(spec)
        except NoLimit as error:
            raise CannotMove(f"its memory cannot be limited on {spec.where}: {error}") from error
        self._limit_memory(FREEZE_ALLOWANCE)
        return group

    def _do(self, work: Callable[[], T], limit: float, quick: bool) -> T:
        """
        Do a part of the restore, in a child that has ``limit`` seconds for it, and return what that returns.

        :param quick: it takes a moment, so that this process does it itself: a child costs milliseconds.
        :raises CannotMove: it failed.
        """
        if not quick:
            done: T = self._wait(ChildTask(work, limit))
            return done
        processors = os.sched_getaffinity(0)
        try:
            done = work()
        except CannotMove:
            raise
        except Exception as error:  # as a child would report it
            raise CannotMove(f"{type(error).__name__}: {error}") from error
        finally:
            with suppress(OSError):  # they are not there any more
                os.sched_setaffinity(0, processors)
        connection, poll = self._control.connection, select.poll()
        assert connection is not None
        poll.register(connection, select.POLLRDHUP)
        if poll.poll(0):
            self._end_with_copy()
        return done

    def _wait(self, task: ChildTask) -> Any:
        """
        Wait for ``task`` and return its result.

        End with it when the daemon closes its connection: the kernel ends all of it.
        """
        connection = self._control.connection
        assert connection is not None
        poll = select.poll()
        poll.register(task.fileno(), select.POLLIN)
        poll.register(connection, select.POLLRDHUP)
        while True:
            ready = dict(poll.poll())
            if connection.fileno() in ready:
                self._end_with_copy()
            if task.feed():
                os.waitpid(task.pid, 0)
                return task.result()

    def _take_over(self, told: Handover, ours: Streams) -> None:
        """Go on with the streams where the old supervisor was."""
        if told.terminal is not None:
            self._stdio.adopt(ours, terminal=True)
            self._taken = told.terminal
        else:
            stdin, out, error = (
                ours[at] if name else pipes.close(ours[at]) for at, name in enumerate(told.names)
            )
            self._stdio.adopt((stdin, out, error))
        end = self._attachment.end
        for kind, handed in told.outputs.items():
            store = end.outputs[kind].store
            if isinstance(store, MemoryStore):
                end.outputs[kind].begin_at(handed.begin)
            store.append(handed.data[max(0, store.end - handed.begin) :])
        end.stdin.begin_at(told.stdin.received, told.stdin.taken)
        end.stdin_ended = told.stdin.ended
        self._stdio.waiting += told.stdin.waiting

    def _outside(self) -> int:
        """The pid of the restored job as the machine knows it: this process has no other child."""
        own = self._environment.pid
        number = os.open(
            f"{own}/task/{own}/children", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._environment.proc
        )
        with open(number, encoding="ascii") as file:
            [pid] = file.read().split()
        return int(pid)


def _nothing_is_own(_path: str) -> bool:
    """Say of any path that it is not in a directory of the job's own: it has none."""
    return False
