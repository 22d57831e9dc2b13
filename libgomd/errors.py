"""
Every error a caller of gomd can meet, in one tree.

::

    GomdError
      RequestError            the caller's fault: the same request will fail again
        MalformedRequest  400   not understood
          MalformedJobName  400   not the name of a job, HOME-JOB
        NeedsAuth         401   say `auth TOKEN` first
        NotAllowed        403   not for this role or this user
        NotFound          404   no such node, process, path, verb
        NotPossible       405   understood, but not possible here
          CannotMove        405   this process cannot be moved (there); says why
        Conflict          409   it clashes with what is there now
        LineTooLong       413   the request line is over the limit
        TooMany           429   a limit of this daemon is reached; try later
      NodeError               not the caller's fault: the same request may succeed later
        InternalError     500   a bug or a broken part of the node
        PeerUnreachable   502   the node asked for cannot be reached
        TimedOut          504   no answer in time
      SourceUnavailable       a part of /proc could not be read this time
      ConnectionLost          the daemon went away, or was never there
        UnprovenEndpoint        what was found by default may be anybody's program
      MalformedReply          what came back is not the line protocol
      MalformedDatagram       these bytes are not one of our datagrams
        OversizedDatagram       longer than 1200 bytes
        ForeignDatagram         not gomd's, or cut within the header
        UnknownVersion          gomd's, of a version this one does not know
        UnknownKey              sealed with a key we do not have, or not at all
        BrokenSeal              changed, cut or made by somebody without the key
        MalformedBody           rightly sealed, but no message of ours: a bug of a peer
      ConfigError             the configuration cannot be used; says every mistake

A request error or node error carries ``code``, the number of the line protocol, and its text is one
line that says what went wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class GomdError(Exception):
    """The root: catch this to catch everything gomd reports."""


class _CodedError(GomdError):
    """An error that a daemon answers with; ``code`` is its number on the line."""

    code: ClassVar[int]

    @property
    def text(self) -> str:
        """One line for a person: what went wrong and what to do."""
        return str(self)


class RequestError(_CodedError):
    """The request is at fault; asking the same again fails again."""

    code = 400


class MalformedRequest(RequestError):
    """The line could not be understood; the text says how it should look."""

    code = 400


class MalformedJobName(MalformedRequest):
    """This is not the name of a job in the cluster, which is HOME-JOB."""


class NeedsAuth(RequestError):
    """The caller has no role yet: send ``auth TOKEN`` first."""

    code = 401


class NotAllowed(RequestError):
    """The caller's role or user may not do this."""

    code = 403


class NotFound(RequestError):
    """There is no such node, process, path, command or verb."""

    code = 404


class NotPossible(RequestError):
    """Understood, but it cannot be done on this node or to this thing."""

    code = 405


class CannotMove(NotPossible):
    """This process cannot be moved, or not there; the text says why. It runs on where it is."""


class Conflict(RequestError):
    """It clashes with the present state; look and decide again."""

    code = 409


class LineTooLong(RequestError):
    """The request line is longer than the daemon takes (4096 bytes by default)."""

    code = 413


class TooMany(RequestError):
    """A limit of the daemon is reached; try again later or raise the limit."""

    code = 429


class NodeError(_CodedError):
    """The node, not the request, is at fault; the same request may succeed later."""

    code = 500


class InternalError(NodeError):
    """Something broke inside the daemon; its log has the details."""

    code = 500


class PeerUnreachable(NodeError):
    """The node the request was for cannot be reached from the node that was asked."""

    code = 502


class TimedOut(NodeError):
    """No answer came in time."""

    code = 504


class SourceUnavailable(GomdError):
    """One read of the node's numbers failed; the next one may succeed."""


class ConnectionLost(GomdError):
    """There is no daemon at the endpoint, or it closed the connection before it answered."""


class UnprovenEndpoint(ConnectionLost):
    """
    No daemon is where one is looked for by default but at a tcp port, where any program may listen.

    Only questions are sent there. Name the endpoint, if it is your daemon's, to have everything sent.
    """


class MalformedReply(GomdError):
    """The other end does not speak gomd's line protocol; close the connection."""


class MalformedDatagram(GomdError):
    """
    The bytes are not a datagram of ours: drop them and count them, never answer.

    :cvar word: the kind, for counting.
    """

    word: ClassVar[str] = "malformed"


class OversizedDatagram(MalformedDatagram):
    """It is longer than any datagram of ours."""

    word = "oversized"


class ForeignDatagram(MalformedDatagram):
    """It does not begin as ours do: another program's, or cut within the header."""

    word = "foreign"


class UnknownVersion(MalformedDatagram):
    """It is gomd's, but of a version of the wire that this gomd does not know."""

    word = "version"


class UnknownKey(MalformedDatagram):
    """It is sealed with a key we do not have (another cluster's?), or not sealed at all."""

    word = "unknown-key"


class BrokenSeal(MalformedDatagram):
    """It names our key, but the seal does not hold: changed, cut or invented."""

    word = "broken-seal"


class MalformedBody(MalformedDatagram):
    """The seal holds, the message in it is none of ours: a bug, or a later version's kind."""

    word = "body"


class ConfigError(GomdError):
    """
    The configuration cannot be used.

    :ivar mistakes: every mistake found, a sentence each, with file and line where there is one.
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
    Return the error that a reply with ``code`` and ``text`` stands for.

    A code this version does not know becomes a `RequestError` (4xx) or a `NodeError` (anything else).
    """
    kind = _BY_CODE.get(code, RequestError if 400 <= code < 500 else NodeError)
    error = kind(text)
    assert isinstance(error, (RequestError, NodeError))
    return error
