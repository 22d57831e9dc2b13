"""Lines and rounds from bytes, and subscriptions that begin anew."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from gom.monitor.subscription import DaemonEndpoints, Round, Subscription, chunks_of, rounds_of
from libgomd.errors import ConnectionLost, GomdError, MalformedReply, NotAllowed


def chunks(data: bytes, size: int) -> list[Round]:
    """Return the lines that come when the bytes come in pieces."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return list(chunks_of(lambda: pieces.pop(0) if pieces else b""))


ROUNDS = (
    b'{"a": 1, "round": 1, "rows": 2}\r\n{"a": 2, "round": 1, "rows": 2}\r\n{"round": 2, "rows": 0}\r\n'
    b'{"a": 3, "round": 3, "rows": 1}\r\n.\r\n'
)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_rounds_come_whole(size: int) -> None:
    """However the bytes are cut."""
    rounds = list(rounds_of(chunks(ROUNDS, size)))
    assert [len(each) for each in rounds] == [2, 0, 1]
    assert rounds[2] == [b'{"a": 3, "round": 3, "rows": 1}']


def test_a_connection_that_ends_in_a_round() -> None:
    with pytest.raises(ConnectionLost):
        list(rounds_of(chunks_of(iter([ROUNDS[:40], b""]).__next__)))


def test_a_watch_that_fails() -> None:
    """The last line says why."""
    with pytest.raises(NotAllowed, match="no more"):
        list(rounds_of([[b'{"code": 403, "error": "no more"}']]))
    for line in (b"junk", b"{}", b'{"round": 1}', b"[]", b'{"round": 1, "rows": -1}'):
        with pytest.raises(MalformedReply):
            list(rounds_of([[line]]))


class Subscribed:
    """A subscription whose work is scripted: numbers to yield, or an error."""

    def __init__(self, *script: list[int] | GomdError) -> None:
        self.said: list[str] = []
        self.done = threading.Event()
        self._script = list(script)
        self.subscription = Subscription(
            DaemonEndpoints((), ""), self._work, lambda _, text: self.said.append(text), (0, 0)
        )

    def _work(self, subscription: Subscription) -> Generator[None, None, None]:
        if not self._script:
            subscription.stop()
            self.done.set()
            return
        step = self._script.pop(0)
        if isinstance(step, GomdError):
            raise step
        for _ in step:
            yield


def test_it_begins_anew_and_says_so() -> None:
    """An error is said, and so is its end."""
    subscribed = Subscribed([1, 2], ConnectionLost("no daemon"), [3])
    subscribed.subscription.start()
    assert subscribed.done.wait(10)
    subscribed.subscription.join(10)
    assert subscribed.said == ["the daemon ended the watch", "no daemon", "", "the daemon ended the watch"]
