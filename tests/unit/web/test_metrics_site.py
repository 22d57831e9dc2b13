"""The way in for monitoring, byte by byte over connections in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families as parse_text
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.interfaces import IThreads
from gomd.web.metrics_site import CONNECTION_LIFETIME, MAX_BODY_BYTES, MAX_CONNECTIONS, MetricsSite
from libgomd.errors import TooMany
from libgomd.model import Counter, Node, Sample, Status

NODE = Node(7, "alpha", "10.0.0.7", Status.CONFIGURED | Status.UP, load=44)


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


class Connection:
    """One caller."""

    def __init__(self, site: MetricsSite) -> None:
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 4711))
        self.channel = cast(Any, site.buildProtocol(self.transport.getPeer()))
        self.channel.makeConnection(self.transport)

    def say(self, text: bytes) -> bytes:
        """Send bytes; return all that came back up to now."""
        self.channel.dataReceived(text)
        said: bytes = self.transport.value()
        return said

    def ask(self, method: str, path: str, headers: str = "") -> tuple[int, str, str]:
        """Send a whole request; return the status, the headers and the body that came back."""
        answer = self.say(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()).decode()
        head, _, body = answer.partition("\r\n\r\n")
        return int(head.split(" ", 2)[1]) if head else 0, head, body

    def hang_up(self) -> None:
        """The caller goes."""
        self.channel.connectionLost(Failure(ConnectionDone()))


class SiteTests(SynchronousTestCase):
    """The server."""

    def setUp(self) -> None:
        self.clock, self.threads, self.known = Clock(), HeldThreads(), Known()
        known = cast(Any, self.known)
        self.site = MetricsSite(
            self.clock, self.threads, known, known, lambda: [Counter("processes", 3, "processes")]
        )

    def ask(self, method: str, path: str, headers: str = "") -> tuple[int, str, str]:
        """Ask over a connection of its own, and let the page be made."""
        connection = Connection(self.site)
        connection.ask(method, path, headers)
        self.threads.release()
        answer = connection.transport.value().decode()
        head, _, body = answer.partition("\r\n\r\n")
        self.assertTrue(connection.transport.disconnecting)
        connection.hang_up()
        return int(head.split(" ", 2)[1]), head, body

    def counted(self) -> dict[str, object]:
        """Return what the site counted."""
        return {counter.name: counter.value for counter in self.site.counters()}

    def test_the_metrics(self) -> None:
        """In the text format, as long as announced; nothing keeps them; the connection ends behind them."""
        code, head, body = self.ask("GET", "/metrics")
        self.assertEqual(code, 200)
        found = {family.name: family.samples[0].value for family in parse_text(body)}
        self.assertEqual((found["gomd_node_load"], found["gomd_processes"]), (44, 3))
        for header in (
            "Content-Type: text/plain; version=0.0.4; charset=utf-8", f"Content-Length: {len(body)}",
            "Connection: close", "Cache-Control: no-store",
        ):  # fmt: skip
            self.assertIn(header, head)

    def test_openmetrics_when_asked(self) -> None:
        """As Prometheus asks."""
        code, head, body = self.ask("GET", "/metrics?x=1", "Accept: application/openmetrics-text;q=0.5\r\n")
        self.assertEqual(code, 200)
        self.assertIn("Content-Type: application/openmetrics-text; version=1.0.0", head)
        self.assertTrue(body.endswith("# EOF\n"))

    def test_head(self) -> None:
        """The same headers, no body."""
        code, head, body = self.ask("HEAD", "/metrics")
        self.assertEqual((code, body), (200, ""))
        self.assertNotIn("Content-Length: 0", head)

    def test_the_root_points_there(self) -> None:
        """For a person with a browser."""
        code, _, body = self.ask("GET", "/")
        self.assertEqual((code, body), (200, "gomd: the metrics are at /metrics\n"))

    def test_nothing_else_is_there(self) -> None:
        """404 for every other path, however it is written."""
        for path in ("/x", "/metrics/", "/metrics/x", "//metrics", "/%2e%2e/metrics", "/..", "/metrics%00"):
            code, _, body = self.ask("GET", path)
            self.assertEqual((code, body), (404, "no such page: the metrics are at /metrics\n"), path)
        self.assertEqual(self.threads.held, [])

    def test_only_reading(self) -> None:
        """405 for every other method, which says what is allowed."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"):
            code, head, _ = self.ask(method, "/metrics")
            self.assertEqual(code, 405, method)
            self.assertIn("Allow: GET, HEAD", head)
        self.assertEqual(self.counted()["http_refused"], 6)

    def test_a_body_is_not_kept(self) -> None:
        """A small one is passed over; a caller who sends more and more is dropped."""
        connection = Connection(self.site)
        start = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
        self.assertEqual(connection.say(start + b"x" * MAX_BODY_BYTES), b"")
        self.assertFalse(connection.transport.disconnecting)
        self.assertEqual(connection.channel.requests[-1].content.getvalue(), b"")
        connection.say(b"x")
        self.assertTrue(connection.transport.disconnecting)
        self.assertEqual(self.counted()["http_dropped"], 1)

    def test_endless_headers_are_refused(self) -> None:
        """With 400, at sixteen kilobytes."""
        connection = Connection(self.site)
        answer = connection.say(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400"))
        self.assertTrue(connection.transport.disconnecting)

    def test_one_request_for_each_connection(self) -> None:
        """What is sent behind the first one is not answered, so that no answers can pile up."""
        connection = Connection(self.site)
        connection.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        self.assertEqual(connection.transport.value().count(b"HTTP/1.1 200"), 1)
        self.assertTrue(connection.transport.disconnecting)

    def test_a_connection_ends_in_any_case(self) -> None:
        """Whoever sends a byte now and then, or does not take his answer, is dropped in time."""
        connection = Connection(self.site)
        for _ in range(int(CONNECTION_LIFETIME) - 1):
            connection.say(b"G")
            self.clock.advance(1.0)
        self.assertFalse(connection.transport.disconnecting)
        self.clock.advance(1.0)
        self.assertTrue(connection.transport.disconnecting)

    def test_nothing_ticks_afterwards(self) -> None:
        """A connection that is gone leaves nothing on the clock, nor does an idle server."""
        self.site.doStart()
        self.ask("GET", "/metrics")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.site.doStop()

    def test_the_oldest_makes_place(self) -> None:
        """Nobody can keep the others out by holding connections."""
        connections = [Connection(self.site) for _ in range(MAX_CONNECTIONS)]
        self.assertFalse(connections[0].transport.disconnecting)
        self.assertEqual(self.ask("GET", "/")[0], 200)
        self.assertEqual([each.transport.disconnecting for each in connections[:2]], [True, False])
        self.assertEqual(self.counted()["http_connections"], MAX_CONNECTIONS - 1)

    def test_one_page_for_all_who_wait(self) -> None:
        """A page is made once at a time; who goes meanwhile is forgotten."""
        first, second, third = (Connection(self.site) for _ in range(3))
        for connection in (first, second, third):
            connection.ask("GET", "/metrics")
        first.hang_up()
        self.assertEqual(self.threads.release(), 1)
        self.assertEqual(first.transport.value(), b"")
        for connection in (second, third):
            self.assertTrue(connection.transport.value().startswith(b"HTTP/1.1 200"))

    def test_a_page_whose_readers_went_is_not_made_twice(self) -> None:
        """The next one gets the page that is under way."""
        first, second = Connection(self.site), Connection(self.site)
        first.ask("GET", "/metrics")
        first.hang_up()
        second.ask("GET", "/metrics")
        self.assertEqual(self.threads.release(), 1)
        self.assertTrue(second.transport.value().startswith(b"HTTP/1.1 200"))

    def test_busy_is_not_broken(self) -> None:
        """503 and why while no thread is free; then again 200."""
        self.threads.full = True
        code, _, body = self.ask("GET", "/metrics")
        self.assertEqual((code, body), (503, "all threads are taken\n"))
        self.threads.full = False
        self.assertEqual(self.ask("GET", "/metrics")[0], 200)

    def test_a_bug_is_said_and_logged(self) -> None:
        """500 for the caller, without what is whose business; the log has it."""
        self.known.broken = True
        code, _, body = self.ask("GET", "/metrics")
        self.assertEqual(code, 500)
        self.assertNotIn("ZeroDivisionError", body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.known.broken = False
        self.assertEqual(self.ask("GET", "/metrics")[0], 200)
