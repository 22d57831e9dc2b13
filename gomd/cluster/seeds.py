"""
The addresses of `[peers] seeds`: names are resolved again periodically while gomd runs.

Theory of operation. An address is used as it is. A name is looked up on a thread when the daemon starts
and again every `REFRESH_INTERVAL` seconds, because its addresses change: a node may start later than its
DNS entry exists, or get another address. All addresses of a name are contacted. A new answer replaces the
previous one; a failed look-up keeps it. A look-up that hangs occupies one thread, and the name is not looked
up again before that thread has returned, so a silent name server costs one thread for each name.
"""

from __future__ import annotations

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
from libgomd.wire.addresses import is_link_local, is_one_host, parse_host, unmapped, zone_of

#: Seconds until a name is looked up again: after a success, and after a failure.
REFRESH_INTERVAL: Final = 60.0
RETRY_INTERVAL: Final = 5.0
#: Seconds that a look-up may take, and between two checks of which names are due.
LOOKUP_TIMEOUT: Final = 10.0
CHECK_INTERVAL: Final = 1.0
#: Maximum number of addresses used for one name.
MAX_ADDRESSES: Final = 16


def look_up(host: str) -> tuple[str, ...]:
    """
    Return the unicast addresses of ``host``, IPv4 (A) and IPv6 (AAAA). Blocks.

    :raises OSError: there are none; the text says why.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except UnicodeError as error:  # raised by the codec that encodes names
        raise OSError(f"it is not a host name ({error})") from error
    hosts = dict.fromkeys(unmapped(str(address[0])) for *_, address in found)
    usable = tuple(each for each in hosts if _is_usable(each))[:MAX_ADDRESSES]
    if not usable:
        raise OSError(f"no single node has the address {next(iter(hosts), 'that it has')}")
    return usable


def reason_of(error: Exception) -> str:
    """Return why a look-up failed, as a clause."""
    return getattr(error, "strerror", None) or str(error)


def numeric_seeds(seeds: Sequence[Address]) -> tuple[Address, ...]:
    """Return those of ``seeds`` that are addresses and need no look-up."""
    return tuple((host, port) for host, port in seeds if not is_name(host))


def is_name(host: str) -> bool:
    """Return whether ``host`` is a name that must be looked up."""
    try:
        parse_host(host)
    except ValueError:
        return True
    return False


class Seeds:
    """
    The seeds of this node.

    :param seeds: host and port of each.
    :param threads: threads used for nothing else, because a look-up may hang.
    :param changed: called with all addresses whenever they change.
    :param look_up: returns the addresses of a name, or raises OSError. It is called on a thread.
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
        self._busy: set[str] = (
            set()
        )  # names being looked up: added on the reactor's thread, removed on others
        self._warned: set[str] = set()
        self._reported = self.addresses()
        self._started = False
        self._loop = LoopingCall(self._tick)
        self._loop.clock = clock

    def addresses(self) -> tuple[Address, ...]:
        """Return every address known now, without duplicates, in the order of the seeds."""
        found: dict[Address, None] = {}
        for host, port in self._seeds:
            for address in self._found.get(host, ()) if is_name(host) else (host,):
                found[address, port] = None
        return tuple(found)

    def start(self) -> None:
        """Look names up periodically until `stop`. Without names nothing wakes this process up."""
        self._started = True
        self._tick_or_stop()

    def stop(self) -> None:
        """Stop. Look-ups that are under way end on their threads, and their results are dropped."""
        self._started = False
        self._tick_or_stop()

    def _tick_or_stop(self) -> None:
        """Have the loop run if there are names to be looked up, and begin with what is due."""
        if self._started and self._names():
            if self._loop.running:
                self._tick()
            else:
                self._loop.start(CHECK_INTERVAL)
        elif self._loop.running:
            self._loop.stop()

    def use(self, seeds: Sequence[Address]) -> None:
        """Replace the seeds."""
        self._seeds = tuple(seeds)
        names = self._names()
        for known in (self._found, self._due):
            for name in known.keys() - names:
                del known[name]
        self._warned &= names
        self._report()
        self._tick_or_stop()

    def look_again(self) -> None:
        """Look all names up now: this node has another address, and so the other nodes may have."""
        self._due.clear()
        if self._loop.running:
            self._tick()

    def _names(self) -> set[str]:
        return {host for host, _port in self._seeds if is_name(host)}

    def _tick(self) -> None:
        """Start the look-ups that are due. Never raises: an escaping error would end the loop."""
        now = self._clock.seconds()
        for name in sorted(self._names() - self._busy):
            if self._due.get(name, now) <= now:
                self._due[name] = now + RETRY_INTERVAL
                Deferred.fromCoroutine(self._find(name)).addErrback(
                    lambda failure: self._log.failure("looking a seed up failed", failure=failure)
                )

    async def _find(self, name: str) -> None:
        self._busy.add(name)
        try:
            found = await self._threads.run(LOOKUP_TIMEOUT, self._on_thread, name)
        except (GomdError, OSError) as error:
            if not isinstance(error, (OSError, TimedOut)):
                self._busy.discard(name)  # no thread was free, so `_on_thread` was not called
            self._not_found(name, reason_of(error))
            return
        if name not in self._names():
            return
        self._due[name] = self._clock.seconds() + REFRESH_INTERVAL
        if name in self._warned:
            self._warned.discard(name)
            self._log.info("the seed {name} is found now: {addresses}", name=name, addresses=", ".join(found))
        if self._found.get(name) != found:
            self._found[name] = found
            self._report()

    def _on_thread(self, name: str) -> tuple[str, ...]:
        try:
            return self._look_up(name)
        finally:
            self._busy.discard(name)

    def _not_found(self, name: str, reason: str) -> None:
        """Warn that a name cannot be looked up, once until it is found again."""
        if name in self._names() and name not in self._warned:
            self._warned.add(name)
            known = ", ".join(self._found.get(name, ())) or "no address"
            self._log.warn(
                "the seed {name} cannot be looked up ({reason}): using {known} for it until it can; "
                "trying again every {again:g} s",
                name=name, reason=reason, known=known, again=RETRY_INTERVAL,
            )  # fmt: skip

    def _report(self) -> None:
        addresses = self.addresses()
        if addresses != self._reported:
            self._reported = addresses
            self._changed(addresses)


def _is_usable(address: str) -> bool:
    """Return whether it is the address of one node; one that is link-local needs its interface."""
    return is_one_host(parse_host(address)) and not (is_link_local(address) and not zone_of(address))
