"""The HTTP way in over connections in memory, in front of a whole daemon in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.interfaces import IThreads
from gomd.web.access import AccessRules
from gomd.web.site import WebSite
from libgomd.errors import TooMany
from libgomd.model import Caller, Counter, Node, Role, Sample, Status
from libgomd.testing import MemoryDaemon

NODE = Node(7, "alpha", "10.0.0.7", Status.CONFIGURED | Status.UP, load=44)
RULES = AccessRules("read", True, False, frozenset({"localhost", "alpha"}))
TOKENS = {
    "admin-token": Caller(Role.ADMIN, "root", 0, "token"),
    "user-token": Caller(Role.USER, "ada", 1001, "token"),
}


class Known:
    """A collector and a membership that know one node."""

    own_id = 7
    latest = Sample(0.0)

    def __init__(self) -> None:
        self.broken = False

    def nodes(self) -> tuple[Node, ...]:
        """See `IMembership.nodes`."""
        if self.broken:
            raise ZeroDivisionError
        return (NODE,)


@implementer(IThreads)
class HeldThreads:
    """Threads on which nothing is done before it is let go."""

    def __init__(self) -> None:
        self.held: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self.full = False

    def run(self, limit: float, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """See `IThreads.run`."""
        if self.full:
            raise TooMany("all threads are taken")
        done: Deferred[Any] = Deferred()
        self.held.append((done, function, arguments))
        return done

    def run_apart(self, limit: float, key: Any, holder: Any, function: Any, *arguments: Any) -> Deferred[Any]:
        """See `IThreads.run_apart`."""
        return self.run(limit, function, *arguments)

    def release(self) -> int:
        """Do what is held; return how much that was."""
        held, self.held = self.held, []
        for done, function, arguments in held:
            done.callback(function(*arguments))
        return len(held)


class Site:
    """A site, and the daemon behind it."""

    def __init__(self, rules: AccessRules = RULES, daemon: MemoryDaemon | None = None) -> None:
        self.tokens = dict(TOKENS)
        self.daemon = daemon or MemoryDaemon(tokens=self.tokens)
        self.threads, self.known = HeldThreads(), Known()
        known = cast(Any, self.known)
        self.site = WebSite(
            cast(Any, self.daemon.clock), self.threads, known, known,
            lambda: [Counter("processes", 3, "processes")], self.daemon.dispatch, rules,
        )  # fmt: skip

    def ask(
        self, method: str, path: str, body: object = None, host: str = "localhost", **headers: str
    ) -> Answer:
        """Ask over a connection of its own. An underscore in the name of a header is a hyphen."""
        connection = Connection(self.site)
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        connection.say("\r\n".join([*lines, "", ""]).encode() + content)
        self.daemon.settle()
        while self.threads.release():
            self.daemon.settle()
        answer = connection.answer()
        connection.hang_up()
        return answer

    def counted(self) -> dict[str, object]:
        """Return what the site counted."""
        return {counter.name: counter.value for counter in self.site.counters()}


class Answer:
    """What came back. :ivar code: the status. :ivar head: the headers. :ivar body: the text, unchunked."""

    def __init__(self, text: bytes) -> None:
        head, _, body = text.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")
        self.code = int(self.head.split(" ", 2)[1]) if head else 0
        if "Transfer-Encoding: chunked" in self.head:
            body = unchunked(body)
        self.body = body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of an error, whose code is the status but for 422."""
        told = self.json
        assert set(told) == {"code", "error"}, told
        assert {405: (405, 422)}.get(told["code"], (told["code"],)).count(self.code) == 1, told
        return str(told["error"])

    def header(self, name: str) -> str:
        """Return a header, empty if it is missing."""
        for line in self.head.split("\r\n"):
            key, _, value = line.partition(": ")
            if key.lower() == name.lower():
                return value
        return ""


def unchunked(body: bytes) -> bytes:
    """Return a body without the sizes of its chunks."""
    found = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        found += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return found


class Connection:
    """One caller."""

    def __init__(self, site: WebSite, host: str = "127.0.0.1") -> None:
        self.transport = StringTransport(
            hostAddress=IPv4Address("TCP", "127.0.0.1", 2980), peerAddress=IPv4Address("TCP", host, 4711)
        )
        self.channel = cast(Any, site.buildProtocol(self.transport.getPeer()))
        self.channel.makeConnection(self.transport)

    def say(self, text: bytes) -> bytes:
        """Send bytes; return all that came back up to now."""
        self.channel.dataReceived(text)
        said: bytes = self.transport.value()
        return said

    def ask(self, path: str, method: str = "GET") -> bytes:
        """Send a whole request; return what came back."""
        return self.say(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def answer(self) -> Answer:
        """Return what came back up to now."""
        return Answer(self.transport.value())

    def hang_up(self) -> None:
        """The caller goes."""
        self.channel.connectionLost(Failure(ConnectionDone()))
