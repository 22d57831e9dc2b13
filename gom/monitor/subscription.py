"""
Subscriptions to a daemon: each is a thread that keeps one `watch` going, and begins it anew when it breaks.

Lines are handed on as the bytes that came: a screen of five thousand rows a second decodes only those that it
shows.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Final

from gom.monitor.rows import parse
from gom.relay import CONNECT_TIMEOUT, connected
from libgomd.endpoints import Endpoint
from libgomd.errors import ConnectionLost, GomdError, MalformedReply, TimedOut, error_for
from libgomd.linesocket import LineSocket
from libgomd.wire.lines import (
    BLOCK,
    EOL,
    MAX_REPLY_LINE,
    BlockLine,
    ReplyParser,
    Request,
    StatusLine,
    encode_request,
)

#: Seconds before a subscription that broke begins anew: at first, and at most.
FIRST_PAUSE: Final = 0.5
MAX_PAUSE: Final = 8.0
#: Largest size of one round in bytes.
MAX_ROUND: Final = 256 << 20
_CHUNK: Final = 1 << 16
_STATUS: Final = re.compile(rb"([0-9]{3})(?: (.*))?", re.DOTALL)
#: The end of a line of a round: its number, and how many lines the round has.
_ROUND: Final = re.compile(rb'"round": [0-9]{1,15}, "rows": ([0-9]{1,9})\}$')

Round = list[bytes]


def chunks_of(source: Callable[[], bytes]) -> Iterator[Round]:
    """
    Yield the whole lines of a block, those together that came together, until its end.

    :param source: returns the next bytes, none when the daemon has closed the connection.
    :raises ConnectionLost: it has closed the connection. :raises MalformedReply: no line ends.
    """
    rest = b""
    while True:
        data = source()
        if not data:
            raise ConnectionLost("the daemon closed the connection")
        lines = (rest + data).split(EOL)
        rest = lines.pop()
        if len(rest) > MAX_REPLY_LINE:
            raise MalformedReply(f"a reply line of more than {MAX_REPLY_LINE} bytes")
        if b"." in lines:
            end = lines.index(b".")
            if lines[:end]:
                yield lines[:end]
            return
        if lines:
            yield lines


def rounds_of(chunks: Iterable[Round]) -> Iterator[Round]:
    """
    Yield the rounds of a watch; one without rows is empty.

    :raises MalformedReply: a line belongs to no round. :raises RequestError: the watch has failed.
    :raises NodeError: likewise.
    """
    pending: Round = []
    expected, size = 0, 0
    for chunk in chunks:
        pending += chunk
        size += sum(map(len, chunk))
        while pending:
            found = _ROUND.search(pending[0][-64:])
            if found is None:
                raise _not_a_round(pending[0])
            expected = int(found[1])
            if not expected:
                yield []
                del pending[0]
                continue
            if len(pending) < expected:
                if size > MAX_ROUND:
                    raise MalformedReply(f"a round of more than {MAX_ROUND} bytes")
                break
            yield pending[:expected]
            del pending[:expected]
        if not pending:
            size = 0


def _not_a_round(line: bytes) -> Exception:
    try:
        parse(line)
    except GomdError as error:
        return error
    return MalformedReply(f"no row of a watch: {line[:80]!r}")


class AnswerStream:
    """
    The answer to one request that goes on.

    :param line: a connection that has answered everything it was asked; this object takes it over.
    :raises RequestError: the daemon refuses the request. :raises ConnectionLost: it went away.
    """

    def __init__(self, line: LineSocket, request: Request) -> None:
        self._socket, self._rest = line.detach()
        try:
            self._socket.settimeout(CONNECT_TIMEOUT)
            self._send(encode_request(request))
            self._check(request)
            self._socket.settimeout(None)
        except BaseException:
            self.close()
            raise

    def chunks(self) -> Iterator[Round]:
        """Yield lines as they come. Blocks; `close` by another thread ends it."""
        return chunks_of(self._next)

    def close(self) -> None:
        """End it. Another thread that waits for lines gets `ConnectionLost`."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def _check(self, request: Request) -> None:
        while EOL not in self._rest:
            received = self._receive()
            if not received:
                raise ConnectionLost("the daemon closed the connection")
            self._rest += received
        status, _, self._rest = self._rest.partition(EOL)
        found = _STATUS.fullmatch(status)
        if found is None:
            raise MalformedReply(f"no status line: {status[:80]!r}")
        code, text = int(found[1]), (found[2] or b"").decode("utf-8", "backslashreplace")
        if code >= 400:
            raise error_for(code, text)
        if code != BLOCK:
            raise MalformedReply(f"the answer to {request.verb} is {code}, not {BLOCK}")

    def _next(self) -> bytes:
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        return self._receive()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_CHUNK)
        except OSError as error:
            raise ConnectionLost(f"the connection to the daemon broke: {error.strerror or error}") from error

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionLost(f"the connection to the daemon broke: {error.strerror or error}") from error


def answers(line: LineSocket, requests: Sequence[Request]) -> list[tuple[str, Round]]:
    """
    Send requests all at once and return the text and the block of each answer. Blocks; closes the connection.

    :param line: a connection that has answered everything it was asked.
    :raises RequestError: the daemon refuses one. :raises NodeError: a node failed.
    :raises ConnectionLost: the daemon went away. :raises TimedOut: it says nothing more.
    """
    connected, _ = line.detach()
    parser = ReplyParser()
    found: list[tuple[str, Round]] = []
    try:
        connected.settimeout(line.timeout)
        connected.sendall(b"".join(map(encode_request, requests)))
        in_block = False
        while len(found) < len(requests) or in_block:
            data = connected.recv(_CHUNK)
            if not data:
                raise ConnectionLost(f"the daemon at {line.endpoint} closed the connection")
            for event in parser.feed(data):
                if isinstance(event, StatusLine):
                    if event.code >= 400:
                        raise error_for(event.code, event.text)
                    found.append((event.text, []))
                    in_block = event.code == BLOCK
                elif isinstance(event, BlockLine):
                    found[-1][1].append(event.text.encode())
                else:
                    in_block = False
    except TimeoutError as error:
        raise TimedOut(f"no answer from {line.endpoint} within {line.timeout:g} seconds") from error
    except OSError as error:
        raise ConnectionLost(f"the connection to {line.endpoint} broke: {error.strerror or error}") from error
    finally:
        connected.close()
    return found


class DaemonEndpoints:
    """
    The daemon that is asked. :param endpoints: where to look for it. :param token: for `auth`; may be empty.
    """

    def __init__(self, endpoints: Sequence[Endpoint], token: str) -> None:
        self.endpoints = endpoints
        self.token = token

    def line(self, request: Request) -> LineSocket:
        """Return a new connection in JSON. Blocks. :param request: what will be asked first."""
        return connected(self.endpoints, self.token, True, request)

    def stream(self, request: Request) -> AnswerStream:
        """Return the answer to ``request``, on a connection of its own. Blocks."""
        return AnswerStream(self.line(request), request)


#: What a subscription runs on its thread: it yields after everything that it took.
Work = Callable[["Subscription"], Generator[None, None, None]]


class Subscription(threading.Thread):
    """
    Runs ``work`` until it is stopped; after an error again, after a pause that grows.

    :param work: opens streams with `Subscription.open` and hands on what comes; it yields each time.
    :param said: called with the sentence of an error, and with an empty one once all is well again.
    :param pauses: seconds of the first pause, and of the longest.
    """

    def __init__(
        self,
        place: DaemonEndpoints,
        work: Work,
        said: Callable[[Subscription, str], None],
        pauses: tuple[float, float] = (FIRST_PAUSE, MAX_PAUSE),
    ) -> None:
        super().__init__(daemon=True)
        self._pauses = pauses
        self.place = place
        self._work = work
        self._said = said
        self._stopping = threading.Event()
        self._stream: AnswerStream | None = None

    @property
    def stopped(self) -> bool:
        """Whether it was stopped: what still comes is of no interest."""
        return self._stopping.is_set()

    def open(self, line: LineSocket, request: Request) -> AnswerStream:
        """Ask ``request`` on ``line``; `stop` ends it."""
        self._stream = stream = AnswerStream(line, request)
        if self.stopped:
            stream.close()
        return stream

    def stop(self) -> None:
        """End it. Does not wait for its thread."""
        self._stopping.set()
        if self._stream is not None:
            self._stream.close()

    def run(self) -> None:
        """Work until stopped; threading calls this."""
        (pause, longest), is_well = self._pauses, True
        while not self._stopping.is_set():
            try:
                for _ in self._work(self):
                    if self._stopping.is_set():
                        break
                    if not is_well:
                        is_well, pause = True, self._pauses[0]
                        self._said(self, "")
                else:
                    raise ConnectionLost("the daemon ended the watch")
            except (GomdError, OSError) as error:
                if self._stopping.is_set():
                    break
                is_well = False
                self._said(self, str(error))
            finally:
                if self._stream is not None:
                    self._stream.close()
            self._stopping.wait(pause)
            pause = min(2 * pause, longest)
