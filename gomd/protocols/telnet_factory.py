"""Makes the connections of the telnet line, and limits how many there are and how long each may last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from gomd.interfaces import IThreads
from gomd.protocols.connection_limits import ConnectionLimits
from gomd.protocols.repeated_warnings import RepeatedWarnings
from gomd.protocols.session import Session, local_caller, uid_of_peer
from gomd.protocols.telnet import TelnetLine
from gomd.sources.usernames import UserNames
from gomd.verbs.context import ISession
from gomd.verbs.dispatch import Dispatch
from gomd.verbs.quotas import address_of
from gomd.verbs.replies import Replying
from libgomd.errors import GomdError, NotAllowed, TimedOut, TooMany
from libgomd.model import Caller, Counter, Role
from libgomd.version import VERSION
from libgomd.wire.addresses import unmapped
from libgomd.wire.lines import parse_request

#: Seconds that the look-up of a user name may take; after them the caller is called by its uid.
USER_LOOKUP_TIMEOUT = 2.0


@dataclass(frozen=True)
class Limits:
    """
    The limits of one connection, and of all of them together.

    :ivar anonymous: the role of a caller over tcp that has not sent a token.
    :ivar max_connections: of readers and users together; admins over the unix socket do not count.
    :ivar idle_timeout: seconds without a request after which a connection is closed.
    :ivar stall_timeout: seconds after which a client that reads nothing of its answer is dropped.
    :ivar max_line: bytes of one request line.
    """

    anonymous: Role = Role.READ
    max_connections: int = 4096
    idle_timeout: float = 600.0
    stall_timeout: float = 30.0
    max_line: int = 4096


class TelnetFactory(Factory):
    """
    Makes a `TelnetLine` for each connection and counts them.

    :param own_uid: the user id this daemon runs as.
    """

    noisy = False
    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, dispatch: Dispatch, threads: IThreads, clock: IReactorTime, limits: Limits, own_uid: int
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.requests = 0
        self.refused = 0
        self.dropped = 0
        self.foreign = 0
        self._dispatch = dispatch
        self._threads = threads
        self._own_uid = own_uid
        self._user_names = UserNames()
        self._lines: set[TelnetLine] = set()
        self._max_open = 0
        self._turned_away = 0
        self._connection_limits = ConnectionLimits()
        self._token_warnings = RepeatedWarnings(clock)
        self._stall_warnings = RepeatedWarnings(clock)
        self._all_gone: Deferred[None] | None = None

    # -- called by connections

    def buildProtocol(self, addr: IAddress | None) -> TelnetLine:
        """Return the protocol of a connection. Over a unix socket, `identify` finds its caller later."""
        host = getattr(addr, "host", None)
        session = None
        if host is not None:
            via = f"tcp {unmapped(host)}:{getattr(addr, 'port', 0)}"
            session = Session(Caller(self.limits.anonymous, "", None, via))
        line = TelnetLine(self, session)
        line.factory = self
        return line

    async def identify(self, transport: Any) -> Caller:
        """Return the caller at the other end of a unix socket."""
        uid = uid_of_peer(transport.getHandle())
        now = self.clock.seconds()
        user = self._user_names.known(uid, now)
        if user is None:
            try:
                user = await self._threads.run_apart(
                    USER_LOOKUP_TIMEOUT, ("user", uid), "names", self._user_names.name, uid, now
                )
            except (TimedOut, TooMany):  # a directory server hangs: the uid has to do
                user = str(uid)
        return local_caller(uid, user, self._own_uid)

    def greeting(self) -> str:
        """Return the text of the 220 line."""
        own = self._dispatch.parts.collector.own
        return f"gomd {VERSION} node {own.id} {own.name}"

    def refusal(self, line: TelnetLine, caller: Caller) -> TooMany | None:
        """Return why ``line`` is refused, None if it is accepted."""
        if self._connection_limits.take(line, caller, self.limits.max_connections):
            return None
        self._turned_away += 1
        return TooMany(
            f"{self.limits.max_connections} connections are open already: try later, "
            "or raise [telnet] max_connections"
        )

    def ask(self, session: ISession, line: bytes) -> Replying:
        """Answer one request line. Errors as in `Dispatch.ask`."""
        self.requests += 1
        return self._dispatch.ask(session, parse_request(line))

    def entered(self, line: TelnetLine) -> None:
        """Note that a connection was made."""
        self._lines.add(line)
        self._max_open = max(self._max_open, len(self._lines))

    def left(self, line: TelnetLine) -> None:
        """Note that a connection has ended."""
        self._lines.discard(line)
        self._connection_limits.leave(line)
        if not self._lines and self._all_gone is not None:
            gone, self._all_gone = self._all_gone, None
            gone.callback(None)

    def wrong_token(self, session: ISession) -> None:
        """Log that a caller tried an unknown token; at most now and then for each address."""
        address = address_of(session.caller)
        if count := self._token_warnings.count(address):
            self._log.warn(
                "tokens that are not known came from {address}, {count} since it was last said",
                address=address, count=count,
            )  # fmt: skip

    def stalled(self, session: ISession | None, limit: float) -> None:
        """Log that a client is dropped because it read nothing of its answer for ``limit`` seconds."""
        self.dropped += 1
        via = session.caller.via if session else "an unidentified caller"
        if count := self._stall_warnings.count(address_of(session.caller) if session else via):
            self._log.warn(
                "dropped {via}: it took nothing of its answer for {limit:g} s, {count} of this address since "
                "it was last said",
                via=via, limit=limit, count=count,
            )  # fmt: skip

    # -- called by services

    def end_idle(self) -> None:
        """Close every connection without a request for `Limits.idle_timeout` that waits for no answer."""
        oldest = self.clock.seconds() - self.limits.idle_timeout
        for line in tuple(self._lines):
            if line.last_line_at < oldest and not line.busy:
                line.end_idle()

    async def end_revoked(self) -> None:
        """
        Close every connection whose token is known no longer, or gives less than it did.

        While the tokens file cannot be read, connections stay.
        """
        found: dict[str, Caller | None] = {}
        for line in tuple(self._lines):
            session = line.session
            token = "" if session is None else session.token
            if session is None or not token:
                continue
            if token not in found:
                try:
                    found[token] = await self._dispatch.parts.tokens.check(token, session.caller)
                except NotAllowed:  # its owner is no user here any more
                    found[token] = None
                except GomdError as error:
                    self._log.debug("a token cannot be checked again: {error}", error=error)
                    continue
            now = found[token]
            if session.token != token:
                continue  # it has another one meanwhile
            if now is None or now.role < session.caller.role or now.uid != session.caller.uid:
                session.caller, session.token = Caller(Role.NONE, "", None, session.caller.via), ""
                line.close()
                self.clock.callLater(1.0, _abort, line)

    def close_all(self) -> Deferred[None]:
        """Close every connection; fires when all have ended, at most a second later."""
        if not self._lines:
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done
        self._all_gone = Deferred()
        for line in tuple(self._lines):
            line.close()
        # Not `within`: their end is waited for after the abort too, and is no error.
        expiry = self.clock.callLater(1.0, self._abort_all)

        def finished(result: None) -> None:
            if expiry.active():
                expiry.cancel()

        return self._all_gone.addCallback(finished)

    def _abort_all(self) -> None:
        for line in tuple(self._lines):
            _abort(line)

    def counters(self) -> Iterable[Counter]:
        """Connections and requests."""
        yield Counter("telnet_connections", len(self._lines), "connections of the telnet line now")
        yield Counter("telnet_connections_most", self._max_open, "most connections at once")
        yield Counter("telnet_turned_away", self._turned_away, "connections over [telnet] max_connections")
        yield Counter(
            "telnet_made_room", self._connection_limits.made_room, "connections ended for callers with fewer"
        )
        yield Counter("telnet_requests", self.requests, "requests so far")
        yield Counter("telnet_refused", self.refused, "requests answered with a code of 400 or more")
        yield Counter("telnet_dropped", self.dropped, "connections dropped as they stopped reading")
        yield Counter("telnet_foreign", self.foreign, "connections ended as another protocol was spoken")


def _abort(line: TelnetLine) -> None:
    """End a connection that has had time to send what it had written."""
    if line.transport is not None:
        line.transport.abortConnection()
