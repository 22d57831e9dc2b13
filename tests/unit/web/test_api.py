"""The API over connections in memory: verbs, changes, errors, sessions and streams."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gomd.web.limits import HEARTBEAT, MAX_WRONG_TOKENS, RECHECK, STALL_TIMEOUT, TOKEN_CACHE
from libgomd.model import Caller, Event, EventKind, Role
from libgomd.testing import MemoryDaemon
from tests.unit.web.memory_site import RULES, TOKENS, Answer, Connection, Site, unchunked

ADMIN = "Bearer admin-token"


class VerbTests(SynchronousTestCase):
    """Verbs by URL."""

    def setUp(self) -> None:
        self.web = Site()

    def test_values_and_rows(self) -> None:
        """As the telnet line's JSON has them."""
        self.assertEqual(self.web.ask("GET", "/api/v1/load").json, {"value": 0})
        [row] = self.web.ask("GET", "/api/v1/nodes").json["rows"]
        self.assertEqual(row["id"], 1)
        self.assertEqual(self.web.ask("GET", "/api/v1/load/1").json, {"value": 0})
        self.assertEqual(self.web.ask("GET", "/api/v1/load?node=1").json, {"value": 0})
        [row] = self.web.ask("GET", "/api/v1/nodes?node=all").json["rows"]
        self.assertEqual(row["from"], 1)
        answer = self.web.ask("GET", "/api/v1/get/proc/hpc/nodes/1/load")
        self.assertEqual(answer.json, {"value": {"path": "/proc/hpc/nodes/1/load", "text": "0"}})
        self.assertEqual(answer.header("Content-Type"), "application/json")

    def test_errors(self) -> None:
        """Each with its code and one sentence; 405 of the line is 422."""
        for code, method, path, body in (
            (404, "GET", "/api/v1/nope", None), (404, "GET", "/api/v1/", None),
            (404, "GET", "/api", None), (404, "GET", "/api/", None), (404, "GET", "/api/v1", None),
            (404, "POST", "/api/v2/kill", {}),
            (404, "GET", "/api/v1/attach/1", None), (404, "POST", "/api/v1/moved", {}),
            (404, "GET", "/api/v1/load/77", None), (400, "GET", "/api/v1/ps?bad=1", None),
            (400, "GET", "/api/v1/ps?top=x", None), (400, "GET", "/api/v1/load/1/2", None),
            (400, "GET", "/api/v1/load/%ff", None), (400, "GET", "/api/v1/load/1%0anodes", None),
            (400, "GET", f"/api/v1/load/{'x' * 5000}", None), (400, "GET", "/api/v1/ps?top=1&top=2", None),
            (403, "GET", "/api/v1/get/etc/passwd", None),
            (403, "GET", "/api/v1/get/proc/../etc/passwd", None),
            (403, "GET", "/api/v1/get/proc%2f..%2fetc/passwd", None),
            (422, "GET", "/api/v1/get/proc/hpc", None), (405, "POST", "/api/v1/load", {}),
            (405, "GET", "/api/v1/kill", None), (405, "PUT", "/api/v1/kill", {}),
            (403, "POST", "/api/v1/kill", {"job": 1}), (400, "POST", "/api/v1/kill", {}),
            (400, "POST", "/api/v1/kill", []), (400, "POST", "/api/v1/kill", {"job": 1, "x": 2}),
            (404, "GET", "/api/v1/watch/nope", None), (400, "GET", "/api/v1/watch/load?n=x", None),
            (405, "POST", "/api/v1/watch/load", {}), (404, "GET", "/api/v1/watch/", None),
            (400, "GET", "/api/v1/watch/help", None), (403, "GET", "/api/v1/watch/attach/1", None),
        ):  # fmt: skip
            answer = self.web.ask(method, path, body)
            self.assertEqual(answer.code, code, (path, answer.body))
            self.assertTrue(answer.error)
        self.assertEqual(self.web.ask("GET", "/api/v1/kill").header("Allow"), "POST")

    def test_changes(self) -> None:
        """By POST, with the arguments in the path or in the body."""
        for path, body, value in (
            ("/api/v1/stay", None, {"status": 7, "words": "up,stay"}),
            ("/api/v1/nostay", {}, {"status": 3, "words": "up"}),
            ("/api/v1/nostay", {"node": 1}, {"status": 3, "words": "up"}),
            ("/api/v1/setspeed", {"n": 1500}, 1500),
            ("/api/v1/setspeed/1600", {}, 1600),
            ("/api/v1/put", {"path": "/proc/hpc/admin/stay", "value": 1},
             {"path": "/proc/hpc/admin/stay", "value": "1"}),
        ):  # fmt: skip
            answer = self.web.ask("POST", path, body, Authorization=ADMIN)
            self.assertEqual((answer.code, answer.json), (200, {"value": value}), path)
        self.assertEqual(self.web.ask("GET", "/api/v1/speed").json, {"value": 1600})

    def test_roles(self) -> None:
        """The same as on the line: nobody does more over HTTP."""
        for token, code in ((None, 403), ("user-token", 403), ("admin-token", 200)):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            self.assertEqual(self.web.ask("POST", "/api/v1/block", {}, **headers).code, code, token)
        self.assertEqual(
            self.web.ask("GET", "/api/v1/jobs", Authorization="Bearer user-token").json, {"rows": []}
        )

    def test_anonymous_decides_what_is_read_without_a_token(self) -> None:
        """With metrics and none it is nothing of the API."""
        for anonymous in ("metrics", "none"):
            web = Site(replace(RULES, anonymous=anonymous))
            for path in ("/api/v1/nodes", "/api/v1/watch/load"):
                answer = web.ask("GET", path)
                self.assertEqual(answer.code, 401)
                self.assertIn("sign in", answer.error)
            self.assertEqual(web.ask("GET", "/api/v1/session").json["value"]["role"], "none")
            self.assertEqual(web.ask("GET", "/api/v1/nodes", Authorization=ADMIN).code, 200)

    def test_a_bug_is_said_and_logged(self) -> None:
        """500 without its details."""
        self.web.daemon.dispatch.table.ask = lambda *_: 1 / 0  # type: ignore[assignment,method-assign]
        answer = self.web.ask("GET", "/api/v1/load")
        self.assertEqual(answer.code, 500)
        self.assertNotIn("division", answer.error)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class SignInTests(SynchronousTestCase):
    """Tokens, cookies and keys."""

    def setUp(self) -> None:
        self.web = Site()

    def sign_in(self, token: str = "admin-token") -> tuple[str, str]:
        """Sign in; return the cookie and the key."""
        answer = self.web.ask("POST", "/api/v1/session", {"token": token})
        self.assertEqual(answer.code, 200, answer.body)
        cookie = answer.header("Set-Cookie")
        for attribute in ("Path=/api/v1/", "HttpOnly", "SameSite=Strict"):
            self.assertIn(f"; {attribute}", cookie)
        self.assertNotIn("Secure", cookie)
        self.assertRegex(cookie, "^gomd-2980-[0-9a-f]{8}=")
        return cookie.partition(";")[0], answer.json["value"]["key"]

    def role(self, **headers: str) -> str:
        """Return as whom one is answered."""
        answer = self.web.ask("GET", "/api/v1/session", **headers)
        return str(answer.json["value"]["role"]) if answer.code == 200 else str(answer.code)

    def test_a_session_needs_both_values(self) -> None:
        """The cookie alone gives what anonymous gives; the key alone, or a wrong one, is 401."""
        cookie, key = self.sign_in()
        self.assertEqual(self.role(Cookie=f"other=1; {cookie}", X_Gomd_Session=key), "admin")
        self.assertEqual(self.role(Cookie=cookie), "read")
        for headers in (
            {"X_Gomd_Session": key}, {"Cookie": cookie, "X_Gomd_Session": "x"},
            {"Cookie": "gomd-2980=x", "X_Gomd_Session": key}, {"Cookie": cookie, "X_Gomd_Session": ""},
            {"Cookie": cookie, "X_Gomd_Session": key.partition(".")[2]},
            {"Cookie": cookie, "X_Gomd_Session": "."},
            {"Cookie": f"{cookie.partition('=')[0]}=x", "X_Gomd_Session": key},
        ):  # fmt: skip
            self.assertEqual(self.role(**headers), "401", headers)
        other_cookie, _ = self.sign_in("user-token")
        self.assertEqual(self.role(Cookie=other_cookie, X_Gomd_Session=key), "401")

    def test_each_tab_may_have_a_session_of_its_own(self) -> None:
        """Signing in again ends none, of no user; cookies of sessions that are over are removed."""
        first, key = self.sign_in()
        second, other_key = self.sign_in("user-token")
        both = f"{first}; {second}; gomd-2980-00000000=old; gomd-80-00000000=another"
        self.assertEqual(self.role(Cookie=both, X_Gomd_Session=key), "admin")
        self.assertEqual(self.role(Cookie=both, X_Gomd_Session=other_key), "user")
        self.web.ask("DELETE", "/api/v1/session", Cookie=both, X_Gomd_Session=key)
        self.assertEqual(self.role(Cookie=both, X_Gomd_Session=key), "401")
        self.assertEqual(self.role(Cookie=both, X_Gomd_Session=other_key), "user")
        answer = self.web.ask("POST", "/api/v1/session", {"token": "admin-token"}, Cookie=both)
        told = [line for line in answer.head.split("\r\n") if line.lower().startswith("set-cookie: ")]
        removed = {line.partition(": ")[2].partition("=")[0] for line in told if "Max-Age=0" in line}
        self.assertEqual(removed, {"gomd-2980-00000000", first.partition("=")[0]})

    def test_signing_out_ends_it_in_every_tab(self) -> None:
        """The same cookie and key are 401 afterwards."""
        cookie, key = self.sign_in()
        answer = self.web.ask("DELETE", "/api/v1/session", Cookie=cookie, X_Gomd_Session=key)
        self.assertEqual(answer.json, {"value": None})
        self.assertIn("Max-Age=0", answer.header("Set-Cookie"))
        self.assertEqual(self.role(Cookie=cookie, X_Gomd_Session=key), "401")

    def test_a_removed_token_ends_its_sessions(self) -> None:
        """Within seconds, in which a good token is not looked up again."""
        cookie, key = self.sign_in()
        self.web.tokens.clear()
        self.web.daemon.clock.advance(3)
        self.assertEqual(self.role(Cookie=cookie, X_Gomd_Session=key), "401")
        self.web.tokens.update(TOKENS)
        self.assertEqual(self.role(Cookie=cookie, X_Gomd_Session=key), "401")

    def test_under_tls_the_cookie_is_secure(self) -> None:
        """It is never sent in clear text."""
        web = Site(replace(RULES, secure=True))
        answer = web.ask("POST", "/api/v1/session", {"token": "admin-token"}, Origin="https://localhost")
        self.assertIn("; Secure", answer.header("Set-Cookie"))

    def test_tokens_are_never_in_a_query(self) -> None:
        """400, and nothing is signed in."""
        self.assertEqual(self.web.ask("GET", "/api/v1/whoami?token=admin-token").code, 400)
        self.assertEqual(self.web.ask("GET", "/api/v1/auth/admin-token").code, 405)
        self.assertEqual(self.web.ask("POST", "/api/v1/auth", {"token": "admin-token"}).code, 200)

    def test_guessing_is_refused(self) -> None:
        """429 after so many unknown tokens of one address, even with one that was not good before."""
        for _ in range(MAX_WRONG_TOKENS):
            self.assertEqual(self.role(Authorization="Bearer wrong"), "401")
        self.assertEqual(self.role(Authorization=ADMIN), "429")
        self.assertEqual(self.web.ask("POST", "/api/v1/session", {"code": "x"}).code, 429)
        self.assertEqual(self.role(), "read")
        self.web.daemon.clock.advance(61)
        self.assertEqual(self.role(Authorization=ADMIN), "admin")

    def test_guessing_keeps_nobody_out_who_was_in(self) -> None:
        """Many share an address, as 127.0.0.1: a token that was good, and a good code, are still taken."""
        self.assertEqual(self.role(Authorization=ADMIN), "admin")
        for _ in range(MAX_WRONG_TOKENS):
            self.assertEqual(self.role(Authorization="Bearer wrong"), "401")
        code = self.web.site.sessions.new_code(Caller(Role.USER, "ada", 1001, "unix"))
        self.assertEqual(self.web.ask("POST", "/api/v1/session", {"code": code}).code, 200)
        self.assertEqual(self.web.ask("POST", "/api/v1/session", {"code": code}).code, 429)
        for _ in range(3):
            self.web.daemon.clock.advance(TOKEN_CACHE + 1)
            self.assertEqual(self.role(Authorization=ADMIN), "admin")
        self.assertEqual(self.role(Authorization="Bearer user-token"), "429")
        del self.web.tokens["admin-token"]
        self.web.daemon.clock.advance(TOKEN_CACHE + 1)
        self.assertEqual([self.role(Authorization=ADMIN) for _ in range(2)], ["401", "429"])

    def test_a_code_is_good_once_for_a_minute(self) -> None:
        """It makes the caller for whom the kernel vouched."""
        ada = Caller(Role.USER, "ada", 1001, "unix")
        code = self.web.site.sessions.new_code(ada)
        answer = self.web.ask("POST", "/api/v1/session", {"code": code})
        self.assertEqual((answer.json["value"]["role"], answer.json["value"]["uid"]), ("user", 1001))
        cookie = answer.header("Set-Cookie").partition(";")[0]
        headers = {"Cookie": cookie, "X_Gomd_Session": answer.json["value"]["key"]}
        self.assertEqual(self.role(**headers), "user")
        told = self.web.ask("GET", "/api/v1/whoami", **headers).json["value"]
        self.assertEqual(told["via"], "tcp 127.0.0.1:4711")
        self.assertEqual(self.web.ask("POST", "/api/v1/session", {"code": code}).code, 401)
        late = self.web.site.sessions.new_code(ada)
        self.web.daemon.clock.advance(60)
        self.assertEqual(self.web.ask("POST", "/api/v1/session", {"code": late}).code, 401)

    def test_what_is_no_sign_in(self) -> None:
        """400 for anything else in the body."""
        wrong: tuple[object, ...] = ({}, {"token": 1}, {"token": "a", "code": "b"}, {"code": None}, [], "x")
        for body in wrong:
            self.assertEqual(self.web.ask("POST", "/api/v1/session", body).code, 400, body)


class StreamTests(SynchronousTestCase):
    """Server-sent events."""

    def setUp(self) -> None:
        self.web = Site()

    def watch(self, path: str, **headers: str) -> Connection:
        """Begin to watch."""
        connection = Connection(self.web.site)
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        connection.say(f"GET /api/v1/watch/{path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        self.web.daemon.settle()
        self.addCleanup(connection.hang_up)
        return connection

    def test_each_round_is_one_message(self) -> None:
        """With its number; at the end of the count the stream ends."""
        watcher = self.watch("nodes?n=1&c=2")
        self.web.daemon.advance(1.2)
        answer = watcher.answer()
        self.assertEqual(answer.header("Content-Type"), "text/event-stream; charset=utf-8")
        messages = answer.body.strip().split("\n\n")
        self.assertEqual(messages[0], "retry: 2000")
        for number, text in enumerate(messages[1:], 1):
            head, data = text.split("\n")
            self.assertEqual(head, f"id: {number}")
            [row] = json.loads(data.removeprefix("data: "))["rows"]
            self.assertEqual(row["id"], 1)
        self.assertEqual(len(messages), 3)
        self.assertTrue(watcher.transport.disconnecting)

    def test_compressed_it_is_the_same(self) -> None:
        """For a client that takes gzip; each message can be read as it comes."""
        packed, plain = self.watch("nodes?n=1&c=2", Accept_Encoding="gzip, br"), self.watch("nodes?n=1&c=2")
        self.web.daemon.advance(1.2)
        text = packed.transport.value()
        self.assertIn(b"Content-Encoding: gzip", text)
        body = unchunked(text.partition(b"\r\n\r\n")[2])
        self.assertEqual(gzip.decompress(body).decode(), plain.answer().body)

    def test_events_and_what_came_before(self) -> None:
        """Each as it happens; with resync=1 the recent ones come first."""
        events = self.web.daemon.dispatch.parts.events
        events.publish(Event(1.0, EventKind.UP, 1, "one", "before", 1))
        watcher, plain = self.watch("events?resync=1"), self.watch("events")
        events.publish(Event(2.0, EventKind.DOWN, 1, "one", "after", 1))
        self.web.daemon.settle()
        told = [
            json.loads(line[6:]) for line in watcher.answer().body.split("\n") if line.startswith("data: ")
        ]
        self.assertEqual([[row["reason"] for row in each["rows"]] for each in told], [["before"], ["after"]])
        self.assertEqual(told[0]["resync"], True)
        self.assertNotIn("before", plain.answer().body)

    def test_silence_has_heartbeats(self) -> None:
        """So that both ends know that the other is there."""
        watcher = self.watch("events")
        self.web.daemon.clock.advance(HEARTBEAT)
        self.web.daemon.clock.advance(HEARTBEAT)
        self.assertEqual(watcher.answer().body.count(": gomd\n\n"), 2)

    def test_a_slow_reader_gets_the_newest_round_and_none_pile_up(self) -> None:
        """While it does not read, nothing is written; one that never reads is dropped."""
        watcher = self.watch("load?n=1")
        written = len(watcher.transport.value())
        watcher.channel.pauseProducing()
        for _ in range(5):
            self.web.daemon.advance(1.0)
        self.assertLess(len(watcher.transport.value()) - written, 60)
        watcher.channel.resumeProducing()
        self.web.daemon.advance(0.5)
        self.assertLess(len(watcher.transport.value()) - written, 120)
        watcher.channel.pauseProducing()
        self.web.daemon.advance(STALL_TIMEOUT + 1)
        self.assertTrue(watcher.transport.disconnecting)

    def test_whoever_lost_their_rights_is_told(self) -> None:
        """A removed token ends its streams within seconds, and signing out at once, in every tab."""
        answer = self.web.ask("POST", "/api/v1/session", {"token": "user-token"})
        session = {
            "Cookie": answer.header("Set-Cookie").partition(";")[0],
            "X_Gomd_Session": answer.json["value"]["key"],
        }
        by_session, by_token = self.watch("load", **session), self.watch("load", Authorization=ADMIN)
        other_tab = self.watch("events", **session)
        anonymous = self.watch("load")
        self.web.ask("DELETE", "/api/v1/session", **session)
        self.web.daemon.advance(0.1)
        for each in (by_session, other_tab):
            self.assertIn('event: signed-out\ndata: {"code": 401', each.answer().body)
        self.assertNotIn("signed-out", by_token.answer().body)
        self.web.tokens.clear()
        self.web.daemon.advance(RECHECK + 0.5)
        self.assertIn("signed-out", by_token.answer().body)
        self.assertTrue(by_token.transport.disconnecting)
        self.assertNotIn("signed-out", anonymous.answer().body)

    def test_streams_are_counted(self) -> None:
        """One that ends, however, is counted no more."""
        self.watch("load"), self.watch("nodes")
        self.assertEqual(self.web.counted()["http_streams"], 2)
        self.doCleanups()
        self.assertEqual(self.web.counted()["http_streams"], 0)

    def test_a_session_that_ends_while_its_token_is_looked_up(self) -> None:
        """Its stream does not begin, and takes no place from others."""
        tokens = CalledWhenAsked(TOKENS)
        self.web = Site(daemon=MemoryDaemon(tokens=tokens))
        for _ in range(3):
            answer = self.web.ask("POST", "/api/v1/session", {"token": "user-token"})
            session = {
                "Cookie": answer.header("Set-Cookie").partition(";")[0],
                "X_Gomd_Session": answer.json["value"]["key"],
            }
            self.web.daemon.advance(TOKEN_CACHE + 1)
            tokens.then = partial(self.web.ask, "DELETE", "/api/v1/session", **session)
            self.assertEqual(self.watch("load", **session).answer().code, 401)
        self.assertEqual(self.web.counted()["http_streams"], 0)


class CalledWhenAsked(dict[str, Caller]):
    """Tokens; when one is looked up, something else happens first. :ivar then: once."""

    then: Callable[[], object] | None = None

    def get(self, key: str, default: Any = None) -> Any:
        """Return the caller with a token."""
        then, self.then = self.then, None
        if then is not None:
            then()
        return super().get(key, default)


def test_the_answer_of_a_test_is_read_right() -> None:
    """A chunked body is put together."""
    text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert Answer(text).body == "abcde"
