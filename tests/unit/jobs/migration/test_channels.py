"""Messages between daemons over streams that come, break and come again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.interfaces import ForwardedReply, IMembership, IPeers
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.migration.channels import VERB, Channels
from gomd.jobs.migration.messages import MessageReader, MigrationMessage, encode_message
from libgomd.errors import NotFound, PeerUnreachable
from libgomd.model import Caller, Node, Role, Status
from libgomd.wire.frames import FrameParser
from libgomd.wire.lines import Request

ID = "1-7-2-0123abcd"


class _Transport(StringTransport):
    """Ends as a real one does: the owner of the stream is told, unless it closed it itself."""

    stream: FrameStream
    aborted = False

    def abortConnection(self) -> None:
        super().abortConnection()
        self.aborted = True
        self.stream.connectionLost()


class Far:
    """A stream, and what the daemon at its other end does with it."""

    def __init__(self) -> None:
        self.transport = _Transport()
        self.stream = self.transport.stream = FrameStream()
        self.stream.makeConnection(self.transport)

    def says(self, *messages: MigrationMessage) -> None:
        self.stream.dataReceived(b"".join(map(encode_message, messages)))

    def heard(self) -> list[str]:
        """The words it was sent since."""
        reader, data = MessageReader(), self.transport.value()
        self.transport.clear()
        return [message.word for frame in FrameParser().feed(data) for message in reader.feed(frame)]

    @property
    def closed(self) -> bool:
        return bool(self.transport.disconnecting)


@implementer(IMembership)
class Members:
    own_id = 1

    def nodes(self) -> list[Node]:
        """See `IMembership.nodes`."""
        return [Node(number, f"node{number}", "10.0.0.9", Status.UP) for number in (1, 2, 3)]

    def find(self, key: str) -> Node:
        """See `IMembership.find`."""
        for node in self.nodes():
            if str(node.id) == key:
                return node
        raise NotFound(f"no node {key}")

    def counters(self) -> tuple[()]:
        """See `IMembership.counters`."""
        return ()


@implementer(IPeers)
class Peers:
    """:ivar opening: what `open` was asked for and has not given."""

    def __init__(self) -> None:
        self.opening: list[tuple[int, Request, Deferred[FrameStream]]] = []

    def open(self, node: Node, request: Request, caller: Caller) -> Deferred[FrameStream]:
        """See `IPeers.open`."""
        assert caller.role is Role.ADMIN
        self.opening.append((node.id, request, Deferred()))
        return self.opening[-1][2]

    def answer(self, far: Far | None = None) -> Far:
        """Let the connection that was asked for first be made; without ``far`` it is a new one."""
        far = far or Far()
        self.opening.pop(0)[2].callback(far.stream)
        return far

    async def read(self, node: Node, path: str) -> bytes:
        """See `IPeers.read`."""
        raise AssertionError

    async def cur_node(self, node: Node, pid: int) -> int:
        """See `IPeers.cur_node`."""
        raise AssertionError

    async def follow(
        self,
        node: Node,
        request: Request,
        caller: Caller,
        opened: Callable[[], None],
        take: Callable[[bytes], None],
    ) -> None:
        """See `IPeers.follow`."""
        raise AssertionError

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        """See `IPeers.ask`."""
        raise AssertionError

    def counters(self) -> tuple[()]:
        """See `IPeers.counters`."""
        return ()


class ChannelsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.peers = Peers()
        self.told: list[Any] = []
        self.answers: list[Callable[[MigrationMessage], None]] = []
        self.channels = Channels(Members(), self.peers, self)

    def heard(self, message: MigrationMessage, answer: Callable[[MigrationMessage], None]) -> None:
        self.told.append(message.word)
        self.answers.append(answer)

    def cut(self, node: int, ours: bool) -> None:
        self.told.append(("cut", node, ours))

    def connected(self, node: int) -> None:
        self.told.append(("connected", node))

    def test_a_message_to_a_node_that_is_not_reached_is_dropped(self) -> None:
        """A stream is opened, once, for the next one; one that fails is opened again for that."""
        for _ in range(3):
            self.assertFalse(self.channels.send(2, MigrationMessage(ID, "go", 1), True))
        [(node, request, failing)] = self.peers.opening
        self.assertEqual((node, request), (2, Request(VERB)))
        self.peers.opening.clear()
        failing.errback(PeerUnreachable("it is down"))
        self.assertEqual(self.told, [])
        self.assertFalse(self.channels.send(2, MigrationMessage(ID, "go", 1), True))
        far = self.peers.answer()
        self.assertEqual((self.told, far.heard()), ([("connected", 2)], []))
        self.assertTrue(self.channels.send(2, MigrationMessage(ID, "go", 1), True))
        self.assertEqual((far.heard(), self.peers.opening), (["go"], []))

    def test_a_message_to_nobody(self) -> None:
        """A node that is not known any more is no error."""
        self.assertFalse(self.channels.send(9, MigrationMessage(ID, "go", 1), True))
        self.assertEqual(self.peers.opening, [])

    def test_each_direction_has_its_stream(self) -> None:
        """What leaves goes on the stream that was opened here; when one breaks the other one takes both."""
        self.channels.send(2, MigrationMessage(ID, "go", 1), True)
        ours, theirs = self.peers.answer(), Far()
        self.channels.join(theirs.stream, 2)
        theirs.says(MigrationMessage(ID, "running", 2))
        self.assertEqual(self.told, [("connected", 2), ("connected", 2), "running"])
        self.channels.send(2, MigrationMessage(ID, "settled", 1), True)
        self.channels.send(2, MigrationMessage(ID, "refused", 1), False)
        self.assertEqual((ours.heard(), theirs.heard()), (["settled"], ["refused"]))
        theirs.stream.connectionLost()
        self.assertEqual(self.told[3:], [("cut", 2, False)])
        self.assertTrue(self.channels.send(2, MigrationMessage(ID, "refused", 1), False))
        self.assertEqual(ours.heard(), ["refused"])
        ours.stream.connectionLost()
        self.assertEqual(self.told[4:], [("cut", 2, True)])
        self.assertFalse(self.channels.send(2, MigrationMessage(ID, "go", 1), True))

    def test_the_last_of_two_streams_that_breaks_is_a_cut(self) -> None:
        """As long as there is another one of the same direction, messages go that way."""
        first, second = Far(), Far()
        for far in (first, second):
            self.channels.join(far.stream, 2)
            far.says(MigrationMessage(ID, "go", 2))
        del self.told[:]
        second.stream.connectionLost()
        self.assertEqual(self.told, [])
        self.assertTrue(self.channels.send(2, MigrationMessage(ID, "running", 1), False))
        self.assertEqual(first.heard(), ["running"])
        first.stream.connectionLost()
        self.assertEqual(self.told, [("cut", 2, False)])

    def test_a_message_in_another_nodes_name(self) -> None:
        """Nothing of it is heard, and the stream is closed."""
        far = Far()
        self.channels.join(far.stream, 2)
        far.says(MigrationMessage(ID, "go", 3))
        self.assertTrue(far.transport.aborted)
        self.assertEqual(self.told, [])

    def test_a_stream_is_used_from_its_first_message_on(self) -> None:
        """Then it is the way to that node, until a message comes in another one's name."""
        far = Far()
        self.channels.join(far.stream, 3)
        self.assertEqual(self.told, [])
        far.says(MigrationMessage(ID, "restored", 3))
        self.assertEqual(self.told, [("connected", 3), "restored"])
        self.assertTrue(self.channels.send(3, MigrationMessage(ID, "go", 1), True))
        self.assertEqual(far.heard(), ["go"])
        far.says(MigrationMessage(ID, "running", 2))
        self.assertTrue(far.transport.aborted)
        self.assertEqual(self.told[2:], [("cut", 3, False)])

    def test_a_stream_for_a_question_is_for_its_answer_alone(self) -> None:
        """No migration is spoken of on it, and its end is no cut."""
        far = Far()
        self.channels.join(far.stream, 2)
        far.says(MigrationMessage(ID, "look", 2))
        self.answers.pop()(MigrationMessage(ID, "seen", 1))
        self.assertEqual(far.heard(), ["seen"])
        self.assertFalse(self.channels.send(2, MigrationMessage(ID, "go", 1), True))
        far.stream.connectionLost()
        self.assertEqual(self.told, ["look"])

    def test_junk_ends_the_stream(self) -> None:
        """Bytes that are no frames, frames that are no messages; also what came before it was joined."""
        for junk in (b"GET / HTTP/1.1\r\n\r\n", bytes((18, 0, 0, 0, 1, 65)), bytes((24, 0, 0, 0, 2)) + b"[]"):
            for early in (False, True):
                far = Far()
                if early:
                    far.stream.dataReceived(junk)
                self.channels.join(far.stream, 2)
                if not early:
                    far.stream.dataReceived(junk)
                self.assertTrue(far.transport.aborted)
        self.assertEqual(self.told, [])

    def test_an_answer_goes_where_the_message_came_from(self) -> None:
        """Even when there are other streams to that node."""
        first, second = Far(), Far()
        for far in (first, second):
            self.channels.join(far.stream, 2)
            far.says(MigrationMessage(ID, "running", 2))
        self.answers[0](MigrationMessage(ID, "settled", 1))
        self.assertEqual((first.heard(), second.heard()), (["settled"], []))

    def test_when_nothing_is_left_to_settle_streams_are_closed(self) -> None:
        """Only those that were opened here, and that is no cut; when a node went down all are cut."""
        self.channels.send(2, MigrationMessage(ID, "go", 1), True)
        ours, theirs = self.peers.answer(), Far()
        self.channels.join(theirs.stream, 2)
        theirs.says(MigrationMessage(ID, "running", 2))
        del self.told[:]
        self.channels.drop(2)
        self.assertEqual((ours.closed, theirs.closed), (True, False))
        ours.stream.connectionLost()
        self.assertEqual(self.told, [])
        self.assertTrue(self.channels.send(2, MigrationMessage(ID, "go", 1), True))
        self.assertEqual(theirs.heard(), ["go"])
        other = Far()
        self.channels.join(other.stream, 3)
        other.says(MigrationMessage(ID, "running", 3))
        self.channels.abort(3)
        self.assertTrue(other.transport.aborted)
        self.assertEqual(self.told, [("connected", 3), "running", ("cut", 3, False)])

    def test_close(self) -> None:
        """All streams are closed, known or not, and those too that are being made; nobody is told."""
        known, unknown = Far(), Far()
        self.channels.join(known.stream, 2)
        known.says(MigrationMessage(ID, "running", 2))
        self.channels.join(unknown.stream, 4)
        self.channels.send(3, MigrationMessage(ID, "go", 1), True)
        del self.told[:]
        self.channels.close()
        late = self.peers.answer()
        for far in (known, unknown, late):
            self.assertTrue(far.closed)
            far.stream.connectionLost()
        self.assertEqual(self.told, [])
        self.channels.send(3, MigrationMessage(ID, "go", 1), True)
        self.assertEqual(self.peers.opening, [])
        self.channels.open()
        self.channels.send(3, MigrationMessage(ID, "go", 1), True)
        self.assertEqual(len(self.peers.opening), 1)
