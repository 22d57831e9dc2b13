"""Watches the addresses and interfaces of this node, and sets right what depends on them."""

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
from gomd.services.own_address import OwnAddress, Standing
from gomd.sources.addresses import InterfaceAddress
from gomd.sources.netlink import LARGEST, MalformedNetlink, parse_changes
from libgomd.errors import GomdError
from libgomd.model import Counter, EventKind

#: Seconds from a change until it is looked at, as several come together; once more, when routes came too.
SOON: Final = 0.2
LATER: Final = 2.0
#: Seconds between two looks where the kernel tells of changes, and where it does not.
PERIOD: Final = 30.0
PERIOD_ALONE: Final = 2.0
#: Seconds a look may take.
LOOK_LIMIT: Final = 10.0
#: Datagrams of the kernel that are taken at a time.
_AT_ONCE: Final = 64


@implementer(IReadDescriptor)
class _Monitor:
    """Reads what the kernel says, and tells when something changed."""

    def __init__(self, monitor: socket.socket, changed: Callable[[int], None]) -> None:
        self._monitor = monitor
        self._changed = changed

    def fileno(self) -> int:
        return self._monitor.fileno()

    def logPrefix(self) -> str:
        return "netlink"

    def doRead(self) -> None:
        changes = 0
        for _ in range(_AT_ONCE):
            try:
                data, (sender, _groups) = self._monitor.recvfrom(LARGEST)
            except BlockingIOError:
                break
            except OSError as error:
                changes += 1  # ENOBUFS: some were lost, so all is looked at
                if error.errno == errno.ENOBUFS:
                    continue
                break
            if sender:
                continue  # not of the kernel
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
    :param own: what is known of this node's address.
    :param look: gives all addresses and the one of the default route; blocks, and is called on a thread.
    :param open_monitor: gives a netlink socket, or raises OSError: then it is looked every few seconds.
    :param join: joins the multicast group anew at an interface, given an address and its number.
    :param moved: is told the new address when it is another one.
    :param say: tells people, by log and event: the kind of the event, and the sentence.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        threads: IThreads,
        own: OwnAddress,
        look: Callable[[], tuple[Sequence[InterfaceAddress], str]],
        open_monitor: Callable[[], socket.socket],
        join: Callable[[str, int], None],
        moved: Callable[[str], None],
        say: Callable[[EventKind, str], None],
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._own = own
        self._look_on_thread = look
        self._open_monitor = open_monitor
        self._join = join
        self._moved = moved
        self._say = say
        self._monitor: _Monitor | None = None
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor
        self._soon: IDelayedCall | None = None
        self._later: IDelayedCall | None = None
        self._busy = self._wanted = False
        self._to_join = 0
        self._said_join = False
        self._changes = self._looks = self._failed = 0

    @property
    def trouble(self) -> str:
        """Why the others cannot reach this node, a clause; empty when they can, as far as is known here."""
        return self._own.trouble

    def startService(self) -> None:
        """Listen to the kernel, and look now and again in any case."""
        super().startService()
        if not self._own.watched:
            return
        try:
            self._monitor = _Monitor(self._open_monitor(), self._changed)
        except OSError as error:
            self._log.info(
                "the kernel does not tell of changes of the network ({error}): looking every {period:g} s",
                error=error.strerror or error, period=PERIOD_ALONE,
            )  # fmt: skip
        else:
            self._reactor.addReader(self._monitor)
        self._loop.start(PERIOD_ALONE if self._monitor is None else PERIOD)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        for call in (self._soon, self._later):
            if call is not None and call.active():
                call.cancel()
        if self._monitor is not None:
            self._reactor.removeReader(self._monitor)
            self._monitor.connectionLost(None)
            self._monitor = None

    def _changed(self, changes: int) -> None:
        """Look soon, and once more when the change is complete; a flood of changes is one look each time."""
        self._changes += changes
        if self._soon is None or not self._soon.active():
            self._soon = self._reactor.callLater(SOON, self._look)
        if self._later is not None and self._later.active():
            self._later.reset(LATER)
        else:
            self._later = self._reactor.callLater(LATER, self._look)

    def _look(self) -> None:
        """Look at everything on a thread, one look at a time. Never raises: it is called by the clock."""
        if self._busy:
            self._wanted = True
            return
        self._busy = True
        Deferred.fromCoroutine(self._look_once()).addErrback(
            lambda failure: self._log.failure("looking at the network failed", failure=failure)
        )

    async def _look_once(self) -> None:
        try:
            found, primary = await self._threads.run(LOOK_LIMIT, self._look_on_thread)
        except (GomdError, OSError) as error:
            self._failed += 1
            self._log.debug("the addresses of this node cannot be read: {error}", error=error)
        else:
            self._looks += 1
            if self.running:
                self._take(found, primary)
        finally:
            self._busy = False
        if self._wanted and self.running:
            self._wanted = False
            self._look()

    def _take(self, found: Sequence[InterfaceAddress], primary: str) -> None:
        outcome = self._own.take(found, primary)
        self._to_join = outcome.join or self._to_join
        if outcome.moved:
            self._moved(self._own.address)
        if outcome.reason:
            kind = EventKind.UP if self._own.standing is Standing.HERE else EventKind.SUSPECT
            self._say(kind, outcome.reason)
        if self._to_join and self._own.standing is Standing.HERE:
            self._join_again()

    def _join_again(self) -> None:
        try:
            self._join(self._own.address, self._to_join)
        except OSError as error:
            if not self._said_join:
                self._said_join = True
                self._say(
                    EventKind.SUSPECT,
                    f"the multicast group cannot be joined at {self._own.address} "
                    f"({error.strerror or error}): nodes are not found by multicast until it can",
                )
        else:
            self._to_join = 0
            self._said_join = False

    def counters(self) -> Iterable[Counter]:
        """What was seen, and whether this node has its address."""
        lost = int(self._own.standing is not Standing.HERE)
        yield Counter("network_changes", self._changes, "changes of interfaces and addresses")
        yield Counter("network_looks", self._looks, "looks at all addresses")
        yield Counter("network_looks_failed", self._failed, "looks that failed")
        yield Counter("address_lost", lost, "1 while no interface that is up has the address of this node")
