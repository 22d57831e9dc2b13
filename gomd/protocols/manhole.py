"""
The manhole: an ssh console in the running daemon, for whoever has one of the authorized keys.

Only public keys are accepted, with any user name. The key identifies the person; its fingerprint is logged.
Only the console is served: no commands, no files, no forwarding. Its prompt has these names:

- ``collector``: the newest values of this node, ``collector.latest``, ``collector.own_node()``;
- ``cluster``: the nodes, ``cluster.nodes()``, ``cluster.find("beta")``;
- ``verbs``: the table of verbs, ``list(verbs)``, ``verbs.find("ps")``;
- ``config``: the configuration the daemon was started with.

This module imports conch, so it is only imported when the manhole is on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from twisted.conch.insults import insults
from twisted.conch.manhole import ColoredManhole
from twisted.conch.manhole_ssh import TerminalRealm, TerminalSession
from twisted.conch.ssh import connection, userauth
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import BadKeyError, Key
from twisted.conch.ssh.transport import SSHServerTransport
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.interfaces import IThreads
from gomd.protocols.manhole_keys import read_authorized_keys
from libgomd.errors import ConfigError
from libgomd.tcp import send_without_delay

#: Seconds that a login may take, and the reading of the key file.
LOGIN_TIMEOUT = 30.0
KEY_FILE_TIMEOUT = 5.0
#: Wrong keys that a connection may try.
MAX_LOGIN_ATTEMPTS = 10
#: Largest number of connections at once, logged in or not.
MAX_CONNECTIONS = 16
#: Bytes of a user name that are logged.
MAX_LOGGED_NAME_BYTES = 64
#: Bytes of one line of input.
MAX_INPUT_LINE_BYTES = 65536


@implementer(ICredentialsChecker)
class _AuthorizedKeys:
    """Reads the key file at each login, so that a key that was removed is refused at once."""

    credentialInterfaces = (ISSHPrivateKey,)
    _log: ClassVar[Logger] = Logger()

    def __init__(self, path: str, threads: IThreads) -> None:
        self._path = path
        self._threads = threads

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """Return the user name of ``credentials``. :raises UnauthorizedLogin: the key is not authorized."""
        return Deferred.fromCoroutine(self._check(credentials))

    async def _check(self, credentials: Any) -> bytes:
        try:
            keys = await self._threads.run(KEY_FILE_TIMEOUT, read_authorized_keys, self._path)
            offered = Key.fromString(credentials.blob)
        except ConfigError as error:
            self._log.error("nobody can log in to the manhole: {error}", error=error)
            raise UnauthorizedLogin("the key file cannot be used") from error
        except BadKeyError as error:
            raise UnauthorizedLogin("no key") from error
        name, fingerprint = credentials.username[:MAX_LOGGED_NAME_BYTES], offered.fingerprint()
        if offered not in keys:
            self._log.warn("the manhole refused {name!r} with the key {key}", name=name, key=fingerprint)
            raise UnauthorizedLogin("not with this key")
        # Without a signature this raises ValidPublicKey: the client is then asked for one.
        checker = SSHPublicKeyChecker(InMemorySSHKeyDB({credentials.username: keys}))
        found: bytes = await checker.requestAvatarId(credentials)
        self._log.info("{name!r} is in the manhole with the key {key}", name=name, key=fingerprint)
        return found


class _Console(ColoredManhole):
    """A Python prompt that survives any input."""

    def terminalSize(self, width: int, height: int) -> None:
        """Clear the screen, list the names, then prompt."""
        super().terminalSize(width, height)
        names = ", ".join(sorted(self.namespace or ()))
        self.terminal.write(f"\rThis is the inside of gomd. There is {names}.".encode())
        self.terminal.nextLine()
        self.terminal.write(self.ps[self.pn])

    def characterReceived(self, ch: bytes, moreCharactersComing: bool) -> None:
        """Take one character; without colours if half a line cannot be coloured."""
        if len(self.lineBuffer) >= MAX_INPUT_LINE_BYTES:
            self.terminal.write(b"\a")
            return
        try:
            super().characterReceived(ch, moreCharactersComing)
        except SyntaxError:  # from tokenize: an indentation, an encoding
            self.terminal.write(ch)

    def lineReceived(self, line: bytes) -> None:
        """Run one line."""
        super().lineReceived(line.decode("utf-8", "replace").encode())


class _Session(TerminalSession):
    """A console with or without a terminal."""

    width, height = 80, 24
    _proto: Any = None

    def openShell(self, proto: Any) -> None:
        """Start the console."""
        self._proto = proto
        super().openShell(proto)

    def execCommand(self, proto: Any, cmd: bytes) -> None:
        """Refuse to run a command."""
        proto.errReceived(b"the manhole runs no commands: leave the command out\n")
        proto.loseConnection()

    def windowChanged(self, newWindowSize: tuple[int, int, int, int]) -> None:
        """Ignore the new size; a prompt does not need it."""

    def eofReceived(self) -> None:
        """End the console: the client has closed its sending side, and its input has been run."""
        if self._proto is not None:
            self._proto.loseConnection()


class _Login(userauth.SSHUserAuthServer):
    """The dialogue in which a key is offered and checked."""

    attemptsBeforeDisconnect = MAX_LOGIN_ATTEMPTS


class _Transport(SSHServerTransport):
    """One connection; it is aborted if the login takes too long."""

    factory: Manhole
    transport: Any
    _expiry: IDelayedCall

    def connectionMade(self) -> None:
        send_without_delay(self.transport)
        self._expiry = self.factory.clock.callLater(LOGIN_TIMEOUT, self._expire)
        super().connectionMade()

    def _expire(self) -> None:
        if not hasattr(self, "avatar"):
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self._expiry.active():
            self._expiry.cancel()
        self.factory.left(self)
        super().connectionLost(reason)


class Manhole(SSHFactory):
    """
    Serves the console.

    :param authorized_keys: the file of the authorized keys. :param host_key: of this node.
    :param namespace: the names at the prompt; each console has its own copy.
    """

    noisy = False
    protocol = _Transport
    services = {b"ssh-userauth": _Login, b"ssh-connection": connection.SSHConnection}

    def __init__(
        self,
        authorized_keys: str,
        host_key: Key,
        threads: IThreads,
        clock: IReactorTime,
        namespace: Mapping[str, object],
    ) -> None:
        self.clock = clock
        self.publicKeys = {host_key.sshType(): host_key.public()}
        self.privateKeys = {host_key.sshType(): host_key}
        self.primes = None  # groups of fixed primes and curves only
        self._open: set[_Transport] = set()
        realm: Any = TerminalRealm()
        realm.sessionFactory = _Session
        realm.chainedProtocolFactory = lambda: insults.ServerProtocol(_Console, dict(namespace))
        self.portal = Portal(realm, [_AuthorizedKeys(authorized_keys, threads)])

    def buildProtocol(self, addr: Any) -> Any:
        """Return the protocol of a new connection, None if there are too many."""
        if len(self._open) >= MAX_CONNECTIONS:
            return None
        made: Any = super().buildProtocol(addr)
        self._open.add(made)
        return made

    def left(self, transport: _Transport) -> None:
        """Note that a connection has ended."""
        self._open.discard(transport)
