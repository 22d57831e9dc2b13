"""A Serf agent that gomd runs: started without a shell, started again when it ends, gone when gomd is."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from gomd.cluster.serf import dies_with_parent
from gomd.cluster.serf.agent_files import AgentFiles
from gomd.cluster.serf.own_agent import Place
from gomd.interfaces import IThreads
from libgomd.errors import GomdError, NotPossible
from libgomd.wire.addresses import is_link_local
from libgomd.wire.text import printable

#: Seconds until an agent that has ended is started again: first, and at most. Each time twice as long.
FIRST_DELAY: Final = 1.0
MAX_DELAY: Final = 60.0
#: Seconds after which an agent counts as well started, and the next restart is soon again.
SETTLED_AFTER: Final = 60.0
#: Seconds that writing its files may take, that it may take to end by itself after it has left, and after
#: SIGTERM.
_WRITE_TIMEOUT: Final = 10.0
_LEFT_TIMEOUT: Final = 3.0
_TERM_TIMEOUT: Final = 2.0
#: Ends in a row within `SETTLED_AFTER`, after which it is started without its snapshot.
_MAX_BAD_STARTS: Final = 3
#: Lines of its output that are kept for the reason of its end, and bytes of one.
_KEPT_LINES: Final = 3
_LINE_BYTES: Final = 300

Spawn = Callable[..., IProcessTransport]


class SerfAgent:
    """
    Runs an agent and keeps it running.

    :param spawn: starts a process, as `IReactorProcess.spawnProcess`. :param program: absolute path of serf.
    :param tags: returns the tags it starts with. :param advertise: returns the address others are told.
    """

    is_ours = True
    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        spawn: Spawn,
        clock: Any,
        threads: IThreads,
        program: str,
        files: AgentFiles,
        keys: Sequence[bytes],
        tags: Callable[[], Mapping[str, str]],
        advertise: Callable[[], str],
    ) -> None:
        self._spawn = spawn
        self._clock = clock
        self._threads = threads
        self._program = program
        self._files = files
        self._keys = tuple(keys)
        self._tags = tags
        self._advertise = advertise
        self._wanted = False
        self._process: _AgentProcess | None = None
        self._place: Place | None = None
        self._again: IDelayedCall | None = None
        self._delay = FIRST_DELAY
        self._started_at = 0.0
        self._bad_starts = 0
        self._expected = False
        self._why_not = "it is not started yet"

    @property
    def pid(self) -> int | None:
        """The process id of the agent, None while there is none."""
        return (
            None if self._process is None or self._process.transport is None else self._process.transport.pid
        )

    def start(self) -> None:
        """See `Agent`."""
        self._wanted = True
        self._begin()

    async def place(self) -> Place:
        """See `Agent`."""
        if self._place is None:
            raise NotPossible(self._why_not)
        return self._place

    def set_keys(self, keys: Sequence[bytes]) -> None:
        """See `Agent`. Serf changes keys of all nodes at once; only a restart changes those of this one."""
        if tuple(keys) != self._keys:
            self._keys = tuple(keys)
            self.restart()

    def restart(self) -> None:
        """See `Agent`."""
        if self._process is not None:
            self._expected = True
            self._process.signal("KILL")  # no goodbye: it is back before the others miss it

    def unresponsive(self) -> None:
        """See `Agent`."""
        if self._process is not None:
            self._why_not = "it did not answer and was killed"
            self._process.signal("KILL")

    def stop(self) -> Deferred[None]:
        """See `Agent`."""
        self._wanted = False
        if self._again is not None and self._again.active():
            self._again.cancel()
        if self._process is None:
            return succeed(None)
        process = self._process
        late = [
            self._clock.callLater(_LEFT_TIMEOUT, process.signal, "TERM"),
            self._clock.callLater(_LEFT_TIMEOUT + _TERM_TIMEOUT, process.signal, "KILL"),
        ]

        def gone(_result: None) -> None:
            for call in late:
                if call.active():
                    call.cancel()

        return process.gone().addCallback(gone)

    # -- start and end

    def _begin(self) -> None:
        if self._wanted and self._process is None:
            Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        """Write its files and start it; on failure, schedule another try. Never raises."""
        try:
            drops = self._bad_starts >= _MAX_BAD_STARTS
            told = self._advertise()
            if is_link_local(told):
                raise NotPossible(f"{told} is a link-local address, and Serf needs another one")
            place = await self._threads.run(
                _WRITE_TIMEOUT, self._files.write, self._keys, self._tags(), told, drops
            )
            if not self._wanted or self._process is not None:
                return
            words = [
                sys.executable, "-I", "-S", os.path.abspath(dies_with_parent.__file__), str(os.getpid()),
                self._program, "agent", f"-config-file={self._files.config}",
            ]  # fmt: skip
            process = _AgentProcess(self._ended)
            self._spawn(
                process, sys.executable, words, env={}, path=self._files.folder,
                childFDs={0: "w", 1: "r", 2: "r"},
            )  # fmt: skip
            self._process, self._place, self._started_at = process, place, self._clock.seconds()
        except (GomdError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._failed(f"it cannot be started: {reason}")
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("the Serf agent cannot be started")
            self._failed("it cannot be started")

    def _failed(self, why: str) -> None:
        self._why_not = why
        if self._wanted:
            self._log.warn(
                "the Serf agent: {why}; next try in {delay:g} s", why=why, delay=self._delay
            )  # fmt: skip
            self._again = self._clock.callLater(self._delay, self._begin)
            self._delay = min(MAX_DELAY, self._delay * 2)

    def _ended(self, reason: str, said: str) -> None:
        """Note that the process has ended. :param said: its last lines."""
        self._process = self._place = None
        settled = self._clock.seconds() - self._started_at >= SETTLED_AFTER
        self._bad_starts = 0 if settled or self._expected else self._bad_starts + 1
        if settled or self._expected:
            self._delay = FIRST_DELAY
        if self._expected and self._wanted:
            self._expected = False
            self._why_not = "it is started again"
            self._begin()
            return
        self._failed(f"it has ended ({reason})" + (f" and said: {said}" if said else ""))


class _AgentProcess(ProcessProtocol):
    """The process: keeps the last lines that it wrote, and tells when it is gone."""

    _log: ClassVar[Logger] = Logger()
    transport: Any = None

    def __init__(self, ended: Callable[[str, str], None]) -> None:
        self._on_end = ended
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._partial = b""
        self._waiting: list[Deferred[None]] = []
        self._is_gone = False

    def connectionMade(self) -> None:
        """See `ProcessProtocol`."""
        self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Keep what it says, in lines of bounded length."""
        *lines, rest = (self._partial + data).split(b"\n")
        self._partial = rest[-_LINE_BYTES:]
        for line in lines:
            text = printable(" ".join(line[:_LINE_BYTES].decode("utf-8", "replace").split()))
            if text:
                self._lines.append(text)
                self._log.debug("serf: {text}", text=text)

    def processEnded(self, reason: Failure) -> None:
        """See `ProcessProtocol`."""
        self._is_gone = True
        value: Any = reason.value
        status = f"exit status {value.exitCode}" if value.signal is None else f"signal {value.signal}"
        self._on_end(status, "; ".join(self._lines))
        for waiting in self._waiting:
            waiting.callback(None)

    def signal(self, name: str) -> None:
        """Send it a signal, unless it is gone."""
        try:
            if not self._is_gone and self.transport is not None:
                self.transport.signalProcess(name)
        except ProcessExitedAlready:
            pass  # it will be reaped soon

    def gone(self) -> Deferred[None]:
        """Return a Deferred that fires when it has ended."""
        if self._is_gone:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting
