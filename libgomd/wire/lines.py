r"""
The line protocol: parses and encodes requests and replies. No I/O.

A request is one line, ``[@NODE] VERB [ARG ...]``. A reply is a status line ``CODE TEXT``; after 201
follows a block of lines, ended by a line with a single ``.``, and a block line that begins with ``.``
gets one more (RFC 3977, 3.1.1). docs/line.md has the whole protocol.

The values are named tuples: the `gom` command starts with this module, and `dataclasses` would take
as long to import as all the rest of it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from libgomd.errors import MalformedReply, MalformedRequest
from libgomd.wire.text import printable

#: Default maximum length of a request line in bytes, without its line end.
MAX_LINE: Final = 4096
#: Maximum length of a line of a reply, in bytes.
MAX_REPLY_LINE: Final = 16 * 1024 * 1024
EOL: Final = b"\r\n"
BLOCK_END: Final = b".\r\n"

OK: Final = 200
BLOCK: Final = 201
#: The connection carries frames from here on (`libgomd.wire.frames`).
FRAMES: Final = 202
GREETING: Final = 220
BYE: Final = 221

_BLANKS = re.compile(r"[ \t]+")
_QUOTING = re.compile(r"""["'\\]""")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NOT_IN_A_LINE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_STATUS = re.compile(r"([2-5][0-9][0-9])(?: (.*))?", re.DOTALL)


class Request(NamedTuple):
    """
    One request.

    :ivar verb: in lower case. :ivar arguments: without the quotes of the client.
    :ivar node: the id or name after ``@``, ``all``, or empty for the connected node.
    """

    verb: str
    arguments: tuple[str, ...] = ()
    node: str = ""


@lru_cache(maxsize=512)
def parse_request(line: bytes) -> Request:
    """
    Return the request in ``line``, whose line end was removed.

    :raises MalformedRequest: for any other bytes, and nothing else.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"the line is not UTF-8 (byte {error.start + 1}): send UTF-8 text") from error
    if found := _CONTROL.search(text):
        raise MalformedRequest(
            f"the line has the control character {printable(found.group())} in it: send plain text"
        )
    # As a shell does, and unlike str.split: a no-break space of a language is a character like any other.
    words = _split(text) if _QUOTING.search(text) else [*filter(None, _BLANKS.split(text))]
    node = ""
    if words and words[0].startswith("@"):
        node = words.pop(0)[1:]
        if not node:
            raise MalformedRequest("@ needs the id or name of a node right behind it: @3 load")
        if not words:
            raise MalformedRequest(f"a verb is missing behind @{node}: @{node} load")
    if not words or not words[0]:
        raise MalformedRequest("an empty request: say `help` for the verbs")
    return Request(words[0].lower(), tuple(words[1:]), node)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise MalformedRequest(
            f"the quotes do not match ({str(error).lower()}): quote as in a shell"
        ) from error


def encode_request(request: Request) -> bytes:
    """
    Return the line of ``request``, with its end; the inverse of `parse_request`.

    :raises MalformedRequest: it cannot be one line: a line end in a word would begin a second request.
    """
    words = [f"@{request.node}"] if request.node else []
    words += [request.verb, *request.arguments]
    text = " ".join(word if word and _PLAIN.fullmatch(word) else _quoted(word) for word in words)
    if found := _NOT_IN_A_LINE.search(text):
        raise MalformedRequest(f"a request is one line of plain text, without {printable(found.group())}")
    return text.encode() + EOL


_PLAIN = re.compile(r"[^\s\"'\\]+")


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\"'\"'") + "'"


def encode_status(code: int, text: str) -> bytes:
    """Return a status line. Characters of ``text`` that are not printable are escaped."""
    return f"{code} {printable(text)}".rstrip().encode() + EOL


#: Bytes that stand for themselves in a line; a tab is as in `printable`.
THEMSELVES = bytes((*range(0x20, 0x7F), ord("\t")))


def encode_block(lines: Iterable[str]) -> bytes:
    """Return lines of a block, with leading dots doubled, without the end of the block."""
    lines = list(lines)
    text = "\r\n".join(lines)
    if lines and text.isascii() and not text.startswith(".") and "\r\n." not in text:
        data = text.encode("ascii")
        # Nothing is left but the ends of the lines: no character needs to be escaped. It is ten times faster.
        if data.translate(None, THEMSELVES) == EOL * (len(lines) - 1):
            return data + EOL
    return b"".join(
        (("." + line) if line.startswith(".") else line).encode("utf-8", "backslashreplace") + EOL
        for line in map(printable, lines)
    )


class StatusLine(NamedTuple):
    """The first line of a reply. After code 201 a block follows."""

    code: int
    text: str


class BlockLine(NamedTuple):
    """A line of a block, with a doubled dot undone."""

    text: str


class BlockPiece(NamedTuple):
    """Whole lines of a block as the bytes that came, each with its end; instead of `BlockLine`."""

    data: bytes


class BlockEnd(NamedTuple):
    """The end of the block: the reply is complete."""


def is_greeting(line: StatusLine) -> bool:
    """Return whether a daemon of gomd says this first; ``220`` alone says any mail server, too."""
    return line.code == GREETING and line.text.split(" ", 1)[0] == "gomd"


ReplyEvent = StatusLine | BlockLine | BlockPiece | BlockEnd


class ReplyParser:
    """
    The client's side: parses the bytes of replies as they arrive into events.

    Any bytes give events or one `MalformedReply`, after which the parser cannot be used any more.

    :ivar stops_at: codes after whose status line nothing more is parsed; see `rest`.
    :ivar in_pieces: whether blocks are given as `BlockPiece` instead of `BlockLine`. Set it when the status
        line of a block was yielded, for that block and those after it.
    """

    def __init__(self, max_line: int = MAX_REPLY_LINE) -> None:
        self.stops_at: tuple[int, ...] = (FRAMES,)
        self.in_pieces = False
        self._max_line = max_line
        self._rest = b""
        self._in_block = False

    @property
    def rest(self) -> bytes:
        """The bytes after the last line. After a status of `stops_at` they are what follows it, unparsed."""
        return self._rest

    def feed(self, data: bytes) -> Iterator[ReplyEvent]:
        """
        Add ``data`` and yield the events that it completes, up to a status of `stops_at`.

        :raises MalformedReply: the bytes are not replies of this protocol.
        """
        data = self._rest + data
        while data:
            if self._in_block and self.in_pieces:
                piece, data, self._in_block = _cut(data)
                self._rest = data
                if piece:
                    yield BlockPiece(piece)
                if self._in_block:
                    break
                yield BlockEnd()
                continue
            *lines, self._rest = data.split(b"\n")
            data = b""
            for at, line in enumerate(lines):
                event = self._event(line[:-1] if line.endswith(b"\r") else line)
                if isinstance(event, StatusLine) and event.code in self.stops_at:
                    self._rest = b"\n".join((*lines[at + 1 :], self._rest))
                    yield event
                    return
                yield event
                if self._in_block and self.in_pieces:
                    data = self._rest = b"\n".join((*lines[at + 1 :], self._rest))
                    break
        if len(self._rest) > self._max_line:
            raise MalformedReply(f"a reply line of more than {self._max_line} bytes")

    def _event(self, line: bytes) -> ReplyEvent:
        text = line.decode("utf-8", "backslashreplace")
        if self._in_block:
            if text == ".":
                self._in_block = False
                return BlockEnd()
            return BlockLine(text[1:] if text.startswith("..") else text)
        match = _STATUS.fullmatch(text)
        if match is None:
            raise MalformedReply(f"no status line: {printable(text[:80])}")
        code = int(match.group(1))
        self._in_block = code == BLOCK
        said = match.group(2) or ""
        # A daemon escapes what is not printable; who only pretends to be one writes into nobody's terminal.
        return StatusLine(code, said if said.isprintable() else printable(said))


def _cut(data: bytes) -> tuple[bytes, bytes, bool]:
    """Return the whole lines of a block that ``data`` begins with, what follows, and whether it goes on."""
    for end in (BLOCK_END, b".\n"):
        if data.startswith(end):
            return b"", data[len(end) :], False
    found = [(at, end) for end in (b"\n.\r\n", b"\n.\n") if (at := data.find(end)) >= 0]
    if found:
        at, end = min(found)
        return data[: at + 1], data[at + len(end) :], False
    at = data.rfind(b"\n") + 1
    return data[:at], data[at:], True
