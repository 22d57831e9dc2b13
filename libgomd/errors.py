"""
The tree of all errors that gomd raises.

::

    GomdError
      RequestError            the request is at fault; the same request fails again
        MalformedRequest  400   not understood
          MalformedJobName  400   not the name of a job, HOME-JOB
        NeedsAuth         401   say `auth TOKEN` first
        NotAllowed        403   not for this role or this user
        NotFound          404   no such node, process, path, verb
        NotPossible       405   understood, but not possible here
          CannotMove        405   this process cannot be moved (there); says why
        Conflict          409   it conflicts with the present state
        LineTooLong       413   the request line exceeds the limit
        TooMany           429   a limit of this daemon is reached; try later
      NodeError               the node is at fault; the same request may succeed later
        InternalError     500   a bug or a broken part of the node
        PeerUnreachable   502   the node asked for cannot be reached
        TimedOut          504   no answer in time
      SourceUnavailable       a part of /proc could not be read this time
      ConnectionLost          the daemon closed the connection, or none is there
        UnprovenEndpoint        the program found at the default port may be anybody's
      MalformedReply          the reply is not in the line protocol
      MalformedDatagram       these bytes are not a valid datagram
        OversizedDatagram       longer than 1200 bytes
        ForeignDatagram         another program's, or cut within the header
        UnknownVersion          gomd's, with an unknown version of the wire format
        UnknownKey              sealed with a key that we do not have, or not sealed
        BrokenSeal              changed, cut, or made without the key
        MalformedBody           correctly sealed, but no valid message: a bug of a peer
      ConfigError             the configuration cannot be used; lists every mistake

A `RequestError` or `NodeError` has ``code``, its number in the line protocol. Its text is one line that says
what went wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class GomdError(Exception):
    """The root of the tree. Catch it to catch every error that gomd raises."""


class _CodedError(GomdError):
    """An error that a daemon sends in a reply; ``code`` is its number in the line protocol."""

    code: int

    @property
    def text(self) -> str:
        """One line for a person: what went wrong and what to do."""
        return str(self)


class RequestError(_CodedError):
    """The request is at fault; the same request fails again."""

    code = 400


class MalformedRequest(RequestError):
    """The line could not be parsed; the text says what is expected."""

    code = 400


class MalformedJobName(MalformedRequest):
    """This is not the name of a job in the cluster, which is HOME-JOB."""


class NeedsAuth(RequestError):
    """The caller has no role yet; send ``auth TOKEN`` first."""

    code = 401


class NotAllowed(RequestError):
    """The caller's role or user does not permit this."""

    code = 403


class NotFound(RequestError):
    """There is no such node, process, path, command or verb."""

    code = 404


class NotPossible(RequestError):
    """The request is valid, but it cannot be done on this node or with this object."""

    code = 405


class CannotMove(NotPossible):
    """This process cannot be moved, or not to that node; the text says why. It continues where it is."""


class Conflict(RequestError):
    """The request conflicts with the present state; check the state and decide again."""

    code = 409


class LineTooLong(RequestError):
    """The request line is longer than the daemon accepts (4096 bytes by default)."""

    code = 413


class TooMany(RequestError):
    """A limit of the daemon is reached; try again later, or raise the limit."""

    code = 429


class NodeError(_CodedError):
    """The node, not the request, is at fault; the same request may succeed later."""

    code = 500


class InternalError(NodeError):
    """The daemon has a bug or a broken part; its log has the details."""

    code = 500


class PeerUnreachable(NodeError):
    """The node that the request is for cannot be reached from the node that received it."""

    code = 502


class TimedOut(NodeError):
    """No answer came in time."""

    code = 504


class SourceUnavailable(GomdError):
    """One read of the node's values failed; the next one may succeed."""


class ConnectionLost(GomdError):
    """There is no daemon at the endpoint, or it closed the connection before it answered."""


class UnprovenEndpoint(ConnectionLost):
    """
    A daemon was found only at the default tcp port, where any user's program may listen.

    Only requests that read are sent there. If it is your daemon, name the endpoint to send other requests.
    """


class MalformedReply(GomdError):
    """The other end does not speak gomd's line protocol; close the connection."""


class MalformedDatagram(GomdError):
    """
    The bytes are not a valid datagram: drop and count them, and never answer.

    :cvar word: name of the kind, for counters.
    """

    word: ClassVar[str] = "malformed"


class OversizedDatagram(MalformedDatagram):
    """The datagram is longer than 1200 bytes."""

    word = "oversized"


class ForeignDatagram(MalformedDatagram):
    """The datagram has no gomd header: another program sent it, or it was cut."""

    word = "foreign"


class UnknownVersion(MalformedDatagram):
    """The datagram has a version of the wire format that this gomd does not know."""

    word = "version"


class UnknownKey(MalformedDatagram):
    """The datagram is sealed with a key that we do not have, perhaps another cluster's, or not sealed."""

    word = "unknown-key"


class BrokenSeal(MalformedDatagram):
    """The datagram names our key, but its seal is not valid: it was changed, cut or forged."""

    word = "broken-seal"


class MalformedBody(MalformedDatagram):
    """The seal is valid, but the message is not: a bug of a peer, or a kind of a later version."""

    word = "body"


class ConfigError(GomdError):
    """
    The configuration cannot be used.

    :ivar mistakes: one sentence for each mistake, with file and line where known.
    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes: tuple[str, ...] = tuple(mistakes)


_BY_CODE: dict[int, type[_CodedError]] = {
    kind.code: kind
    for kind in (
        MalformedRequest, NeedsAuth, NotAllowed, NotFound, NotPossible, Conflict, LineTooLong, TooMany,
        InternalError, PeerUnreachable, TimedOut,
    )
}  # fmt: skip


def error_for(code: int, text: str) -> RequestError | NodeError:
    """
    Return the error for a reply with ``code`` and ``text``.

    An unknown code becomes a `RequestError` (4xx) or a `NodeError` (anything else), whose ``code`` it is.
    """
    kind = _BY_CODE.get(code, RequestError if 400 <= code < 500 else NodeError)
    error = kind(text)
    assert isinstance(error, (RequestError, NodeError))
    if 400 <= code < 600:
        error.code = code
    return error
