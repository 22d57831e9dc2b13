"""The stream port of the peers: the telnet line between daemons, each request on behalf of somebody."""

from __future__ import annotations

import pwd
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from gomd.protocols.peer_trust import PeerTrust
from gomd.protocols.session import Session
from gomd.protocols.telnet import TelnetLine
from gomd.protocols.telnet_factory import NAME_LIMIT, TelnetFactory
from gomd.verbs.context import ISession
from gomd.verbs.replies import Reply, Replying, ValueReply
from libgomd.certificates import NotANode
from libgomd.errors import MalformedRequest, NotAllowed, TooMany
from libgomd.model import Caller, Counter, Role
from libgomd.tls import peer_node
from libgomd.wire.lines import Request, parse_request

#: The first request on a stream: whom the following ones are for. Only daemons say it.
BEHALF = "behalf"
#: Whose streams are counted apart: the daemons' own (letters, and the streams of jobs, however many those
#: are), and those on which they ask for others.
GROUPS: Final = ("daemons", "admins", "users", "readers")
#: Streams beside those whose first request has not come yet; seconds that it may take.
MOST_NEW: Final = 256
FIRST_LIMIT: Final = 30.0
#: Requests that daemons make for themselves, and those that are theirs when they name a job HOME-JOB.
_BETWEEN_DAEMONS: Final = frozenset({"migration", "moved"})
_OF_JOBS: Final = frozenset({"run", "attach"})
_NOBODY = Caller(Role.NONE, "", None, "a peer not known yet")


def behalf(caller: Caller, json: bool) -> Request:
    """Return the request that says whom the next ones on this stream are for, and in which format."""
    uid = "-" if caller.uid is None else str(caller.uid)
    return Request(BEHALF, (caller.role.word, uid, caller.user or "-", "json" if json else "text"))


class PeerSession(Session):
    """A stream from another daemon; nobody's until it has said whose. ``group``: whose place it takes."""

    transport: Any = None
    group = ""


class PeerServer(TelnetFactory):
    """
    Lets other daemons in. Who they are is told by their certificate; what their callers may do here is
    decided here.

    :param most: streams of each group at once, `GROUPS`: none of them uses up another's places.
    :param trust: what other nodes may do here for their admins and system users.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, *arguments: Any, most: Mapping[str, int], trust: PeerTrust | None = None) -> None:
        super().__init__(*arguments)
        self._most_of = most
        self._trust = trust or PeerTrust(admins=True)
        self._in: Counts[str] = Counts()

    def buildProtocol(self, addr: IAddress | None) -> TelnetLine:
        """Make the line of one stream."""
        session = PeerSession(_NOBODY)
        line = PeerLine(self, session)
        line.factory = self
        return line

    def refusal(self, line: TelnetLine, caller: Caller) -> TooMany | None:
        """Let in what may find a place: whose it takes is known from the first request on."""
        if len(self._lines) <= sum(self._most_of.values()) + MOST_NEW:
            return None
        self._turned_away += 1
        return TooMany("too many streams are open to this node: try again later")

    def end_idle(self) -> None:
        """Close idle streams; the first request of one has to come soon."""
        super().end_idle()
        now = self.clock.seconds()
        for line in tuple(self._lines):
            assert isinstance(line.session, PeerSession)
            silent = FIRST_LIMIT < now - line.last_line_at <= self.limits.idle_timeout  # else just closed
            if silent and not line.session.group and not line.busy:
                line.close()

    def ask(self, session: ISession, line: bytes) -> Replying:
        """Answer a request of another daemon; the first one says whom it is for."""
        self.requests += 1
        request = parse_request(line)
        if request.node:
            raise MalformedRequest("a request of another daemon is for this node")
        assert isinstance(session, PeerSession)
        if session.caller is not _NOBODY:
            if not session.group:
                self._take_place(session, group_of(request, session.caller))
            return self._dispatch.ask(self._as_trusted(session, request), request)
        if request.verb != BEHALF or len(request.arguments) != 4:
            raise NotAllowed("this is the port of the daemons: people and programs use the telnet line")
        return self._introduce(session, request.arguments)

    def _as_trusted(self, session: ISession, request: Request) -> ISession:
        """Return the session, with a lesser caller where this node trusts its peers with less."""
        role = self._dispatch.table.find(request.verb).role
        caller = self._trust.caller_for(request, role, session.caller)
        if caller is session.caller:
            return session
        lesser = Session(caller)
        lesser.json = session.json
        return lesser

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
            await self._threads.run_apart(NAME_LIMIT, ("user", user), "names", check_user, user, uid)
        session.caller = Caller(role, user, uid, via)
        session.json = format_word == "json"
        return ValueReply("welcome")

    def _peer(self, transport: Any) -> str:
        """Return who called. :raises NotAllowed: a certificate of no node."""
        try:
            return f"node {peer_node(transport)}"
        except NotANode as error:
            raise NotAllowed(str(error)) from error

    def _take_place(self, session: PeerSession, group: str) -> None:
        if self._in[group] >= self._most_of[group]:
            self._turned_away += 1
            raise TooMany(f"{self._most_of[group]} streams of {group} are open to this node: try again later")
        session.group = group
        self._in[group] += 1

    def drop(self, believed: Callable[[Any], bool]) -> None:
        """Cut the streams whose certificates are not taken any more."""
        for line in tuple(self._lines):
            if line.transport is not None and not believed(line.transport):
                line.transport.abortConnection()

    def left(self, line: TelnetLine) -> None:
        """Count a stream out."""
        if isinstance(line.session, PeerSession) and line.session.group:
            self._in[line.session.group] -= 1
            line.session.group = ""
        super().left(line)

    def counters(self) -> Iterable[Counter]:
        """Streams of other nodes to here, by whose they are."""
        yield Counter("streams_in", len(self._lines), "streams of other nodes' daemons to here now")
        for group in GROUPS:
            yield Counter(f"streams_in_{group}", self._in[group], f"of them, of {group}")
        yield Counter("streams_turned_away", self._turned_away, "streams of a group that had too many")


class PeerLine(TelnetLine):
    """A stream from another daemon. TLS keeps strangers away; any first line but a daemon's is refused."""

    meets_strangers = False

    def connectionMade(self) -> None:
        """Let the session know its transport: it tells who calls."""
        assert isinstance(self.session, PeerSession)
        self.session.transport = self.transport
        super().connectionMade()

    def _failed(self, error: BaseException | None) -> None:
        """Say what went wrong, and hang up on a stream that has not come as far as its first request."""
        super()._failed(error)
        if isinstance(self.session, PeerSession) and not self.session.group:
            self.close()


def group_of(request: Request, caller: Caller) -> str:
    """Return which of `GROUPS` a stream belongs to, by its first request and whom that is for."""
    if request.verb in _BETWEEN_DAEMONS or (request.verb in _OF_JOBS and "-" in "".join(request.arguments)):
        return "daemons"
    if caller.role is Role.ADMIN:
        return "admins"
    return "users" if caller.role is Role.USER else "readers"


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
