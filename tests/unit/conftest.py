"""Settings of all unit tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import settings
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

# How long an example takes says how busy the machine is.
settings.register_profile("gomd", deadline=None)
settings.load_profile("gomd")


@pytest.fixture(autouse=True, scope="module")
def nothing_fails_later() -> Iterator[None]:
    """
    Fail the file of tests that leaves work behind which fails when it is collected.

    Python closes a forgotten coroutine at some later collection. What goes wrong then would otherwise be
    counted as an error of whichever test is running.
    """
    yield
    failed: list[LogEvent] = []

    @implementer(ILogObserver)
    def observer(event: LogEvent) -> None:
        if event.get("log_failure") is not None:
            failed.append(event)

    globalLogPublisher.addObserver(observer)
    try:
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(observer)
    assert not failed, "\n".join(event["log_failure"].getTraceback() for event in failed)
    gc.freeze()  # so that the next file's collection is short
