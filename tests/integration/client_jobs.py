"""A job of either client by the same words: every method is awaited, so that one test walks through both."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from twisted.internet import reactor  # noqa: TID251 - a test on the real one
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from libgomd import blocking
from libgomd.blocking_job import BlockingJob
from libgomd.client import Client
from libgomd.client_job import RunningJob
from libgomd.jobsession import OutputChunk


class AnyJob:
    """A `BlockingJob` or a `RunningJob`; attributes that are no methods are handed out as they are."""

    def __init__(self, job: BlockingJob | RunningJob) -> None:
        self.real = job

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        return _awaited(found) if callable(found) else found

    async def __aiter__(self) -> AsyncIterator[OutputChunk]:
        if isinstance(self.real, BlockingJob):
            for chunk in self.real:
                yield chunk
        else:
            async for chunk in self.real:
                yield chunk


class AnyClient:
    """Either client, for running jobs."""

    def __init__(self, client: blocking.Client | Client) -> None:
        self.real = client

    async def run(self, *argv: str, **options: Any) -> AnyJob:
        """See ``run`` of the clients."""
        return AnyJob(await _awaited(self.real.run)(list(argv), **options))

    async def attach(self, job: int, **options: Any) -> AnyJob:
        """See ``attach`` of the clients."""
        return AnyJob(await _awaited(self.real.attach)(job, **options))

    async def ask(self, name: str, *words: Any) -> Any:
        """Ask a verb by name."""
        return await _awaited(getattr(self.real, name))(*words)

    async def meanwhile(self, work: Callable[[], object]) -> Callable[[], Awaitable[None]]:
        """Begin ``work`` on a thread; return what waits for its end."""
        thread = threading.Thread(target=work)
        thread.start()

        async def end() -> None:
            while thread.is_alive():
                if isinstance(self.real, Client):
                    await deferLater(reactor, 0.02)
                else:
                    thread.join(0.02)

        return end


def _awaited(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def call(*words: Any, **options: Any) -> Any:
        found = function(*words, **options)
        return await found if isinstance(found, Deferred) else found

    return call


def walk_blocking(
    walk: Callable[..., Coroutine[Any, Any, None]], client: blocking.Client, *given: Any
) -> None:
    """Walk with a blocking client, which never lets it wait."""
    try:
        walk(AnyClient(client), *given).send(None)
    except StopIteration:
        return
    raise AssertionError("a blocking client let its caller wait")
