"""
The format in which a tree of files travels: records as bytes and values. No I/O.
`file_tree_rules` has the rules for their order.

A stream is the eight bytes ``gomdtree``, one byte version (1), and records. A record is one byte kind,
four bytes length (big endian, at most `MAX_RECORD`) and the fields below. The records are a walk through
the tree: a directory is entered (`Directory`), what is in it follows, and it is left (`DirectoryEnd`). Names
are therefore single names, never paths, and whoever unpacks follows the walk with descriptors: nothing in
a stream can name a place outside the tree.

====  ==============  =================================================================================
kind  record          fields
====  ==============  =================================================================================
1     `Directory`     uid, gid (4 bytes each), mode (2), name
2     `DirectoryEnd`  mtime (8, signed, ns since the epoch) of the directory that is left
3     `RegularFile`   uid, gid, mode, linked (1), name; its bytes follow as `Chunk`, then `FileEnd`
4     `Chunk`         offset (8), bytes (1 or more); what no chunk covers is a hole
5     `FileEnd`       size (8), mtime
6     `Link`          uid, gid, mtime, length of the name (2), name, target: a symbolic link
7     `Fifo`          uid, gid, mode, linked, mtime, name
8     `HardLink`      number (8) of the entry that made the file or fifo, from 0; name
9     `End`           number of entries (8): nothing was cut off, and no byte may follow
====  ==============  =================================================================================

Modes have no set-user-ID and no set-group-ID bit. Only an entry whose ``linked`` is 1 can get hard links
later, so that a receiver has to remember few. Everything that is no such stream gives `MalformedTree`;
a valid one that is larger than the receiver allows gives `TreeTooLarge`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from gomd.jobs.checkpoint.open_beneath import is_name
from libgomd.errors import CannotMove

MAGIC: Final = b"gomdtree"
VERSION: Final = 1
#: Bytes of a file in one chunk.
CHUNK_BYTES: Final = 256 * 1024
#: Longest record behind its header, in bytes.
MAX_RECORD: Final = CHUNK_BYTES + 8
#: Longest target of a symbolic link, in bytes, as the kernel has it.
MAX_TARGET: Final = 4095
#: The permission bits that travel: no set-user-ID, no set-group-ID.
MODE_MASK: Final = 0o1777
_MAX_OFFSET: Final = 2**63 - 1
_MAX_ID: Final = 2**32 - 1


class TreeRefused(CannotMove):
    """These files cannot be packed or unpacked; the text names the file and says why, in one clause."""


class MalformedTree(TreeRefused):
    """These bytes are no tree of files: they were cut, changed, or made to do harm."""


class TreeTooLarge(TreeRefused):
    """
    The tree is larger than is allowed.

    :ivar limit: name of the field of `TreeLimits` that was exceeded.
    """

    def __init__(self, text: str, limit: str) -> None:
        super().__init__(text)
        self.limit = limit


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """
    How large a tree may be.

    :ivar entries: files, directories and links, all together. :ivar size: bytes of the files' contents,
        holes not counted. :ivar depth: directories within each other. :ivar path: bytes of the longest
        path below the top.
    """

    entries: int = 100_000
    size: int = 1 << 30
    depth: int = 128
    path: int = 4000


class Directory(NamedTuple):
    """A directory is entered."""

    uid: int
    gid: int
    mode: int
    name: bytes


class DirectoryEnd(NamedTuple):
    """The directory that was entered last is left; it gets its mode and its time now."""

    mtime: int


class RegularFile(NamedTuple):
    """A regular file begins. :ivar linked: 1 if hard links to it may follow, else 0."""

    uid: int
    gid: int
    mode: int
    linked: int
    name: bytes


class Chunk(NamedTuple):
    """Bytes of the file that began last."""

    offset: int
    data: bytes


class FileEnd(NamedTuple):
    """The file that began last is complete."""

    size: int
    mtime: int


class Link(NamedTuple):
    """A symbolic link, which is never followed."""

    uid: int
    gid: int
    mtime: int
    name: bytes
    target: bytes


class Fifo(NamedTuple):
    """A named pipe. :ivar linked: 1 if hard links to it may follow, else 0."""

    uid: int
    gid: int
    mode: int
    linked: int
    mtime: int
    name: bytes


class HardLink(NamedTuple):
    """Another name of an earlier file. :ivar entry: its number among the entries, from 0."""

    entry: int
    name: bytes


class End(NamedTuple):
    """The tree is complete. :ivar entries: how many there were."""

    entries: int


Record = Directory | DirectoryEnd | RegularFile | Chunk | FileEnd | Link | Fifo | HardLink | End
#: Number and fixed fields of each kind; a rest of bytes follows where the last field is bytes.
_LAYOUTS: Final[dict[type[Record], tuple[int, struct.Struct]]] = {
    Directory: (1, struct.Struct(">IIH")),
    DirectoryEnd: (2, struct.Struct(">q")),
    RegularFile: (3, struct.Struct(">IIHB")),
    Chunk: (4, struct.Struct(">Q")),
    FileEnd: (5, struct.Struct(">Qq")),
    Link: (6, struct.Struct(">IIqH")),
    Fifo: (7, struct.Struct(">IIHBq")),
    HardLink: (8, struct.Struct(">Q")),
    End: (9, struct.Struct(">Q")),
}
#: Kinds whose last field takes the rest of the payload.
_OPEN_ENDED: Final = (Directory, RegularFile, Chunk, Link, Fifo, HardLink)
_KINDS: Final[dict[int, tuple[type[Record], struct.Struct]]] = {
    number: (kind, layout) for kind, (number, layout) in _LAYOUTS.items()
}
_HEADER: Final = struct.Struct(">BI")
#: The first bytes of every stream.
PREAMBLE: Final = MAGIC + bytes((VERSION,))


def encode(record: Record) -> bytes:
    """Return the bytes of ``record``, whose fields are in range."""
    number, layout = _LAYOUTS[type(record)]
    if isinstance(record, Link):
        payload = (
            layout.pack(record.uid, record.gid, record.mtime, len(record.name)) + record.name + record.target
        )
    elif isinstance(record, (Directory, RegularFile, Chunk, Fifo, HardLink)):
        payload = layout.pack(*record[:-1]) + bytes(record[-1])
    else:
        payload = layout.pack(*record)
    return _HEADER.pack(number, len(payload)) + payload


def decode(number: int, payload: bytes) -> Record:
    """
    Return the record of kind ``number`` with the fields in ``payload``.

    :raises MalformedTree: for any other bytes, and nothing else.
    """
    if number not in _KINDS or len(payload) > MAX_RECORD:
        raise MalformedTree(f"a tree of files has a record of kind {number} with {len(payload)} bytes")
    kind, layout = _KINDS[number]
    if len(payload) < layout.size:
        raise MalformedTree(f"a tree of files has a {kind.__name__} of {len(payload)} bytes")
    fixed, rest = layout.unpack_from(payload), payload[layout.size :]
    if kind is Link:
        fixed, rest = (*fixed[:-1], rest[: fixed[-1]]), rest[fixed[-1] :]
    if kind in _OPEN_ENDED:
        fixed = (*fixed, rest)
    elif rest:
        raise MalformedTree(f"a tree of files has a {kind.__name__} with {len(rest)} bytes too many")
    make: Callable[..., Record] = kind
    record = make(*fixed)
    _check_fields(record)
    return record


def _check_fields(record: Record) -> None:
    if isinstance(record, Link) and (not 0 < len(record.target) <= MAX_TARGET or b"\0" in record.target):
        raise MalformedTree("a tree of files has a symbolic link to no possible target")
    if isinstance(record, (Directory, RegularFile, Link, Fifo, HardLink)) and not is_name(record.name):
        raise MalformedTree(f"a tree of files has an entry with the name {record.name[:300]!r}")
    if isinstance(record, (Directory, RegularFile, Fifo)) and record.mode & ~MODE_MASK:
        raise MalformedTree(f"a tree of files has an entry with the mode {record.mode:o}")
    if isinstance(record, (RegularFile, Fifo)) and record.linked > 1:
        raise MalformedTree("a tree of files has an entry that is neither linked nor not linked")
    if isinstance(record, (Directory, RegularFile, Fifo, Link)) and _MAX_ID in (record.uid, record.gid):
        raise MalformedTree("a tree of files has an entry that belongs to nobody")
    if isinstance(record, Chunk) and (not record.data or record.offset + len(record.data) > _MAX_OFFSET):
        raise MalformedTree("a tree of files has a chunk that no file can have")
    if isinstance(record, FileEnd) and record.size > _MAX_OFFSET:
        raise MalformedTree("a tree of files has a file larger than any file can be")


class TreeDecoder:
    """Takes the bytes of a stream as they come, gives its records. After an error it is of no more use."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._begun = False
        self.complete = False

    def feed(self, data: bytes) -> Iterator[Record]:
        """
        Take ``data`` and yield the records that are complete with it.

        :raises MalformedTree: these bytes are no stream of this version.
        """
        rest, start = self._rest, 0
        rest += data
        try:
            if not self._begun:
                if not PREAMBLE.startswith(rest[: len(PREAMBLE)]):
                    raise MalformedTree(f"no tree of files of version {VERSION}: {bytes(rest[:16])!r}")
                if len(rest) < len(PREAMBLE):
                    return
                self._begun, start = True, len(PREAMBLE)
            while not self.complete and len(rest) - start >= _HEADER.size:
                number, length = _HEADER.unpack_from(rest, start)
                if number not in _KINDS or length > MAX_RECORD:
                    raise MalformedTree(f"a tree of files has a record of kind {number} with {length} bytes")
                end = start + _HEADER.size + length
                if len(rest) < end:
                    break
                record = decode(number, bytes(memoryview(rest)[start + _HEADER.size : end]))
                start = end
                self.complete = isinstance(record, End)
                yield record
            if self.complete and len(rest) > start:
                raise MalformedTree("a tree of files has bytes behind its end")
        finally:
            del rest[:start]


def shown(path: Iterable[bytes]) -> str:
    """Return a path below the top as a person can read it in one line."""
    text = b"/".join(path).decode("utf-8", "backslashreplace") or "the directory"
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
