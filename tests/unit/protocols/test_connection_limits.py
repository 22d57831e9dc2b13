"""Connections: none of the groups, and no caller of a group, keeps the others out."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.telnet_factory import Limits
from libgomd.model import Caller, Role
from libgomd.testing import MemoryDaemon
from tests.unit.protocols.talk import Talk


class PlacesTests(SynchronousTestCase):
    """Eight places for readers and users together."""

    def setUp(self) -> None:
        self.daemon = MemoryDaemon()
        self.daemon.telnet_factory.limits = Limits(max_connections=8)

    def come(self, role: Role, uid: int | None, via: str) -> Talk:
        talk = Talk(self.daemon, role, "" if uid is None else f"u{uid}", uid, via)
        for each in [each for each in Talk.open if each.daemon is self.daemon]:
            if each.transport.disconnected or each.transport.disconnecting:
                each.hang_up()
        return talk

    def reader(self, address: str) -> Talk:
        return self.come(Role.READ, None, f"tcp {address}:40000")

    def user(self, uid: int) -> Talk:
        return self.come(Role.USER, uid, "unix")

    def test_one_address_may_have_all_that_nobody_wants(self) -> None:
        """The ninth is refused; it gets none of its own places back."""
        talks = [self.reader("192.0.2.1") for _ in range(9)]
        self.assertEqual([talk.is_in for talk in talks], [True] * 8 + [False])
        self.assertRegex(talks[-1].greeting, r"\A429 8 connections are open")

    def test_another_address_is_let_in(self) -> None:
        """Until both have the same; the connections end that have been silent longest."""
        greedy = []
        for _ in range(8):
            greedy.append(self.reader("192.0.2.1"))
            self.daemon.advance(1.0)
        greedy[0].say("load")
        others = [self.reader("192.0.2.2") for _ in range(5)]
        self.assertEqual([talk.is_in for talk in others], [True] * 4 + [False])
        self.assertEqual([talk.is_in for talk in greedy], [True] + [False] * 4 + [True] * 3)

    def test_a_network_of_version_6_is_one_caller(self) -> None:
        """It has as many addresses as it likes."""
        for number in range(8):
            self.reader(f"2001:db8::{number:x}")
        self.assertFalse(self.reader("2001:db8::ffff").is_in)
        self.assertTrue(self.reader("2001:db8:0:1::1").is_in)

    def test_readers_and_users_have_half_each(self) -> None:
        """However many addresses the readers have, or users there are."""
        for first, second in ((self._readers, self._users), (self._users, self._readers)):
            self.setUp()
            self.assertEqual([talk.is_in for talk in first(8)], [True] * 8)
            self.assertEqual([talk.is_in for talk in second(5)], [True] * 4 + [False])

    def _readers(self, count: int) -> list[Talk]:
        return [self.reader(f"192.0.2.{number}") for number in range(count)]

    def _users(self, count: int) -> list[Talk]:
        return [self.user(1000 + number) for number in range(count)]

    def test_an_admin_is_let_in_and_stays(self) -> None:
        """Also one who came as a reader and has a token."""
        raised = self.reader("192.0.2.1")
        assert raised.line.session is not None
        raised.line.session.caller = Caller(Role.ADMIN, "ada", 1000, "tcp 192.0.2.1:40000")
        for _ in range(7):
            self.reader("192.0.2.1")
        self.assertTrue(self.come(Role.ADMIN, 0, "unix").is_in)
        self.assertEqual([self.reader("192.0.2.2").is_in for _ in range(4)], [True] * 4)
        self.assertTrue(raised.is_in)

    def test_a_connection_that_ends_gives_its_place_back(self) -> None:
        """To whoever comes next."""
        talks = [self.reader("192.0.2.1") for _ in range(8)]
        talks[3].hang_up()
        self.assertTrue(self.reader("192.0.2.1").is_in)
        self.assertRegex(Talk(self.daemon).say("stats"), r"telnet_made_room +0 ")
