"""
A supervisor whose job can move: freezes it for another one, or goes on where another one left off.

The old supervisor hands over more than criu's images: what it holds of the job's streams, with the
positions of each, so that the new one answers `ATTACH` as the old one would have. What a frozen job's
pipes still held is in it. The new one holds the job stopped until it is told to let it go on.

Standard library only.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
from collections.abc import Collection
from contextlib import suppress
from typing import Any, NoReturn

from gomd.jobs.checkpoint import permissions as rights
from gomd.jobs.checkpoint import process_tree as tree
from gomd.jobs.checkpoint.action_script import RESTORED, RESUMING
from gomd.jobs.checkpoint.criu import Criu, TlsFiles, pipe_name
from gomd.jobs.supervisor.attributes import CannotReset, reset_for_copy
from gomd.jobs.supervisor.backlog import Spool
from gomd.jobs.supervisor.cgroups import FREEZING, JobGroup, NoLimit, group_of
from gomd.jobs.supervisor.child_task import ChildTask
from gomd.jobs.supervisor.spawn import CannotStart, Program
from gomd.jobs.supervisor.stdio import end_the_rest
from gomd.jobs.supervisor.supervisor import JOB, Supervisor
from libgomd.errors import CannotMove
from libgomd.wire import frames

#: The file among the images that is not criu's.
HANDOVER = "handover.json"
#: Of its description by the daemon a job keeps these wherever it goes.
_KEPT = ("tty", "argv", "uid", "gid", "groups", "user", "cwd", "merge", "began", "memory_max")
_HANDED = (*_KEPT, "used")
#: Seconds criu may take for a restore; a dump has its limit from the daemon.
_RESTORE_LIMIT = 600.0
#: Signals that wait while it is frozen; more are dropped.
_MOST_SIGNALS = 1000
#: Asks how many bytes a pipe can hold.
_F_GETPIPE_SZ = 1032


class CheckpointingSupervisor(Supervisor):
    """
    A job in namespaces of its own. `MOVE` frames tell it what to do; each is answered by one `MOVED`.

    ``{"do": "freeze", "criu", "directory", "address", "port", "tls", "limit"}``: stop it, send its memory to
    the page server there, write the rest to the directory. ``{"do": "thaw"}``: let it go on, whatever was
    begun. ``{"do": "end"}``: it runs elsewhere; tell which signals came since (number, and if for the group),
    and leave with the stopped one. ``{"do": "lock", "lock"}``: remember whether balancing may move it.
    """

    _work: ChildTask | None = None
    _order: dict[str, Any] = {}
    #: Processes that were stopped before it was frozen and stay so when it goes on.
    _stopped: list[int] = []
    _signals: list[tuple[int, bool]] = []
    #: Of its input, what was handed over: bytes received, bytes of them not read, and whether that is all.
    _handed: tuple[int, int, bool] | None = None

    # -- at the source

    def _move(self, order: dict[str, Any]) -> None:
        done = order.get("do")
        try:
            if done == "freeze":
                self._freeze(order)
            elif done == "thaw":
                self._thaw()
                self._answer(done)
            elif done == "end":
                self._leave_for_good()
            elif done == "lock":
                self._spec["lock"] = bool(order.get("lock"))
                self._write(JOB, self._description())
        except CannotMove as error:
            self._answer(str(done), str(error))

    def _answer(self, done: str, error: str = "") -> None:
        self._send(frames.encode_json(frames.MOVED, {"did": done, "error": error}))

    def _freeze(self, order: dict[str, Any]) -> None:
        if self._frozen or self._work is not None:
            raise CannotMove("it is being moved already")
        if self._program is None or self._status is not None:
            raise CannotMove("it has ended")
        if not self._around.namespace:
            raise CannotMove(self._around.why_not)
        if self._spec.get("tty"):
            raise CannotMove("it has a terminal")
        pid, names = self._program.pid, [name for name in self._pipe_names() if name]
        supervisor, uid = os.getpid(), int(self._spec["uid"])
        _check_family(supervisor, (pid,))
        criu = Criu(order["criu"])
        tls = TlsFiles(*order["tls"])
        limit = float(order["limit"])
        self._order = order
        self._stopped = tree.stopped(tree.descendants(pid, whole=False))

        def work() -> None:
            own = os.getpid()

            def allows(_pid: int) -> None:
                _check_family(supervisor, (pid, own))
                if uid and (why := rights.sockets_that_stay(tree.descendants(pid))):
                    raise CannotMove(why)

            criu.dump(
                pid,
                order["directory"],
                names,
                pages=(order["address"], int(order["port"])),
                tls=tls,
                limit=limit,
                allows=allows,
            )
            if not tree.hold(tree.descendants(pid)):
                raise CannotMove("it does not stay stopped")

        self._frozen = True  # from now on nothing is put into its pipe
        self._limit(FREEZING)
        self._work = ChildTask(work, limit + 10)

    def _limit(self, more: int = 0) -> None:
        """Limit its memory anew; what criu adds to a job it freezes must not end that."""
        if self._group is not None:
            with suppress(OSError):
                self._group.limit(more)

    def _pipe_names(self) -> list[str]:
        """What criu calls stdin, stdout and stderr; empty for what is closed or no pipe."""
        ours = [self._stdin, *(output.descriptor for output in self._outputs.values())]
        return [pipe_name(descriptor) if descriptor >= 0 else "" for descriptor in ours]

    def _watch(self, poll: select.poll) -> None:
        if self._work is not None:
            poll.register(self._work.fileno(), select.POLLIN)

    def _see(self, ready: dict[int, int]) -> None:
        if self._work is None or self._work.fileno() not in ready or not self._work.feed():
            return
        work, self._work = self._work, None
        try:
            work.result()
            self._hand_over()
        except (CannotMove, OSError) as error:
            self._thaw()
            self._answer("freeze", str(error))
        else:
            self._answer("freeze")

    def _hand_over(self) -> None:
        """
        Empty the pipes of the stopped job and write down all there is.

        :raises OSError: a full disk. :raises CannotMove: a pipe cannot be emptied.
        """
        assert self._program is not None
        names = self._pipe_names()
        for output in self._outputs.values():
            if output.descriptor >= 0:
                output.backlog.append(_drain(output.descriptor))
                _check_empty(output.descriptor)
        if self._stdin >= 0:
            self._stdin_waiting[:0] = _take_back(self._stdin)
        outputs = {}
        for kind, output in self._outputs.items():
            backlog = output.backlog
            begin = backlog.end if isinstance(backlog, Spool) else backlog.base
            data = b"".join(_pieces(backlog, begin))
            outputs[str(kind)] = {"begin": begin, "data": _text(data), "open": output.descriptor >= 0}
        handover = {
            "pid": self._program.pid,
            "names": names,
            "stopped": self._stopped,
            "spec": {name: self._spec[name] for name in _KEPT if name in self._spec} | {"used": self._used()},
            "outputs": outputs,
            "stdin": {"received": self._stdin_received, "taken": self._stdin_position(),
                      "waiting": _text(bytes(self._stdin_waiting)), "ended": self._stdin_ended},
        }  # fmt: skip
        self._handed = (self._stdin_received, len(self._stdin_waiting), self._stdin_ended)
        path = os.path.join(self._order["directory"], HANDOVER)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(number, "w", encoding="ascii") as file:
            json.dump(handover, file)

    def _used(self) -> float:
        """Seconds of processor time it has used: the kernel it moves to begins to count anew."""
        assert self._program is not None
        before = float(self._spec.get("used") or 0.0)
        return before + sum(map(tree.cpu_seconds, tree.descendants(self._program.pid, whole=False)))

    def _thaw(self) -> None:
        if not self._frozen:
            return
        if self._work is not None:
            self._work.close()
            tree.end(reversed(tree.descendants(self._work.pid, whole=False)))
            self._work = None
            self._answer("freeze", "it was told to go on")
        assert self._program is not None
        self._frozen = False
        self._handed = None
        self._limit()
        tree.thaw(tree.descendants(self._program.pid, whole=False), but=self._stopped)
        waiting, self._signals = self._signals, []
        for number, group in waiting:
            self._signal(number, group)
        if self._stdin_ended and not self._stdin_waiting:
            self._close_stdin()

    def _signal(self, number: int, group: bool) -> None:
        """While it is frozen a signal waits: sent now it would be lost with the copy that is given up."""
        if self._frozen:
            self._signals = [*self._signals, (number, group)][:_MOST_SIGNALS]
        else:
            super()._signal(number, group)

    def _leave_for_good(self) -> NoReturn:
        """The job runs elsewhere: leave no trace. With this process the kernel ends the frozen one."""
        if not self._frozen:
            raise CannotMove("it is not frozen")
        if self._connection is not None:
            told = {"did": "end", "error": "", "signals": self._signals}
            self._connection.settimeout(5.0)
            with suppress(OSError):
                self._connection.sendall(bytes(self._outgoing) + frames.encode_json(frames.MOVED, told))
        end_the_rest(self._around.namespace, 0)  # else it may see one more signal as this process ends
        self._remove_group()
        self._leave()
        os._exit(0)

    def _close_stdin(self) -> None:
        if not self._frozen:
            super()._close_stdin()

    def _attach(self, wanted: dict[str, Any]) -> None:
        """Who attaches to a frozen job is told of no input that the copy would not know of."""
        if self._handed is not None and not wanted.get("detach"):
            self._stdin_received, waiting, self._stdin_ended = self._handed
            del self._stdin_waiting[waiting:]
        super()._attach(wanted)

    # -- at the target

    def _start(self) -> None:
        if not self._spec.get("images"):
            super()._start()
            return
        try:
            self._bring_up(self._spec["images"])
        except (CannotMove, OSError, ValueError, KeyError) as error:
            raise CannotStart(CannotMove.code, str(error)) from error

    def _bring_up(self, directory: str) -> None:
        """Restore the job from ``directory``, stopped."""
        if not self._around.namespace:
            raise CannotMove(self._around.why_not)
        with open(os.path.join(directory, HANDOVER), encoding="ascii") as file:
            handover = json.load(file)
        expected = self._spec.get("expected_uid")
        self._spec.update({name: handover["spec"][name] for name in _HANDED if name in handover["spec"]})
        _check_account(self._spec, expected)
        streams, ours = self._make_pipes()
        names: list[str] = handover["names"]
        mapping = {name: stream for name, stream in zip(names, streams, strict=True) if name}
        criu, uid, where = Criu(self._spec["criu"]), int(self._spec["uid"]), str(self._spec["where"])
        gid, group = int(self._spec["gid"]), self._make_group()
        self._watch_children()

        def opened(pid: int) -> None:
            rights.check_opened(tree.descendants(pid), uid, where, directory)

        def rightful(pid: int) -> None:
            rights.check_ids(tree.descendants(pid), uid, where)

        allows = {RESTORED: opened, RESUMING: rightful}

        def work() -> int:
            if uid:
                rights.check_groups({gid, *self._spec["groups"]}, uid, where)
            try:
                if group is not None:
                    group.enter()
                reset_for_copy(uid, gid)
            except (NoLimit, CannotReset) as error:
                raise CannotMove(f"{where}: {error}") from error
            pid = criu.restore(directory, mapping, limit=_RESTORE_LIMIT, allows=allows if uid else None)
            pids = tree.descendants(pid)
            if not tree.hold(pids):
                raise CannotMove("the copy does not stay stopped")
            if uid:
                rights.check_ids(pids, uid, where)
            return pid

        try:
            pid = self._wait(ChildTask(work, _RESTORE_LIMIT + 10))
        finally:
            for descriptor in set(streams):
                os.close(descriptor)
        if pid != handover["pid"]:
            raise CannotMove(f"it came up as process {pid}, not {handover['pid']}")
        self._program = Program(pid, self._outside())
        self._frozen = True
        self._limit()
        self._stopped = [int(each) for each in handover["stopped"]]
        self._take_over(handover, ours)
        self._write(JOB, self._description())

    def _make_group(self) -> JobGroup | None:
        """Make its cgroup, with room for criu. :raises CannotMove: it has a limit, and there can be none."""
        try:
            self._group = group_of(self._spec)
        except NoLimit as error:
            raise CannotMove(f"its memory cannot be limited on {self._spec['where']}: {error}") from error
        self._limit(FREEZING)
        return self._group

    def _wait(self, work: ChildTask) -> int:
        """Wait for ``work``; leave when the daemon closes its connection: with us the kernel ends all."""
        assert self._connection is not None
        poll = select.poll()
        poll.register(work.fileno(), select.POLLIN)
        poll.register(self._connection, select.POLLRDHUP)
        while True:
            ready = dict(poll.poll())
            if self._connection.fileno() in ready:
                os._exit(1)
            if work.feed():
                os.waitpid(work.pid, 0)
                return int(work.result())

    def _take_over(self, handover: dict[str, Any], ours: tuple[int, int, int]) -> None:
        """Go on with the streams where the other one was."""
        for descriptor in ours:
            if descriptor >= 0:
                os.set_blocking(descriptor, False)
        names: list[str] = handover["names"]
        self._stdin = ours[0] if names[0] else _closed(ours[0])
        for (kind, output), name, descriptor in zip(self._outputs.items(), names[1:], ours[1:], strict=True):
            told = handover["outputs"][str(kind)]
            output.descriptor = descriptor if name else _closed(descriptor)
            backlog, begin, data = output.backlog, int(told["begin"]), _bytes(told["data"])
            if not isinstance(backlog, Spool):
                backlog.base = backlog.end = begin
            backlog.append(data[max(0, backlog.end - begin) :])
        stdin = handover["stdin"]
        self._stdin_received, self._stdin_taken = int(stdin["received"]), int(stdin["taken"])
        self._stdin_waiting = bytearray(_bytes(stdin["waiting"]))
        self._stdin_ended = bool(stdin["ended"])

    def _outside(self) -> int:
        """The pid of the restored job as the machine knows it: this process has no other child."""
        own = self._around.pid
        number = os.open(f"{own}/task/{own}/children", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._around.proc)
        with open(number, encoding="ascii") as file:
            [pid] = file.read().split()
        return int(pid)


def _check_account(spec: dict[str, Any], expected: int | None) -> None:
    """
    Check whom the job that came runs as: what is checked of it depends on that.

    :param expected: the user it was offered for, None where nobody said.
    :raises CannotMove: it is not that one, or these are no ids.
    """
    groups = spec.get("groups")
    ids = [spec.get("uid"), spec.get("gid"), *(groups if isinstance(groups, list) else [None])]
    if not all(type(each) is int and 0 <= each < 2**32 - 1 for each in ids):
        raise CannotMove("what came with it does not say whom it runs as")
    if expected is not None and spec["uid"] != expected:
        raise CannotMove("it is not of the user that it was offered for")


def _check_family(supervisor: int, but: Collection[int]) -> None:
    """Check that criu, which takes a process and its descendants, takes all. :raises CannotMove: no."""
    if any(pid not in but for pid in tree.strays(supervisor)):
        raise CannotMove(tree.STRAYS)


def _closed(descriptor: int) -> int:
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def _drain(descriptor: int) -> bytes:
    """Return what is in a pipe that nobody writes to now; no more than it holds, should somebody do so."""
    pieces, room = [], fcntl.fcntl(descriptor, _F_GETPIPE_SZ)
    try:
        while room > 0 and (piece := os.read(descriptor, min(frames.CHUNK, room))):
            pieces.append(piece)
            room -= len(piece)
    except BlockingIOError:
        pass
    return b"".join(pieces)


def _check_empty(descriptor: int) -> None:
    """See whether somebody outside was given the pipe, and writes on. :raises CannotMove: so it is."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if any(events & select.POLLIN for _descriptor, events in poll.poll(0)):
        raise CannotMove("a process that is not of it writes to its output")


def _take_back(descriptor: int) -> bytes:
    """Return what was written into a pipe and not read."""
    reading = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _drain(reading)
    finally:
        os.close(reading)


def _pieces(backlog: Any, begin: int) -> Any:
    while begin < backlog.end:
        piece = backlog.read(begin, frames.CHUNK)
        yield piece
        begin += len(piece)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
