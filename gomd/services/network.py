"""Watches the addresses and interfaces of this node, and rejoins the multicast group where necessary."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import IThreads
from gomd.services.own_address import OwnAddress, Reachability, trouble_of
from gomd.sources.addresses import InterfaceAddress
from gomd.sources.netlink import LARGEST, MalformedNetlink, parse_changes
from libgomd.errors import GomdError
from libgomd.model import Counter, EventKind
from libgomd.shared_wakeups import SharedWakeups
from libgomd.wire.addresses import for_others, is_ipv6

#: Seconds from a change to a first check, because several changes come together, and to a second one, because
#: routes come later.
FIRST_CHECK_DELAY: Final = 0.2
SECOND_CHECK_DELAY: Final = 2.0
#: Seconds between two checks if the kernel announces changes, and if it does not.
CHECK_PERIOD: Final = 30.0
CHECK_PERIOD_WITHOUT_NETLINK: Final = 2.0
#: Seconds that a check may take.
CHECK_TIMEOUT: Final = 10.0
#: Netlink datagrams that are read in one turn of the reactor.
_MAX_DATAGRAMS_PER_READ: Final = 64


@implementer(IReadDescriptor)
class _Monitor:
    """Reads the announcements of the kernel (netlink), and calls ``changed`` with the number of changes."""

    def __init__(self, monitor: socket.socket, changed: Callable[[int], None]) -> None:
        self._monitor = monitor
        self._changed = changed

    def fileno(self) -> int:
        return self._monitor.fileno()

    def logPrefix(self) -> str:
        return "netlink"

    def doRead(self) -> None:
        changes = 0
        for _ in range(_MAX_DATAGRAMS_PER_READ):
            try:
                data, (sender, _groups) = self._monitor.recvfrom(LARGEST)
            except BlockingIOError:
                break
            except OSError as error:
                changes += 1  # ENOBUFS: some were lost, so everything has to be checked
                if error.errno == errno.ENOBUFS:
                    continue
                break
            if sender:
                continue  # not from the kernel
            try:
                changes += len(parse_changes(data))
            except MalformedNetlink:
                changes += 1
        if changes:
            self._changed(changes)

    def connectionLost(self, reason: Any) -> None:
        self._monitor.close()


class NetworkWatch(Service):
    """
    Checks the addresses of this node when the kernel announces a change, and from time to time.

    :param own: the state of each address of this node.
    :param look: returns all addresses, and those that the default routes of IPv4 and of IPv6 use; blocks, so
        it is called on a thread.
    :param open_monitor: returns a netlink socket. If it raises OSError, checks are made every few seconds.
    :param join: joins the multicast group on an interface, given an address and the interface's number.
    :param moved: called with all addresses of this node when one has changed.
    :param say: reports to people, by log and event: the kind of the event, and the sentence.
    :param addresses_are: called with all addresses of this machine after each check.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        threads: IThreads,
        own: Sequence[OwnAddress],
        look: Callable[[], tuple[Sequence[InterfaceAddress], tuple[str, str]]],
        open_monitor: Callable[[], socket.socket],
        join: Callable[[str, int], None],
        moved: Callable[[tuple[str, ...]], None],
        say: Callable[[EventKind, str], None],
        addresses_are: Callable[[Iterable[str]], None] = lambda _addresses: None,
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._own = own
        self._read_addresses = look
        self._open_monitor = open_monitor
        self._join = join
        self._moved = moved
        self._say = say
        self._addresses_are = addresses_are
        self._monitor: _Monitor | None = None
        self._loop = LoopingCall(self._check)
        self._loop.clock = SharedWakeups(reactor)
        self._first_check: IDelayedCall | None = None
        self._second_check: IDelayedCall | None = None
        self._busy = self._wanted = False
        self._to_join: dict[OwnAddress, int] = {}
        self._said_join: set[OwnAddress] = set()
        self._changes = self._checks = self._failed = 0

    @property
    def trouble(self) -> str:
        """Why the other nodes cannot reach this one, a clause; empty if they can, as far as is known here."""
        return trouble_of(self._own)

    def startService(self) -> None:
        """Listen to the kernel, and check from time to time in any case."""
        super().startService()
        if not any(own.watched for own in self._own):
            return
        try:
            self._monitor = _Monitor(self._open_monitor(), self._changed)
        except OSError as error:
            self._log.info(
                "the kernel does not announce network changes ({error}): checking every {period:g} s instead",
                error=error.strerror or error, period=CHECK_PERIOD_WITHOUT_NETLINK,
            )  # fmt: skip
        else:
            self._reactor.addReader(self._monitor)
        self._loop.start(CHECK_PERIOD_WITHOUT_NETLINK if self._monitor is None else CHECK_PERIOD)

    def stopService(self) -> None:
        """Stop checking."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        for call in (self._first_check, self._second_check):
            if call is not None and call.active():
                call.cancel()
        if self._monitor is not None:
            self._reactor.removeReader(self._monitor)
            self._monitor.connectionLost(None)
            self._monitor = None

    def _changed(self, changes: int) -> None:
        """Check soon, and once more when the change is complete. Many changes share these two checks."""
        self._changes += changes
        if self._first_check is None or not self._first_check.active():
            self._first_check = self._reactor.callLater(FIRST_CHECK_DELAY, self._check)
        if self._second_check is not None and self._second_check.active():
            self._second_check.reset(SECOND_CHECK_DELAY)
        else:
            self._second_check = self._reactor.callLater(SECOND_CHECK_DELAY, self._check)

    def _check(self) -> None:
        """Check everything on a thread, one check at a time. Never raises: the clock calls it."""
        if self._busy:
            self._wanted = True
            return
        self._busy = True
        Deferred.fromCoroutine(self._check_once()).addErrback(
            lambda failure: self._log.failure("checking the network failed", failure=failure)
        )

    async def _check_once(self) -> None:
        try:
            found, primaries = await self._threads.run(CHECK_TIMEOUT, self._read_addresses)
        except (GomdError, OSError) as error:
            self._failed += 1
            self._log.debug("the addresses of this node cannot be read: {error}", error=error)
        else:
            self._checks += 1
            if self.running:
                self._take(found, primaries)
        finally:
            self._busy = False
        if self._wanted and self.running:
            self._wanted = False
            self._check()

    def _take(self, found: Sequence[InterfaceAddress], primaries: tuple[str, str]) -> None:
        for own in self._own:
            outcome = own.take(found, primaries[is_ipv6(own.address)])
            if outcome.join:
                self._to_join[own] = outcome.join
            if outcome.moved:
                self._moved(for_others([each.address for each in self._own]))
            if outcome.reason:
                kind = EventKind.UP if own.reachability is Reachability.HERE else EventKind.SUSPECT
                self._say(kind, outcome.reason)
            if own in self._to_join and own.reachability is Reachability.HERE:
                self._join_again(own)
        self._addresses_are(each.address for each in found)

    def _join_again(self, own: OwnAddress) -> None:
        try:
            self._join(own.address, self._to_join[own])
        except OSError as error:
            if own not in self._said_join:
                self._said_join.add(own)
                self._say(
                    EventKind.SUSPECT,
                    f"the multicast group cannot be joined at {own.address} "
                    f"({error.strerror or error}): nodes are not found by multicast until it can",
                )
        else:
            del self._to_join[own]
            self._said_join.discard(own)

    def counters(self) -> Iterable[Counter]:
        """Return the interfaces that were seen, and whether this node has its address."""
        lost = sum(own.reachability is not Reachability.HERE for own in self._own)
        yield Counter("network_changes", self._changes, "changes of interfaces and addresses")
        yield Counter("network_looks", self._checks, "checks of all addresses")
        yield Counter("network_looks_failed", self._failed, "checks that failed")
        yield Counter("address_lost", lost, "addresses of this node that no interface that is up has")
