"""The Deferred client, against a daemon that says what the test tells it to."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from libgomd.client import Client, connect
from libgomd.connection import MAX_WAITING
from libgomd.errors import (
    ConfigError,
    ConnectionLost,
    MalformedReply,
    MalformedRequest,
    NotAllowed,
    NotFound,
    TimedOut,
    TooMany,
)
from tests.unit.libgomd.connected import Connected
from tests.unit.libgomd.scripted import ScriptedDaemon


class ConnectingTests(SynchronousTestCase):
    """From nothing to a client."""

    def setUp(self) -> None:
        self.clock, self.daemon = Clock(), ScriptedDaemon()

    def test_a_client_is_ready_when_the_daemon_speaks_json(self) -> None:
        """Greeting, then the format, then the user has the client."""
        connecting = self.daemon.client(self.clock)
        [far] = self.daemon.connections
        self.assertEqual(far.heard(), [])
        far.say("220 gomd 0.1.0 node 1 alpha")
        self.assertEqual(far.heard(), ["format json"])
        self.assertNoResult(connecting)
        far.say('200 "json"')
        self.assertIsInstance(self.successResultOf(connecting), Client)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_token_is_shown_first(self) -> None:
        """Where nobody may ask anything without one, even the format waits for it."""
        connecting = self.daemon.client(self.clock, token="s3cret")
        [far] = self.daemon.connections
        far.say("220 gomd 0.1.0 node 1 alpha")
        self.assertEqual(far.heard(), ["auth s3cret"])
        far.say("200 admin ann via tcp")
        self.assertEqual(far.heard(), ["format json"])
        far.say('200 "json"')
        self.successResultOf(connecting)

    def test_a_wrong_token_is_refused_and_the_connection_closed(self) -> None:
        """The daemon's sentence comes through."""
        connecting = self.daemon.client(self.clock, token="wrong")
        [far] = self.daemon.connections
        far.say("220 gomd 0.1.0 node 1 alpha", "403 this token is not known here")
        self.assertIn("not known here", str(self.failureResultOf(connecting, NotAllowed).value))
        self.assertFalse(far.connected)

    def test_a_full_daemon_says_so_instead_of_greeting(self) -> None:
        """The user learns that it is the limit, not that the connection was lost."""
        connecting = self.daemon.client(self.clock)
        self.daemon.connections[0].say("429 too many connections")
        self.failureResultOf(connecting, TooMany)

    def test_another_program_at_the_port_is_noticed(self) -> None:
        """Whatever it says, it is one error and the connection is closed."""
        for said in ("SSH-2.0-OpenSSH_9.2", "200 hello", "201 x", "220", "220 smtp.example.org ESMTP"):
            connecting = self.daemon.client(self.clock, token="s3cret")
            far = self.daemon.connections[-1]
            far.say(said)
            self.failureResultOf(connecting, MalformedReply)
            self.assertEqual(far.heard(), [], "a token for a mail server")
            self.assertFalse(far.connected)

    def test_a_daemon_that_does_not_greet_is_given_up(self) -> None:
        """After the time limit the connection is closed."""
        connecting = self.daemon.client(self.clock)
        self.clock.advance(9.9)
        self.assertNoResult(connecting)
        self.clock.advance(0.2)
        self.assertIn("within 10 seconds", str(self.failureResultOf(connecting, TimedOut).value))
        self.assertFalse(self.daemon.connections[0].connected)

    def test_who_does_not_want_to_wait_leaves_nothing_behind(self) -> None:
        """Cancelling while it connects closes the connection."""
        connecting = self.daemon.client(self.clock)
        connecting.cancel()
        self.failureResultOf(connecting, ConnectionLost)
        self.assertFalse(self.daemon.connections[0].connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_endpoint_becomes_a_connection(self) -> None:
        """tcp and unix endpoints are dialled; anything else is refused in one sentence."""
        reactor = MemoryReactorClock()
        connect(reactor, "tcp:10.0.0.3:2901")
        connect(reactor, "unix:/run/gomd.sock")
        self.assertEqual(reactor.tcpClients[0][:2], ("10.0.0.3", 2901))
        self.assertEqual(reactor.unixClients[0][0], "/run/gomd.sock")
        self.failureResultOf(connect(reactor, "10.0.0.3"), ConfigError)

    def test_cancelling_while_it_dials_is_a_cancellation(self) -> None:
        """Whatever Twisted calls it for this kind of endpoint; nothing is left behind."""
        for endpoint in ("tcp:10.0.0.3:2901", "tcp:[::1]:2901", "tcp:localhost:2901", "unix:/run/gomd.sock"):
            reactor = MemoryReactorClock()
            connecting = connect(reactor, endpoint)
            connecting.cancel()
            self.failureResultOf(connecting, CancelledError)
            self.assertEqual(reactor.getDelayedCalls(), [])

    def test_where_nobody_listens_is_said(self) -> None:
        """The endpoint and the reason stand in the error."""
        reactor = MemoryReactorClock()
        connecting = connect(reactor, "tcp:10.0.0.3:2901")
        self.assertNoResult(connecting)
        reactor.advance(60)
        error = self.failureResultOf(connecting, ConnectionLost, TimedOut)
        self.assertTrue(str(error.value))


class CallingTests(Connected):
    """Questions and answers."""

    def test_requests_are_sent_at_once_and_answered_in_order(self) -> None:
        """A program may ask a hundred things without waiting in between."""
        asked: list[Deferred[int]] = [self.client.load(number) for number in range(1, 101)]
        self.assertEqual(self.far.heard(), [f"load {number}" for number in range(1, 101)])
        self.far.say(*(f"200 {number}" for number in range(1, 101)))
        self.assertEqual([self.successResultOf(answer) for answer in asked], list(range(1, 101)))

    def test_an_answer_may_come_in_any_pieces(self) -> None:
        """Byte by byte is as good as at once."""
        asked = self.client.ls("/proc")
        for byte in b'201 2 names\r\n{"name": "1"}\r\n{"name": "hpc"}\r\n.\r\n':
            self.assertNoResult(asked)
            self.far.near.dataReceived(bytes([byte]))
        self.assertEqual(self.successResultOf(asked), ["1", "hpc"])

    def test_a_refusal_fails_its_own_call_only(self) -> None:
        """The next answer goes to the next question."""
        first, second = self.client.where(4711), self.client.load()
        self.far.say("404 no process 4711", "200 5")
        self.failureResultOf(first, NotFound)
        self.assertEqual(self.successResultOf(second), 5)

    def test_a_cancelled_call_does_not_mix_up_the_others(self) -> None:
        """Its answer is dropped when it comes, block and all; the connection stays."""
        first, second, third = self.client.load(1), self.client.ls("/proc"), self.client.load(3)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.far.say("200 1", "201 names", '{"name": "x"}', ".", "200 3")
        self.assertEqual((self.successResultOf(first), self.successResultOf(third)), (1, 3))
        self.assertTrue(self.far.connected)

    def test_a_late_answer_is_an_error_and_is_dropped_when_it_comes(self) -> None:
        """After the time limit the caller goes on; the connection can still be used."""
        late = self.client.load()
        self.clock.advance(10.1)
        self.assertIn("load did not come within 10", str(self.failureResultOf(late, TimedOut).value))
        asked = self.client.load()
        self.far.say("200 1", "200 2")
        self.assertEqual(self.successResultOf(asked), 2)

    def test_what_may_take_long_is_waited_for(self) -> None:
        """`bring` answers when everybody is home, an hour later."""
        bringing = self.client.bring()
        self.clock.advance(3600)
        self.far.say("200 null")
        self.assertIsNone(self.successResultOf(bringing))

    def test_a_lost_connection_fails_all_that_wait_and_all_that_come(self) -> None:
        """Each of them with the same clear error; `lost` tells who wants to connect again."""
        waiting = [self.client.load(), self.client.nodes()]
        self.far.say("201 nodes")
        self.far.loseConnection()
        for asked in [*waiting, self.client.load()]:
            self.failureResultOf(asked, ConnectionLost)
        self.successResultOf(self.client.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_farewell_is_passed_on(self) -> None:
        """An idle connection's end is told with the daemon's own words."""
        self.far.say("504 idle for 600 s: bye")
        self.assertIn("idle for 600 s", str(self.failureResultOf(self.client.load(), ConnectionLost).value))
        self.assertFalse(self.far.connected)

    def test_nonsense_in_the_middle_ends_the_connection(self) -> None:
        """After it no answer could be trusted to be the right one."""
        first, second = self.client.load(), self.client.load()
        self.far.say("hello", "200 1", "200 2")
        self.failureResultOf(first, MalformedReply)
        self.failureResultOf(second, MalformedReply)
        self.assertFalse(self.far.connected)

    def test_an_answer_that_is_none_ends_the_connection(self) -> None:
        """What comes behind it is taken for no answer to the next question."""
        for code in (202, 220, 221, 299):
            connecting = self.daemon.client(self.clock)
            far = self.welcome()
            client = self.successResultOf(connecting)
            asked, next_one = client.ps(), client.load()
            far.say(f"{code} what")
            self.failureResultOf(asked, MalformedReply)
            self.failureResultOf(next_one, ConnectionLost)
            self.assertFalse(far.connected)

    def test_a_value_of_the_wrong_sort_fails_its_own_call_only(self) -> None:
        """The reply was whole, so the next one is right again."""
        first, second = self.client.load(), self.client.load()
        self.far.say('200 "much"', "200 2")
        self.failureResultOf(first, MalformedReply)
        self.assertEqual(self.successResultOf(second), 2)

    def test_a_request_that_is_no_line_is_not_sent(self) -> None:
        """It fails like a refusal, and nothing else suffers."""
        self.failureResultOf(self.client.get("/proc/stat\nshutdown"), MalformedRequest)
        self.assertEqual(self.far.heard(), [])

    def test_requests_do_not_pile_up_without_bound(self) -> None:
        """A daemon that does not answer cannot fill the client's memory with its questions."""
        asked = [self.client.load() for _ in range(MAX_WAITING)]
        self.failureResultOf(self.client.load(), TooMany)
        self.far.say(*["200 1"] * MAX_WAITING)
        self.assertEqual(self.successResultOf(asked[-1]), 1)

    def test_close_fails_what_waits_and_is_idempotent(self) -> None:
        """After it everything says that the client is closed."""
        waiting = self.client.load()
        self.successResultOf(self.client.close())
        self.successResultOf(self.client.close())
        for asked in (waiting, self.client.load()):
            self.assertIn("closed", str(self.failureResultOf(asked, ConnectionLost).value))
        self.failureResultOf(self.started(self.client.watch_events().__anext__()), ConnectionLost)
        self.assertEqual(self.clock.getDelayedCalls(), [])
