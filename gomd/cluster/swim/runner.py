"""kinship while it runs: started off the reactor's thread, started again when it fails, told of new keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final

import kinship
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from gomd.cluster.summaries import Address
from gomd.cluster.swim.setup import seeds_of
from gomd.interfaces import IThreads
from libgomd.errors import GomdError

#: Seconds kinship may take to start (it looks names up and asks the seeds), and until it is tried again.
_START_LIMIT: Final = 60.0
AGAIN: Final = 10.0
#: Seconds between two tries to reach seeds that kinship was not started with, while nobody else is known.
REJOIN: Final = 10.0
#: Seconds in which a goodbye spreads, and those in which kinship has to be gone.
_LEAVE: Final = 2.0
_STOP_LIMIT: Final = 4.0
_TROUBLE: Final = (GomdError, kinship.KinshipError, OSError, TimeoutError)


class SwimRunner:
    """
    :param make: makes a `kinship.blocking.Cluster`, not started, of these keys and seeds.
    :param keys: 32 bytes each, at least one; the first one seals.
    :param seeds: peer ports of nodes to ask for the others.
    :ivar cluster: the `kinship.blocking.Cluster`, None while there is none.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        make: Callable[[tuple[bytes, ...], tuple[Address, ...]], Any],
        keys: tuple[bytes, ...],
        seeds: tuple[Address, ...],
        threads: IThreads,
        clock: IReactorTime,
    ) -> None:
        self.cluster: Any = None
        self._make = make
        self._keys = keys
        self._seeds = seeds
        self._threads = threads
        self._clock = clock
        self._events: Iterator[kinship.Event | None] | None = None
        self._wanted = False
        self._starting: Deferred[None] | None = None
        self._again: IDelayedCall | None = None
        self._joined: Callable[[], None] = lambda: None
        self._rejoined = 0.0

    def start(self, joined: Callable[[], None]) -> None:
        """Start kinship, in the background; ``joined`` is called each time it has started."""
        self._wanted = True
        self._joined = joined
        if not self._seeds:
            self._log.info(
                "engine swim knows no address of a seed: this node waits until one of [peers] seeds is "
                "found, or another node names it as its seed"
            )
        self._begin()

    def _begin(self) -> None:
        if self._wanted:
            self._starting = Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        """Start kinship, and see to it that it is tried again when that fails. Never raises."""
        try:
            cluster = self._make(self._keys, self._seeds)
            await self._threads.run(_START_LIMIT, cluster.start)
            self.cluster, self._events = cluster, cluster.events(timeout=0.0)
            self._joined()
        except _TROUBLE as error:
            self._log.warn("swim cannot start and is tried again: {error}", error=error)
            self._later()
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("swim cannot start and is tried again")
            self._later()

    def _later(self) -> None:
        self.cluster = self._events = None
        if self._wanted:
            self._again = self._clock.callLater(AGAIN, self._begin)

    async def stop(self) -> None:
        """Say goodbye and end kinship; returns when that is done. Never raises."""
        self._wanted = False
        if self._again is not None and self._again.active():
            self._again.cancel()
        if self._starting is not None:
            await self._starting
        cluster, self.cluster, self._events = self.cluster, None, None
        if cluster is not None:
            await self._run(_STOP_LIMIT, "leaving the cluster failed", cluster.close, _LEAVE)

    def take(self, most: int) -> Iterator[kinship.Event]:
        """Give what kinship has found out since, up to so many events. Does not block."""
        try:
            while most > 0 and self._events is not None:
                event = next(self._events)
                if event is None:
                    return
                yield event
                most -= 1
        except kinship.KinshipError as error:
            self._ended(error)
        except StopIteration:  # a generator must not let it out
            self._ended("it was closed")

    def _ended(self, why: object) -> None:
        self._log.error("kinship ended by itself and is started again: {why}", why=why)
        self._later()

    def set_seeds(self, seeds: Sequence[Address]) -> None:
        """Ask these nodes for the others, now and whenever kinship is started again."""
        self._seeds = tuple(seeds)
        self._ask_seeds()

    @property
    def seeds(self) -> int:
        """How many addresses of seeds there are."""
        return len(self._seeds)

    def rejoin(self, alone: bool, now: float) -> None:
        """Ask the seeds again, if nobody else is known and it is time to: kinship forgets whom it joined."""
        if alone and now - self._rejoined >= REJOIN:
            self._rejoined = now
            self._ask_seeds(again=True)

    def _ask_seeds(self, again: bool = False) -> None:
        if self.cluster is not None and self._seeds:
            trouble = "" if again else "no seed answers"
            self._in_background(trouble, self.cluster.join, seeds_of(self._seeds))

    def set_keys(self, keys: tuple[bytes, ...]) -> None:
        """Seal with the first of these keys from now on, and open with all of them."""
        old, self._keys = self._keys, keys
        if self.cluster is not None and old != keys:
            self._in_background("the key is not taken over", _change_keys, self.cluster.keyring, old, keys)

    def _in_background(self, trouble: str, function: Callable[..., object], *arguments: object) -> None:
        Deferred.fromCoroutine(self._run(_START_LIMIT, trouble, function, *arguments))

    async def _run(
        self, limit: float, trouble: str, function: Callable[..., object], *arguments: object
    ) -> None:
        try:
            await self._threads.run(limit, function, *arguments)
        except _TROUBLE as error:
            if trouble:  # else it was said before
                self._log.warn("{trouble}: {error}", trouble=trouble, error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("{trouble}", trouble=trouble or "asking the seeds again failed")


def _change_keys(keyring: Any, old: tuple[bytes, ...], new: tuple[bytes, ...]) -> None:
    """Blocks until kinship has done so."""
    for key in new:
        keyring.install(key)
    keyring.use(new[0])
    for key in old:
        if key not in new:
            keyring.remove(key)
