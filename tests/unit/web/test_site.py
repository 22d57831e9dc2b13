"""The HTTP server, byte by byte over connections in memory: /metrics, limits, hosts and origins."""

from __future__ import annotations

import re
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families as parse_text
from twisted.trial.unittest import SynchronousTestCase

from gomd.web.limits import (
    MAX_BODIES_BYTES,
    MAX_BODY_BYTES,
    MAX_CONNECTIONS,
    REFUSAL_LINGER,
    REQUEST_TIMEOUT,
)
from gomd.web.pages import STATIC
from tests.unit.web.memory_site import RULES, Connection, Site


class MetricsTests(SynchronousTestCase):
    """What Prometheus reads."""

    def setUp(self) -> None:
        self.web = Site()

    def test_the_metrics(self) -> None:
        """In the text format, as long as announced; nothing keeps them; the connection ends behind them."""
        answer = self.web.ask("GET", "/metrics")
        self.assertEqual(answer.code, 200)
        found = {family.name: family.samples[0].value for family in parse_text(answer.body)}
        self.assertEqual((found["gomd_node_load"], found["gomd_processes"]), (44, 3))
        for header in (
            "Content-Type: text/plain; version=0.0.4; charset=utf-8", f"Content-Length: {len(answer.body)}",
            "Connection: close", "Cache-Control: no-store",
        ):  # fmt: skip
            self.assertIn(header, answer.head)

    def test_openmetrics_when_asked(self) -> None:
        """As Prometheus asks."""
        answer = self.web.ask("GET", "/metrics?x=1", Accept="application/openmetrics-text;q=0.5")
        self.assertEqual(answer.code, 200)
        self.assertIn("Content-Type: application/openmetrics-text; version=1.0.0", answer.head)
        self.assertTrue(answer.body.endswith("# EOF\n"))

    def test_head(self) -> None:
        """The same headers, no body."""
        answer = self.web.ask("HEAD", "/metrics")
        self.assertEqual((answer.code, answer.body), (200, ""))
        self.assertNotEqual(answer.header("Content-Length"), "0")

    def test_only_reading(self) -> None:
        """405 for every other method, which says what is allowed."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"):
            answer = self.web.ask(method, "/metrics")
            self.assertEqual((answer.code, answer.header("Allow")), (405, "GET, HEAD"), method)
        self.assertEqual(self.web.counted()["http_refused"], 6)

    def test_one_page_for_all_who_wait(self) -> None:
        """A page is made once at a time; who goes meanwhile is forgotten."""
        first, second, third = (Connection(self.web.site) for _ in range(3))
        for connection in (first, second, third):
            connection.ask("/metrics")
        first.hang_up()
        self.assertEqual(self.web.threads.release(), 1)
        self.assertEqual(first.transport.value(), b"")
        for connection in (second, third):
            self.assertEqual(connection.answer().code, 200)

    def test_a_page_whose_readers_went_is_not_made_twice(self) -> None:
        """The next one gets the page that is under way."""
        first, second = Connection(self.web.site), Connection(self.web.site)
        first.ask("/metrics")
        first.hang_up()
        second.ask("/metrics")
        self.assertEqual(self.web.threads.release(), 1)
        self.assertEqual(second.answer().code, 200)

    def test_busy_is_not_broken(self) -> None:
        """503 and why while no thread is free; then again 200."""
        self.web.threads.full = True
        answer = self.web.ask("GET", "/metrics")
        self.assertEqual((answer.code, answer.body), (503, "all threads are taken\n"))
        self.web.threads.full = False
        self.assertEqual(self.web.ask("GET", "/metrics").code, 200)

    def test_a_bug_is_said_and_logged(self) -> None:
        """500 for the caller, without what is whose business; the log has it."""
        self.web.known.broken = True
        answer = self.web.ask("GET", "/metrics")
        self.assertEqual(answer.code, 500)
        self.assertNotIn("ZeroDivisionError", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.web.known.broken = False
        self.assertEqual(self.web.ask("GET", "/metrics").code, 200)

    def test_with_anonymous_none_they_need_a_token(self) -> None:
        """401, and 200 with one."""
        web = Site(replace(RULES, anonymous="none"))
        self.assertEqual(web.ask("GET", "/metrics").code, 401)
        self.assertEqual(web.ask("GET", "/metrics", Authorization="Bearer nobody").code, 401)
        self.assertEqual(web.ask("GET", "/metrics", Authorization="Bearer user-token").code, 200)


class LimitTests(SynchronousTestCase):
    """What no client can use up."""

    def setUp(self) -> None:
        self.web = Site()
        self.clock = self.web.daemon.clock

    def test_nothing_else_is_there(self) -> None:
        """404 for every other path, however it is written."""
        for path in ("/x", "/metrics/", "/metrics/x", "//metrics", "/%2e%2e/metrics", "/..", "/metrics%00",
                     "/../setup.cfg", "/static/index.html", "/limits.py"):  # fmt: skip
            self.assertEqual(self.web.ask("GET", path).code, 404, path)
        self.assertEqual(self.web.threads.held, [])

    def test_the_page_names_all_of_its_modules(self) -> None:
        """So that the browser loads them at once, not one after the other as each one imports the next."""
        text = self.web.ask("GET", "/").body
        modules = {path.name for path in STATIC.glob("*.js")} - {"app.js", "worker.js"}
        self.assertEqual(set(re.findall(r'modulepreload" href="/([a-z]+\.js)"', text)), modules)
        for name in modules | {"app.js", "worker.js"}:
            self.assertEqual(self.web.ask("GET", f"/{name}").code, 200, name)

    def test_a_body_that_is_too_long_is_refused_before_it_comes(self) -> None:
        """413 for a gigabyte that is announced, or that comes in chunks; then the connection ends."""
        for head, body in (
            ("Content-Length: 1073741824", b""),
            ("Transfer-Encoding: chunked", b"100000\r\n" + b"x" * (MAX_BODY_BYTES + 1)),
        ):
            connection = Connection(self.web.site)
            connection.say(f"POST /api/v1/kill HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
            connection.say(body)
            self.assertEqual(connection.answer().code, 413, head)
            connection.say(b"x" * 100_000)
            self.assertEqual(connection.channel.requests[-1].content.tell(), 0)
            self.clock.advance(REFUSAL_LINGER)
            self.assertTrue(connection.transport.disconnecting)
            connection.hang_up()

    def test_what_comes_behind_a_refusal_is_left_unread(self) -> None:
        """After a megabyte, so that a gigabyte costs no time."""
        connection = Connection(self.web.site)
        connection.say(b"POST /api/v1/kill HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n")
        for _ in range(16):
            connection.say(b"x" * 65536)
        self.assertEqual(connection.transport.producerState, "producing")
        connection.say(b"x")
        self.assertEqual(connection.transport.producerState, "paused")
        self.web.daemon.clock.advance(2)
        self.assertTrue(connection.transport.disconnecting)

    def test_many_bodies_together_are_limited(self) -> None:
        """429 for what is too much of all; what has gone makes room."""
        head = f"POST /api/v1/kill HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n"
        count = MAX_BODIES_BYTES // (MAX_BODY_BYTES - 1) + 1
        callers = [Connection(self.web.site) for _ in range(count)]
        for each in callers:
            each.say(head.encode() + b"x" * (MAX_BODY_BYTES - 1))
        self.assertEqual([each.answer().code for each in callers], [0] * (count - 1) + [429])
        callers[0].hang_up()
        late = Connection(self.web.site)
        late.say(head.encode() + b"x" * (MAX_BODY_BYTES - 1))
        self.assertEqual(late.answer().code, 0)

    def test_endless_headers_are_refused(self) -> None:
        """With 400, at sixteen kilobytes; a long request line, too."""
        for text in (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000, b"GET /" + b"x" * 20000):
            connection = Connection(self.web.site)
            answer = connection.say(text)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400") or connection.transport.disconnecting)
            self.assertTrue(connection.transport.disconnecting)

    def test_requests_of_a_connection_are_answered_one_by_one(self) -> None:
        """What is sent behind the first one waits; none is lost."""
        connection = Connection(self.web.site)
        connection.say(b"GET /api/v1/load HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        self.web.daemon.settle()
        self.assertEqual(connection.transport.value().count(b"HTTP/1.1 200"), 3)
        self.assertFalse(connection.transport.disconnecting)

    def test_a_request_that_does_not_come_ends_the_connection(self) -> None:
        """Whoever sends a byte now and then, or nothing after an answer, is dropped in time."""
        for begin in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            connection = Connection(self.web.site)
            connection.say(begin)
            for _ in range(int(REQUEST_TIMEOUT) - 1):
                connection.say(b"G")
                self.clock.advance(1.0)
            self.assertFalse(connection.transport.disconnecting)
            self.clock.advance(1.1)
            self.assertTrue(connection.transport.disconnecting)
            connection.hang_up()

    def test_nothing_ticks_afterwards(self) -> None:
        """A connection that is gone leaves nothing on the clock."""
        before = len(self.clock.getDelayedCalls())
        self.web.ask("GET", "/metrics")
        self.web.ask("GET", "/api/v1/load")
        self.web.ask("GET", "/api/v1/watch/load")
        self.web.ask("GET", "/api/v1/watch/events")
        self.assertEqual(len(self.clock.getDelayedCalls()), before)
        self.assertEqual(self.web.counted()["http_streams"], 0)

    def test_there_is_always_room_for_one_more(self) -> None:
        """The address with the most connections loses the one that is idle for longest."""
        other = Connection(self.web.site, "10.0.0.9")
        connections = [Connection(self.web.site) for _ in range(MAX_CONNECTIONS - 1)]
        connections[0].ask("/api/v1/watch/events")
        self.addCleanup(connections[0].hang_up)
        self.assertEqual(self.web.ask("GET", "/").code, 200)
        self.assertEqual([each.transport.disconnecting for each in connections[:3]], [False, True, False])
        self.assertFalse(other.transport.disconnecting)
        self.assertEqual(self.web.counted()["http_connections"], MAX_CONNECTIONS - 1)


class OriginTests(SynchronousTestCase):
    """What a page of another site can make a browser do: nothing."""

    def setUp(self) -> None:
        self.web = Site()

    def test_names_that_are_not_ours_are_misdirected(self) -> None:
        """Rebinding needs a name. Addresses, localhost and this node's name are answered, on any port."""
        for host in (
            "evil.example",
            "localhost.evil.example",
            "alpha.evil.example:2980",
            "",
            "127.0.0.1.nip.io",
        ):
            for path in ("/", "/metrics", "/api/v1/load"):
                self.assertEqual(self.web.ask("GET", path, host=host).code, 421, (host, path))
        for host in (
            "localhost:2980",
            "LOCALHOST",
            "alpha",
            "Alpha.:80",
            "127.0.0.1:2980",
            "[::1]:2980",
            "10.9.8.7",
        ):
            self.assertEqual(self.web.ask("GET", "/api/v1/load", host=host).code, 200, host)

    def test_two_hosts_are_none(self) -> None:
        """So that nothing before gomd decides by another one."""
        answer = Connection(self.web.site).say(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 421"))

    def test_only_our_own_page_changes_something(self) -> None:
        """A POST of another origin is 403 whatever it carries; without an origin it is no browser's."""
        token = "Bearer admin-token"
        for wrong in (
            {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "https://localhost"},
            {"Origin": "http://localhost:81"}, {"Sec_Fetch_Site": "cross-site"},
        ):  # fmt: skip
            answer = self.web.ask("POST", "/api/v1/stay", {}, Authorization=token, **wrong)
            self.assertIn("another origin", answer.error, wrong)
        for site in ("cross-site", "same-site"):
            self.assertEqual(self.web.ask("GET", "/api/v1/watch/load", Sec_Fetch_Site=site).code, 403)
            self.assertEqual(self.web.ask("GET", "/", Sec_Fetch_Site=site).code, 200)
        for right in ({"Origin": "http://localhost", "Sec_Fetch_Site": "same-origin"}, {}):
            self.assertEqual(self.web.ask("POST", "/api/v1/stay", {}, Authorization=token, **right).code, 200)

    def test_every_answer_says_what_browsers_may_do(self) -> None:
        """No sniffing, no frames, no other origin, whatever the path and the code."""
        for path in ("/", "/none", "/metrics", "/api/v1/load", "/api/v1/none"):
            answer = self.web.ask("GET", path)
            self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff", path)
            self.assertIn("frame-ancestors 'none'", answer.header("Content-Security-Policy"), path)
            self.assertNotIn("Access-Control-Allow", answer.head)
        policy = self.web.ask("GET", "/").header("Content-Security-Policy")
        self.assertIn("script-src 'self';", policy)
        self.assertIn("require-trusted-types-for 'script'", policy)
        self.assertNotIn("unsafe", policy)

    def test_in_clear_text_to_other_machines_there_are_metrics_only(self) -> None:
        """Neither the page nor the API, with a token or without."""
        web = Site(replace(RULES, signs_in=False, anonymous="read"))
        self.assertEqual(web.ask("GET", "/metrics").code, 200)
        for path in ("/", "/api/v1/load", "/api/v1/session"):
            self.assertEqual(web.ask("GET", path, Authorization="Bearer admin-token").code, 403, path)
        answer = web.ask("POST", "/api/v1/session", {"token": "admin-token"})
        self.assertIn("tls = yes", answer.error)
