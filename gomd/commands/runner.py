"""Runs the commands of `[commands]` without a shell, and passes their output on line by line."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.fdesc import readFromFD, setNonBlocking
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.interfaces import ICommands
from libgomd.errors import NotFound, NotPossible, TooMany
from libgomd.model import Counter, Output

#: PATH of a command, where it finds the programs that it starts itself.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Maximum length of a line of output, in bytes. Longer lines are passed on in pieces.
MAX_LINE = 65536
#: Seconds from SIGTERM to SIGKILL, and from the end of a command to the end of its output.
GRACE_PERIOD = 2.0
#: Seconds between two checks whether a command has ended, where there are no pidfds.
POLL_INTERVAL = 0.05


class _Readable(FileDescriptor):
    """A file descriptor read by the reactor. It calls ``on_data`` with data and ``on_end`` at the end."""

    def __init__(
        self, reactor: Any, descriptor: int, on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self._on_data = on_data
        self._on_end = on_end
        self.connected = 1
        setNonBlocking(descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> Any:
        return readFromFD(self._descriptor, self._on_data)

    def connectionLost(self, reason: Failure) -> None:
        if self.connected:
            super().connectionLost(reason)
            os.close(self._descriptor)
            self._on_end()


class _Exit(_Readable):
    """A pidfd, which becomes readable when its process has ended."""

    def doRead(self) -> Any:
        self.stopReading()
        self._on_data(b"")
        return None


class _RunningCommand:
    """A running command: its process group, its output and its exit."""

    def __init__(self, reactor: Any, clock: IReactorTime, argv: Sequence[str], limit: float) -> None:
        self._clock = clock
        self._limit = limit
        self._lines: deque[str] = deque()
        self._rest = b""
        self._status: int | None = None
        self._output_open = True
        self._wakeup: Deferred[None] | None = None
        self._timers: list[IDelayedCall] = []
        reading, writing = os.pipe()
        try:
            self._pid = _spawn(argv, writing)
        except OSError as error:
            os.close(reading)
            raise NotPossible(f"{argv[0]} cannot be started ({error.strerror}): see [commands]") from error
        finally:
            os.close(writing)
        self._output = _Readable(reactor, reading, self._read, self._output_ended)
        self._exit: _Exit | None = None
        if hasattr(os, "pidfd_open"):
            self._exit = _Exit(reactor, os.pidfd_open(self._pid), self._check_exit, lambda: None)
            self._exit.startReading()
        else:  # a Python built for kernels before 5.3
            self._later(POLL_INTERVAL, self._check_exit)
        self._output.startReading()
        self._later(limit, self._expire)

    @property
    def pid(self) -> int:
        """The process id of the command."""
        return self._pid

    async def output(self) -> AsyncGenerator[Output, None]:
        """See `ICommands.start`."""
        try:
            while True:
                while self._lines:
                    yield Output(line=self._lines.popleft())
                if not self._output_open and self._status is not None:
                    break
                if self._output_open:
                    self._output.startReading()
                self._wakeup = Deferred()
                await self._wakeup
            yield Output(exit=self._status)
        finally:
            self._end()

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        self._timers.append(self._clock.callLater(seconds, function))

    def _wake(self) -> None:
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None and not wakeup.called:
            wakeup.callback(None)

    def _read(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines.extend(line.decode("utf-8", "backslashreplace") for line in lines)
        while len(self._rest) > MAX_LINE:
            self._lines.append(self._rest[:MAX_LINE].decode("utf-8", "backslashreplace"))
            self._rest = self._rest[MAX_LINE:]
        if self._lines:
            self._output.stopReading()  # until these lines are consumed
            self._wake()

    def _output_ended(self) -> None:
        self._output_open = False
        if self._rest:
            self._lines.append(self._rest.decode("utf-8", "backslashreplace"))
            self._rest = b""
        self._wake()

    def _check_exit(self, _data: bytes = b"") -> None:
        """Check whether the command has ended, and note its exit status."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            if self._exit is None:
                self._later(POLL_INTERVAL, self._check_exit)
            return
        code = os.waitstatus_to_exitcode(status)
        self._status = code if code >= 0 else 128 - code
        # Its background processes may keep the output open; they do not get longer than this.
        self._later(GRACE_PERIOD, self._close_output)
        self._wake()

    def _close_output(self) -> None:
        self._output.connectionLost(Failure(EOFError()))

    def _expire(self) -> None:
        self._lines.append(f"gomd: killed after {self._limit:g} s, the time limit of a command")
        self._kill()
        self._wake()

    def _kill(self) -> None:
        self._signal(signal.SIGTERM)
        self._later(GRACE_PERIOD, lambda: self._signal(signal.SIGKILL))

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            pass

    def _end(self) -> None:
        """Kill the command and close everything, because the consumer has gone."""
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._timers.clear()
        if self._status is None:
            self._kill()
            self._later(GRACE_PERIOD + 1, self._forget)
            if self._exit is None:
                self._later(POLL_INTERVAL, self._check_exit)
        else:  # background processes that it left on purpose continue
            self._forget()
        self._close_output()

    def _forget(self) -> None:
        if self._exit is not None:
            self._exit.connectionLost(Failure(EOFError()))


def _spawn(argv: Sequence[str], output: int) -> int:
    """Start ``argv`` without a shell, as the leader of a new session, and return its pid."""
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ),
    )
    return pid


@implementer(ICommands)
class Commands:
    """
    Runs commands by name.

    :param commands: argv of each command by name; the program is an absolute path.
    :param limit: seconds that a command may run.
    :param max_running: maximum number of commands that run at once.
    :param on_start: called with the process id of each command that is started.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        clock: IReactorTime,
        commands: Mapping[str, Sequence[str]],
        limit: float,
        max_running: int = 16,
        on_start: Callable[[int], None] = lambda _pid: None,
    ) -> None:
        self._reactor = reactor
        self._on_start = on_start
        self._clock = clock
        self._max_running = max_running
        self._running = 0
        self._started = 0
        self.set_commands(commands, limit)

    def set_commands(self, commands: Mapping[str, Sequence[str]], limit: float) -> None:
        """Replace the commands and the time limit. Commands that run are not affected."""
        self._commands = {name: tuple(argv) for name, argv in commands.items()}
        self._limit = limit

    def names(self) -> Sequence[str]:
        """See `ICommands.names`."""
        return sorted(self._commands)

    async def start(self, name: str) -> AsyncGenerator[Output, None]:
        """See `ICommands.start`."""
        argv = self._commands.get(name)
        if argv is None:
            known = ", ".join(self.names())
            what_to_do = f"there is {known}" if known else "none is configured, name some in [commands]"
            raise NotFound(f"there is no command {name[:40]}: {what_to_do}")
        if self._running >= self._max_running:
            raise TooMany(f"{self._running} commands run already: wait for one to end")
        running = _RunningCommand(self._reactor, self._clock, argv, self._limit)
        self._on_start(running.pid)
        return self._counted(running)

    async def _counted(self, running: _RunningCommand) -> AsyncGenerator[Output, None]:
        self._running += 1
        self._started += 1
        output = running.output()
        try:
            async for value in output:
                yield value
        finally:
            self._running -= 1
            await output.aclose()

    def counters(self) -> Iterable[Counter]:
        """Return the counters for `stats`."""
        yield Counter("commands_started", self._started, "commands started by `do`")
        yield Counter("commands_running", self._running, "commands that run now")
