"""
What travels on a connection after `run` or `attach` was answered with 202: frames, as bytes, without I/O.

A frame is one byte that says its kind, four bytes (big endian) that say how long its payload is, and
the payload. docs/jobs-protocol.md says who sends which and when.

Each of the three byte streams of a job has positions: the number of bytes before. The receiver
acknowledges the position up to which it has passed the bytes on (`ACK`). The sender keeps what is not
acknowledged, at most `WINDOW` bytes, and sends it again after an `ATTACH` with an older position. So no
byte is lost or doubled when anything between the two ends breaks, and nothing between has to hold more
than the window.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeGuard

from libgomd.errors import GomdError, MalformedReply

#: Longest payload of a frame, in bytes.
MAX_PAYLOAD: Final = 1024 * 1024
#: Longest payload of a `SPEC`, a job's whole environment and arguments: the 6 MiB that kernels take at most,
#: as JSON. A reader takes a little more, as what a daemon passes on says more than what it got.
MAX_SPEC_PAYLOAD: Final = 16 * 1024 * 1024
_SPEC_MARGIN: Final = 65536
#: Bytes of a stream that are put into one frame.
CHUNK: Final = 65536
#: Bytes of a stream that may be under way, sent and not acknowledged.
WINDOW: Final = 1048576
#: Bytes of a part of a frame that is kept together with those beside it.
_SMALL: Final = 4096
_HEAD: Final = struct.Struct("!BI")
_HEADER: Final = _HEAD.size

#: Kinds of frames. From the caller's end to the job's:
SPEC: Final = 1  #: JSON: what to run
ATTACH: Final = 2  #: JSON: send the output, from these positions on
STDIN: Final = 3  #: bytes
STDIN_END: Final = 4  #: nothing: no more bytes come
SIGNAL: Final = 5  #: two bytes: the signal's number, and 1 for the process group, 0 for the process
WINSIZE: Final = 6  #: four bytes: rows and columns, two each
HANGUP: Final = 7  #: nothing: the caller is gone, end the job
COLLECTED: Final = 8  #: nothing: the exit status has arrived, forget the job
#: Both ways:
ACK: Final = 9  #: nine bytes: the kind of the stream, the position
#: From a daemon to a supervisor of its own node, and its answer; nobody else may say it:
MOVE: Final = 10  #: JSON: a step of a migration
MOVED: Final = 23  #: JSON: what came of it
#: Between daemons, on a stream of their own (`gomd.jobs.migration.messages`):
MESSAGE: Final = 24  #: JSON: a message about a migration
PIECE: Final = 25  #: bytes: of the files that the message before it names
#: From the job's end to the caller's:
STARTED: Final = 16  #: JSON: the job runs
ATTACHED: Final = 17  #: JSON: the positions from which the streams go on
STDOUT: Final = 18  #: bytes
STDERR: Final = 19  #: bytes
EXIT: Final = 20  #: JSON: how the job ended; everything it wrote came before
FAILED: Final = 21  #: JSON, code and text: it could not be started, or was lost
RESUME: Final = 22  #: nothing: the other end has changed, say ATTACH again

KINDS: Final = frozenset((*range(SPEC, MOVE + 1), *range(STARTED, PIECE + 1)))


class MalformedFrame(MalformedReply):
    """These bytes are no frames: the other end is no gomd, or a broken one. Close the connection."""


class Frame(NamedTuple):
    """One frame."""

    kind: int
    payload: bytes = b""


def encode(kind: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame."""
    return _HEAD.pack(kind, len(payload)) + payload


def head(kind: int, size: int) -> bytes:
    """Return what stands before a payload of ``size`` bytes."""
    return _HEAD.pack(kind, size)


class AttachRequest(NamedTuple):
    """
    What an `ATTACH` asks for.

    :ivar stdout: position from which that output is wanted, and :ivar stderr: that of the other one.
    :ivar n: number of this request, which the answer repeats; None when the caller does not count them.
    :ivar stops: whether the caller wants to hear that the job stops.
    :ivar detach: whether the caller leaves instead; nothing else counts then.
    """

    stdout: int = 0
    stderr: int = 0
    n: int | None = None
    stops: bool = False
    detach: bool = False


class InputPositions(NamedTuple):
    """How much of a job's input its end has ``received``, and how much of that the job has ``taken``."""

    received: int
    taken: int


def encode_json(kind: int, value: dict[str, Any]) -> bytes:
    """Return the bytes of a frame whose payload is ``value``; text that is no Unicode survives."""
    return encode(kind, json.dumps(value).encode("ascii"))


def decode_json(payload: bytes) -> dict[str, Any]:
    """
    Return the JSON object in ``payload``.

    :raises MalformedFrame: it is none.
    """
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame(f"a frame's JSON: {str(error)[:80]}") from error
    if not isinstance(value, dict):
        raise MalformedFrame("a frame's JSON is no object")
    return value


def encode_attach(wanted: AttachRequest) -> bytes:
    """Return the frame that asks for ``wanted``."""
    return encode_json(ATTACH, attach_to_json(wanted))


def attach_to_json(wanted: AttachRequest) -> dict[str, Any]:
    """Return ``wanted`` as a JSON object."""
    if wanted.detach:
        return {"detach": True}
    told: dict[str, Any] = {"stdout": wanted.stdout, "stderr": wanted.stderr}
    if wanted.n is not None:
        told["n"] = wanted.n
    if wanted.stops:
        told["stops"] = True
    return told


def decode_attach(payload: bytes) -> AttachRequest:
    """Return the request in an `ATTACH`. :raises MalformedFrame: a value is of the wrong type, or below 0."""
    return attach_from_json(decode_json(payload))


def attach_from_json(told: Mapping[str, Any]) -> AttachRequest:
    """Return the request that a JSON object describes. :raises MalformedFrame: as `decode_attach`."""
    found: dict[str, Any] = {name: told[name] for name in AttachRequest._fields if name in told}
    for name, value in found.items():
        if name in ("detach", "stops"):
            if not isinstance(value, bool):
                raise MalformedFrame(f"an ATTACH whose {name} is neither true nor false")
        elif not _is_position(value):
            raise MalformedFrame(f"an ATTACH whose {name} is not a whole number from 0 to 2**63 - 1")
    return AttachRequest(**found)


def decode_attached(payload: bytes) -> InputPositions:
    """Return the positions of the job's input in an `ATTACHED`. :raises MalformedFrame: they are missing."""
    told = decode_json(payload)
    received, taken = told.get("stdin"), told.get("stdin_taken")
    if not _is_position(received) or not _is_position(taken):
        raise MalformedFrame("an ATTACHED without the positions of the input")
    return InputPositions(received, taken)


def _is_position(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def encode_ack(stream: int, position: int) -> bytes:
    """Return the frame that acknowledges ``stream`` up to ``position``."""
    return encode(ACK, bytes((stream,)) + position.to_bytes(8, "big"))


def ack(stream: int, position: int) -> Frame:
    """Return the frame that acknowledges ``stream`` up to ``position``, as a value."""
    return Frame(ACK, bytes((stream,)) + position.to_bytes(8, "big"))


def decode_ack(payload: bytes) -> tuple[int, int]:
    """Return the stream and the position. :raises MalformedFrame: it is no acknowledgement."""
    if len(payload) != 9 or payload[0] not in (STDIN, STDOUT, STDERR):
        raise MalformedFrame("an acknowledgement of no stream")
    return payload[0], int.from_bytes(payload[1:], "big")


def encode_signal(number: int, group: bool) -> bytes:
    """Return the frame that sends a signal, to the job's process group or to its first process."""
    return encode(SIGNAL, bytes((number, group)))


def decode_signal(payload: bytes) -> tuple[int, bool]:
    """Return the number and whether it is for the group. :raises MalformedFrame: it is no signal."""
    if len(payload) != 2 or not 1 <= payload[0] <= 64 or payload[1] > 1:
        raise MalformedFrame("no such signal")
    return payload[0], bool(payload[1])


def encode_winsize(rows: int, columns: int) -> bytes:
    """Return the frame that tells the size of the terminal."""
    return encode(WINSIZE, rows.to_bytes(2, "big") + columns.to_bytes(2, "big"))


def decode_winsize(payload: bytes) -> tuple[int, int]:
    """Return rows and columns. :raises MalformedFrame: it is no size."""
    if len(payload) != 4:
        raise MalformedFrame("no size of a terminal")
    return int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:], "big")


def failure(error: GomdError) -> bytes:
    """Return the frame that tells of ``error``."""
    return encode_json(FAILED, {"code": getattr(error, "code", 500), "text": str(error)})


#: The kinds of frames that carry output.
OUTPUT_KINDS: Final = frozenset({STDOUT, STDERR})


class Piece(NamedTuple):
    """Bytes of an output, in the memory in which they came. :ivar kind: `STDOUT` or `STDERR`."""

    kind: int
    data: memoryview


class FrameParser:
    """
    Takes bytes as they come, gives the frames in them. After an error it is of no more use.

    :ivar admits_long_spec: is asked whether a `SPEC` of so many bytes, more than `MAX_PAYLOAD`, is taken, as
        long as it has not come whole; None: it is not.
    """

    def __init__(self, admits_long_spec: Callable[[int], bool] | None = None) -> None:
        self._rest: list[bytes | bytearray] = []
        self._size = 0
        self._needed = _HEADER
        self._kind = self._left = 0  # of an output frame of which a part was given
        self._admits_long_spec = admits_long_spec

    @property
    def admits_long_spec(self) -> Callable[[int], bool] | None:
        """See the class."""
        return self._admits_long_spec

    @admits_long_spec.setter
    def admits_long_spec(self, admits: Callable[[int], bool] | None) -> None:
        self._admits_long_spec = admits
        self._needed = _HEADER  # it is asked about what is on its way, too

    @property
    def inside(self) -> bool:
        """Whether the bytes so far end within a frame."""
        return self._size > 0 or self._left > 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """
        Take ``data`` and yield the frames that are complete with it.

        :raises MalformedFrame: an unknown kind, or a length that is not taken.
        """
        if self._left:
            self._keep(head(self._kind, self._left))  # what is still to come of it is a frame of its own
            self._needed = _HEADER + self._left
            self._left = 0
        if self._keep(data):
            return
        data, start = b"".join(self._rest), 0
        try:
            while end := self._end_of_frame(data, start):
                kind, payload = data[start], data[start + _HEADER : end]
                start = end
                yield Frame(kind, payload)
        finally:
            self._keep_only(data[start:])

    def feed_pieces(self, data: bytes) -> Iterator[Frame | Piece]:
        """
        Do as `feed`, but give output as it comes, uncopied: also a part of a frame that is still coming.

        :raises MalformedFrame: as `feed`.
        """
        view, start = memoryview(data), 0
        if self._left:
            start = min(self._left, len(data))
            self._left -= start
            yield Piece(self._kind, view[:start])
        elif self._keep(data):
            return
        elif len(self._rest) > 1:
            data = b"".join(self._rest)
            view = memoryview(data)
        try:
            while end := self._end_of_frame(data, start):
                first, kind, start = start + _HEADER, data[start], end
                if kind in OUTPUT_KINDS:
                    yield Piece(kind, view[first:end])
                else:
                    yield Frame(kind, data[first:end])
            if len(data) - start >= _HEADER and data[start] in OUTPUT_KINDS:
                piece = view[start + _HEADER :]
                self._kind, self._left = data[start], self._needed - _HEADER - len(piece)
                start = len(data)
                if piece:
                    yield Piece(self._kind, piece)
        finally:
            self._keep_only(data[start:])

    def _keep(self, data: bytes) -> bool:
        """Keep ``data`` behind what there is; return whether the first frame is still incomplete."""
        last = self._rest[-1] if self._rest else None
        if isinstance(last, bytearray) and len(last) < CHUNK:
            last += data
        else:  # small parts are kept together: each by itself would take fifty bytes more
            self._rest.append(bytearray(data) if self._rest and len(data) < _SMALL else data)
        self._size += len(data)
        return self._size < self._needed

    def _keep_only(self, data: bytes) -> None:
        self._rest = [data] if data else []
        self._size = len(data)

    def _end_of_frame(self, data: bytes, start: int) -> int:
        """Return where the frame ends that begins at ``start``; 0 when not all of it is there."""
        left = len(data) - start
        self._needed = _HEADER
        if left < _HEADER:
            return 0
        kind: int
        length: int
        kind, length = _HEAD.unpack_from(data, start)
        if kind not in KINDS or (length > MAX_PAYLOAD and not self._takes_long(kind, length)):
            raise MalformedFrame(f"no frame: kind {kind}, {length} bytes")
        if left < _HEADER + length:
            self._needed = _HEADER + length
            return 0
        return start + _HEADER + length

    def _takes_long(self, kind: int, length: int) -> bool:
        if kind != SPEC or length > MAX_SPEC_PAYLOAD + _SPEC_MARGIN or self._admits_long_spec is None:
            return False
        return self._admits_long_spec(length)
