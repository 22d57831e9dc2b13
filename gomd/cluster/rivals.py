"""Where a second node is that uses the id of one that is up: as after a machine was cloned with its STATE."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from libgomd.wire.addresses import without_zone

#: Maximum number of places to remember.
_MAX_REMEMBERED: Final = 256


class Rivals:
    """
    Remembers where such nodes were found.

    A node has the key and a certificate of its id, so that nothing but this tells it from the one that was
    first. What it says for the node would be believed: a clone goes on with the jobs of the machine that it
    was made of, and would take their output and their ends from it.

    :param seconds: the time of a monotonic clock. :param keep: seconds for which a place is remembered.
    """

    def __init__(self, seconds: Callable[[], float], keep: float) -> None:
        self._seconds = seconds
        self._keep = keep
        self._found: dict[tuple[int, str], float] = {}

    def note(self, node: int, host: str) -> None:
        """Note that a second node with this id is at an address."""
        key = (node, without_zone(host))
        self._found.pop(key, None)
        while len(self._found) >= _MAX_REMEMBERED:
            del self._found[next(iter(self._found))]
        self._found[key] = self._seconds()

    def is_rival(self, node: int, host: str, own_hosts: Iterable[str]) -> bool:
        """
        Return whether a second node with this id was lately found at an address.

        :param own_hosts: the addresses of the node that is up.
        """
        host = without_zone(host)
        found = self._found.get((node, host))
        if found is None or self._seconds() - found > self._keep:
            return False
        return host not in map(without_zone, own_hosts)
