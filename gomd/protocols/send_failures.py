"""Tells people, once, that datagrams cannot be sent; a single one is lost as on any network, and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from libgomd.questions import Address

#: Seconds for which nothing could be sent to an address before that is said.
PATIENCE: Final = 3.0
#: Seconds between two such sentences.
BETWEEN: Final = 60.0
#: Seconds after which an address that is not sent to any more is forgotten; lost ones are tried every 20 s.
FORGET: Final = 25.0
#: Addresses that are remembered, at most.
_MOST: Final = 256
_SHOWN: Final = 4


class SendFailures:
    """
    :ivar say: is given True and a sentence when there is trouble, False and one when it is over.
    :ivar failing: addresses to which the last datagram could not be sent; while there is none, `sent` need
        not be called.
    """

    def __init__(self) -> None:
        self.say: Callable[[bool, str], None] = lambda _trouble, _text: None
        self.failing: dict[Address, tuple[float, float]] = {}  # the first failure in a row, and the last
        self._said: set[Address] = set()
        self._said_at = -BETWEEN

    def failed(self, address: Address, error: OSError, now: float) -> None:
        """Take note that a datagram to ``address`` could not be sent."""
        first, _last = self.failing.pop(address, (now, now))
        if len(self.failing) < _MOST:
            self.failing[address] = (first, now)
        if now - first < PATIENCE or address in self._said or now - self._said_at < BETWEEN:
            return
        long = [each for each, (since, _last) in self.failing.items() if now - since >= PATIENCE]
        news = [each for each in long if each not in self._said]
        self._said.update(news)
        self._said_at = now
        shown = ", ".join(f"{host}:{port}" for host, port in news[:_SHOWN])
        more = f" and {len(news) - _SHOWN} more" if len(news) > _SHOWN else ""
        self.say(
            True,
            f"its datagrams to {shown}{more} cannot be sent ({error.strerror or error}): see its addresses, "
            "routes and packet filter; `stats` counts them as datagrams_unsent",
        )

    def sent(self, address: Address, now: float) -> None:
        """Take note that a datagram to ``address`` was sent."""
        self.failing.pop(address, None)
        for each, (_first, last) in list(self.failing.items()):
            if now - last >= FORGET:
                del self.failing[each]
        self._said &= self.failing.keys()
        if not self.failing and self._said_at > -BETWEEN:
            self._said_at = -BETWEEN
            self.say(False, "its datagrams can be sent again")
