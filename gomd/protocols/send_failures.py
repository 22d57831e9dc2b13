"""Reports once that datagrams cannot be sent. A single lost datagram is normal, and only counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from libgomd.questions import Address
from libgomd.wire.addresses import shown

#: Seconds for which nothing could be sent to an address before that is reported.
REPORT_AFTER: Final = 3.0
#: Seconds between two such reports.
REPORT_INTERVAL: Final = 60.0
#: Seconds after which an address that is not used any more is forgotten; lost nodes are tried every 20 s.
FORGET_AFTER: Final = 25.0
#: Largest number of addresses that are remembered, and that a report names.
_MAX_ADDRESSES: Final = 256
_MAX_SHOWN_ADDRESSES: Final = 4


class SendFailures:
    """
    :param say: called with True and a sentence when datagrams cannot be sent, with False when they can again.
    :ivar failing: addresses to which the last datagram could not be sent; while it is empty, `sent` need not
        be called.
    """

    def __init__(self, say: Callable[[bool, str], None]) -> None:
        self._say = say
        self.failing: dict[Address, tuple[float, float]] = {}  # the first failure in a row, and the last
        self._said: set[Address] = set()
        self._said_at = -REPORT_INTERVAL

    def failed(self, address: Address, error: OSError, now: float) -> None:
        """Note that a datagram to ``address`` could not be sent."""
        first, _last = self.failing.pop(address, (now, now))
        if len(self.failing) < _MAX_ADDRESSES:
            self.failing[address] = (first, now)
        if now - first < REPORT_AFTER or address in self._said or now - self._said_at < REPORT_INTERVAL:
            return
        long = [each for each, (since, _last) in self.failing.items() if now - since >= REPORT_AFTER]
        news = [each for each in long if each not in self._said]
        self._said.update(news)
        self._said_at = now
        named = ", ".join(shown(*each) for each in news[:_MAX_SHOWN_ADDRESSES])
        more = f" and {len(news) - _MAX_SHOWN_ADDRESSES} more" if len(news) > _MAX_SHOWN_ADDRESSES else ""
        self._say(
            True,
            f"its datagrams to {named}{more} cannot be sent ({error.strerror or error}): see its addresses, "
            "routes and packet filter; `stats` counts them as datagrams_unsent",
        )

    def sent(self, address: Address, now: float) -> None:
        """Note that a datagram to ``address`` was sent."""
        self.failing.pop(address, None)
        for each, (_first, last) in list(self.failing.items()):
            if now - last >= FORGET_AFTER:
                del self.failing[each]
        self._said &= self.failing.keys()
        if not self.failing and self._said_at > -REPORT_INTERVAL:
            self._said_at = -REPORT_INTERVAL
            self._say(False, "its datagrams can be sent again")
