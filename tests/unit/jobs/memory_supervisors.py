"""Supervisors in memory: the frames of `CheckpointingSupervisor`, and programs that know where they ran."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Sequence
from typing import Any, Protocol

from gomd.jobs.lifecycle.frame_stream import FrameStream
from libgomd.wire import frames
from libgomd.wire.frames import Frame
from tests.unit.jobs.memory_network import Network

#: The image in which the programs of these tests are stored.
_PROGRAM = "core-300.img"


class Place(Protocol):
    """
    The machine that supervisors are on.

    :ivar busy: supervisors cannot be asked so many times: the daemon has no descriptor free.
    :ivar hold_freeze: criu takes its time. :ivar dump_fails: why it does; empty when it does not.
    """

    name: str
    network: Network
    supervisors: list[Supervisor]
    busy: int
    hold_freeze: bool
    dump_fails: str
    restore_fails: str
    cantmove: str

    def new_pid(self) -> int:
        """Return a process id; the next number is free too."""

    def forget(self, supervisor: Supervisor) -> None:
        """Take note that a supervisor has ended."""


class Program:
    """A job: on which nodes it ran, and the signals it got. Supervisors pass it on to each other."""

    def __init__(self, seen: Sequence[str] = (), signals: Sequence[int] = ()) -> None:
        self.seen = list(seen)
        self.signals = list(signals)


class Supervisor:
    """
    What `CheckpointingSupervisor` is to a daemon: the same frames, over connections in memory.

    :ivar orders: the names of those it got.
    """

    def __init__(self, machine: Place, stream: FrameStream) -> None:
        self._machine = machine
        self.spec: dict[str, Any] = {}
        self.program: Program | None = None
        self.state = "new"
        self.exit: int | None = None
        self.orders: list[str] = []
        self._attached = False
        self._waiting: list[tuple[int, bool]] = []
        self._freezing: dict[str, Any] | None = None
        self.pid = machine.new_pid()
        self._stream = stream
        self._listen(stream)

    @property
    def runs(self) -> bool:
        """Whether its program runs now."""
        return self.state == "running"

    def _listen(self, stream: FrameStream) -> None:
        self._stream = stream
        stream.listen(self._take, self._lost)

    def accept(self, stream: FrameStream) -> None:
        """Take the connection of a later daemon."""
        self._stream.close()
        self._attached = False
        self._listen(stream)
        self._tell()

    def _lost(self) -> None:
        if self.state == "new":
            self.die()

    def _tell(self) -> None:
        self._say(frames.STARTED, self._description())
        self._say_exit()

    def _description(self) -> dict[str, Any]:
        names = ("id", "argv", "uid", "gid", "user", "cwd", "detach", "tty", "lock", "nmigs", "images")
        kept = {name: self.spec.get(name) for name in names}
        return {**kept, "pid": self.pid, "supervisor": self.pid + 1, "cantmove": self._machine.cantmove}

    def _say(self, kind: int, value: dict[str, Any]) -> None:
        self._stream.send(frames.encode_json(kind, value))

    def _take(self, frame: Frame) -> None:
        kind, payload = frame
        if kind == frames.SPEC:
            self._begin(frames.decode_json(payload))
        elif kind == frames.ATTACH:
            self._attached = not frames.decode_json(payload).get("detach")
            if self._attached:
                told = {"stdout": 0, "stderr": 0, "stdin": 0, "stdin_taken": 0, "stdin_ended": False}
                self._say(frames.ATTACHED, told)
                self._say_exit()
        elif kind == frames.SIGNAL:
            self._signal(*frames.decode_signal(payload))
        elif kind == frames.HANGUP:
            self._signal(1, True)
        elif kind == frames.COLLECTED and self.exit is not None:
            self.die()
        elif kind == frames.MOVE:
            self._move(frames.decode_json(payload))

    def _begin(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        if not spec.get("images"):
            self.program, self.state = Program(), "running"
            self.program.seen.append(self._machine.name)
        else:
            why = self._machine.restore_fails
            if why:
                self._say(frames.FAILED, {"code": 405, "text": why})
                self._machine.forget(self)
                return
            with open(os.path.join(spec["images"], _PROGRAM), encoding="ascii") as file:
                told = json.load(file)
            self.spec = {**spec, **told["spec"]}
            self.program, self.state = Program(told["seen"], told["signals"]), "frozen"
        os.makedirs(spec["directory"], exist_ok=True)
        self._write("job", self._description())
        self._tell()

    def _write(self, name: str, value: dict[str, Any]) -> None:
        with open(os.path.join(self.spec["directory"], name), "w", encoding="ascii") as file:
            json.dump(value, file)

    def _signal(self, number: int, group: bool) -> None:
        if self.state == "frozen":
            self._waiting.append((number, group))
        elif self.runs and self.program is not None:
            self.program.signals.append(number)
            if number in (9, 15):
                self.end(128 + number)

    def end(self, exit: int) -> None:
        """Let the program end by itself."""
        self.exit, self.state = exit, "ended"
        self._write("exit", {"exit": exit, "reason": ""})
        self._say_exit()

    def _say_exit(self) -> None:
        if self.exit is not None:
            self._say(frames.EXIT, {"exit": self.exit, "reason": ""})

    def _move(self, order: dict[str, Any]) -> None:
        done = order["do"]
        self.orders.append(done)
        if done == "freeze":
            self._freezing = order
            if not self._machine.hold_freeze:
                self.finish_freeze()
        elif done == "thaw":
            self._freezing = None
            if self.state == "frozen":
                self._go_on()
            self._say(frames.MOVED, {"did": done, "error": ""})
        elif done == "end":
            error = "" if self.state == "frozen" else "it is not frozen"
            self._say(frames.MOVED, {"did": done, "error": error, "signals": self._waiting})
            if not error:
                self.die()
        elif done == "lock":
            self.spec["lock"] = order["lock"]

    def finish_freeze(self) -> None:
        """Let criu finish what it was told to do."""
        order, self._freezing = self._freezing, None
        if order is None:
            return
        error = "it has ended" if not self.runs else self._machine.dump_fails
        if not error:
            assert self.program is not None
            self.state = "frozen"
            kept = {name: self.spec[name] for name in ("argv", "uid", "gid", "user", "cwd", "tty")}
            told = {"seen": self.program.seen, "signals": self.program.signals, "spec": kept}
            with open(os.path.join(order["directory"], _PROGRAM), "w", encoding="ascii") as file:
                json.dump(told, file)
        self._say(frames.MOVED, {"did": "freeze", "error": error})

    def _go_on(self) -> None:
        assert self.program is not None
        self.state = "running"
        if self.spec.get("images") and self.program.seen[-1:] != [self._machine.name]:
            self.program.seen.append(self._machine.name)
        waiting, self._waiting = self._waiting, []
        for number, group in waiting:
            self._signal(number, group)

    def die(self) -> None:
        """End, and remove the job's directory."""
        self.state = "gone"
        self._stream.close()
        self._machine.forget(self)
        if self.spec:
            shutil.rmtree(self.spec["directory"], ignore_errors=True)


class MemoryForkServer:
    """What `gomd.jobs.lifecycle.forkserver_client.ForkServerClient` is to `Supervisors`."""

    is_ready = True

    def __init__(self, machine: Place, daemon: object) -> None:
        self._machine = machine
        self._daemon = daemon

    def keep_spare(self, namespace: bool) -> None:
        """Nothing is quicker in memory."""

    def supervisor(self, namespace: bool) -> FrameStream:
        near, far = self._machine.network.connect(self._daemon, self._machine)
        self._machine.supervisors.append(Supervisor(self._machine, far))
        return near

    def connect(self, path: str) -> FrameStream:
        if self._machine.busy:
            self._machine.busy -= 1
            raise OSError(errno.EMFILE, "no descriptor is free")
        for each in self._machine.supervisors:
            if each.spec.get("directory") == os.path.dirname(path):
                near, far = self._machine.network.connect(self._daemon, self._machine)
                each.accept(far)
                return near
        raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens there")

    def close(self) -> None:
        """Nothing is left to close."""
