"""
Packs a tree of files into a stream of bytes, and unpacks it elsewhere, without trusting what is in either.

Theory of operation. Both ends run in a process that has the rights of the files' owner, below a directory
that somebody has opened. `pack` walks the tree with descriptors: it opens each entry below its directory,
without following a link and without waiting (a file may turn into a fifo meanwhile), and believes only
what fstat says of the descriptor. `Unpacker` creates every entry anew in the directory that it entered
last; an entry that exists already is refused. A stream cannot name a path, so it cannot name a place
outside (`file_tree_codec`).

What is kept: contents with their holes, permissions without set-id bits, modification times in ns,
symbolic links as links, hard links within the tree, fifos, names of any bytes. What is not: access times,
extended attributes and ACLs, sockets (skipped), devices (refused). Only one chunk is in memory; names of
files with several links are remembered.

Standard library and libgomd.wire/errors only: this runs in the processes of jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gomd.jobs.checkpoint import file_tree_codec as codec
from gomd.jobs.checkpoint.file_tree_codec import (
    PREAMBLE,
    TreeLimits,
    TreeRefused,
    TreeTooLarge,
)
from gomd.jobs.checkpoint.tree_packer import ABSENT_TIME, Mounts, Owners, Packer, Seen, Source, next_data
from gomd.jobs.checkpoint.tree_unpacker import Unpacker

__all__ = [
    "ABSENT_TIME",
    "Mounts",
    "Owners",
    "Source",
    "TreeLimits",
    "TreeRefused",
    "TreeSize",
    "TreeTooLarge",
    "Unpacker",
    "measure",
    "next_data",
    "pack",
    "pack_sources",
]


class TreeSize(NamedTuple):
    """How large a tree is. :ivar entries: files, directories and links. :ivar size: bytes of contents."""

    entries: int
    size: int


def pack(
    directory: int,
    uid: int,
    limits: TreeLimits,
    names: Iterable[bytes] | None = None,
    *,
    owners: Owners = Owners.REFUSE,
    mounts: Mounts = Mounts.SKIP,
) -> Iterator[bytes]:
    """
    Yield the stream of what is in ``directory``. Blocks as disks do.

    :param directory: open for reading; it is not closed. :param uid: the user to whom the files have to
        belong.
    :param names: the entries of the directory to send, None for all.
    :raises TreeRefused: a file cannot be read, may not be sent, or changed its kind meanwhile.
    :raises TreeTooLarge: a limit is exceeded; nothing is held back, the stream simply ends in the middle.
    """
    yield PREAMBLE
    packer = Packer(uid, limits, names, owners, mounts)
    for record in packer.walk(directory):
        yield codec.encode(record)


def pack_sources(
    sources: Iterable[Source],
    uid: int,
    limits: TreeLimits,
    *,
    owners: Owners = Owners.REFUSE,
    mounts: Mounts = Mounts.REFUSE,
    seen: Seen | None = None,
    absent: int | None = None,
) -> Iterator[bytes]:
    """
    Yield the stream of several files and directories, each in a directory of its own in the stream.

    :param seen: is told the path of each entry in the stream with what fstat says of it, before it is read;
        None for one that is absent.
    :param absent: mode of the empty file that is sent for a source that does not exist; None: that is an
        error. Errors as in `pack`.
    """
    yield PREAMBLE
    packer = Packer(uid, limits, (), owners, mounts, seen=seen, absent=absent)
    for record in packer.walk_sources(sources):
        yield codec.encode(record)


def measure(
    directory: int,
    uid: int,
    limits: TreeLimits,
    names: Iterable[bytes] | None = None,
    *,
    owners: Owners = Owners.REFUSE,
    mounts: Mounts = Mounts.SKIP,
) -> TreeSize:
    """
    Return how much `pack` would send; it refuses what `pack` would refuse, and reads no contents.

    :raises TreeRefused: :raises TreeTooLarge: as `pack`.
    """
    packer = Packer(uid, limits, names, owners, mounts, contents=False)
    for _record in packer.walk(directory):
        pass
    return TreeSize(packer.rules.entries, packer.rules.size)
