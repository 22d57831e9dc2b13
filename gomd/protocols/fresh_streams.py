"""Streams to other nodes whose handshake is made before the next job needs one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gomd.protocols.idle_streams import IdleStreams
from libgomd.connection import LineConnection

#: Seconds after the start of a job on a node until the next stream to it is made: that job begins meanwhile.
PREPARE_DELAY: Final = 0.05
#: Seconds for which such a stream is kept. Nobody is introduced on it yet, so it holds one of the few places
#: that the other node has for such streams.
FRESH_TIMEOUT: Final = 1.0
#: Streams that are kept for a node to which several jobs were sent within that time.
MAX_FRESH: Final = 2


class FreshStreams:
    """
    Keeps a stream for each node to which a job was sent within the last second, two after several jobs.

    The handshake takes a third of the time of a job's start on another node. The stream speaks for no caller
    until it is used.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._kept = IdleStreams(clock, FRESH_TIMEOUT)
        self._coming: dict[Hashable, int] = {}
        self._planned: dict[Hashable, IDelayedCall] = {}
        self._wanted: dict[Hashable, int] = {}
        self._expiry: dict[Hashable, IDelayedCall] = {}

    def take(self, key: Hashable) -> LineConnection | None:
        """Return a stream that is kept under ``key`` and still works, None if there is none."""
        return self._kept.take(key)

    def prepare(
        self, key: Hashable, connect: Callable[[], Coroutine[Any, Any, LineConnection]], found: bool
    ) -> None:
        """
        Note that a job was sent, and have streams made and kept under ``key`` after it.

        :param connect: makes one. That it cannot be made is no error: the next job will say so.
        :param found: that job got its stream from here. The making is then put off, so that it does not take
            time from a job that follows at once. A job that found none puts off nothing: streams are made
            even if jobs never pause.
        """
        self._note_start(key)
        planned = self._planned.get(key)
        if planned is None:
            self._planned[key] = self._clock.callLater(PREPARE_DELAY, self._make_missing, key, connect)
        elif found:
            planned.reset(PREPARE_DELAY)

    def _note_start(self, key: Hashable) -> None:
        self._wanted[key] = min(MAX_FRESH, self._wanted.get(key, 0) + 1)
        expiry = self._expiry.get(key)
        if expiry is None:
            self._expiry[key] = self._clock.callLater(FRESH_TIMEOUT, self._forget, key)
        else:
            expiry.reset(FRESH_TIMEOUT)

    def _forget(self, key: Hashable) -> None:
        del self._wanted[key], self._expiry[key]

    def _make_missing(
        self, key: Hashable, connect: Callable[[], Coroutine[Any, Any, LineConnection]]
    ) -> None:
        del self._planned[key]
        for _ in range(self._kept.count(key) + self._coming.get(key, 0), self._wanted.get(key, 0)):
            self._coming[key] = self._coming.get(key, 0) + 1
            made = Deferred.fromCoroutine(connect())
            made.addCallback(lambda connection: self._kept.keep(key, connection))
            made.addErrback(lambda _failure: None)
            made.addBoth(lambda _result: self._came(key))

    def _came(self, key: Hashable) -> None:
        self._coming[key] -= 1
        if not self._coming[key]:
            del self._coming[key]
