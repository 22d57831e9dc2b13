"""
Limits the connections of the HTTP way in, so that no client can shut out the others.

There is always room for one more: when there are `MAX_CONNECTIONS`, one of the address with the most is
closed, first one that waits for a request, then one of an anonymous caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from gomd.web.limits import MAX_CONNECTIONS


class Connection(Protocol):
    """
    One connection.

    :ivar host: the address of its client, of IPv6 the /64. :ivar busy: whether a request is being answered.
    :ivar known: whether its caller has signed in.
    """

    host: str
    busy: bool
    known: bool

    def drop(self) -> None:
        """Abort it."""


class Connections:
    """The open connections, by address, each group oldest first."""

    def __init__(self, most: int = MAX_CONNECTIONS) -> None:
        self._most = most
        self._of_host: dict[str, dict[Connection, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Connection]:
        return (each for group in tuple(self._of_host.values()) for each in tuple(group))

    def add(self, connection: Connection) -> None:
        """Note a new connection, and close another one if there are too many."""
        if self._count >= self._most:
            victim = self._victim()
            self.remove(victim)
            victim.drop()
        self._of_host.setdefault(connection.host, {})[connection] = None
        self._count += 1

    def remove(self, connection: Connection) -> None:
        """Note that a connection has ended."""
        group = self._of_host.get(connection.host, {})
        if connection in group:
            del group[connection]
            self._count -= 1
            if not group:
                del self._of_host[connection.host]

    def _victim(self) -> Connection:
        group = max(self._of_host.values(), key=len)
        return min(group, key=lambda each: (each.busy, each.known))  # the oldest of equal ones
