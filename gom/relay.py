"""Passes a verb on to the daemon and its answer to the terminal, as it comes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from gom.exitstatus import ExitStatus
from libgomd.endpoints import Endpoint
from libgomd.errors import ConnectionLost, TimedOut, error_for
from libgomd.linesocket import LineSocket, dial
from libgomd.wire.lines import BLOCK, Request, encode_request
from libgomd.wire.text import printable

#: Seconds for a daemon to greet. Its answers may take as long as they like: `bring` does.
PATIENCE = 5.0
#: Lines that are printed in one go, when they come in one go.
_CHUNK = 200


def request_of(words: Sequence[str]) -> Request:
    """
    Return the request in ``words``: ``[@NODE] VERB [ARG ...]``.

    :raises MalformedRequest: no line can hold it.
    """
    node = words[0][1:] if words[0].startswith("@") else ""
    verb, *arguments = words[1:] if node else words
    request = Request(verb, tuple(arguments), node)
    encode_request(request)
    return request


def relay(places: Sequence[Endpoint], token: str, json: bool, request: Request) -> int:
    """
    Ask the daemon and print what it answers. Blocks until the answer is complete.

    :param places: where it may be, the first that answers counts. :param token: for `auth`, or empty.
    :returns: 0, or how the command of a `do` ended.
    :raises RequestError: the daemon said no. :raises NodeError: it tried and failed.
    :raises ConnectionLost: there is none, or it went away. Other errors as in `libgomd.linesocket`.
    """
    line = _connected(places, token, json, request)
    try:
        status = line.ask(request, None)
        if status.code == BLOCK:
            lines = line.rows(None)
            if "get" not in (request.verb.lower(), *request.arguments):  # a file may say what it likes
                lines = _until_it_failed(lines)
            if request.verb.lower() == "do":
                ended = ExitStatus(json)
                _print(ended.follow(lines), flush=True)
                return ended.status
            _print(lines, flush=request.verb.lower() == "watch")
        elif status.text:
            _print([status.text], flush=False)
        return 0
    finally:
        line.close()


def _connected(places: Sequence[Endpoint], token: str, json: bool, request: Request) -> LineSocket:
    auth = Request("auth", (token,))
    try:
        line = dial(places, PATIENCE, auth if token else request)
    except TimedOut as error:  # something listens, but it is no daemon that works
        raise ConnectionLost(str(error)) from error
    try:
        if token:
            line.ask(auth, PATIENCE)
        if json:
            line.ask(Request("format", ("json",)), PATIENCE)
    except BaseException:
        line.close()
        raise
    return line


def _until_it_failed(lines: Iterable[str]) -> Iterator[str]:
    """
    Yield the lines of a block, and raise what the last one says if the daemon could not complete it.

    In text that line is ``! CODE TEXT``, in json an object with code and error.
    """
    held = None
    for line in lines:
        if held is not None:
            yield held
        held = line if line.startswith(("! ", '{"code": ')) else None
        if held is None:
            yield line
    if held is None:
        return
    if held.startswith("{"):
        import json

        failure = json.loads(held)
        raise error_for(failure["code"], failure["error"])
    _, code, text = held.split(" ", 2)
    raise error_for(int(code), text)


def _print(lines: Iterable[str], flush: bool) -> None:
    """Write lines to standard output; nothing in them drives the terminal, whoever wrote them."""
    for chunk in _chunks(lines, 1 if flush else _CHUNK):
        sys.stdout.buffer.write("".join(printable(line) + "\n" for line in chunk).encode())
        if flush:
            sys.stdout.buffer.flush()
    sys.stdout.buffer.flush()


def _chunks(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    chunk: list[str] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    yield chunk
