"""Signing in and out over HTTP: `/api/v1/session`."""

from __future__ import annotations

import json
import secrets
from typing import Final

from gomd.web.access import Access
from gomd.web.channel import JSON, WebRequest
from gomd.web.verb_requests import body_of
from libgomd.errors import MalformedRequest, NeedsAuth, NotAllowed
from libgomd.wire.values import encode

#: Cookies of sessions that are over, which one answer removes.
MAX_REMOVED: Final = 8
_READS: Final = (b"GET", b"HEAD")


class WrongMethod(Exception):
    """The URL takes other methods. :ivar allowed: these."""

    def __init__(self, *allowed: str) -> None:
        super().__init__(", ".join(allowed))
        self.allowed = allowed


class SessionApi:
    """Answers what concerns the session of a browser. :param access: knows who may sign in."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def answer(self, request: WebRequest) -> None:
        """GET says who the caller is, POST signs in, DELETE signs out."""
        if request.method in _READS:
            await self._who(request)
        elif request.method == b"POST":
            await self._sign_in(request)
        elif request.method == b"DELETE":
            await self._sign_out(request)
        else:
            raise WrongMethod("GET", "HEAD", "POST", "DELETE")

    async def _who(self, request: WebRequest) -> None:
        rules = self._access.rules
        caller = await self._access.caller(request)
        value = {**encode(caller), "anonymous": rules.anonymous, "signs_in": rules.signs_in}
        request.reply_json(200, {"value": value})

    async def _sign_in(self, request: WebRequest) -> None:
        body = body_of(request.content.getvalue())
        token, code = body.get("token"), body.get("code")
        if len(body) != 1 or not (isinstance(token, str) or isinstance(code, str)):
            raise MalformedRequest('send {"token": TOKEN}, or {"code": CODE} with what `gom page` made')
        access, via = self._access, self._access.via(request)
        if not access.rules.signs_in:
            raise NotAllowed(
                "nobody signs in here, where tokens would travel in clear text: set [http] tls = yes, or use "
                "a loopback address"
            )
        if isinstance(token, str):
            caller = await access.by_token(token, via)
        else:
            found = access.sessions.take_code(str(code))
            if found is None:  # a good one is taken whatever else comes from its address
                access.check_attempts(request)
                access.wrong(request)
                raise NeedsAuth("this code is not good any more: say `gom page` again")
            caller = found
        cookie, key = access.sessions.begin(caller, token or "")
        tab = secrets.token_hex(4)
        self._set_cookie(request, access.cookie_name(request, tab), cookie)
        for name in access.stale_cookies(request)[:MAX_REMOVED]:
            self._set_cookie(request, name, "", "; Max-Age=0")
        value = {**encode(caller), "key": f"{tab}.{key}"}
        request.reply(200, json.dumps({"value": value}).encode(), JSON)

    async def _sign_out(self, request: WebRequest) -> None:
        session = self._access.session(request)
        if session is None:
            raise NeedsAuth("there is no session to end: send its key in X-Gomd-Session")
        self._access.sessions.end(session)
        self._set_cookie(request, self._access.cookie_and_key(request)[0], "", "; Max-Age=0")
        request.reply(200, b'{"value": null}', JSON)

    def _set_cookie(self, request: WebRequest, name: str, value: str, more: str = "") -> None:
        secure = "; Secure" if self._access.rules.secure else ""
        text = f"{name}={value}; Path=/api/v1/; HttpOnly; SameSite=Strict{secure}{more}"
        request.responseHeaders.addRawHeader(b"Set-Cookie", text.encode("latin-1"))
