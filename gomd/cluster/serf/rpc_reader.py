"""
Reads the bytes that a Serf agent sends over its RPC: msgpack objects one after the other, without a length.

Theory of operation. A header, a map of ``Seq`` and ``Error``, is followed by a body or not, according to the
request that the sequence number belongs to. The bytes are parsed as they come. A list of members is taken
apart member by member, so that neither a long list nor a member with rubbish in its tags costs more memory
than one member does: what is kept of each is what `parse_member` returns. Whatever exceeds a limit ends the
connection, because the next object could not be found any more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, NamedTuple

import msgpack

from gomd.cluster.serf.member import Heard, parse_member
from libgomd.errors import MalformedReply

#: Maximum bytes of one object, which is a header, one member, or the body of any reply but a list of members.
MAX_OBJECT_BYTES: Final = 65536
#: Maximum bytes of one text, and entries of one map and one list. Serf allows 512 bytes for all tags of a
#: member.
MAX_TEXT_BYTES: Final = 4096
MAX_ENTRIES: Final = 1024
#: Maximum fields of a reply or an event that has a list of members, and members in such a list.
_MAX_FIELDS: Final = 16
MAX_LISTED: Final = 1_000_000
_FEED_BYTES: Final = 65536

#: What follows a header: nothing, an object, or a map with a list of members.
NOTHING, OBJECT, MEMBERS = range(3)


class RpcHeader(NamedTuple):
    """The begin of a reply. :ivar error: empty when the request succeeded."""

    seq: int
    error: str


class Listed(NamedTuple):
    """
    The body of a reply or an event that lists members.

    :ivar event: such as ``member-join``, empty in a reply.
    :ivar heard: the members that are gomd or were, at most as many as are remembered. :ivar others: the
        number of members that are no gomd. :ivar left_out: the number of members beyond the limit.
    """

    event: str
    heard: list[Heard]
    others: int
    left_out: int


class RpcReader:
    """
    Parses what the agent sends.

    :param follows: says what follows a header: `NOTHING`, `OBJECT` or `MEMBERS`.
    :param header: called with each header. :param body: called with each body: the sequence number of its
        header, and a `Listed` or the decoded object.
    :param most: maximum number of members kept of one list.
    """

    def __init__(
        self,
        follows: Callable[[RpcHeader], int],
        header: Callable[[RpcHeader], None],
        body: Callable[[int, Any], None],
        most: int,
    ) -> None:
        self._follows = follows
        self._header = header
        self._body = body
        self._most = most
        self._unpacker = msgpack.Unpacker(
            raw=True, strict_map_key=True, max_buffer_size=4 * MAX_OBJECT_BYTES, max_str_len=MAX_TEXT_BYTES,
            max_bin_len=MAX_TEXT_BYTES, max_array_len=MAX_ENTRIES, max_map_len=MAX_ENTRIES, max_ext_len=0,
        )  # fmt: skip
        self._fed = 0
        self._run = self._objects()
        next(self._run)

    def feed(self, data: bytes) -> None:
        """
        Parse more bytes, and call the functions for what is complete.

        :raises MalformedReply: these are no bytes of a Serf agent; nothing more can be read.
        """
        try:
            for start in range(0, len(data), _FEED_BYTES):
                part = data[start : start + _FEED_BYTES]
                self._fed += len(part)
                self._unpacker.feed(part)
                next(self._run)
        except (ValueError, TypeError, msgpack.UnpackException, RecursionError, StopIteration) as error:
            reason = str(error) or type(error).__name__
            raise MalformedReply(f"it does not speak Serf's RPC: {reason[:200]}") from error

    def _next(self, read: Callable[[], Any]) -> Generator[None, None, Any]:
        """Return the next object once all its bytes are there."""
        begin = self._unpacker.tell()
        while True:
            try:
                return read()
            except msgpack.OutOfData:
                if self._fed - begin > MAX_OBJECT_BYTES:
                    raise ValueError(f"an object of more than {MAX_OBJECT_BYTES} bytes") from None
                yield

    def _objects(self) -> Generator[None, None, None]:
        while True:
            found = yield from self._next(self._unpacker.unpack)
            header = parse_header(found)
            follows = self._follows(header)
            self._header(header)
            if follows == OBJECT:
                self._body(header.seq, (yield from self._next(self._unpacker.unpack)))
            elif follows == MEMBERS:
                self._body(header.seq, (yield from self._listed()))

    def _listed(self) -> Generator[None, None, Listed]:
        fields = yield from self._next(self._unpacker.read_map_header)
        if fields > _MAX_FIELDS:
            raise ValueError(f"{fields} fields where a list of members was expected")
        listed = Listed("", [], 0, 0)
        for _ in range(fields):
            name = yield from self._next(self._unpacker.unpack)
            if name == b"Members":
                listed = yield from self._members(listed)
                continue
            value = yield from self._next(self._unpacker.unpack)
            if name == b"Event":
                listed = listed._replace(event=text_of(value))
        return listed

    def _members(self, listed: Listed) -> Generator[None, None, Listed]:
        # An agent in Go sends nil for a list without members.
        count = yield from self._next(self._list_length)
        if count > MAX_LISTED:
            raise ValueError(f"a list of {count} members")
        others = left_out = 0
        for _ in range(count):
            heard = parse_member((yield from self._next(self._unpacker.unpack)))
            if heard is None:
                others += 1
            elif len(listed.heard) >= self._most:
                left_out += 1
            else:
                listed.heard.append(heard)
        return listed._replace(others=others, left_out=left_out)

    def _list_length(self) -> int:
        try:
            return int(self._unpacker.read_array_header())
        except ValueError:
            if self._unpacker.unpack() is None:
                return 0
            raise


def parse_header(found: object) -> RpcHeader:
    """Return the header in a decoded object. :raises ValueError: it is none."""
    if isinstance(found, dict):
        seq, error = found.get(b"Seq"), found.get(b"Error")
        if isinstance(seq, int) and isinstance(error, bytes) and len(found) == 2:
            return RpcHeader(seq, text_of(error))
    raise ValueError("no header where one was expected")


def text_of(value: object) -> str:
    """Return a text of the agent, shortened to 500 characters on one line; empty if it is no text."""
    if not isinstance(value, bytes):
        return ""
    return " ".join(value.decode("utf-8", "replace").split())[:500]


def encode_request(command: str, seq: int, body: object = None) -> bytes:
    """Return the bytes of a request. :param body: None for a request without one."""
    header: bytes = msgpack.packb({"Command": command, "Seq": seq})
    return header if body is None else header + msgpack.packb(body)
