"""Addresses to contact: those just heard of are tried a few times, lost ones and seeds for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from random import Random
from typing import Final

from gomd.cluster.membership.settings import MAX_REJOINS_PER_TICK, Timing
from gomd.cluster.membership.transport import Address

#: Times that an address heard of is tried: once immediately, then once a tick.
_MAX_TRIES: Final = 4
#: Maximum number of addresses tried again in one tick.
_MAX_RETRIES_PER_TICK: Final = 128
#: Maximum number of addresses being tried at once, and of lost addresses that are remembered.
_MAX_ADDRESSES: Final = 4096


class Contacts:
    """
    Addresses that another node told of. A node there becomes a member only after it has answered.

    An address has answered when it is among those of the members that are up.
    """

    def __init__(self) -> None:
        self._tries: dict[Address, int] = {}
        self._new: list[Address] = []

    def add(self, address: Address) -> None:
        """Try an address with the next call of `take_new` and the ticks after it."""
        if address not in self._tries and len(self._tries) < _MAX_ADDRESSES:
            self._tries[address] = 0
            self._new.append(address)

    def take_new(self) -> list[Address]:
        """Return the addresses that were not tried yet, and count the first try of each."""
        fresh, self._new = self._new, []
        for address in fresh:
            self._tries[address] = 1
        return fresh

    def step(self, answered: Collection[Address]) -> list[Address]:
        """
        Return the addresses to try again. Call it once a tick.

        They must be asked for an answer, since they may know this node already.
        """
        again: list[Address] = []
        for address, tries in list(self._tries.items()):
            if tries >= _MAX_TRIES or address in answered:
                del self._tries[address]
            elif tries and len(again) < _MAX_RETRIES_PER_TICK:
                self._tries[address] = tries + 1
                again.append(address)
        return again


class Rejoin:
    """
    Addresses of seeds and of nodes that are no longer up.

    They are contacted for ever, at growing intervals, so a partition heals by itself however long it lasted.
    """

    def __init__(self, timing: Timing, random: Random) -> None:
        self._timing = timing
        self._random = random
        self._lost: dict[Address, tuple[float, float]] = {}  # lost since, and when to contact it next

    def __contains__(self, address: Address) -> bool:
        return address in self._lost

    def __len__(self) -> int:
        return len(self._lost)

    def add(self, address: Address, now: float) -> None:
        """Contact this address from now on."""
        if address not in self._lost:
            while len(self._lost) >= _MAX_ADDRESSES:
                del self._lost[next(iter(self._lost))]
            self._lost[address] = (now, now)

    def retry_soon(self, address: Address, now: float) -> None:
        """
        Contact a lost address as often as one that was lost just now, because a node is known to be there.
        """
        if address in self._lost:
            _since, when = self._lost[address]
            self._lost[address] = (now, min(when, now + self._timing.rejoin_interval(0.0)))

    def retry_all(self, now: float) -> None:
        """Contact all lost addresses now, as if they had just been lost."""
        self._lost = dict.fromkeys(self._lost, (now, now))

    def step(self, seeds: Iterable[Address], answered: Collection[Address], now: float) -> list[Address]:
        """Return the addresses to contact now. Call it once a tick."""
        for seed in seeds:
            if seed not in answered:
                self.add(seed, now)
        due: list[Address] = []
        for address, (since, when) in list(self._lost.items()):
            if address in answered:
                del self._lost[address]
            elif when <= now and len(due) < MAX_REJOINS_PER_TICK:
                due.append(address)
                # Moved to the end, so that each has its turn when there are many.
                del self._lost[address]
                # At a random moment, so that nodes that lost it together do not contact it together.
                wait = self._timing.rejoin_interval(now - since) * self._random.uniform(0.8, 1.0)
                self._lost[address] = (since, now + wait)
        return due
