"""
Sends the reply of a verb as JSON: ``{"rows": [...]}`` for a block, ``{"value": ...}`` for a line.

A block is sent piece by piece, as fast as the client reads. When it cannot be completed, the object has
``code`` and ``error`` behind the rows there are.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from twisted.internet.interfaces import IReactorTime

from gomd.verbs import rendering
from gomd.verbs.replies import File, Goodbye, Relayed, Reply, Upgrade, ValueReply, WatchReply, goes_on
from gomd.web.channel import JSON, WebRequest, status_of
from gomd.web.flow import Flow
from gomd.web.limits import PIECE_BYTES
from libgomd.errors import GomdError, NodeError, NotPossible, RequestError
from libgomd.wire.lines import BLOCK
from libgomd.wire.values import dumps


async def send_reply(request: WebRequest, reply: Reply, clock: IReactorTime) -> None:
    """
    Send ``reply``.

    :raises NotPossible: it is none that the API can send. :raises Exception: what making its first piece
        raises; nothing was sent then.
    """
    if isinstance(reply, (Goodbye, Upgrade, WatchReply)) or goes_on(reply):
        raise NotPossible("this verb has no answer of its own over HTTP")
    code, text = rendering.status_of(reply, True)
    if code != BLOCK:
        _send_line(request, reply, code, text)
        return
    pieces = rendering.pieces(reply, True)
    try:
        first = await anext(pieces, None)
        second = None if first is None else await anext(pieces, None)
        if second is None:
            text = ", ".join(first or ())
            if not isinstance(reply, Relayed) or not _is_failure(first):
                request.reply(200, f'{{"rows": [{text}]}}'.encode(), JSON)
                return
        await _send_pieces(request, [first or [], second or []], pieces, clock)
    finally:
        await pieces.aclose()


def _is_failure(lines: Sequence[str] | None) -> bool:
    return bool(lines) and lines is not None and lines[-1].startswith('{"code": ')


def _send_line(request: WebRequest, reply: Reply, code: int, text: str) -> None:
    if code >= 400:
        request.reply_error(code, text)
        return
    value = dumps(reply.value) if isinstance(reply, ValueReply) else text
    if isinstance(reply, File):
        value = text
    request.reply(200, f'{{"value": {value or "null"}}}'.encode(), JSON)


async def _send_pieces(
    request: WebRequest,
    made: list[Sequence[str]],
    pieces: AsyncGenerator[Sequence[str], None],
    clock: IReactorTime,
) -> None:
    request.begin(200, JSON)
    flow = Flow(request, clock, request.channel.drop)
    try:
        await flow.send(('{"rows": [' + ", ".join(line for lines in made for line in lines)).encode())
        gathered, end = "", "]}"
        try:
            async for lines in pieces:
                if _is_failure(lines):
                    lines, end = lines[:-1], f"], {lines[-1][1:]}"
                gathered += "".join(f", {line}" for line in lines)
                if len(gathered) > PIECE_BYTES:
                    await flow.send(gathered.encode())
                    gathered = ""
        except (RequestError, NodeError) as error:
            end = f'], "code": {error.code}, "error": {dumps(error.text)}}}'
        except GomdError as error:
            end = f'], "code": 500, "error": {dumps(str(error))}}}'
        request.write((gathered + end).encode())
    finally:
        flow.end()
    request.finish()


__all__ = ["send_reply", "status_of"]
