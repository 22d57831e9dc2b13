"""The sessions of browsers, and the one-time codes by which `gom page` begins one. Kept in memory only."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from twisted.internet.interfaces import IReactorTime

from gomd.verbs.quotas import holder_of
from gomd.web.limits import (
    CODE_LIFETIME,
    MAX_CODES,
    MAX_CODES_PER_USER,
    MAX_SESSIONS,
    MAX_SESSIONS_PER_CALLER,
    SESSION_IDLE,
    SESSION_LIFETIME,
)
from libgomd.model import Caller

#: What is said to a browser whose session is over, if there is no other reason.
SIGNED_OUT: Final = "you are signed out: sign in again"


@dataclass(eq=False, slots=True)
class WebSession:
    """
    One signed-in browser.

    :ivar caller: who signed in. :ivar token: with which; empty when it was a one-time code, for which the
        kernel vouched. :ivar began, used: seconds of the monotonic clock.
    :ivar on_end: called when it has ended; whoever adds one removes it.
    :ivar why_ended: a sentence for whoever still has it.
    """

    caller: Caller
    began: float
    used: float
    key: bytes = field(repr=False)
    token: str = field(default="", repr=False)
    on_end: set[Callable[[], None]] = field(default_factory=set, repr=False)
    why_ended: str = SIGNED_OUT


class Sessions:
    """The sessions of this daemon, by the hash of their cookie. They end with the daemon."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._sessions: dict[bytes, WebSession] = {}
        self._codes: dict[bytes, tuple[float, Caller]] = {}
        self._ended: dict[bytes, WebSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, caller: Caller, token: str = "") -> tuple[str, str]:
        """
        Begin a session of ``caller``.

        :returns: the cookie, and the key that goes into a header. Neither is kept here, only their hashes.
        """
        self._forget_old()
        own = [cookie for cookie, each in self._sessions.items() if _is_same(each.caller, caller)]
        if len(own) >= MAX_SESSIONS_PER_CALLER:
            self.end(self._sessions[own[0]])
        elif len(self._sessions) >= MAX_SESSIONS:
            self.end(next(iter(self._sessions.values())))
        cookie, key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        now = self._clock.seconds()
        self._sessions[_hash(cookie)] = WebSession(caller, now, now, _hash(key), token)
        return cookie, key

    def find(self, cookie: str, key: str) -> WebSession | None:
        """Return the session with this cookie and this key, None if there is none."""
        session = self._sessions.get(_hash(cookie))
        if session is None or not hmac.compare_digest(session.key, _hash(key)):
            return None
        if not self._is_alive(session):
            self.end(session)
            return None
        session.used = self._clock.seconds()
        return session

    def has(self, cookie: str) -> bool:
        """Return whether a session has this cookie."""
        return _hash(cookie) in self._sessions

    def is_open(self, session: WebSession) -> bool:
        """Return whether ``session`` has not ended."""
        return session in self._sessions.values()

    def why_ended(self, cookie: str, key: str) -> str:
        """Return why the session with this cookie and this key is over, a sentence."""
        session = self._ended.get(_hash(cookie))
        if session is None or not hmac.compare_digest(session.key, _hash(key)):
            return SIGNED_OUT
        return session.why_ended

    def end(self, session: WebSession, why: str = SIGNED_OUT) -> None:
        """End ``session``; nothing happens if it has ended. :param why: a sentence for who still has it."""
        cookies = [cookie for cookie, each in self._sessions.items() if each is session]
        for cookie in cookies:
            del self._sessions[cookie]
            session.why_ended = why
            self._ended[cookie] = session
            while len(self._ended) > MAX_SESSIONS:
                del self._ended[next(iter(self._ended))]
        for each in tuple(session.on_end):
            each()

    def _is_alive(self, session: WebSession) -> bool:
        now = self._clock.seconds()
        return now - session.used < SESSION_IDLE and now - session.began < SESSION_LIFETIME

    def _forget_old(self) -> None:
        self._sessions = {cookie: each for cookie, each in self._sessions.items() if self._is_alive(each)}
        now = self._clock.seconds()
        self._codes = {code: each for code, each in self._codes.items() if now < each[0]}

    # -- one-time codes

    def new_code(self, caller: Caller) -> str:
        """Return a code that begins one session of ``caller`` within `CODE_LIFETIME` seconds."""
        self._forget_old()
        own = [code for code, each in self._codes.items() if each[1].uid == caller.uid]
        if len(own) >= MAX_CODES_PER_USER:
            del self._codes[own[0]]
        elif len(self._codes) >= MAX_CODES:
            del self._codes[next(iter(self._codes))]
        code = secrets.token_urlsafe(32)
        self._codes[_hash(code)] = (self._clock.seconds() + CODE_LIFETIME, caller)
        return code

    def take_code(self, code: str) -> Caller | None:
        """Return the caller for whom ``code`` was made, and forget it; None if it is not good any more."""
        until, caller = self._codes.pop(_hash(code), (0.0, None))
        return caller if self._clock.seconds() < until else None


def _hash(text: str) -> bytes:
    return sha256(text.encode("utf-8", "backslashreplace")).digest()


def _is_same(one: Caller, other: Caller) -> bool:
    return holder_of(one) == holder_of(other)
