"""Places and turns: each group has its own, each caller a share, and what is over is given back."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.verbs.quotas import Group, Quotas, ReleasingRows, address_in, group_of, holder_of
from gomd.verbs.replies import Reply, ValueReply
from gomd.verbs.request_turns import MAX_PER_CALLER, MAX_PER_GROUP, QUEUE_TIMEOUT, RequestTurns
from libgomd.errors import TooMany
from libgomd.model import Caller, Role

ROOT = Caller(Role.ADMIN, "root", 0, "unix")
ADA = Caller(Role.USER, "ada", 1000, "unix")
BOB = Caller(Role.USER, "bob", 1001, "unix")


def reader(address: str = "192.0.2.1", port: int = 40000) -> Caller:
    """Return an anonymous caller."""
    return Caller(Role.READ, "", None, f"tcp {address}:{port}")


class HolderTests(SynchronousTestCase):
    """Whose share a caller's is."""

    def test_a_user_is_the_same_from_everywhere(self) -> None:
        """A share goes by the caller's uid, else the name of the token, else the address."""
        self.assertEqual(holder_of(ADA), holder_of(Caller(Role.USER, "ada", 1000, "node 7")))
        self.assertEqual(holder_of(Caller(Role.READ, "guest", None, "tcp 192.0.2.1:1")), "guest")
        self.assertEqual(holder_of(Caller(Role.READ, "", None, "node 7")), "node 7")
        self.assertEqual(holder_of(reader(port=1)), holder_of(reader(port=2)))
        self.assertNotEqual(holder_of(reader("192.0.2.1")), holder_of(reader("192.0.2.2")))
        self.assertEqual(address_in("tcp 2001:db8::1:40000"), address_in("tcp 2001:db8::2:7"))
        self.assertEqual(address_in("tcp fe80::1%eth0:40000"), "tcp fe80::/64")

    def test_a_role_is_of_a_group(self) -> None:
        """Whoever is nobody yet is a reader."""
        roles = (Role.NONE, Role.READ, Role.USER, Role.ADMIN)
        found = [group_of(Caller(role, "", None, "")) for role in roles]
        self.assertEqual(found, [Group.READERS, Group.READERS, Group.USERS, Group.ADMINS])


class SharesTests(SynchronousTestCase):
    """Four places for each group, three of them for one caller."""

    def setUp(self) -> None:
        self.shares = Quotas("watches", dict.fromkeys(Group, 4), dict.fromkeys(Group, 3))

    def test_one_caller_has_its_share(self) -> None:
        """Others of its group have the rest, other groups all of theirs."""
        for _ in range(3):
            self.shares.take(reader())
        with self.assertRaisesRegex(TooMany, r"3 watches of yours"):
            self.shares.take(reader(port=7))
        self.shares.take(reader("192.0.2.2"))
        with self.assertRaisesRegex(TooMany, r"4 watches of readers"):
            self.shares.take(reader("192.0.2.3"))
        for caller in (ADA, ADA, ADA, BOB, ROOT):
            self.shares.take(caller)
        self.assertEqual(self.shares.refused, 2)

    def test_a_place_is_given_back_once(self) -> None:
        """However often it is said."""
        gives = [self.shares.take(ADA) for _ in range(3)]
        gives[0]()
        gives[0]()
        self.assertEqual(self.shares.used(Group.USERS), 2)
        self.shares.take(ADA)
        with self.assertRaises(TooMany):
            self.shares.take(ADA)

    def test_with_values_it_is_given_back_at_their_end(self) -> None:
        """Also when they are closed, fail, or are never begun."""

        async def values(fails: bool) -> AsyncGenerator[int, None]:
            yield 1
            if fails:
                raise ValueError
            yield 2

        async def read(held: ReleasingRows[int], most: int) -> None:
            found = []
            try:
                async for value in held:
                    found.append(value)
                    if len(found) == most:
                        break
            except ValueError:
                return
            if len(found) == most:
                await held.aclose()

        for fails, most in ((False, 9), (False, 1), (True, 9)):
            held = ReleasingRows(values(fails), self.shares.take(ADA))
            self.successResultOf(Deferred.fromCoroutine(read(held, most)))
            self.assertEqual(self.shares.used(Group.USERS), 0)
        held = ReleasingRows(values(False), self.shares.take(ADA))
        del held
        self.assertEqual(self.shares.used(Group.USERS), 0)


class TurnsTests(SynchronousTestCase):
    """Requests that are worked on until the test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = RequestTurns()
        self.begun: list[Deferred[Reply]] = []
        self.asked: list[Deferred[Reply]] = []

    def tearDown(self) -> None:
        """End what still waits, or the collector does so in the middle of another test."""
        for each in reversed(self.asked):
            each.addErrback(lambda _failure: None)
            each.cancel()

    def ask(self, caller: Caller) -> Deferred[Reply]:
        async def work() -> Reply:
            waiting: Deferred[Reply] = Deferred()
            self.begun.append(waiting)
            return await waiting

        async def ask() -> Reply:
            return await self.turns.in_turn(self.clock, caller, work())

        self.asked.append(Deferred.fromCoroutine(ask()))
        return self.asked[-1]

    def test_one_caller_waits_and_the_others_do_not(self) -> None:
        """When one of its requests is done the next begins."""
        asked = [self.ask(reader()) for _ in range(MAX_PER_CALLER + 2)]
        self.assertEqual(len(self.begun), MAX_PER_CALLER)
        self.ask(reader("192.0.2.2"))
        self.ask(ADA)
        self.assertEqual(len(self.begun), MAX_PER_CALLER + 2)
        self.begun[0].callback(ValueReply("done"))
        self.assertEqual(self.successResultOf(asked[0]), ValueReply("done"))
        self.assertEqual(len(self.begun), MAX_PER_CALLER + 3)

    def test_a_group_waits_and_the_others_do_not(self) -> None:
        """Readers of any number of addresses leave threads to users; admins always have one."""
        for number in range(200):
            self.ask(reader(f"192.0.2.{number}"))
        self.assertEqual(len(self.begun), MAX_PER_GROUP[Group.READERS])
        for number in range(200):
            self.ask(Caller(Role.USER, "", 1000 + number, "unix"))
        self.assertEqual(len(self.begun), sum(MAX_PER_GROUP.values()))
        for _ in range(20):
            self.ask(ROOT)
        self.assertEqual(len(self.begun), sum(MAX_PER_GROUP.values()) + 20)

    def test_whoever_waits_too_long_is_told(self) -> None:
        """And its place in the line is free."""
        for _ in range(MAX_PER_CALLER):
            self.ask(ADA)
        late = self.ask(ADA)
        self.clock.advance(QUEUE_TIMEOUT)
        self.failureResultOf(late, TooMany)
        self.begun[0].callback(ValueReply("done"))
        self.ask(ADA)
        self.assertEqual(len(self.begun), MAX_PER_CALLER + 1)

    def test_whoever_goes_away_leaves_nothing(self) -> None:
        """While it waits and while it is worked on."""
        asked = [self.ask(ADA) for _ in range(MAX_PER_CALLER + 1)]
        for each in reversed(asked):
            each.addErrback(lambda _failure: None)
            each.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.turns._callers, {})
