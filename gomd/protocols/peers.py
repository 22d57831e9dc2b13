"""Datagrams between daemons: opened and sealed, answered, and handed to whom they concern."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, ClassVar, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from gomd.cluster.membership.transport import IPeerTransport
from gomd.protocols.clock_skew import ClockSkew
from gomd.protocols.drop_stats import DropStats
from gomd.protocols.replay_reports import ReplayReports
from gomd.protocols.send_failures import SendFailures
from libgomd.errors import MalformedDatagram
from libgomd.model import Counter
from libgomd.questions import Address, Asker
from libgomd.wallclock import Wall
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import Answer, ClockWarning, Datagram, Message, Question, ReplayWarning, Summary
from libgomd.wire.replay import ReplayWindow, Verdict
from libgomd.wire.sealing import KeyRing

#: Questions that are being answered at once, at most; more are dropped, and asked again by the asker.
MOST_ANSWERING = 100

Answering = Callable[[Question], Answer | Summary | Awaitable[Answer | Summary]]


class Membership(Protocol):
    """The engine that everything but questions and answers is for."""

    def receive(self, datagram: Datagram, address: Address, multicast: bool = False) -> None:
        """Take a fresh message of another node."""

    def port_of(self, node: int) -> tuple[Address, int] | None:
        """Where a node that is up is asked by datagram, and its TCP port, 0 for none."""

    def wrong_clock(self, node: int, name: str, skew: float) -> None:
        """Take notice that the clock of a node is ``skew`` seconds ahead of ours."""

    def right_clock(self, node: int) -> None:
        """Take notice that it is right again."""

    def differing(self, node: int) -> None:
        """A node is there whose clock still differs too much: it may be a member again at any moment."""

    def replayed(self, node: int) -> None:
        """Take notice that all that comes from a node has come before."""

    def copied(self, host: str) -> None:
        """Take notice that a daemon at ``host`` has our id and instance, and sends what we did not."""

    def look_again(self) -> None:
        """Show this node to all others at once."""

    def slept(self, seconds: float) -> None:
        """What others said is older by that: the machine slept."""

    def renumbered(self, name: str) -> None:
        """Take notice that node ``name`` had heard nothing new from us, and that our numbers leapt."""


@implementer(IPeerTransport)
class PeerProtocol(DatagramProtocol):
    """
    One UDP port among the peers.

    :param keys: the cluster's; the first one seals. :param own_id: this node's id.
    :param wall: gives the time that datagrams are stamped with and judged by.
    :param random: gives that many random bytes, as os.urandom.
    :param group: multicast address and port of the announcements, None for no multicast.
    :ivar trouble: tells when datagrams cannot be sent for a while.
    :ivar instance: which start of this daemon: milliseconds since the epoch.
    :ivar answer: answers a question about this node; None drops questions.
    :ivar membership: gets everything that is not a question or an answer; None before it is there.
    """

    noisy = False
    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        keys: KeyRing,
        own_id: int,
        own_name: str,
        instance: int,
        clock: IReactorTime,
        wall: Wall,
        random: Callable[[int], bytes],
        group: Address | None = None,
        max_senders: int = 4096,
    ) -> None:
        self.answer: Answering | None = None
        self.membership: Membership | None = None
        self.asker = Asker(clock, self._ask, random)
        self._group = group
        self._keys = keys
        self._own_id = own_id
        self.instance = instance
        self._clock = clock
        self._wall = wall
        self._sealer = Sealer(keys, own_id, instance, random)
        self._window = ReplayWindow(max_senders)
        self._clocks = ClockSkew(own_name, instance, self._sealer)
        self._replays = ReplayReports(own_name, instance, self._sealer)
        self._renumbered = 0
        self._junk = DropStats()
        self.trouble = SendFailures()
        self._answering = 0
        self._received = self._received_bytes = 0
        self._sent = self._sent_bytes = 0
        self._questions = self._busy = self._unsent = 0

    def use_keys(self, keys: KeyRing) -> None:
        """Seal and open with other keys from now on."""
        self._keys = keys
        self._sealer.use(keys)

    def _now(self) -> int:
        return int(self._wall() * 1000)

    # -- out

    def send(self, message: Message, addresses: Sequence[Address]) -> None:
        """See `IPeerTransport.send`."""
        try:
            packet = self._sealer.seal(message, self._now())
        except ValueError:  # a value out of its range is a bug of ours: say so, and stay up
            self._log.failure("a message could not be sealed")
            return
        for address in addresses:
            self._write(packet, address)

    def multicast(self, message: Message) -> None:
        """See `IPeerTransport.multicast`; without a group nothing is sent."""
        if self._group is not None:
            self.send(message, [self._group])

    def _ask(self, question: Question, address: Address) -> None:
        self.send(question, [address])

    def _write(self, packet: bytes, address: Address) -> None:
        """Send a packet. A network that cannot be reached now loses it, as networks do."""
        if self.transport is None:
            return
        try:
            self.transport.write(packet, address)
        except OSError as error:
            self._unsent += 1
            self.trouble.failed(address, error, self._clock.seconds())
            self._log.debug("cannot send to {address}: {error}", address=address, error=error)
        else:
            self._sent += 1
            if self.trouble.failing:
                self.trouble.sent(address, self._clock.seconds())
            self._sent_bytes += len(packet)

    # -- in

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Take one packet that came to this node alone."""
        self.take(datagram, addr, False)

    def take(self, packet: bytes, addr: Address, multicast: bool) -> None:
        """
        Open one packet and act on it; one that is no use is counted and forgotten.

        :param multicast: whether it came to the whole group.
        """
        self._received += 1
        self._received_bytes += len(packet)
        try:
            opened = open_sealed(packet, self._keys).datagram
        except MalformedDatagram as error:
            self._junk.count(error.word, addr[0])
            return
        if opened.sender == self._own_id and opened.instance == self.instance:
            if opened.sequence > self._sealer.sequence and self.membership is not None:
                self.membership.copied(addr[0])  # else it is our own announcement, come back
            return
        verdict = self._window.admit(opened, self._now())
        if verdict is Verdict.FRESH:
            try:
                self._note_fresh(opened)
                self._act(opened, addr, multicast)
            except Exception:  # noqa: BLE001 - the edge: no packet may end the port
                self._log.failure("a datagram of node {node} could not be handled", node=opened.sender)
        else:
            self._junk.count(verdict.name.lower(), addr[0])
            if verdict is not Verdict.REPLAYED:
                self._wrong_time(opened, addr)
            elif opened.sender:
                self._replayed(opened, addr)

    def _act(self, datagram: Datagram, address: Address, multicast: bool) -> None:
        message = datagram.message
        if isinstance(message, Question):
            if message.target in (0, self._own_id):
                self._questions += 1
                self._reply(message, address)
        elif isinstance(message, (Answer, Summary)):
            self.asker.take(message)
        elif isinstance(message, ClockWarning):
            self._warned(datagram, message, address)
        elif isinstance(message, ReplayWarning):
            self._told_of_replays(datagram, message)
        elif self.membership is not None:
            self.membership.receive(datagram, address, multicast)

    def _reply(self, question: Question, address: Address) -> None:
        if self.answer is None or self._answering >= MOST_ANSWERING:
            self._busy += 1
            return
        reply = self.answer(question)
        if isinstance(reply, (Answer, Summary)):
            self.send(reply, [address])
        else:
            self._answering += 1
            Deferred.fromCoroutine(self._reply_later(reply, address))

    async def _reply_later(self, reply: Awaitable[Answer | Summary], address: Address) -> None:
        try:
            self.send(await reply, [address])
        except Exception:  # noqa: BLE001 - the edge: the asker's time-out tells him
            self._log.failure("a question could not be answered")
        finally:
            self._answering -= 1

    # -- clocks

    def _wrong_time(self, datagram: Datagram, address: Address) -> None:
        """Tell a sender whose time is not ours, and believe his own warning if it proves itself."""
        message = datagram.message
        if isinstance(message, ClockWarning):
            self._warned(datagram, message, address)
            return
        warning = self._clocks.warning_for(datagram, self._clock.seconds())
        if warning is not None:
            self.send(warning, [address])

    def _warned(self, datagram: Datagram, warning: ClockWarning, address: Address) -> None:
        skew = self._clocks.believe(datagram, warning, self._wall())
        if skew is None:
            return
        self.asker.take_warning(warning, address, skew)
        if self._clocks.is_news(datagram.sender):
            self._log.warn(
                "the clock of node {node} {name} is {skew:+.0f} s from ours and its datagrams are dropped: "
                "set the clocks",
                node=datagram.sender, name=warning.name, skew=skew,
            )  # fmt: skip
            if self.membership is not None:
                self.membership.wrong_clock(datagram.sender, warning.name, skew)
            # So that it knows as well, though nothing else goes to it perhaps. Only news: it ends there.
            answer = self._clocks.warning_for(datagram, self._clock.seconds())
            if answer is not None:
                self.send(answer, [address])
        if self.membership is not None:
            self.membership.differing(datagram.sender)

    def _note_fresh(self, datagram: Datagram) -> None:
        """Something new came from a node: what was said of its clock or its numbers is over."""
        node = datagram.sender
        if self._clocks.heard(datagram, self._wall()):
            self._log.info("the clock of node {node} is right again", node=node)
            if self.membership is not None:
                self.membership.right_clock(node)
        if node in self._replays and self._replays.fresh(node):
            self._log.info("node {node} sends new datagrams again", node=node)

    # -- numbers that went back

    def renumber(self) -> None:
        """See `IPeerTransport.renumber`."""
        self._sealer.renumber(self._now())
        self._renumbered += 1

    def _replayed(self, datagram: Datagram, address: Address) -> None:
        """Tell a node of which nothing new is heard any more to go on with other numbers."""
        node = datagram.sender
        known = self._window.known(node, datagram.instance)
        news, warning = self._replays.replayed(datagram, known, self._clock.seconds())
        if news:
            self._log.warn(
                "node {node} at {host} is heard, but all of it replayed: its machine was put back to a "
                "snapshot, or somebody sends recordings of it",
                node=node, host=address[0],
            )  # fmt: skip
            if self.membership is not None:
                self.membership.replayed(node)
        if warning is not None:
            self.send(warning, [address])

    def _told_of_replays(self, datagram: Datagram, warning: ReplayWarning) -> None:
        if not self._replays.believe(warning):
            return
        self._sealer.renumber(self._now(), warning.highest + 1)
        self._renumbered += 1
        self._log.warn(
            "node {node} {name} had heard all of our datagrams before, as after a return to a snapshot: "
            "they have new numbers from now on",
            node=datagram.sender, name=warning.name,
        )  # fmt: skip
        if self.membership is not None:
            self.membership.renumbered(warning.name)

    def connectionRefused(self) -> None:
        """Nobody listens there now: whoever asked finds out by his time-out."""

    def counters(self) -> Iterable[Counter]:
        """Packets, bytes, questions, and what was dropped."""
        yield Counter("datagrams_received", self._received, "datagrams received")
        yield Counter("datagrams_received_bytes", self._received_bytes, "bytes in them")
        yield Counter("datagrams_sent", self._sent, "datagrams sent")
        yield Counter("datagrams_sent_bytes", self._sent_bytes, "bytes in them")
        yield Counter("datagrams_unsent", self._unsent, "datagrams the kernel would not send")
        yield Counter("datagrams_renumbered", self._renumbered, "times our datagrams got new numbers")
        yield Counter("questions_received", self._questions, "questions of others")
        yield Counter("questions_dropped", self._busy, "questions dropped as too many were being answered")
        yield Counter("questions_repeated", self.asker.repeated, "questions of ours asked again")
        yield Counter("questions_unanswered", self.asker.unanswered, "questions of ours nobody answered")
        yield from self._junk.counters()
