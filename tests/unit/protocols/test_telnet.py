"""The telnet line: order, bounds and ends of a conversation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.interfaces import ICommands
from gomd.protocols.flow import MAX_GATHERED_PIECES
from gomd.protocols.telnet import MAX_QUEUED_REQUESTS
from gomd.protocols.telnet_factory import Limits
from gomd.sources.memory import MemorySource
from libgomd.errors import SourceUnavailable
from libgomd.model import Caller, Event, EventKind, Output, Process, Role
from libgomd.testing import START_TIME, MemoryDaemon
from libgomd.wire.tree import TreePath
from tests.unit.protocols.talk import Talk, a_process, crowded

MANY = 205


class OrderTests(SynchronousTestCase):
    """A reply for each request, in their order."""

    def test_it_greets_and_then_waits(self) -> None:
        """Nothing comes unasked."""
        talk = Talk(MemoryDaemon())
        self.assertRegex(talk.greeting, r"\A220 gomd \S+ node 1 memory\r\n\Z")
        talk.daemon.advance(30.0)
        self.assertEqual(talk.heard(), "")

    def test_what_is_asked_behind_a_long_reply_waits_for_it(self) -> None:
        """The block ends before the next status line."""
        heard = Talk(crowded(MANY)).say("ps", "load", "cpus").splitlines()
        self.assertEqual(heard[0], f"201 {MANY} processes")
        self.assertEqual(heard[MANY + 2 :], [".", "200 50", "200 1"])

    def test_replies_to_one_packet_leave_in_one_write(self) -> None:
        """Pipelining saves the packets it is meant to save."""
        talk, writes = Talk(MemoryDaemon()), list[bytes]()
        talk.transport.write = writes.append  # type: ignore[method-assign]
        talk.send(b"load\r\nspeed\r\ncpus\r\n")
        self.assertEqual(writes, [b"200 0\r\n200 15000\r\n200 1\r\n"])

    def test_what_a_long_reply_has_ready_leaves_in_few_writes(self) -> None:
        """Its first lines at once, the others together: each write wakes the client, or another node."""
        talk, writes = Talk(crowded(MANY)), list[bytes]()
        talk.transport.write = writes.append  # type: ignore[method-assign]
        talk.send(b"ps\r\n")
        self.assertRegex(writes[0], rb"\A201 .*\r\n.*PID")
        talk.daemon.advance(1.0)
        self.assertEqual(b"".join(writes).count(b"\r\n"), MANY + 3)
        self.assertTrue(writes[-1].endswith(b"\r\n.\r\n"), writes[-1][-80:])
        size = sum(map(len, writes))
        self.assertLessEqual(len(writes), 2 + size // MAX_GATHERED_PIECES)

    def test_a_request_in_pieces(self) -> None:
        """However the packets are cut."""
        for size in (1, 2, 3, 5):
            talk, data = Talk(MemoryDaemon()), b"load\r\nversion\ncpus\r\n"
            for start in range(0, len(data), size):
                talk.send(data[start : start + size])
            self.assertEqual([text[:3] for text in talk.heard().splitlines()], ["200"] * 3)

    def test_quit_ends_it_and_what_comes_behind_is_not_done(self) -> None:
        """221, and the connection closes once that is sent."""
        talk = Talk(MemoryDaemon())
        self.assertEqual(talk.say("quit", "setspeed 7"), "221 bye\r\n")
        self.assertTrue(talk.transport.disconnecting)
        self.assertEqual(Talk(talk.daemon).say("speed"), "200 15000\r\n")


class SlowReaderTests(SynchronousTestCase):
    """A client that does not read is waited for, but not for ever and not with everything in memory."""

    def setUp(self) -> None:
        self.daemon = crowded(MANY)
        self.talk = Talk(self.daemon)

    def test_no_more_is_made_while_the_client_does_not_read(self) -> None:
        """One piece of the block at most; the rest comes when there is room, all of it."""
        self.talk.send(b"ps\r\nload\r\n")
        self.talk.fill()
        first = self.talk.heard()
        self.assertLess(first.count("\r\n"), 60)
        self.daemon.advance(5.0)
        self.assertEqual(self.talk.heard(), "")
        self.talk.drain()
        whole = (first + self.talk.heard()).splitlines()
        self.assertEqual(whole[MANY + 2 :], [".", "200 50"])

    def test_short_requests_wait_too(self) -> None:
        """They are not answered into memory; read on is only so many of them."""
        self.talk.fill()
        self.talk.send(b"load\r\n" * (MAX_QUEUED_REQUESTS + 1))
        self.assertEqual(self.talk.heard(), "")
        self.assertEqual(self.talk.transport.producerState, "paused")
        self.talk.drain()
        self.assertEqual(self.talk.heard(), "200 50\r\n" * (MAX_QUEUED_REQUESTS + 1))
        self.assertEqual(self.talk.transport.producerState, "producing")

    def test_who_takes_nothing_for_too_long_is_dropped(self) -> None:
        """The connection is cut, what it waited for is given up, and it is counted."""
        self.talk.send(b"watch -n 1 ps\r\n")
        self.talk.fill()
        self.daemon.advance(29.0)
        self.assertFalse(self.talk.transport.disconnected)
        self.daemon.advance(1.5)
        self.assertTrue(self.talk.transport.disconnected)
        self.talk.hang_up()
        self.assertRegex(Talk(self.daemon).say("stats"), r"telnet_dropped +1 ")

    def test_who_reads_now_and_then_is_kept(self) -> None:
        """Each time there is room the time begins anew."""
        self.talk.send(b"watch -n 1 ps\r\n")
        for _ in range(5):
            self.talk.fill()
            self.daemon.advance(20.0)
            self.talk.drain()
        self.assertFalse(self.talk.transport.disconnected)

    def test_a_watch_of_a_slow_reader_skips_rounds(self) -> None:
        """Rounds that the client missed are not made up for."""
        self.talk.send(b"watch -n 1 load\r\n")
        self.talk.heard()
        self.talk.fill()
        self.daemon.advance(20.0)
        self.talk.drain()
        self.assertLess(self.talk.heard().count("\r\n"), 4)


class WatchTests(SynchronousTestCase):
    """Answers that go on until something more is said."""

    def setUp(self) -> None:
        self.daemon = MemoryDaemon(MemorySource([10, 20, 30, 40]))
        self.talk = Talk(self.daemon)

    def test_each_round_is_a_line(self) -> None:
        """With the newest value, once a period."""
        heard = self.talk.say("watch -n 1 load")
        for _ in range(2):
            self.daemon.advance(1.0)
            heard += self.talk.heard()
        self.assertEqual(heard.splitlines()[1:], ["10", "20", "30"])

    def test_the_next_request_ends_it_and_is_answered(self) -> None:
        """The block is closed first."""
        self.talk.say("watch load")
        self.assertEqual(self.talk.say("cpus"), ".\r\n200 1\r\n")
        self.daemon.advance(5.0)
        self.assertEqual(self.talk.heard(), "")

    def test_an_empty_line_only_ends_it(self) -> None:
        """No reply of its own."""
        self.talk.say("watch load")
        self.assertEqual(self.talk.say(""), ".\r\n")
        self.assertEqual(self.talk.say("cpus"), "200 1\r\n")

    def test_what_was_asked_in_the_same_packet_ends_it_after_one_round(self) -> None:
        """One answer is always given."""
        self.assertEqual(self.talk.say("watch load", "cpus").splitlines()[1:], ["10", ".", "200 1"])

    def test_a_count_ends_it(self) -> None:
        """`watch -c 2`."""
        self.talk.say("watch -c 2 -n 1 load")
        self.daemon.advance(1.0)
        self.assertEqual(self.talk.heard(), "20\r\n.\r\n")

    def test_jobs_can_be_watched_by_who_may_see_them(self) -> None:
        """It only reads, although it is not for everybody who reads."""
        for words in ("watch -c 1 jobs", "watch -c 1 @all jobs"):
            self.assertEqual(Talk(self.daemon, Role.READ).say(words)[:4], "403 ", words)
            user = Talk(self.daemon, Role.USER)
            user.send(f"{words}\r\n".encode())
            self.daemon.advance(3.0)
            heard = user.heard().splitlines()
            self.assertEqual((heard[0][:4], heard[1].split()[-1], heard[-1]), ("201 ", "COMMAND", "."))
        for verb in ("stay", "kill 1", "run", "put /proc/1/lock 1"):
            self.assertEqual(Talk(self.daemon, Role.ADMIN).say(f"watch {verb}")[:4], "400 ", verb)

    def test_hanging_up_ends_it(self) -> None:
        """Nothing is left on the clock but the collector's own."""
        before = len(self.daemon.clock.getDelayedCalls())
        self.talk.say("watch -n 0.3 load")
        self.talk.hang_up()
        self.assertEqual(len(self.daemon.clock.getDelayedCalls()), before)

    def test_events_come_as_they_happen(self) -> None:
        """`watch events` says nothing until then."""
        heard = self.talk.say("watch events")
        self.assertEqual(len(heard.splitlines()), 2)  # the status line and the heading
        self.daemon.publish(Event(START_TIME, EventKind.DOWN, 3, "gamma", "silent for 10 s", 1))
        self.assertIn("down", self.talk.heard())
        self.assertEqual(self.talk.say(""), ".\r\n")


class BadInputTests(SynchronousTestCase):
    """One line with its code; the conversation goes on."""

    def setUp(self) -> None:
        self.daemon = MemoryDaemon()
        self.talk = Talk(self.daemon)

    def test_a_line_that_is_too_long_is_answered_once(self) -> None:
        """Wherever the packets are cut; the next line is answered as usual."""
        for data in (
            b"x" * 4097 + b"\r\nload\r\n",
            b"x" * 4097 + b"\nload\n",
            b"x" * 100_000 + b"\nload\n",
            b"@1 " + b"y" * 4096 + b"\nload\n",
        ):
            for size in (1 << 20, 4096, 1000):
                for start in range(0, len(data), size):
                    self.talk.send(data[start : start + size])
                self.assertEqual([text[:3] for text in self.talk.heard().splitlines()], ["413", "200"])

    def test_the_longest_line_allowed(self) -> None:
        """4096 bytes, whichever end it has."""
        for end in ("\r\n", "\n"):
            self.talk.send(("load " + " " * 4091 + end).encode())
            self.assertEqual(self.talk.heard(), "200 0\r\n")

    def test_a_role_that_is_too_low_is_told_what_raises_it(self) -> None:
        """Also to callers over HTTP, who have no `auth`, and to those who are at the unix socket already."""
        self.assertEqual(
            Talk(self.daemon, Role.READ).say("jobs"),
            "403 `jobs` is for user, you are read: show a token of role user, or use the unix socket\r\n",
        )
        self.assertEqual(
            Talk(self.daemon, Role.USER, "ada", 1000).say("stay"),
            "403 `stay` is for admin, you are user: "
            "show a token of role admin, or be root at the unix socket\r\n",
        )

    def test_a_node_without_a_verb(self) -> None:
        """What is missing is named."""
        self.assertEqual(self.talk.say("@2"), "400 a verb is missing behind @2: @2 load\r\n")

    def test_many_long_lines_in_one_packet(self) -> None:
        """Each is answered."""
        self.talk.send((b"z" * 4100 + b"\n") * 16 * 4)
        self.assertEqual(self.talk.heard().count("413 "), 64)
        self.assertEqual(self.talk.say("load"), "200 0\r\n")

    def test_what_breaks_inside_is_not_told_to_the_client(self) -> None:
        """500 and a sentence; the log has the rest."""

        class Broken(MemorySource):
            def read_file(self, path: TreePath, caller: Caller) -> bytes:
                raise ZeroDivisionError("the secret of the node")

        talk = Talk(MemoryDaemon(Broken()))
        heard = talk.say("get /proc/loadavg", "load")
        self.assertRegex(heard, r"\A500 [^\r\n]+\r\n200 0\r\n\Z")
        self.assertNotIn("secret", heard)
        self.assertNotIn("ZeroDivision", heard)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_block_that_breaks_off_is_ended(self) -> None:
        """Its last line says why it is not complete; the next request is answered."""

        class Later(MemorySource):
            def process(self, pid: int, now: float) -> Process:
                raise SourceUnavailable("the disk is away")

        talk = Talk(MemoryDaemon(Later([50], [[a_process(1)]])))
        heard = talk.say("watch -n 1 where 7", "load").splitlines()
        self.assertEqual(heard[1:], ["! 500 the disk is away", ".", "200 50"])
        talk.say("format json")
        heard = talk.say("watch -n 1 where 7", "load").splitlines()
        self.assertEqual(heard[1:], ['{"code": 500, "error": "the disk is away"}', ".", "200 50"])

    def test_half_a_line_is_told_what_is_missing_when_it_idles(self) -> None:
        """400, then the end."""
        self.talk.send(b"load")
        self.daemon.clock.advance(601.0)
        self.daemon.telnet_factory.end_idle()
        self.assertRegex(self.talk.heard(), r"\A400 .*line feed\r\n\Z")
        self.assertTrue(self.talk.transport.disconnecting)


class EndTests(SynchronousTestCase):
    """How a conversation ends, from either side."""

    def test_who_says_no_more_still_gets_their_answers(self) -> None:
        """`echo ps | nc -N`: the whole block, then the close."""
        talk = Talk(crowded(MANY))
        talk.send(b"ps\r\nload\r\n")
        talk.line.readConnectionLost()
        self.assertEqual(talk.heard().splitlines()[-2:], [".", "200 50"])
        self.assertTrue(talk.transport.disconnecting)

    def test_a_last_line_without_an_end_is_not_done(self) -> None:
        """It may have been cut: 400."""
        talk = Talk(MemoryDaemon())
        talk.send(b"load\r\nsetspeed 1")
        talk.line.readConnectionLost()
        self.assertRegex(talk.heard(), r"\A200 0\r\n400 .*no end")
        self.assertEqual(Talk(talk.daemon).say("speed"), "200 15000\r\n")

    def test_a_watch_of_one_who_says_no_more_goes_on(self) -> None:
        """`echo watch load | nc -N` is a way to look on."""
        talk = Talk(MemoryDaemon())
        talk.send(b"watch -n 1 load\r\n")
        talk.line.readConnectionLost()
        talk.daemon.advance(3.0)
        self.assertEqual(talk.heard().splitlines()[1:], ["0"] * 4)
        self.assertFalse(talk.transport.disconnecting)

    def test_who_says_nothing_is_closed_after_the_idle_timeout(self) -> None:
        """Who asked lately, or still gets an answer, is not."""
        daemon = crowded(MANY)
        silent, watching, asking = Talk(daemon), Talk(daemon), Talk(daemon)
        watching.say("watch -n 100 load")
        daemon.clock.advance(599.0)
        asking.say("load")
        daemon.clock.advance(2.0)
        daemon.telnet_factory.end_idle()
        self.assertEqual(
            [talk.transport.disconnecting for talk in (silent, watching, asking)], [True, False, False]
        )

    def test_over_the_limit_callers_are_turned_away(self) -> None:
        """429 and the end; an administrator is always let in, and when one leaves another may come."""
        daemon = MemoryDaemon()
        daemon.telnet_factory.limits = Limits(max_connections=2)
        first, _second = Talk(daemon, Role.READ), Talk(daemon, Role.READ)
        third = Talk(daemon, Role.READ)
        self.assertRegex(third.greeting, r"\A429 2 connections")
        self.assertTrue(third.transport.disconnecting)
        third.hang_up()
        self.assertRegex(Talk(daemon, Role.ADMIN).greeting, r"\A220 ")
        first.hang_up()
        self.assertRegex(Talk(daemon).say("stats"), r"telnet_turned_away +1 ")

    def test_at_the_end_of_the_daemon_all_are_closed(self) -> None:
        """Politely; who does not go within a second is cut."""
        daemon = MemoryDaemon()
        going, staying = Talk(daemon), Talk(daemon)
        done: list[None] = []
        daemon.telnet_factory.close_all().addCallback(done.append)
        self.assertTrue(going.transport.disconnecting)
        going.hang_up()
        self.assertEqual(done, [])
        daemon.clock.advance(1.1)
        self.assertTrue(staying.transport.disconnected)
        staying.hang_up()
        self.assertEqual(done, [None])

    def test_a_command_is_stopped_when_its_caller_says_no_more(self) -> None:
        """Nothing runs for nobody; no error is logged for it."""
        daemon = MemoryDaemon(commands={"forever": [Output(line="begun")] * 1000})
        talk = Talk(daemon)
        talk.send(b"do forever\r\n")
        talk.line.readConnectionLost()
        self.assertTrue(talk.transport.disconnecting)
        self.assertLess(talk.heard().count("begun"), 1000)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_command_whose_caller_is_gone_before_it_says_anything(self) -> None:
        """It is stopped too: the caller may be gone while the request waits behind another, or is begun."""
        daemon, commands = MemoryDaemon(), SlowCommands()
        daemon.dispatch.parts = replace(daemon.dispatch.parts, commands=commands)
        talk = Talk(daemon)
        talk.send(b"do slow\r\n")
        talk.line.readConnectionLost()
        commands.started.callback(None)
        talk.heard()
        self.assertEqual(commands.running, [0])
        self.assertTrue(talk.transport.disconnecting)
        self.assertEqual(self.flushLoggedErrors(), [])


@implementer(ICommands)
class SlowCommands:
    """
    Starts one command, when ``started`` fires. It says nothing, and ends when its output is closed.

    :ivar running: how many run: each start adds one, each end takes it away.
    """

    def __init__(self) -> None:
        self.started: Deferred[None] = Deferred()
        self.running: list[int] = []

    def names(self) -> Sequence[str]:
        """See `ICommands.names`."""
        return ("slow",)

    async def start(self, name: str) -> AsyncGenerator[Output, None]:
        """See `ICommands.start`."""
        await self.started
        self.running.append(1)
        return self._output()

    async def _output(self) -> AsyncGenerator[Output, None]:
        try:
            await Deferred()
            yield Output(line="never")
        finally:
            self.running[-1] -= 1


@pytest.mark.parametrize("role", list(Role))
def test_a_token_raises_the_role(role: Role) -> None:
    """For this connection, until another token is said."""
    owner = Caller(role, "grace", 1001, "tcp 192.0.2.7:40000")
    talk = Talk(MemoryDaemon(tokens={"s3cret": owner}), Role.NONE, "", None)
    assert talk.say("load").startswith("401 ")
    assert talk.say("auth wrong").startswith("403 ")
    assert talk.say("auth s3cret") == f"200 {role.word} grace via tcp 192.0.2.7:40000\r\n"
    assert talk.say("load")[:3] == ("401" if role is Role.NONE else "200")
