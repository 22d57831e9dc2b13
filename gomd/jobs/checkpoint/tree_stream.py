"""
One stream of several trees of files: a job's private directories, and images too large for a message.

Each piece has a header with the number of its tree and its length; a piece of the tree `_END` ends it all.
The same files give the same stream, so that a transfer that broke is resumed at any position. Standard
library only: supervisors use it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Final, NamedTuple

from gomd.jobs.checkpoint.file_tree import Owners, TreeLimits, Unpacker, pack
from gomd.jobs.checkpoint.file_tree_codec import MalformedTree

#: The file of a stream among the images of a job.
STREAM_FILE: Final = "private.tree"
#: Bytes of a stream beyond those of its files: a hundred thousand names, and headers.
OVERHEAD_BYTES: Final = 128 << 20
#: Directories within each other in a tree that travels.
MAX_DEPTH: Final = 1000
_HEADER: Final = struct.Struct(">BI")
_END: Final = 255
_MAX_PIECE_BYTES: Final = 1 << 20


class Tree(NamedTuple):
    """
    A tree that is sent.

    :ivar number: says at the other end which one it is, 0 to 254. :ivar directory: open.
    :ivar uid: to whom the files have to belong, 0: to anybody. :ivar size: bytes of all of them at most.
    :ivar names: what of it is sent; None: all.
    """

    number: int
    directory: int
    uid: int
    size: int
    names: Sequence[bytes] | None = None


def limits(size: int) -> TreeLimits:
    """Return the limits of one tree. :param size: bytes of all of its files."""
    return TreeLimits(size=size, depth=MAX_DEPTH)


def encode(trees: Iterable[Tree]) -> Iterator[bytes]:
    """
    Yield the stream of ``trees``. Blocks as disks do.

    :raises TreeRefused: they cannot be sent.
    """
    for tree in trees:
        owners = Owners.REFUSE if tree.uid else Owners.KEEP
        for data in pack(tree.directory, tree.uid, limits(tree.size), tree.names, owners=owners):
            for at in range(0, len(data), _MAX_PIECE_BYTES):
                piece = data[at : at + _MAX_PIECE_BYTES]
                yield _HEADER.pack(tree.number, len(piece)) + piece
    yield _HEADER.pack(_END, 0)


def decode(stream: IO[bytes], unpack: Mapping[int, Callable[[Iterator[bytes]], None]]) -> None:
    """
    Unpack a whole stream, one tree after the other. Blocks as disks do.

    :param unpack: by the number of a tree, what takes its pieces, to the last one.
    :raises MalformedTree: it is no such stream, or has a tree that nobody takes. :raises TreeRefused: a file
        cannot be made.
    """
    header = _read_header(stream)
    while header[0] != _END:
        number = header[0]
        if number not in unpack:
            raise MalformedTree("a stream of files has a tree that is not expected")

        def pieces(number: int = number) -> Iterator[bytes]:
            nonlocal header
            while header[0] == number:
                yield _read(stream, header[1])
                header = _read_header(stream)

        unpack[number](pieces())
        if header[0] == number:
            raise MalformedTree("a tree of files goes on behind its end")


def unpack_as_root(
    directory: int, size: int, only: Callable[[bytes], bool] | None = None
) -> Callable[[Iterator[bytes]], None]:
    """
    Return what unpacks a tree into an opened directory, whoever the files belong to.

    :param only: see `Unpacker`: of a tree for root, no link, which root would follow.
    """

    def unpack(pieces: Iterator[bytes]) -> None:
        _unpack(Unpacker(directory, 0, (), limits(size), only), pieces)

    return unpack


def unpack_as(
    directory: int, uid: int, gid: int, groups: Sequence[int], size: int
) -> Callable[[Iterator[bytes]], None]:
    """
    Return what unpacks a tree into an opened directory with the rights of a user, in a child process.

    :param size: bytes that its files may have.
    """

    def unpack(pieces: Iterator[bytes]) -> None:
        reading, writing = os.pipe()
        told, telling = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(writing)
                os.close(told)
                _unpack_in_child(directory, uid, gid, groups, size, reading, telling)
            finally:
                os._exit(1)
        os.close(reading)
        os.close(telling)
        with ExitStack() as stack:
            stack.callback(os.waitpid, pid, 0)
            result = stack.enter_context(open(told, "rb"))
            with open(writing, "wb", buffering=0) as pipe:
                try:
                    for piece in pieces:
                        view = memoryview(piece)
                        while view:
                            view = view[pipe.write(view) :]
                except BrokenPipeError:
                    pass  # it says why
            said = result.read(4096)
        if said != b"done":
            raise MalformedTree(said.decode("utf-8", "replace") or "its temporary files could not be written")

    return unpack


def _unpack_in_child(
    directory: int, uid: int, gid: int, groups: Sequence[int], size: int, reading: int, telling: int
) -> None:
    try:
        os.setgroups(list(groups))
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        os.umask(0o77)
        with open(reading, "rb", buffering=0) as pipe:
            unpacker = Unpacker(directory, uid, {gid, *groups}, limits(size))
            _unpack(unpacker, iter(lambda: pipe.read(_MAX_PIECE_BYTES), b""))
        said = "done"
    except Exception as error:  # noqa: BLE001 - the edge of the process: its parent reports it
        said = str(error)
    os.write(telling, said.encode("utf-8", "backslashreplace")[:4096])


def _unpack(unpacker: Unpacker, pieces: Iterator[bytes]) -> None:
    try:
        for piece in pieces:
            unpacker.feed(piece)
        unpacker.finish()
    finally:
        unpacker.close()


def _read_header(stream: IO[bytes]) -> tuple[int, int]:
    number, length = _HEADER.unpack(_read(stream, _HEADER.size))
    if length > _MAX_PIECE_BYTES:
        raise MalformedTree("a piece of a stream of files is too long")
    return number, length


def _read(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise MalformedTree("a stream of files ends in the middle")
    return data
