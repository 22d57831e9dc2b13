"""The datagram port of the peers: seals and opens datagrams, answers questions, passes the rest on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from gomd.cluster.membership.transport import IPeerTransport
from gomd.protocols.clock_skew import ClockSkew
from gomd.protocols.drop_stats import DropStats
from gomd.protocols.membership_listener import MembershipListener
from gomd.protocols.replay_reports import ReplayReports
from gomd.protocols.send_failures import SendFailures
from libgomd.errors import MalformedDatagram
from libgomd.model import Counter
from libgomd.questions import Address, Asker
from libgomd.wallclock import Wall
from libgomd.wire.addresses import is_ipv6
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import Answer, ClockWarning, Datagram, Message, Question, ReplayWarning, Summary
from libgomd.wire.replay import ReplayWindow, Verdict
from libgomd.wire.sealing import KeyRing

#: Largest number of questions that are answered at once. More are dropped; the asker asks again.
MAX_CONCURRENT_QUESTIONS = 100

Answering = Callable[[Question], Answer | Summary | Awaitable[Answer | Summary]]


@implementer(IPeerTransport)
class PeerProtocol(DatagramProtocol):
    """
    The one UDP port for all peers.

    :param keys: the cluster's; the first one seals. :param own_id: this node's id.
    :param wall: gives the time that datagrams are stamped with and checked against.
    :param random: gives that many random bytes, as os.urandom.
    :param groups: multicast addresses and ports of the announcements, that of the first family first; empty
        for no multicast.
    :param report: told when datagrams cannot be sent for a while, see `SendFailures`; None tells nobody.
    :ivar ipv6_transport: the port of this node's IPv6 address; None without one. ``transport`` is that of
        IPv4.
    :ivar instance: identifies this start of the daemon: milliseconds since the epoch.
    :ivar answer: answers a question about this node; None drops questions.
    :ivar membership: gets all messages but questions and answers; None drops them.
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
        groups: Sequence[Address] = (),
        max_senders: int = 4096,
        report: Callable[[bool, str], None] | None = None,
    ) -> None:
        self.answer: Answering | None = None
        self.membership: MembershipListener | None = None
        self.asker = Asker(clock, self._ask, random)
        self._groups = tuple(groups)
        self.ipv6_transport: Any = None
        self._keys = keys
        self._own_id = own_id
        self.instance = instance
        self._clock = clock
        self._wall = wall
        self._sealer = Sealer(keys, own_id, instance, random)
        self._window = ReplayWindow(max_senders)
        self._clock_skew = ClockSkew(own_name, instance, self._sealer)
        self._replays = ReplayReports(own_name, instance, self._sealer)
        self._renumbered = 0
        self._drops = DropStats()
        self._send_failures = SendFailures(report or (lambda _trouble, _text: None))
        self._answering = 0
        self._received = self._received_bytes = 0
        self._sent = self._sent_bytes = 0
        self._questions = self._dropped_questions = self._unsent = 0

    def use_keys(self, keys: KeyRing) -> None:
        """Use other keys from now on."""
        self._keys = keys
        self._sealer.use(keys)

    def _now(self) -> int:
        return int(self._wall() * 1000)

    # -- out

    def send(self, message: Message, addresses: Sequence[Address]) -> None:
        """See `IPeerTransport.send`."""
        try:
            packet = self._sealer.seal(message, self._now())
        except ValueError:  # a value out of range is a bug: log it, and stay up
            self._log.failure("a message could not be sealed")
            return
        for address in addresses:
            self._write(packet, address)

    def multicast(self, message: Message, everywhere: bool = True) -> None:
        """See `IPeerTransport.multicast`; without a group nothing is sent."""
        for group in self._groups if everywhere else self._groups[:1]:
            self.send(message, [group])  # sealed for each: who gets both would take one for a replay

    def _ask(self, question: Question, address: Address) -> None:
        self.send(question, [address])

    def _write(self, packet: bytes, address: Address) -> None:
        """
        Send a packet. If the network cannot be reached, the packet is lost and counted; one to a family of
        which this node has no address is not.
        """
        transport = self.ipv6_transport if is_ipv6(address[0]) else self.transport
        if transport is None:
            return
        try:
            transport.write(packet, address)
        except OSError as error:
            self._unsent += 1
            self._send_failures.failed(address, error, self._clock.seconds())
            self._log.debug("cannot send to {address}: {error}", address=address, error=error)
        else:
            self._sent += 1
            if self._send_failures.failing:
                self._send_failures.sent(address, self._clock.seconds())
            self._sent_bytes += len(packet)

    # -- in

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Take one packet that was sent to this node alone."""
        self.take(datagram, addr, False)

    def take(self, packet: bytes, addr: Address, multicast: bool) -> None:
        """
        Open one packet and act on it; one that cannot be used is counted and dropped.

        :param multicast: whether it was sent to the whole group.
        """
        self._received += 1
        self._received_bytes += len(packet)
        try:
            opened = open_sealed(packet, self._keys).datagram
        except MalformedDatagram as error:
            self._drops.count(error.word, addr[0])
            return
        if opened.sender == self._own_id and opened.instance == self.instance:
            if opened.sequence > self._sealer.sequence and self.membership is not None:
                self.membership.copied(addr[0])  # else it is our own multicast
            return
        verdict = self._window.admit(opened, self._now())
        if verdict is Verdict.FRESH:
            try:
                self._note_fresh(opened)
                self._act(opened, addr, multicast)
            except Exception:  # noqa: BLE001 - no packet may end the port
                self._log.failure("a datagram of node {node} could not be handled", node=opened.sender)
        else:
            self._drops.count(verdict.name.lower(), addr[0])
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
        if self.answer is None or self._answering >= MAX_CONCURRENT_QUESTIONS:
            self._dropped_questions += 1
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
        except Exception:  # noqa: BLE001 - the asker notices by its timeout
            self._log.failure("a question could not be answered")
        finally:
            self._answering -= 1

    # -- clocks

    def _wrong_time(self, datagram: Datagram, address: Address) -> None:
        """Warn a sender whose clock differs too much, unless this is its own warning to us."""
        message = datagram.message
        if isinstance(message, ClockWarning):
            self._warned(datagram, message, address)
            return
        warning = self._clock_skew.warning_for(datagram, self._clock.seconds())
        if warning is not None:
            self.send(warning, [address])

    def _warned(self, datagram: Datagram, warning: ClockWarning, address: Address) -> None:
        skew = self._clock_skew.believe(datagram, warning, self._wall())
        if skew is None:
            return
        self.asker.take_warning(warning, address, skew)
        if self._clock_skew.is_news(datagram.sender):
            self._log.warn(
                "the clock of node {node} {name} is {skew:+.0f} s from ours and its datagrams are dropped: "
                "set the clocks",
                node=datagram.sender, name=warning.name, skew=skew,
            )  # fmt: skip
            if self.membership is not None:
                self.membership.wrong_clock(datagram.sender, warning.name, skew)
            # The other node may get no other datagram of ours. This is done once, or it would never end.
            answer = self._clock_skew.warning_for(datagram, self._clock.seconds())
            if answer is not None:
                self.send(answer, [address])
        if self.membership is not None:
            self.membership.differing(datagram.sender)

    def _note_fresh(self, datagram: Datagram) -> None:
        """Note a new datagram of a node: its clock and its numbers are right again."""
        node = datagram.sender
        if self._clock_skew.heard(datagram, self._wall()):
            self._log.info("the clock of node {node} is right again", node=node)
            if self.membership is not None:
                self.membership.right_clock(node)
        if node in self._replays and self._replays.fresh(node):
            self._log.info("node {node} sends new datagrams again", node=node)

    # -- sequence numbers after a return to a snapshot

    def renumber(self) -> None:
        """See `IPeerTransport.renumber`."""
        self._sealer.renumber(self._now())
        self._renumbered += 1

    def _replayed(self, datagram: Datagram, address: Address) -> None:
        """Ask a node all of whose datagrams are old to continue with new numbers."""
        node = datagram.sender
        known = self._window.known(node, datagram.instance)
        news, warning = self._replays.replayed(datagram, known, self._clock.seconds())
        if news:
            self._log.warn(
                "node {node} at {host} is heard, but all of it replayed: its machine was put back to a "
                "snapshot, or somebody replays its datagrams",
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
            "node {node} {name} dropped all of our datagrams as replayed, as after a return to a snapshot: "
            "they have new numbers from now on",
            node=datagram.sender, name=warning.name,
        )  # fmt: skip
        if self.membership is not None:
            self.membership.renumbered(warning.name)

    def connectionRefused(self) -> None:
        """Does nothing: nothing listens there now, and the asker has its timeout."""

    def counters(self) -> Iterable[Counter]:
        """Return the counters of datagrams and questions: received, sent, asked and dropped."""
        yield Counter("datagrams_received", self._received, "datagrams received")
        yield Counter("datagrams_received_bytes", self._received_bytes, "bytes in them")
        yield Counter("datagrams_sent", self._sent, "datagrams sent")
        yield Counter("datagrams_sent_bytes", self._sent_bytes, "bytes in them")
        yield Counter("datagrams_unsent", self._unsent, "datagrams the kernel would not send")
        yield Counter("datagrams_renumbered", self._renumbered, "times our datagrams got new numbers")
        yield Counter("questions_received", self._questions, "questions of other nodes")
        yield Counter(
            "questions_dropped", self._dropped_questions, "questions dropped as too many were being answered"
        )
        yield Counter("questions_repeated", self.asker.repeated, "questions of ours asked again")
        yield Counter("questions_unanswered", self.asker.unanswered, "questions of ours nobody answered")
        yield from self._drops.counters()
