"""The stream port of the peers: a telnet line between daemons, each stream on behalf of one caller."""

from __future__ import annotations

import pwd
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from gomd.protocols.peer_trust import DAEMON_VERBS, PeerTrust
from gomd.protocols.session import Session
from gomd.protocols.telnet import TelnetLine
from gomd.protocols.telnet_factory import USER_LOOKUP_TIMEOUT, TelnetFactory
from gomd.verbs.context import ISession
from gomd.verbs.replies import Reply, Replying, ValueReply
from libgomd.certificates import NotANode
from libgomd.errors import Conflict, MalformedRequest, NotAllowed, TooMany
from libgomd.model import Caller, Counter, Role
from libgomd.tls import peer_node
from libgomd.wire.lines import Request, parse_request

#: The first request on a stream says on whose behalf the following ones are. Only daemons send it.
BEHALF = "behalf"
#: Groups whose streams have separate limits: the daemons' own streams (migration messages, streams of jobs),
#: and those on behalf of callers.
GROUPS: Final = ("daemons", "admins", "users", "readers")
#: Streams whose first request has not come yet, beyond those of the groups; seconds that it may take.
MAX_NEW_STREAMS: Final = 256
FIRST_REQUEST_TIMEOUT: Final = 30.0
#: Seconds without a request after which a stream may be closed to give its place to a new one. Before that,
#: the next request of its peer may be on its way.
MIN_IDLE_SECONDS: Final = 0.5
#: Verbs that daemons send for themselves if their argument is a job of another node, ``HOME-JOB``.
_STREAM_VERBS: Final = frozenset({"run", "attach", "carry"})
_ANOTHER_ID: Final = "give it another [node] id; a machine that was cloned needs an empty STATE, too"
_UNKNOWN_CALLER = Caller(Role.NONE, "", None, "an unidentified peer")


def behalf(caller: Caller, json: bool) -> Request:
    """Return the request that tells on whose behalf the next ones are, and in which format to answer."""
    uid = "-" if caller.uid is None else str(caller.uid)
    return Request(BEHALF, (caller.role.word, uid, caller.user or "-", "json" if json else "text"))


class PeerSession(Session):
    """
    A stream from another daemon. ``group``: whose limit it counts for, empty before its first request.
    ``peer``: its node and address, likewise.
    """

    transport: Any = None
    group = ""
    peer = (0, "")


class PeerServer(TelnetFactory):
    """
    Accepts streams of other daemons. A daemon is identified by its certificate; what its callers may do is
    decided on this node.

    :param most: largest number of streams at once for each of `GROUPS`.
    :param trust: what other nodes may do here for their admins and system users.
    :param is_rival: as `MembershipListener.is_rival`. :param own_id: the id of this node, 0 for none.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        *arguments: Any,
        most: Mapping[str, int],
        trust: PeerTrust | None = None,
        is_rival: Callable[[int, str], bool] = lambda _node, _host: False,
        own_id: int = 0,
    ) -> None:
        super().__init__(*arguments)
        self._is_rival = is_rival
        self._own_id = own_id
        self._max_streams = most
        self._trust = trust or PeerTrust(admins=True)
        self._open_by_group: Counts[str] = Counts()

    def buildProtocol(self, addr: IAddress | None) -> TelnetLine:
        """Return the protocol of one stream."""
        session = PeerSession(_UNKNOWN_CALLER)
        line = PeerLine(self, session)
        line.factory = self
        return line

    def refusal(self, line: TelnetLine, caller: Caller) -> TooMany | None:
        """Refuse a stream only if all groups are full: its own group is known from its first request."""
        if len(self._lines) <= sum(self._max_streams.values()) + MAX_NEW_STREAMS:
            return None
        self._turned_away += 1
        return TooMany("too many streams are open to this node: try again later")

    def end_idle(self) -> None:
        """Close idle streams, and those whose first request has not come in time."""
        super().end_idle()
        now = self.clock.seconds()
        for line in tuple(self._lines):
            assert isinstance(line.session, PeerSession)
            if line.transport is not None and line.session.group and self._is_another(*line.session.peer):
                line.transport.abortConnection()  # that was found out after it had begun
                continue
            silent = (
                FIRST_REQUEST_TIMEOUT < now - line.last_line_at <= self.limits.idle_timeout
            )  # else it was just closed
            if silent and not line.session.group and not line.busy:
                line.close()

    def ask(self, session: ISession, line: bytes) -> Replying:
        """Answer a request of another daemon; the first one tells on whose behalf the others are."""
        self.requests += 1
        request = parse_request(line)
        if request.node:
            raise MalformedRequest("a request of another daemon is for this node")
        assert isinstance(session, PeerSession)
        if session.caller is not _UNKNOWN_CALLER:
            if not session.group:
                self._take_place(session, group_of(request, session.caller))
            return self._dispatch.ask(self._as_trusted(session, request), request)
        if request.verb != BEHALF or len(request.arguments) != 4:
            raise NotAllowed("this port is for daemons: people and programs use the telnet line")
        return self._introduce(session, request.arguments)

    def _as_trusted(self, session: ISession, request: Request) -> ISession:
        """Return the session; one with a lesser caller if this node does not trust its peers fully."""
        role = self._dispatch.table.find(request.verb).role
        caller = self._trust.caller_for(request, role, session.caller)
        if caller is session.caller:
            return session
        lesser = Session(caller)
        lesser.json = session.json
        return lesser

    async def _introduce(self, session: PeerSession, arguments: tuple[str, ...]) -> Reply:
        role_word, uid_word, user, format_word = arguments
        session.peer = node, host = self._peer(session.transport)
        if self._is_another(node, host):
            raise Conflict(
                f"two nodes use the id {node}, and the one at {host} is not accepted: {_ANOTHER_ID}"
            )
        via = f"node {node}"
        try:
            role = Role[role_word.upper()]
            uid = None if uid_word == "-" else int(uid_word)
        except (KeyError, ValueError):
            raise MalformedRequest("behalf ROLE UID USER FORMAT") from None
        user = "" if user == "-" else user
        if role is Role.USER:
            await self._threads.run_apart(USER_LOOKUP_TIMEOUT, ("user", user), "names", check_user, user, uid)
        session.caller = Caller(role, user, uid, via)
        session.json = format_word == "json"
        return ValueReply("welcome")

    def _peer(self, transport: Any) -> tuple[int, str]:
        """Return the peer's node and address. :raises NotAllowed: its certificate is not a node's."""
        try:
            return peer_node(transport), str(getattr(transport.getPeer(), "host", ""))
        except NotANode as error:
            raise NotAllowed(str(error)) from error

    def _is_another(self, node: int, host: str) -> bool:
        """Return whether a peer is not the node of its certificate, but a second one with its id."""
        return node == self._own_id or self._is_rival(node, host)

    def _take_place(self, session: PeerSession, group: str) -> None:
        if self._open_by_group[group] >= self._max_streams[group] and not self._close_idle(group):
            self._turned_away += 1
            raise TooMany(
                f"{self._max_streams[group]} streams of {group} are open to this node: try again later"
            )
        session.group = group
        self._open_by_group[group] += 1

    def _close_idle(self, group: str) -> bool:
        """Close the stream of ``group`` that has been idle for longest, if there is one; return whether."""
        lines = [line for line in self._lines if self._group_of_idle(line) == group]
        if not lines:
            return False
        line = min(lines, key=lambda line: line.last_line_at)
        self._leave_place(line)
        line.close()
        return True

    def _group_of_idle(self, line: TelnetLine) -> str:
        """Return the group of a stream that a peer keeps for its next request; empty while it is used."""
        assert isinstance(line.session, PeerSession)
        idle = not line.busy and self.clock.seconds() - line.last_line_at > MIN_IDLE_SECONDS
        return line.session.group if idle else ""

    def drop(self, believed: Callable[[Any], bool]) -> None:
        """Abort the streams whose certificates are not accepted any more."""
        for line in tuple(self._lines):
            if line.transport is not None and not believed(line.transport):
                line.transport.abortConnection()

    def left(self, line: TelnetLine) -> None:
        """Note that a stream has ended."""
        self._leave_place(line)
        super().left(line)

    def _leave_place(self, line: TelnetLine) -> None:
        if isinstance(line.session, PeerSession) and line.session.group:
            self._open_by_group[line.session.group] -= 1
            line.session.group = ""

    def counters(self) -> Iterable[Counter]:
        """Streams of other nodes to here, by whose they are."""
        yield Counter("streams_in", len(self._lines), "streams of other nodes' daemons to here now")
        for group in GROUPS:
            yield Counter(f"streams_in_{group}", self._open_by_group[group], f"of them, of {group}")
        yield Counter("streams_turned_away", self._turned_away, "streams of a group that had too many")


class PeerLine(TelnetLine):
    """A stream from another daemon. TLS has authenticated it, so other protocols need no detection."""

    detects_foreign_protocols = False

    def connectionMade(self) -> None:
        """Give the session its transport, whose certificate identifies the peer."""
        assert isinstance(self.session, PeerSession)
        self.session.transport = self.transport
        super().connectionMade()

    def _failed(self, error: BaseException | None) -> None:
        """Answer with the error, and close a stream whose first request failed."""
        super()._failed(error)
        if isinstance(self.session, PeerSession) and not self.session.group:
            self.close()


def group_of(request: Request, caller: Caller) -> str:
    """Return which of `GROUPS` a stream belongs to, by its first request and its caller."""
    if request.verb in DAEMON_VERBS or (request.verb in _STREAM_VERBS and "-" in "".join(request.arguments)):
        return "daemons"
    if caller.role is Role.ADMIN:
        return "admins"
    return "users" if caller.role is Role.USER else "readers"


def check_user(user: str, uid: int | None) -> None:
    """
    Check that ``user`` has the same uid here as on the node that asks. May block.

    :raises NotAllowed: there is no such user here, or the uid differs.
    """
    try:
        found = pwd.getpwnam(user).pw_uid
    except KeyError:
        raise NotAllowed(f"there is no user {user} on this node") from None
    if found != uid:
        raise NotAllowed(
            f"user {user} has uid {uid} on the node that asks and {found} on this one: make them the same"
        )
