"""
The API: every verb of the table below `/api/v1/`, watches as event streams, sessions, and starting jobs.

A request goes through the same `Dispatch` as a line of telnet, as the caller that `Access` finds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import IThreads
from gomd.verbs import arguments as words
from gomd.verbs.context import ISession
from gomd.verbs.dispatch import Dispatch
from gomd.verbs.jobs import job_of
from gomd.verbs.quotas import Quotas
from gomd.verbs.replies import Rows
from gomd.verbs.table import Verb
from gomd.web.access import NOT_KNOWN, Access
from gomd.web.answers import send_reply
from gomd.web.channel import WebRequest
from gomd.web.job_streams import output_of, start_job
from gomd.web.limits import MAX_STREAMS, MAX_STREAMS_PER_CALLER
from gomd.web.session_api import SessionApi, WrongMethod
from gomd.web.streams import EventStream, messages_of
from gomd.web.verb_requests import body_of, query_of, request_of, watch_request
from libgomd.errors import (
    GomdError,
    MalformedRequest,
    NeedsAuth,
    NodeError,
    NotFound,
    RequestError,
)
from libgomd.model import Caller, Role
from libgomd.wire.lines import Request
from libgomd.wire.values import dumps, encode

PREFIX: Final = b"/api/v1/"
#: Seconds that making the description of the API may take.
DESCRIPTION_TIMEOUT: Final = 10.0
_READS: Final = (b"GET", b"HEAD")


@implementer(ISession)
@dataclass
class ApiSession:
    """The session of one request: its answers are JSON."""

    caller: Caller
    json: bool = True
    token: str = field(default="", repr=False)
    wrong_tokens: int = 0


class Api:
    """
    Answers what is below `/api/v1/`.

    :param threads: for what blocks.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, dispatch: Dispatch, access: Access, threads: IThreads, clock: IReactorTime) -> None:
        self._dispatch = dispatch
        self._access = access
        self._threads = threads
        self._clock = clock
        self._streams = Quotas("event streams", MAX_STREAMS, MAX_STREAMS_PER_CALLER)
        self._description: bytes | None = None
        self._fixed: Mapping[bytes, Callable[[WebRequest], Awaitable[None]]] = {
            b"session": SessionApi(access).answer,
            b"openapi.json": self._openapi,
            b"run": self._run,
        }

    @property
    def streams(self) -> int:
        """The event streams that are open."""
        return self._streams.total

    def answer(self, request: WebRequest) -> None:
        """Answer ``request``; when the client leaves, whatever is done for it ends."""
        task = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda _gone: task.cancel())

    async def _answer(self, request: WebRequest) -> None:
        """Answer one request. Never raises but `CancelledError`, which ends here too."""
        try:
            await self._route(request)
        except CancelledError:
            return
        except WrongMethod as error:
            allowed = ", ".join(error.allowed)
            text = f"this URL takes {allowed}"
            self._fail(request, 405, text, {"Allow": allowed}, status=405)
        except NeedsAuth as error:
            text = error.text
            if "`auth TOKEN`" in text:
                text = "sign in, or send `Authorization: Bearer TOKEN`: only known callers are answered"
            self._fail(request, error.code, text, {"WWW-Authenticate": 'Bearer realm="gomd"'})
        except (RequestError, NodeError) as error:
            self._fail(request, error.code, error.text)
        except GomdError as error:
            self._fail(request, 500, str(error))
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("answering over http failed")
            self._fail(request, 500, "gomd failed because of a bug: its log has the details")

    def _fail(
        self,
        request: WebRequest,
        code: int,
        text: str,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        if request.channel is None or request.finished:
            return
        if request.startedWriting:
            request.channel.drop()  # the client must not take half an answer for a whole one
        elif status is not None:
            request.reply_json(status, {"code": code, "error": text}, headers)
        else:
            request.reply_error(code, text, headers)

    async def _route(self, request: WebRequest) -> None:
        path = request.path.removeprefix(PREFIX)
        name, _, rest = path.partition(b"/")
        fixed = self._fixed.get(path)
        if fixed is not None:
            await fixed(request)
            return
        if name == b"watch":
            await self._watch(request, rest)
            return
        verb = self._verb(name)
        if not verb.method or (verb.method == "GET") != (request.method in _READS):
            raise WrongMethod(*(("GET", "HEAD") if verb.method == "GET" else ("POST",)))
        if verb.method == "POST" and request.method != b"POST":
            raise WrongMethod("POST")
        body = body_of(request.content.getvalue()) if request.method == b"POST" else {}
        asked = request_of(verb, rest, query_of(request.uri.partition(b"?")[2]), body)
        caller = await self._caller(request)
        if verb.name == "auth":
            await self._check_token(request, asked.arguments[0])
            return
        reply = self._dispatch.ask(ApiSession(caller), asked)
        await send_reply(request, await reply if isinstance(reply, Awaitable) else reply, self._clock)

    async def _caller(self, request: WebRequest) -> Caller:
        """Return who sends ``request``. The connection of one who signed in makes room last."""
        caller = await self._access.caller(request)
        if request.channel is not None:
            request.channel.known = caller.role >= Role.USER
        return caller

    def _verb(self, name: bytes) -> Verb:
        text = name.decode("latin-1")
        if not text:
            raise NotFound("a verb is missing at the end of this URL: /api/v1/help lists the verbs")
        try:
            verb = self._dispatch.table.find(text)
        except MalformedRequest as error:
            raise NotFound(f"{error.text.replace('say `help` for', '/api/v1/help lists')}") from None
        if not verb.method:
            raise NotFound(f"`{text}` is no part of the API: /api/v1/openapi.json says what is")
        return verb

    async def _check_token(self, request: WebRequest, token: str) -> None:
        caller = await self._access.by_token(token, self._access.via(request))
        request.reply(200, f'{{"value": {dumps(encode(caller))}}}'.encode(), "application/json")

    # -- event streams

    async def _watch(self, request: WebRequest, rest: bytes) -> None:
        if request.method != b"GET":
            raise WrongMethod("GET")
        query = query_of(request.uri.partition(b"?")[2])
        name, _, rest = rest.partition(b"/")
        caller = await self._caller(request)
        session = ApiSession(caller)
        if name == b"attach":
            messages = self._output(session, rest, query)
            await self._stream(request, caller, lambda: messages)
            return
        verb = self._verb(name)
        resync = query.pop("resync", "") not in ("", "0", "no")
        asked = watch_request(verb, rest, query)

        def begin() -> Any:
            reply: Any = self._dispatch.ask(session, asked)
            return messages_of(reply, self._clock, self._recent(session) if resync else None)

        await self._stream(request, caller, begin)

    def _recent(self, session: ISession) -> Callable[[], list[str]]:
        """Return what gives the rows of `events`, so that a client that comes back has missed none."""

        def rows() -> list[str]:
            reply = self._dispatch.ask(session, Request("events"))
            assert isinstance(reply, Rows)
            assert isinstance(reply.rows, Sequence)
            return [dumps(encode(row)) for row in reply.rows]

        return rows

    def _output(self, session: ISession, rest: bytes, query: Mapping[str, str]) -> Any:
        parts = self._dispatch.parts
        attach = self._dispatch.table.check(session, Request("attach", (rest.decode("latin-1"),)))
        number = words.whole_number(rest.decode("latin-1"), "JOB", 1, words.MAX_JOB)
        positions = {}
        for name, value in query.items():
            if name not in ("stdout", "stderr"):
                raise MalformedRequest(f"`{attach.name}` has no option {name[:40]}: it has stdout, stderr")
            positions[name] = words.whole_number(value, name, 0, 1 << 62)
        job = job_of(parts, session.caller, number)
        parts.jobs.check_attach(job)
        return output_of(parts.jobs, job, positions)

    async def _stream(self, request: WebRequest, caller: Caller, begin: Callable[[], Any]) -> None:
        web_session = self._access.session(request)  # it may have ended while its token was looked up
        release = self._streams.take(caller)

        async def recheck() -> None:
            """Raise `NeedsAuth` when the caller has lost the rights with which the stream began."""
            if web_session is not None and not self._access.sessions.is_open(web_session):
                raise NeedsAuth(web_session.why_ended)
            if (await self._access.caller(request)).role < caller.role:
                raise NeedsAuth(NOT_KNOWN)

        try:
            messages = begin()
            stream = EventStream(request, self._clock, recheck)
            if web_session is not None:
                web_session.on_end.add(stream.check_now)
            try:
                await stream.run(messages)
            finally:
                if web_session is not None:
                    web_session.on_end.discard(stream.check_now)
        finally:
            release()

    # -- what is no verb

    async def _openapi(self, request: WebRequest) -> None:
        if request.method not in _READS:
            raise WrongMethod("GET", "HEAD")
        if self._description is None:
            from gomd.web.openapi import description

            verbs = tuple(self._dispatch.table)
            self._description = await self._threads.run(DESCRIPTION_TIMEOUT, description, verbs)
        request.reply(200, self._description, "application/json")

    async def _run(self, request: WebRequest) -> None:
        if request.method != b"POST":
            raise WrongMethod("POST")
        body = body_of(request.content.getvalue())
        caller = await self._caller(request)
        self._dispatch.table.check(ApiSession(caller), Request("run"))
        told = await start_job(self._dispatch.parts.jobs, self._threads, self._clock, caller, body)
        request.reply(200, f'{{"value": {dumps(told)}}}'.encode(), "application/json")
