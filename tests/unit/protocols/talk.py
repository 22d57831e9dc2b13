"""One connection to a daemon in memory, byte by byte: what it is sent, and what it sends."""

from __future__ import annotations

from typing import ClassVar

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from gomd.protocols.session import Session
from gomd.protocols.telnet import TelnetLine
from gomd.sources.memory import MemorySource
from libgomd.model import Caller, Process, Role
from libgomd.testing import MemoryDaemon

TCP = "tcp 192.0.2.7:40000"
#: Processes whose rows are more than is sent at once.
MANY = 205


class Talk:
    """
    A caller and the `TelnetLine` of their connection.

    :ivar transport: takes what is sent; its ``producer`` is what a full buffer would pause.
    """

    open: ClassVar[list[Talk]] = []

    def __init__(
        self,
        daemon: MemoryDaemon,
        role: Role = Role.ADMIN,
        user: str = "root",
        uid: int | None = 0,
        via: str = TCP,
    ) -> None:
        self.daemon = daemon
        self.transport = StringTransport()
        self.line = TelnetLine(daemon.telnet_factory, Session(Caller(role, user, uid, via)))
        self.line.factory = daemon.telnet_factory
        self.line.makeConnection(self.transport)
        self.open.append(self)
        self.greeting = self.heard()

    @property
    def is_in(self) -> bool:
        """Whether the caller was let in, and has not been hung up on."""
        return self.greeting.startswith("220 ") and not self.transport.disconnected

    def heard(self) -> str:
        """Return what was sent since the last time, once everything that is due has been done."""
        clock = self.daemon.clock
        clock.advance(0)
        while any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
            clock.advance(0)
        text: str = self.transport.value().decode()
        self.transport.clear()
        return text

    def fill(self) -> None:
        """Let the transport's buffer be full."""
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()

    def drain(self) -> None:
        """Let it be empty again."""
        assert self.transport.producer is not None
        self.transport.producer.resumeProducing()

    def send(self, data: bytes) -> None:
        """Say something, and do not listen."""
        self.line.dataReceived(data)

    def say(self, *lines: str) -> str:
        """Say lines in one packet; return what is heard."""
        self.send("".join(line + "\r\n" for line in lines).encode())
        return self.heard()

    def hang_up(self) -> None:
        """Go away."""
        if self in self.open:
            self.open.remove(self)
        self.line.connectionLost(Failure(ConnectionDone()))


def a_process(pid: int, **values: object) -> Process:
    """Return a process at home on node 1."""
    plain: dict[str, object] = {
        "node": 1, "home": 1, "pid": pid, "ppid": 1, "uid": 1000, "user": "ada", "state": "S", "nice": 0,
        "threads": 1, "cpu_percent": 0.0, "cpu_seconds": 61.5, "rss": 2048, "vsize": 4096,
        "start_time": 999_000_000.0, "where": 0, "nmigs": 0, "lock": False, "cantmove": "",
        "command": f"./work {pid}", "started": 100,
    }  # fmt: skip
    return Process(**{**plain, **values})  # type: ignore[arg-type]


def crowded(count: int) -> MemoryDaemon:
    """Return a daemon with that many processes."""
    return MemoryDaemon(MemorySource([50], [[a_process(pid) for pid in range(1, count + 1)]]))
