"""Runs kinship: starts it on a thread, restarts it when it fails, and passes on new keys and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar, Final, TypeVar

import kinship
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.cluster.summaries import Address
from gomd.cluster.swim.setup import RECLAIM_AFTER, seeds_of
from gomd.interfaces import IThreads
from libgomd.errors import GomdError, NotPossible
from libgomd.wire.addresses import is_ipv6, is_link_local

T = TypeVar("T")
#: Seconds that kinship may take to start (it contacts the seeds), and until the next try.
_START_TIMEOUT: Final = 60.0
RESTART_DELAY: Final = 10.0
#: Seconds between two tries to contact the seeds while no other node is known.
REJOIN_INTERVAL: Final = 10.0
#: Maximum number of nodes that are contacted beside the seeds when this one has another address.
_MAX_MET: Final = 16
#: Seconds in which it meets the others again then, who may have other addresses, too.
_MEETING: Final = 5.0
#: Seconds in which a leave message spreads, and in which kinship must have stopped.
_LEAVE_TIMEOUT: Final = 2.0
_STOP_TIMEOUT: Final = 4.0
#: What kinship and the threads raise.
FAILURES: Final = (GomdError, kinship.KinshipError, OSError, TimeoutError)


class SwimRunner:
    """
    One kinship cluster at a time, kept running.

    :param make: makes a `kinship.blocking.Cluster` from keys, seeds, and how many times this node's address
        has changed, without starting it.
    :param keys: 32 bytes each, at least one; the first one seals.
    :param seeds: addresses and peer ports of nodes to contact.
    :param advertise: returns the address of this node that ``make`` uses.
    :ivar cluster: the running `kinship.blocking.Cluster`, None while there is none.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        make: Callable[[tuple[bytes, ...], tuple[Address, ...], int], Any],
        keys: tuple[bytes, ...],
        seeds: tuple[Address, ...],
        threads: IThreads,
        clock: IReactorTime,
        advertise: Callable[[], str] = lambda: "",
    ) -> None:
        self.cluster: Any = None
        self._advertise = advertise
        self._advertised = ""
        self._moves = 0
        self._met: tuple[Address, ...] = ()
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
        """Start kinship in the background. ``joined`` is called each time it has started."""
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

    async def _start(self, meeting: float = 0.0) -> None:
        """
        Start kinship, and schedule another try if that fails. Never raises.

        :param meeting: seconds until the members have to be known, those that are not being down.
        """
        try:
            self._advertised = self._advertise()
            if is_link_local(self._advertised):
                raise NotPossible(
                    f"{self._advertised} is a link-local address, and kinship needs another one"
                )
            cluster = self._make(self._keys, self._reached((*self._seeds, *self._met)), self._moves)
            await self._threads.run(_START_TIMEOUT, cluster.start)
            self.cluster, self._events = cluster, cluster.events(timeout=0.0)
            if self._wanted and meeting:
                self._again = self._clock.callLater(meeting, self._joined)
            elif self._wanted:
                self._joined()
        except FAILURES as error:
            self._log.warn("swim cannot start and is tried again: {error}", error=error)
            self._restart_later()
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("swim cannot start and is tried again")
            self._restart_later()

    def follow_address(self, known: Callable[[], Iterable[Address]]) -> None:
        """
        Leave, and join again with this node's new address if it has changed: kinship takes none while it
        runs.

        :param known: returns the peer addresses of nodes that are up: some of them are contacted as the seeds
            are, which may not be found at their new addresses yet.
        """
        if self.cluster is not None and self._wanted and self._advertise() != self._advertised:
            self._log.info(
                "this node has another address: kinship leaves, and joins again at {new}",
                new=self._advertise(),
            )  # fmt: skip
            self._met = tuple(islice(known(), _MAX_MET))
            self._starting = Deferred.fromCoroutine(self._start_again())

    async def _start_again(self) -> None:
        """Never raises."""
        cluster, self.cluster, self._events = self.cluster, None, None
        await self._run(_STOP_TIMEOUT, "leaving the cluster failed", cluster.close, _LEAVE_TIMEOUT)
        self._moves += 1
        await deferLater(self._clock, 2 * RECLAIM_AFTER)  # until then it is taken for a second one of its id
        if self._wanted:
            await self._start(_MEETING)

    def _restart_later(self) -> None:
        self.cluster = self._events = None
        if self._wanted:
            self._again = self._clock.callLater(RESTART_DELAY, self._begin)

    async def stop(self) -> None:
        """Leave the cluster and stop kinship; return when that is done. Never raises."""
        self._wanted = False
        if self._again is not None and self._again.active():
            self._again.cancel()
        if self._starting is not None and not await self._over(self._starting):
            return  # it has told nobody that it is there, and ends with the process
        cluster, self.cluster, self._events = self.cluster, None, None
        if cluster is not None:
            await self._run(_STOP_TIMEOUT, "leaving the cluster failed", cluster.close, _LEAVE_TIMEOUT)

    def _over(self, starting: Deferred[None]) -> Deferred[bool]:
        """Return whether a start is over in time; it may wait for seeds that do not answer."""
        over: Deferred[bool] = Deferred()
        late = self._clock.callLater(_STOP_TIMEOUT, over.callback, False)

        def done(_result: object) -> None:
            if late.active():
                late.cancel()
                over.callback(True)

        starting.addCallback(done)
        return over

    def events(self, most: int) -> Iterator[kinship.Event]:
        """Yield at most ``most`` new events of kinship. Does not block."""
        try:
            while most > 0 and self._events is not None:
                event = next(self._events)
                if event is None:
                    return
                yield event
                most -= 1
        except kinship.KinshipError as error:
            self._ended(error)
        except StopIteration:  # a generator must not let it escape
            self._ended("it was closed")

    async def members(self, of: Callable[[kinship.Member], T]) -> list[T]:
        """
        Return what ``of`` makes of each member, this node too. It runs on a thread: there may be thousands.

        :raises libgomd.errors.TimedOut: it took longer than four seconds.
        :raises kinship.KinshipError: kinship has ended.
        :raises libgomd.errors.NotPossible: it does not run now: this node has another address, for example.
        """
        cluster = self.cluster
        if cluster is None:
            raise NotPossible("it is started again")
        return await self._threads.run(_STOP_TIMEOUT, lambda: [of(member) for member in cluster.members()])

    def epoch_of(self, name: str) -> int:
        """Return the epoch of a member that is up, 0 when it is not."""
        member = None if self.cluster is None else self.cluster.member(name)
        if member is None or member.state not in (kinship.State.ALIVE, kinship.State.SUSPECT):
            return 0
        return int(member.epoch)

    def probes_failed(self) -> int:
        """Return how many probes of this node have failed since kinship was started."""
        return 0 if self.cluster is None else int(self.cluster.stats().probes_failed)

    def broadcast(self, message: bytes) -> None:
        """Send a message to all members, in the background."""
        if self.cluster is not None:
            self._in_background("a message to the other nodes was not sent", self.cluster.broadcast, message)

    def _ended(self, why: object) -> None:
        self._log.error("kinship ended by itself and is restarted: {why}", why=why)
        self._restart_later()

    def set_seeds(self, seeds: Sequence[Address]) -> None:
        """Contact these nodes now and whenever kinship is restarted."""
        self._seeds = tuple(seeds)
        self._ask_seeds()

    @property
    def seeds(self) -> int:
        """The number of seed addresses."""
        return len(self._seeds)

    def rejoin(self, alone: bool, now: float) -> None:
        """Contact the seeds again if no other node is known, because kinship itself tries them only once."""
        if alone and now - self._rejoined >= REJOIN_INTERVAL:
            self._rejoined = now
            self._ask_seeds(again=True)

    def _ask_seeds(self, again: bool = False) -> None:
        if self.cluster is not None and (seeds := self._reached(self._seeds)):
            trouble = "" if again else "no seed answers"
            self._in_background(trouble, self.cluster.join, seeds_of(seeds))

    def _reached(self, places: Iterable[Address]) -> tuple[Address, ...]:
        """Return those of some places that kinship can send to: it has one address, and so one family."""
        own = self._advertise()
        return tuple(each for each in places if not own or is_ipv6(each[0]) == is_ipv6(own))

    def set_keys(self, keys: tuple[bytes, ...]) -> None:
        """Seal with the first of these keys from now on, and open with all of them."""
        old, self._keys = self._keys, keys
        if self.cluster is not None and old != keys:
            self._in_background("the new key cannot be used", _change_keys, self.cluster.keyring, old, keys)

    def _in_background(self, trouble: str, function: Callable[..., object], *arguments: object) -> None:
        Deferred.fromCoroutine(self._run(_START_TIMEOUT, trouble, function, *arguments))

    async def _run(
        self, limit: float, trouble: str, function: Callable[..., object], *arguments: object
    ) -> None:
        try:
            await self._threads.run(limit, function, *arguments)
        except FAILURES as error:
            if trouble:  # otherwise it was reported before
                self._log.warn("{trouble}: {error}", trouble=trouble, error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("{trouble}", trouble=trouble or "asking the seeds again failed")


def _change_keys(keyring: Any, old: tuple[bytes, ...], new: tuple[bytes, ...]) -> None:
    """Change the keys of kinship. Blocks."""
    for key in new:
        keyring.install(key)
    keyring.use(new[0])
    for key in old:
        if key not in new:
            keyring.remove(key)
