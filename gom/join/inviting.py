"""The inviting node's end: a listener that exists while an invitation is open."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from gom.join.channel import Channel
from gom.join.protocol import VERSION, Exchange, Introduction, WrongCode, bytes_in, text_in
from libgomd.errors import ConnectionLost, GomdError, MalformedReply
from libgomd.node_names import is_node_name

#: Wrong codes that end an invitation.
MAX_WRONG: Final = 3
#: Seconds that a caller has to prove that it knows the code.
_CALLER_LIMIT: Final = 15.0
#: Seconds of them behind its message of SPAKE2; one caller after the other is let so far.
_TRY_LIMIT: Final = 5.0
#: Callers at a time; one more is hung up on.
_MAX_CALLERS: Final = 8
#: Seconds for the new node to write its key.
_WRITES: Final = 30.0


class Proven(NamedTuple):
    """A caller that knows the code."""

    name: str
    address: str
    channel: Channel
    exchange: Exchange


class Wrong(NamedTuple):
    """A caller with another code. :ivar address: where it called from."""

    address: str


class Noticed(NamedTuple):
    """A caller that did not get as far as a code. :ivar why: a clause."""

    address: str
    why: str


class Invitation:
    """
    Listens for new nodes, each on a thread of its own. A context manager.

    :param code: its digits. :param name: of this node. :param taken: says whether a name is a node's already.
    :raises OSError: the address cannot be listened at.
    """

    def __init__(
        self, addresses: Sequence[str], port: int, code: bytes, name: str, taken: Callable[[str], bool]
    ) -> None:  # fmt: skip
        self._code, self._name, self._taken = code, name, taken
        self._found: queue.SimpleQueue[Proven | Wrong | Noticed] = queue.SimpleQueue()
        self._callers = threading.BoundedSemaphore(_MAX_CALLERS)
        self._lock = threading.Lock()
        self._wrong = 0
        self._is_closed = False
        self._listener = _listen_at(addresses, port)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Invitation:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no longer."""
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def callers(self, seconds: float) -> Iterator[Proven | Wrong | Noticed]:
        """Yield what happens, until so many seconds are over. Blocks."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                yield self._found.get(timeout=left)
            except queue.Empty:
                return

    def _listen(self) -> None:
        while not self._is_closed:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            if not self._callers.acquire(blocking=False):
                connected.close()
                continue
            threading.Thread(target=self._answer, args=(connected,), daemon=True).start()

    def _answer(self, connected: socket.socket) -> None:
        address, channel = "?", None
        try:
            channel = Channel(connected, _CALLER_LIMIT)
            address = channel.there
            self._found.put(self._prove(channel))
        except (GomdError, OSError) as error:
            connected.close()
            # `gom init --join` looks whether somebody invites before it asks for the code: that is not told.
            if not (isinstance(error, ConnectionLost) and channel is not None and not channel.has_heard):
                self._found.put(Noticed(address, str(error)))
        finally:
            self._callers.release()

    def _prove(self, channel: Channel) -> Proven | Wrong | Noticed:
        """Let a caller prove that it knows the code. One that does not has used up one of three tries."""
        hello, line = channel.receive()
        if hello.get("join") != VERSION:
            channel.refuse(f"this gomd speaks version {VERSION} of joining: use the same gomd on both nodes")
            raise MalformedReply("it does not speak this version of joining")
        name, seen = text_in(hello, "name"), (text_in(hello, "from"), text_in(hello, "to"))
        if seen != (channel.there, channel.here):
            sentence = (
                f"between us addresses are changed: you call {seen[1]} from {seen[0]}, and it arrives at "
                f"{channel.here} from {channel.there}. Nodes of a cluster reach each other without that"
            )
            channel.refuse(sentence)
            return Noticed(channel.there, "addresses are changed on the way (NAT)")
        if not is_node_name(name):
            channel.refuse(f"{name[:70]} is no name of a node: name yours with --name")
            return Noticed(channel.there, "it has no name that a node may have")
        with self._lock:  # tries are counted one after the other, so that no more than three are ever made
            if self._wrong >= MAX_WRONG or self._is_closed:
                channel.refuse("the invitation has ended: say `gom invite` there again")
                return Noticed(channel.there, "it came too late")
            outcome = self._try(channel, name, hello, line)
        if isinstance(outcome, Proven) and self._taken(name):  # who does not know the code learns no names
            channel.refuse(f"there is a node called {name} already: name yours with --name")
            return Noticed(channel.there, f"it calls itself {name}, as another node does")
        return outcome

    def _try(self, channel: Channel, name: str, hello: dict[str, object], line: bytes) -> Proven | Wrong:
        exchange = Exchange(self._code, is_joiner=False)
        exchange.say(line)
        exchange.say(channel.send({"invite": VERSION, "name": self._name, "pake": exchange.first.hex()}))
        exchange.meet(bytes_in(hello, "pake"))
        channel.extend(_TRY_LIMIT)
        told, _ = channel.receive()
        try:
            exchange.check(bytes_in(told, "confirm"), of_joiner=True)
        except WrongCode:
            self._wrong += 1
            channel.refuse("the code is wrong")
            return Wrong(channel.there)
        return Proven(name, channel.there, channel, exchange)


def give(proven: Proven, introduction: Introduction) -> None:
    """
    Give a caller the key, and wait until it has written it. Blocks.

    :raises GomdError: it does not say so; the key may have arrived there all the same.
    """
    channel, exchange = proven.channel, proven.exchange
    channel.extend(_WRITES)
    confirm = exchange.confirmation(of_joiner=False).hex()
    channel.send({"confirm": confirm, "sealed": exchange.seal(introduction).hex()})
    told, _ = channel.receive()
    if bytes_in(told, "done") != exchange.done:
        raise MalformedReply("the new node did not say that it has written its key")
    channel.close()


def _listen_at(addresses: Sequence[str], port: int) -> socket.socket:
    """Return a socket at one address; with two of them at all, as one socket has one. :raises OSError: it
    cannot."""
    if len(addresses) > 1:
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    family, _kind, _protocol, _name, place = socket.getaddrinfo(
        addresses[0], port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )[0]
    return socket.create_server(place, family=family)
