"""Sends a verb to the daemon and prints the answer as it arrives."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from gom.exitstatus import ExitStatus
from libgomd.endpoints import Endpoint
from libgomd.errors import ConnectionLost, TimedOut, error_for
from libgomd.linesocket import LineSocket, dial
from libgomd.wire.lines import BLOCK, Request, encode_request
from libgomd.wire.text import printable

#: Seconds to wait for the greeting of a daemon. Answers have no timeout, because `bring` may take long.
CONNECT_TIMEOUT = 5.0
#: Maximum number of lines printed with one write.
_CHUNK_LINES = 200


def request_of(words: Sequence[str]) -> Request:
    """
    Return the request in ``words``: ``[@NODE] VERB [ARG ...]``.

    :raises MalformedRequest: it cannot be expressed as one line.
    """
    node = words[0][1:] if words[0].startswith("@") else ""
    verb, *arguments = words[1:] if node else words
    request = Request(verb, tuple(arguments), node)
    encode_request(request)
    return request


def relay(endpoints: Sequence[Endpoint], token: str, json: bool, request: Request) -> int:
    """
    Send a request and print the answer. Blocks until the answer is complete.

    :param endpoints: where to look for the daemon; the first one that answers is used.
    :param token: token for `auth`; may be empty.
    :returns: 0, or the exit status of the command of a `do`.
    :raises RequestError: the daemon refused. :raises NodeError: the daemon failed.
    :raises ConnectionLost: there is no daemon, or it closed the connection.
        Other errors as in `libgomd.linesocket`.
    """
    line = connected(endpoints, token, json, request)
    try:
        status = line.ask(request, None)
        if status.code == BLOCK:
            lines = line.rows(None)
            if "get" not in (request.verb.lower(), *request.arguments):  # a file may contain any text
                lines = _raise_at_failure(lines)
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


def ask_rows(endpoints: Sequence[Endpoint], token: str, request: Request) -> tuple[str, Iterator[str]]:
    """
    Ask for a block in JSON, and return the text of its status line and its rows. Blocks.

    Errors as in `relay`; those in the middle of a block are raised from the iterator.
    """
    line = connected(endpoints, token, True, request)
    try:
        status = line.ask(request, None)
    except BaseException:
        line.close()
        raise

    def rows() -> Iterator[str]:
        try:
            if status.code == BLOCK:
                yield from _raise_at_failure(line.rows(None))
        finally:
            line.close()

    return status.text, rows()


def ask_value(endpoints: Sequence[Endpoint], token: str, request: Request) -> str:
    """Ask for one value in JSON and return its text. Blocks. Errors as in `relay`."""
    line = connected(endpoints, token, True, request)
    try:
        return line.ask(request, None).text
    finally:
        line.close()


def connected(endpoints: Sequence[Endpoint], token: str, json: bool, request: Request) -> LineSocket:
    """
    Return a connection to the first daemon that answers, in the caller's role and in the wanted format.

    :param request: the first request that will be sent. Parameters and errors as for `relay`.
    """
    auth = Request("auth", (token,))
    try:
        line = dial(endpoints, CONNECT_TIMEOUT, auth if token else request)
    except TimedOut as error:  # something listens there, but it is not a working daemon
        raise ConnectionLost(str(error)) from error
    try:
        if token:
            line.ask(auth, CONNECT_TIMEOUT)
        if json:
            line.ask(Request("format", ("json",)), CONNECT_TIMEOUT)
    except BaseException:
        line.close()
        raise
    return line


def _raise_at_failure(lines: Iterable[str]) -> Iterator[str]:
    """
    Yield the lines of a block, and raise the error in the last one if the daemon could not complete it.

    In text that line is ``! CODE TEXT``, in JSON an object with code and error.
    """
    pending = None
    for line in lines:
        if pending is not None:
            yield pending
        pending = line if line.startswith(("! ", '{"code": ')) else None
        if pending is None:
            yield line
    if pending is None:
        return
    if pending.startswith("{"):
        import json

        failure = json.loads(pending)
        raise error_for(failure["code"], failure["error"])
    _, code, text = pending.split(" ", 2)
    raise error_for(int(code), text)


def _print(lines: Iterable[str], flush: bool) -> None:
    """Write lines to standard output, with control characters escaped so that none reaches the terminal."""
    for chunk in _chunks(lines, 1 if flush else _CHUNK_LINES):
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
