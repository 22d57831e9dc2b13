"""
Who sends an HTTP request, and whether it may come here at all: hosts, origins, tokens and sessions.

A session needs two values: the cookie, which no script can read, and the key that only the answer to the
sign-in had, sent as a header. Cookies ignore ports, so the web server of another user of this machine may get
the cookie; alone it gives what anonymous callers have.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from gomd.interfaces import ITokens
from gomd.verbs.quotas import address_in
from gomd.web.attempts import Attempts
from gomd.web.channel import WebRequest
from gomd.web.limits import MAX_PROVEN, TOKEN_CACHE
from gomd.web.sessions import SIGNED_OUT, Sessions, WebSession
from libgomd.errors import NeedsAuth, NotAllowed, TooMany
from libgomd.model import Caller, Role
from libgomd.wire.addresses import unmapped

#: The header with the key of a session.
KEY_HEADER: Final = "x-gomd-session"
#: What is said to whoever uses a token that was removed.
NOT_KNOWN: Final = "your token is no longer known here: sign in again"
READ, METRICS, NONE = "read", "metrics", "none"
#: The first part of the key of a session, and the last one of the name of its cookie.
_TAB: Final = re.compile(r"[0-9a-f]{8}")
_METHODS_THAT_READ: Final = (b"GET", b"HEAD")


@dataclass(frozen=True, slots=True)
class AccessRules:
    """
    What is allowed at the endpoint.

    :ivar anonymous: what may be read without a token: ``read`` (all that role sees), ``metrics`` or ``none``.
    :ivar signs_in: whether tokens are taken; not in clear text from other machines, where only /metrics is.
    :ivar secure: whether it is TLS. :ivar hosts: names, in lower case, by which this endpoint is known.
    """

    anonymous: str
    signs_in: bool
    secure: bool
    hosts: frozenset[str]


class Misdirected(Exception):
    """The request is for another host: 421."""


class Access:
    """
    :param rules: what is allowed; they may be replaced while it runs.
    """

    def __init__(self, rules: AccessRules, tokens: ITokens, sessions: Sessions, clock: Any) -> None:
        self.rules = rules
        self.sessions = sessions
        self._tokens = tokens
        self._clock = clock
        self._attempts = Attempts(clock)
        self._good: dict[tuple[str, str], tuple[float, Caller]] = {}
        self._proven: dict[str, None] = {}

    # -- where a request comes from

    def check_host(self, request: WebRequest) -> None:
        """
        Check the name under which this daemon was asked: a page of another site can give its own name this
        address (DNS rebinding), but not an address.

        :raises Misdirected: it is a name that is not this daemon's.
        """
        values = request.requestHeaders.getRawHeaders(b"host") or []
        if not values and request.clientproto == b"HTTP/1.0":
            return
        if len(values) != 1 or not self._is_known(host_in(values[0].decode("latin-1"))):
            raise Misdirected

    def _is_known(self, host: str) -> bool:
        if host in self.rules.hosts:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def check_origin(self, request: WebRequest, is_api: bool) -> None:
        """
        Check that no page of another origin sent it.

        Such a page could read no answer, but it could change something, or open streams until there are too
        many. It may lead to the page and to the metrics.

        :raises NotAllowed: one did.
        """
        if not is_api and request.method in _METHODS_THAT_READ:
            return
        origin = request.getHeader("origin")
        scheme = "https" if self.rules.secure else "http"
        own = f"{scheme}://{request.getHeader('host') or ''}"
        site = request.getHeader("sec-fetch-site")
        if (origin is not None and origin.lower() != own.lower()) or site in ("cross-site", "same-site"):
            raise NotAllowed("a page of another origin sent this request: use gomd's own page")

    # -- who sends it

    def via(self, request: WebRequest) -> str:
        """Return how the caller is connected, as `Caller.via`."""
        host = getattr(request.client, "host", None)
        return "unix http" if host is None else f"tcp {unmapped(host)}:{request.client.port}"

    def anonymous(self, request: WebRequest) -> Caller:
        """Return the caller of a request without a token."""
        role = Role.READ if self.rules.anonymous == READ and self.rules.signs_in else Role.NONE
        return Caller(role, "", None, self.via(request))

    async def caller(self, request: WebRequest) -> Caller:
        """
        Return who sends ``request``.

        :raises NeedsAuth: the session or the token is not known, or no longer. :raises NotAllowed: no tokens
            are taken here. :raises TooMany: this address has tried too many unknown ones, and this token was
            not good here lately.
        """
        session = self.session(request)
        if session is not None:
            return await self.renewed(session, self.via(request))
        if (token := bearer_of(request)) is not None:
            return await self.by_token(token, self.via(request))
        return self.anonymous(request)

    def session(self, request: WebRequest) -> WebSession | None:
        """
        Return the session of ``request``, None if it names none.

        :raises NeedsAuth: it has the key of a session that is over, or not the cookie to it.
        """
        if request.getHeader(KEY_HEADER) is None:
            return None
        name, key = self.cookie_and_key(request)
        cookie = cookies_of(request).get(name)
        session = None if cookie is None else self.sessions.find(cookie, key)
        if session is None:
            raise NeedsAuth(SIGNED_OUT if cookie is None else self.sessions.why_ended(cookie, key))
        return session

    async def renewed(self, session: WebSession, via: str) -> Caller:
        """
        Return the caller of ``session`` as its token is now.

        :raises NeedsAuth: the token was removed; the session is over.
        """
        caller = replace(session.caller, via=via)
        if session.token:
            try:
                found = await self._known(session.token, via)
            except NotAllowed:
                found = None
            if found is None or found.role < session.caller.role or found.uid != session.caller.uid:
                self.sessions.end(session, NOT_KNOWN)
                raise NeedsAuth(NOT_KNOWN)
        return caller

    async def by_token(self, token: str, via: str) -> Caller:
        """Return the caller with this token. Errors as in `caller`."""
        if not self.rules.signs_in:
            raise NotAllowed(
                "no token is taken here, where it would travel in clear text: set [http] tls = yes, or use a "
                "loopback address"
            )
        address, digest = address_in(via), _digest(token)
        if digest not in self._proven:  # else whoever shares an address could keep out those that it knows
            self._attempts.check(address)
        found = await self._known(token, via)
        self._proven.pop(digest, None)
        if found is not None:
            self._proven[digest] = None
            if len(self._proven) > MAX_PROVEN:
                del self._proven[next(iter(self._proven))]
        else:
            self._attempts.failed(address)
            raise NeedsAuth("this token is not known here: `gom token add NAME ROLE` on this node makes one")
        return found

    async def _known(self, token: str, via: str) -> Caller | None:
        """Return the caller with this token, None if it is not known. A good one is kept for a moment."""
        key = (_digest(token), address_in(via))
        now = self._clock.seconds()
        at, kept = self._good.get(key, (0.0, None))
        if kept is not None and now - at <= TOKEN_CACHE:
            return replace(kept, via=via)
        self._good.pop(key, None)
        found = await self._tokens.check(token, Caller(Role.NONE, "", None, via))
        if found is not None:
            if len(self._good) >= 256:
                self._good.clear()
            self._good[key] = (now, found)
        return found

    def wrong(self, request: WebRequest) -> None:
        """Count a code that was not known."""
        self._attempts.failed(address_in(self.via(request)))

    def check_attempts(self, request: WebRequest) -> None:
        """Check that the address may try. :raises TooMany: it has tried too many unknown tokens."""
        self._attempts.check(address_in(self.via(request)))

    def cookie_name(self, request: WebRequest, tab: str = "") -> str:
        """
        Return the name of the cookie of a session, or how the names of all of them begin.

        Cookies ignore ports, so each daemon of a machine has its own; and each session has its own, so that
        signing in in one tab does not end the session of another.
        """
        return f"gomd-{getattr(request.host, 'port', 'unix')}-{tab}"

    def cookie_and_key(self, request: WebRequest) -> tuple[str, str]:
        """Return the name of the cookie, and the key to it, that the header of ``request`` names."""
        tab, _, key = (request.getHeader(KEY_HEADER) or "").partition(".")
        return (self.cookie_name(request, tab), key) if _TAB.fullmatch(tab) else ("", "")

    def stale_cookies(self, request: WebRequest) -> list[str]:
        """Return the names of cookies of ``request`` whose sessions are over."""
        prefix = self.cookie_name(request)
        found = cookies_of(request).items()
        return [name for name, value in found if name.startswith(prefix) and not self.sessions.has(value)]


def _digest(token: str) -> str:
    from hashlib import sha256

    return sha256(token.encode("utf-8", "backslashreplace")).hexdigest()


def host_in(value: str) -> str:
    """Return the host in the header ``Host: value``, in lower case, without port and brackets."""
    text = value.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].removesuffix(".")


def bearer_of(request: WebRequest) -> str | None:
    """Return the token that ``request`` has as ``Authorization: Bearer``. :raises NeedsAuth: another kind."""
    value = request.getHeader("authorization")
    if value is None:
        return None
    kind, _, token = value.strip().partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise NeedsAuth("send `Authorization: Bearer TOKEN`, with a token of `gom token add`")
    return token.strip()


def cookies_of(request: WebRequest) -> dict[str, str]:
    """Return the cookies of ``request`` by name."""
    found: dict[str, str] = {}
    for value in request.requestHeaders.getRawHeaders(b"cookie") or []:
        for part in value.decode("latin-1").split(";"):
            name, _, text = part.strip().partition("=")
            found.setdefault(name, text)
    return found


def known_hosts(names: Iterable[str]) -> frozenset[str]:
    """Return the names by which an endpoint may be asked, localhost among them."""
    return frozenset({"localhost", *(name.lower().removesuffix(".") for name in names if name)})


__all__ = ["KEY_HEADER", "METRICS", "NONE", "READ", "Access", "AccessRules", "Misdirected", "TooMany"]
