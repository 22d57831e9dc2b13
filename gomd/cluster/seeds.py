"""
Where the seeds are: the addresses behind `[peers] seeds`, looked up again and again while gomd runs.

Theory of operation. An IPv4 address is used as it is. A name is looked up on a thread when the daemon starts
and again every `AGAIN` seconds, because what is behind a name changes: a node comes later than its entry in
the DNS, or gets another address. All addresses of a name are tried. An answer replaces the one before it; a
look-up that fails keeps it. A name whose look-up hangs occupies one thread and is not asked again before
that one has ended, so that a name server that does not answer costs only what it was asked for.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.cluster.membership.transport import Address
from gomd.interfaces import IThreads
from libgomd.errors import GomdError, TimedOut

#: Seconds until a name that was found is looked up again, and until one that was not.
AGAIN: Final = 60.0
AGAIN_LOST: Final = 5.0
#: Seconds that a look-up may take, and between two looks at which names are due.
LIMIT: Final = 10.0
STEP: Final = 1.0
#: Addresses of one name that are tried.
MOST_ADDRESSES: Final = 16


def look_up(host: str) -> tuple[str, ...]:
    """
    Return the IPv4 addresses of ``host`` that a packet to one node can go to. Blocks.

    :raises OSError: there are none; its text says why.
    """
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_DGRAM)
    except UnicodeError as error:  # of the codec that encodes names
        raise OSError(f"it is no name of a host ({error})") from error
    hosts = dict.fromkeys(str(address[0]) for *_, address in found)
    usable = tuple(each for each in hosts if _is_one_host(each))[:MOST_ADDRESSES]
    if not usable:
        raise OSError(f"no single node has the address {next(iter(hosts), 'that it has')}")
    return usable


def reason_of(error: Exception) -> str:
    """Return why a look-up failed, as a clause."""
    return getattr(error, "strerror", None) or str(error)


def known_at_once(seeds: Sequence[Address]) -> tuple[Address, ...]:
    """Return those of ``seeds`` that need no look-up."""
    return tuple((host, port) for host, port in seeds if not is_name(host))


def is_name(host: str) -> bool:
    """Whether ``host`` has to be looked up."""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False


class Seeds:
    """
    The seeds of this node.

    :param seeds: HOST and port of each. :param threads: of their own, see the theory above.
    :param changed: is given all addresses, whenever they are others than before.
    :param look_up: gives the addresses of a name, or raises OSError; called on a thread.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        seeds: Sequence[Address],
        threads: IThreads,
        clock: IReactorTime,
        changed: Callable[[tuple[Address, ...]], None],
        look_up: Callable[[str], tuple[str, ...]] = look_up,
    ) -> None:
        self._seeds = tuple(seeds)
        self._threads = threads
        self._clock = clock
        self._changed = changed
        self._look_up = look_up
        self._found: dict[str, tuple[str, ...]] = {}
        self._due: dict[str, float] = {}
        self._busy: set[str] = set()  # threads take names out of it, the reactor's thread puts them in
        self._warned: set[str] = set()
        self._told = self.addresses()
        self._loop = LoopingCall(self._tick)
        self._loop.clock = clock

    def addresses(self) -> tuple[Address, ...]:
        """Return every address that is known now, in the order of the seeds, each once."""
        found: dict[Address, None] = {}
        for host, port in self._seeds:
            for address in self._found.get(host, ()) if is_name(host) else (host,):
                found[address, port] = None
        return tuple(found)

    def start(self) -> None:
        """Look names up until `stop`."""
        self._loop.start(STEP)

    def stop(self) -> None:
        """Look no more up; what is under way ends on its thread, unheard."""
        if self._loop.running:
            self._loop.stop()

    def use(self, seeds: Sequence[Address]) -> None:
        """Use these seeds from now on."""
        self._seeds = tuple(seeds)
        names = self._names()
        for known in (self._found, self._due):
            for name in known.keys() - names:
                del known[name]
        self._warned &= names
        self._tell()
        self._tick()

    def _names(self) -> set[str]:
        return {host for host, _port in self._seeds if is_name(host)}

    def _tick(self) -> None:
        """Begin the look-ups that are due. Never raises: an escaping error would end the loop."""
        now = self._clock.seconds()
        for name in sorted(self._names() - self._busy):
            if self._due.get(name, now) <= now:
                self._due[name] = now + AGAIN_LOST
                Deferred.fromCoroutine(self._find(name)).addErrback(
                    lambda failure: self._log.failure("looking a seed up failed", failure=failure)
                )

    async def _find(self, name: str) -> None:
        self._busy.add(name)
        try:
            found = await self._threads.run(LIMIT, self._on_thread, name)
        except (GomdError, OSError) as error:
            if not isinstance(error, (OSError, TimedOut)):
                self._busy.discard(name)  # it was given no thread
            self._not_found(name, reason_of(error))
            return
        if name not in self._names():
            return
        self._due[name] = self._clock.seconds() + AGAIN
        if name in self._warned:
            self._warned.discard(name)
            self._log.info("the seed {name} is found now: {addresses}", name=name, addresses=", ".join(found))
        if self._found.get(name) != found:
            self._found[name] = found
            self._tell()

    def _on_thread(self, name: str) -> tuple[str, ...]:
        try:
            return self._look_up(name)
        finally:
            self._busy.discard(name)

    def _not_found(self, name: str, reason: str) -> None:
        """Say so, once until it is found."""
        if name in self._names() and name not in self._warned:
            self._warned.add(name)
            known = ", ".join(self._found.get(name, ())) or "nobody"
            self._log.warn(
                "the seed {name} cannot be looked up ({reason}): until it can, {known} is asked instead; "
                "it is tried again every {again:g} s",
                name=name, reason=reason, known=known, again=AGAIN_LOST,
            )  # fmt: skip

    def _tell(self) -> None:
        addresses = self.addresses()
        if addresses != self._told:
            self._told = addresses
            self._changed(addresses)


def _is_one_host(address: str) -> bool:
    found = ipaddress.IPv4Address(address)
    return not (found.is_multicast or found.is_reserved or address.startswith("0."))
