"""One connection to the RPC of a Serf agent: requests with replies, and the stream of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from gomd.cluster.serf.rpc_reader import (
    MEMBERS,
    NOTHING,
    OBJECT,
    Listed,
    RpcHeader,
    RpcReader,
    encode_request,
)
from libgomd.deadlines import within
from libgomd.errors import ConnectionLost, GomdError, MalformedReply, NotPossible, TimedOut

#: Seconds that a reply may take.
REPLY_TIMEOUT: Final = 5.0
#: The version of the RPC, the only one there is.
_VERSION: Final = 1
#: What follows the header of a reply to a request, where something does.
_BODIES: Final = {"join": OBJECT, "stats": OBJECT, "members": MEMBERS}
#: Errors that are never followed by a body.
_BARE_ERRORS: Final = ("Authentication required", "Handshake required", "Unsupported command")
#: Maximum number of requests without a reply.
_MAX_PENDING: Final = 64


@dataclass(slots=True)
class _Call:
    command: str
    reply: Deferred[Any]
    error: str = ""


class SerfRpc(Protocol):
    """
    Speaks with one agent.

    :param most: maximum number of members kept of one list.
    :ivar event: called with each `Listed` of the stream. :ivar lost: called once with the reason, a clause,
        when the connection has ended.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, clock: IReactorTime, most: int) -> None:
        self.event: Callable[[Listed], None] = lambda _listed: None
        self.lost: Callable[[str], None] = lambda _reason: None
        self._clock = clock
        self._reader = RpcReader(self._follows, self._header, self._body, most)
        self._calls: dict[int, _Call] = {}
        self._seq = 0
        self._stream: int | None = None
        self.transport: Any = None
        self._streaming = False
        self._broken: GomdError | None = None

    # -- requests

    async def begin(self, auth_key: str) -> None:
        """
        Say hello. :param auth_key: empty for an agent without one.

        :raises NotPossible: the agent refuses; the text says why. Others as in `call`.
        """
        await self.call("handshake", {"Version": _VERSION})
        if auth_key:
            await self.call("auth", {"AuthKey": auth_key})

    async def stream(self) -> None:
        """Have the agent send all changes of members from now on, to `event`. Errors as in `call`."""
        self._stream = self._seq + 1
        kinds = "member-join,member-leave,member-failed,member-update,member-reap"
        await self.call("stream", {"Type": kinds})

    def call(self, command: str, body: object = None, limit: float = REPLY_TIMEOUT) -> Deferred[Any]:
        """
        Send a request and return its reply: a `Listed`, a decoded object, or None.

        :param limit: seconds. The Deferred fails with `NotPossible`, `TimedOut`, `ConnectionLost`, or
            `MalformedReply`; the texts are clauses whose subject is the agent.
        """
        self._seq += 1
        reply: Deferred[Any] = Deferred()
        if self._broken is not None or self.transport is None or len(self._calls) >= _MAX_PENDING:
            reply.errback(self._broken or ConnectionLost("it has too many requests to answer"))
            return reply
        self._calls[self._seq] = _Call(command, reply)
        self.transport.write(encode_request(command, self._seq, body))
        late = TimedOut(f"it has not answered {command} within {limit:g} s")
        return within(self._clock, limit, reply, late)

    def close(self) -> None:
        """Close the connection at once; `lost` is not called any more."""
        self.lost = lambda _reason: None
        self.event = lambda _listed: None
        if self.transport is not None:
            self.transport.abortConnection()

    # -- what the agent sends

    def dataReceived(self, data: bytes) -> None:
        """See `Protocol`."""
        if self._broken is not None:
            return
        try:
            self._reader.feed(data)
        except MalformedReply as error:
            self._end(error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("what a Serf agent sent could not be handled")
            self._end(MalformedReply("it sent what could not be handled"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See `Protocol`."""
        self._end(ConnectionLost("it has closed the connection"))

    def _end(self, error: GomdError) -> None:
        if self._broken is not None:
            return
        self._broken = error
        if self.transport is not None:
            self.transport.abortConnection()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            _fail(call, error)
        lost, self.lost = self.lost, lambda _reason: None
        lost(str(error))

    def _follows(self, header: RpcHeader) -> int:
        if header.seq == self._stream and self._streaming:
            return NOTHING if header.error else MEMBERS
        call = self._calls.get(header.seq)
        if call is None or header.error.startswith(_BARE_ERRORS):
            return NOTHING if call is not None or header.error else _unexpected(header)
        return _BODIES.get(call.command, NOTHING)

    def _header(self, header: RpcHeader) -> None:
        call = self._calls.get(header.seq)
        if call is None:
            return
        if header.seq == self._stream and not header.error:
            self._streaming = True
        if call.command in _BODIES and not header.error.startswith(_BARE_ERRORS):
            call.error = header.error
            return
        del self._calls[header.seq]
        _fail(call, NotPossible(header.error)) if header.error else _answer(call, None)

    def _body(self, seq: int, body: Any) -> None:
        call = self._calls.pop(seq, None)
        if call is None:
            if isinstance(body, Listed):
                self.event(body)
        elif call.error:
            _fail(call, NotPossible(call.error))
        else:
            _answer(call, body)


def _unexpected(header: RpcHeader) -> int:
    raise ValueError(f"a reply to request {header.seq}, which was not sent")


def _answer(call: _Call, value: Any) -> None:
    if not call.reply.called:
        call.reply.callback(value)


def _fail(call: _Call, error: GomdError) -> None:
    if not call.reply.called:
        call.reply.errback(error)
