"""A Deferred client that is connected to a daemon that says what the test tells it to."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.libgomd.scripted import Far, ScriptedDaemon

T = TypeVar("T")


class Connected(SynchronousTestCase):
    """A test that begins with a client."""

    def setUp(self) -> None:
        self.clock, self.daemon = Clock(), ScriptedDaemon()
        connecting = self.daemon.client(self.clock)
        self.far = self.welcome()
        self.client = self.successResultOf(connecting)

    def welcome(self) -> Far:
        """Greet the newest connection."""
        far = self.daemon.connections[-1]
        far.say("220 gomd 0.1.0 node 1 alpha")
        self.assertEqual(far.heard(), ["format json"])
        far.say('200 "json"')
        return far

    def started(self, coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
        return Deferred.fromCoroutine(coroutine)
