"""The stream port of the peers: the telnet line between daemons, each request on behalf of somebody."""

from __future__ import annotations

import pwd
from typing import Any, ClassVar

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from gomd.interfaces import IMembership
from gomd.protocols.door import NAME_LIMIT, Door
from gomd.protocols.session import Session
from gomd.protocols.telnet import TelnetLine
from gomd.verbs.context import ISession
from gomd.verbs.replies import Answer, Reply, Replying
from libgomd.errors import MalformedRequest, NotAllowed
from libgomd.model import Caller, Role
from libgomd.wire.lines import Request, parse_request

#: The first request on a stream: whom the following ones are for. Only daemons say it.
BEHALF = "behalf"
_NOBODY = Caller(Role.NONE, "", None, "a peer not known yet")


def behalf(caller: Caller, json: bool) -> Request:
    """Return the request that says whom the next ones on this stream are for, and in which format."""
    uid = "-" if caller.uid is None else str(caller.uid)
    return Request(BEHALF, (caller.role.word, uid, caller.user or "-", "json" if json else "text"))


class PeerSession(Session):
    """A stream from another daemon; nobody's until it has said whose."""

    transport: Any = None


class PeerDoor(Door):
    """
    Lets other daemons in. Who they are is told by their certificate, or on loopback without a key by
    the kernel; what their callers may do here is decided here.

    :ivar secure: whether the streams are TLS, with certificates of the cluster.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, *arguments: Any, members: IMembership, secure: bool) -> None:
        super().__init__(*arguments)
        self._members = members
        self._secure = secure

    def buildProtocol(self, addr: IAddress | None) -> TelnetLine:
        """Make the line of one stream."""
        session = PeerSession(_NOBODY)
        line = PeerLine(self, session)
        line.factory = self
        return line

    def ask(self, session: ISession, line: bytes) -> Replying:
        """Answer a request of another daemon; the first one says whom it is for."""
        self.requests += 1
        request = parse_request(line)
        if request.node:
            raise MalformedRequest("a request of another daemon is for this node")
        if session.caller is not _NOBODY:
            return self._dispatch.ask(session, request)
        assert isinstance(session, PeerSession)
        if request.verb != BEHALF or len(request.arguments) != 4:
            raise NotAllowed("this is the port of the daemons: people and programs use the telnet line")
        return self._introduce(session, request.arguments)

    async def _introduce(self, session: PeerSession, arguments: tuple[str, ...]) -> Reply:
        role_word, uid_word, user, format_word = arguments
        via = self._peer(session.transport)
        try:
            role = Role[role_word.upper()]
            uid = None if uid_word == "-" else int(uid_word)
        except (KeyError, ValueError):
            raise MalformedRequest("behalf ROLE UID USER FORMAT") from None
        user = "" if user == "-" else user
        if role is Role.USER:
            await self._threads.run(NAME_LIMIT, check_user, user, uid)
        if not self._secure:
            role = min(role, self._trusted(session.transport))
        session.caller = Caller(role, user, uid, via)
        session.json = format_word == "json"
        return Answer("welcome")

    def _peer(self, transport: Any) -> str:
        """Return who called. :raises NotAllowed: a node nobody here knows."""
        if not self._secure:
            return f"loopback {transport.getPeer().host}"
        from libgomd.certificates import NotANode
        from libgomd.tls import peer_node

        try:
            return f"node {peer_node(transport)}"
        except NotANode as error:
            raise NotAllowed(str(error)) from error

    def _trusted(self, transport: Any) -> Role:
        """
        Return the most that a caller over loopback without a key may be.

        Any user of this machine could connect: only root's processes and the daemon's own user's speak
        for others.
        """
        from gomd.protocols.loopback import uid_of_connection

        uid = uid_of_connection(transport.getPeer(), transport.getHost())
        return Role.ADMIN if uid in (0, self._own_uid) else self.limits.anonymous


class PeerLine(TelnetLine):
    """A stream from another daemon. TLS keeps strangers away; any first line but a daemon's is refused."""

    meets_strangers = False

    def connectionMade(self) -> None:
        """Let the session know its transport: it tells who calls."""
        assert isinstance(self.session, PeerSession)
        self.session.transport = self.transport
        super().connectionMade()


def check_user(user: str, uid: int | None) -> None:
    """
    Check that ``user`` is the same one here as on the node he asks from. May block.

    :raises NotAllowed: there is no such user here, or he has another uid.
    """
    try:
        found = pwd.getpwnam(user).pw_uid
    except KeyError:
        raise NotAllowed(f"there is no user {user} on this node") from None
    if found != uid:
        raise NotAllowed(f"{user} has the uid {uid} where he asks from and {found} on this node")
