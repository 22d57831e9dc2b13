"""Events: the last ones kept, the next ones told, both bounded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gomd.cluster.events import Events
from gomd.interfaces import IEvents
from libgomd.model import Event, EventKind


def event(number: int) -> Event:
    """Return the event of that number."""
    return Event(float(number), EventKind.UP, number, f"n{number}", "back", 1)


class EventsTests(SynchronousTestCase):
    """With a memory of three."""

    def setUp(self) -> None:
        self.events = Events(keep=3)

    def follow(self) -> tuple[AsyncGenerator[Event, None], list[Any]]:
        """Follow; what comes is put into the list, one for each call of `take`."""
        return self.events.follow(), []

    def take(self, following: AsyncGenerator[Event, None], heard: list[Any]) -> Deferred[Any]:
        """Wait for the next event."""
        return Deferred.fromCoroutine(following.__anext__()).addBoth(heard.append)

    def publish(self, *numbers: int) -> None:
        for number in numbers:
            self.events.publish(event(number))

    def test_it_is_what_it_promises(self) -> None:
        verifyObject(IEvents, self.events)

    def test_the_last_ones_are_kept(self) -> None:
        """Oldest first."""
        self.publish(1, 2, 3, 4)
        self.assertEqual(self.events.recent(), (event(2), event(3), event(4)))

    def test_a_follower_hears_what_comes_after_it(self) -> None:
        """Each of several hears all."""
        self.publish(1)
        followers = [self.follow() for _ in range(2)]
        for following, heard in followers:
            self.take(following, heard)
        self.publish(2)
        for following, heard in followers:
            self.assertEqual(heard, [event(2)])
            self.take(following, heard)
        self.publish(3)
        self.assertEqual([heard for _following, heard in followers], [[event(2), event(3)]] * 2)

    def test_a_slow_follower_is_told_how_many_it_lost(self) -> None:
        """The follower gets the newest; what it did not take is not kept for ever."""
        following, heard = self.follow()
        self.take(following, heard)
        self.publish(1, 2, 3, 4, 5, 6)
        for _ in range(3):
            self.take(following, heard)
        self.assertEqual([one.node for one in heard], [1, 4, 5, 6])
        self.assertEqual(heard[1].reason, "back (2 events lost)")
        self.assertEqual(heard[2].reason, "back")

    def test_one_who_goes_is_forgotten(self) -> None:
        """`stats` says how many follow."""
        following, heard = self.follow()
        waiting = self.take(following, heard)
        self.assertEqual({one.name: one.value for one in self.events.counters()}["events_followers"], 1)
        waiting.cancel()
        self.publish(1)
        self.assertEqual({one.name: one.value for one in self.events.counters()}["events_followers"], 0)
