"""Addresses where a node may be: those just heard of, tried a few times, and those lost, tried for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from random import Random
from typing import Final

from gomd.cluster.membership.settings import MOST_SEARCHED, Timing
from gomd.cluster.membership.transport import Address

#: Times that an address heard of is tried, at once and once a tick.
_TRIES: Final = 4
#: Addresses tried again in one tick, at most.
_MOST_TRIED: Final = 128
#: Addresses being tried at once, at most, and lost ones that are kept.
_MOST: Final = 4096


class Contacts:
    """
    Addresses that another node told of, and which do not count until they answer.

    That they did is seen from their being among those of members that are up.
    """

    def __init__(self) -> None:
        self._tries: dict[Address, int] = {}
        self._fresh: list[Address] = []

    def add(self, address: Address) -> None:
        """Try this address."""
        if address not in self._tries and len(self._tries) < _MOST:
            self._tries[address] = 0
            self._fresh.append(address)

    def fresh(self) -> list[Address]:
        """Return the addresses that were not tried yet."""
        fresh, self._fresh = self._fresh, []
        for address in fresh:
            self._tries[address] = 1
        return fresh

    def step(self, answered: Collection[Address]) -> list[Address]:
        """
        Return the addresses to try again. Once a tick.

        They have to be asked for an answer: they may know us already.
        """
        again: list[Address] = []
        for address, tries in list(self._tries.items()):
            if tries >= _TRIES or address in answered:
                del self._tries[address]
            elif tries and len(again) < _MOST_TRIED:
                self._tries[address] = tries + 1
                again.append(address)
        return again


class Rejoin:
    """
    Addresses of seeds, and of nodes that are not up any more.

    They are asked for ever, ever more rarely: a partition heals by itself however long it lasted.
    """

    def __init__(self, timing: Timing, random: Random) -> None:
        self._timing = timing
        self._random = random
        self._lost: dict[Address, tuple[float, float]] = {}  # since when, and when to ask next

    def __contains__(self, address: Address) -> bool:
        return address in self._lost

    def __len__(self) -> int:
        return len(self._lost)

    def add(self, address: Address, now: float) -> None:
        """Ask this address from now on."""
        if address not in self._lost:
            while len(self._lost) >= _MOST:
                del self._lost[next(iter(self._lost))]
            self._lost[address] = (now, now)

    def hurry(self, address: Address, now: float) -> None:
        """Ask a lost address as often as one that was lost just now: it is known to be there."""
        if address in self._lost:
            _since, when = self._lost[address]
            self._lost[address] = (now, min(when, now + self._timing.search(0.0)))

    def again(self, now: float) -> None:
        """Ask all lost addresses now, as if they were lost just now."""
        self._lost = dict.fromkeys(self._lost, (now, now))

    def step(self, seeds: Iterable[Address], answered: Collection[Address], now: float) -> list[Address]:
        """Return the addresses to ask now. Once a tick."""
        for seed in seeds:
            if seed not in answered:
                self.add(seed, now)
        due: list[Address] = []
        for address, (since, when) in list(self._lost.items()):
            if address in answered:
                del self._lost[address]
            elif when <= now and len(due) < MOST_SEARCHED:
                due.append(address)
                # Behind all others: when there are many, each has its turn.
                del self._lost[address]
                # At random moments: then those that lost it together do not all ask at the same time.
                wait = self._timing.search(now - since) * self._random.uniform(0.8, 1.0)
                self._lost[address] = (since, now + wait)
        return due
