"""A token that was removed ends the connections of the telnet line that it gave a role."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from gomd.interfaces import ITokens
from gomd.services.idle_sweep import SWEEP_PERIOD, IdleSweep
from libgomd.model import Caller, Role
from libgomd.testing import MemoryDaemon
from tests.unit.protocols.talk import TCP, Talk

ANN = Caller(Role.USER, "ann", 1001, TCP)
OPERATOR = Caller(Role.ADMIN, "operator", None, TCP)


class Swept:
    """A daemon with two tokens, that sweeps its connections."""

    def __init__(self) -> None:
        self.tokens = {"a" * 43: ANN, "o" * 43: OPERATOR}
        self.daemon = MemoryDaemon(tokens=self.tokens)
        self.sweep = IdleSweep(self.daemon.telnet_factory, self.daemon.clock)

    def talk(self, token: str = "") -> Talk:
        """Return a connection, with this token."""
        talk = Talk(self.daemon, Role.READ, "", None)
        if token:
            assert talk.say(f"auth {token}").startswith("200 ")
        return talk

    def pass_a_sweep(self) -> None:
        """Let the time of one sweep pass, and of what it closes."""
        self.sweep.sweep()
        self.daemon.clock.advance(SWEEP_PERIOD)


def test_it_ends_its_connections() -> None:
    """An admin that was one by a removed token is none any more; others are not disturbed."""
    swept = Swept()
    operator, ann, reader = swept.talk("o" * 43), swept.talk("a" * 43), swept.talk()
    swept.pass_a_sweep()
    assert [talk.is_in for talk in (operator, ann, reader)] == [True, True, True]
    del swept.tokens["o" * 43]
    swept.pass_a_sweep()
    assert [talk.is_in for talk in (operator, ann, reader)] == [False, True, True]
    assert operator.line.session is not None
    assert operator.line.session.caller.role is Role.NONE
    for talk in (ann, reader):
        assert talk.is_in
        assert talk.say("whoami").startswith("200 ")


@pytest.mark.parametrize("less", [Caller(Role.READ, "ann", 1001, TCP), Caller(Role.USER, "ann", 1002, TCP)])
def test_one_that_gives_something_else(less: Caller) -> None:
    """A role that was lowered, or a user who has another uid now, ends them too."""
    swept = Swept()
    ann = swept.talk("a" * 43)
    swept.tokens["a" * 43] = less
    swept.pass_a_sweep()
    assert not ann.is_in


def test_one_that_gives_more() -> None:
    """A role that was raised ends nothing."""
    swept = Swept()
    ann = swept.talk("a" * 43)
    swept.tokens["a" * 43] = Caller(Role.ADMIN, "ann", 1001, TCP)
    swept.pass_a_sweep()
    assert ann.is_in


def test_a_watch_ends_with_it() -> None:
    """An answer that goes on is no way to keep a role."""
    swept = Swept()
    operator = swept.talk("o" * 43)
    assert operator.say("watch -n 1 load").startswith("201 ")
    del swept.tokens["o" * 43]
    swept.pass_a_sweep()
    assert not operator.is_in


def test_a_file_that_hangs_is_read_once_at_a_time() -> None:
    """While one look at the tokens has not ended, no other begins; then they go on."""
    swept = Swept()
    operator = swept.talk("o" * 43)
    waits: list[Deferred[Caller | None]] = []

    @implementer(ITokens)
    class Hanging:
        async def check(self, token: str, caller: Caller) -> Caller | None:
            waits.append(Deferred())
            return await waits[-1]

    dispatch = swept.daemon.dispatch
    dispatch.parts = replace(dispatch.parts, tokens=Hanging())
    swept.pass_a_sweep()
    swept.pass_a_sweep()
    assert (len(waits), operator.is_in) == (1, True)
    waits[0].callback(OPERATOR)
    swept.pass_a_sweep()
    assert (len(waits), operator.is_in) == (2, True)
    waits[1].callback(None)
    swept.daemon.clock.advance(SWEEP_PERIOD)
    assert not operator.is_in
