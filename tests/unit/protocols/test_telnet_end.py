"""The ends of a conversation over the telnet line: by the client, by time, by limits, by the daemon."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.interfaces import ICommands
from gomd.protocols.telnet_factory import Limits
from libgomd.model import Output, Role
from libgomd.testing import MemoryDaemon
from tests.unit.protocols.talk import MANY, Talk, crowded


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
