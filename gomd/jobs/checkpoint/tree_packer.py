"""Walks a tree of files and yields the records of its stream, as `gomd.jobs.checkpoint.file_tree` says."""

from __future__ import annotations

import enum
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from gomd.jobs.checkpoint import file_tree_codec as codec
from gomd.jobs.checkpoint.file_tree_codec import (
    CHUNK_BYTES,
    MODE_MASK,
    Record,
    TreeLimits,
    TreeRefused,
    TreeTooLarge,
    shown,
)
from gomd.jobs.checkpoint.file_tree_rules import TreeRules
from gomd.jobs.checkpoint.open_beneath import open_beneath

_MAX_TIME = 2**63 - 1
#: Modification time, in ns, of the empty file that stands for a source that does not exist.
ABSENT_TIME = 1_000_000_000
#: Is told the path of an entry and its status.
Seen = Callable[[tuple[bytes, ...], "os.stat_result | None"], None]
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


class Owners(enum.Enum):
    """What `pack` does with a file that does not belong to the user."""

    REFUSE = "refuse"  #: raise
    ADOPT = "adopt"  #: the copy belongs to the user, as a copy made with cp would
    KEEP = "keep"  #: send the owner along; only an `Unpacker` of root's takes that


class Mounts(enum.Enum):
    """What `pack` does where another file system is mounted in the tree."""

    REFUSE = "refuse"  #: raise
    SKIP = "skip"  #: a directory is sent empty, a file is left out


class Source(NamedTuple):
    """
    One file or directory that is packed into a directory of the stream.

    :ivar into: name of that directory. :ivar directory: open, in which it lies. :ivar name: of it.
    """

    into: bytes
    directory: int
    name: bytes


class Packer:
    """
    One walk.

    :ivar rules: counts what is sent, and refuses what is too much. :param contents: whether files are read.
    """

    def __init__(
        self,
        uid: int,
        limits: TreeLimits,
        names: Iterable[bytes] | None,
        owners: Owners,
        mounts: Mounts,
        contents: bool = True,
        seen: Seen | None = None,
        absent: int | None = None,
    ) -> None:
        self._uid = uid
        self._limits = limits
        self._named = None if names is None else list(names)
        self._owners = owners
        self._mounts = mounts
        self._contents = contents
        self._seen: Seen = seen or (lambda _path, _found: None)
        self._absent = absent
        self._top = 0
        self._links: dict[tuple[int, int], int] = {}
        self.rules = TreeRules(limits)

    def walk(self, directory: int) -> Iterator[Record]:
        """Yield the records of what is in ``directory``. Blocks, and raises, as `file_tree.pack`."""
        for name in self._listed(directory) if self._named is None else self._named:
            for record in self._entry(directory, name):
                self.rules.check(record)
                yield record
        yield codec.End(self.rules.entries)

    def walk_sources(self, sources: Iterable[Source]) -> Iterator[Record]:
        """Yield the records of several files and directories, each in a directory of its own."""
        self._top = 1
        for source in sources:
            enclosing = codec.Directory(self._uid, os.getgid(), 0o700, source.into)
            self.rules.check(enclosing)
            yield enclosing
            for record in self._entry(source.directory, source.name):
                self.rules.check(record)
                yield record
            left = codec.DirectoryEnd(0)
            self.rules.check(left)
            yield left
        yield codec.End(self.rules.entries)

    def _note(self, name: bytes, found: os.stat_result | None) -> None:
        self._seen((*self.rules.path, name), found)

    def _listed(self, directory: int) -> list[bytes]:
        found: list[bytes] = []
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    found.append(os.fsencode(entry.name))
                    if len(found) > self._limits.entries:
                        raise TreeTooLarge(f"there are more than {self._limits.entries} files", "entries")
        except OSError as error:
            raise self._refusal(None, f"cannot be read: {error.strerror}") from error
        return sorted(found)

    def _entry(self, directory: int, name: bytes) -> Iterator[Record]:
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            kind = stat.S_IFMT(found.st_mode)
            if kind == stat.S_IFSOCK:
                return
            if kind not in (stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO):
                raise self._refusal(name, "is a device")
            if kind == stat.S_IFLNK:
                self._note(name, found)
                target = os.readlink(name, dir_fd=directory)
                yield codec.Link(*self._owner(name, found), _mtime(found), name, target)
            elif kind == stat.S_IFIFO:
                self._note(name, found)
                mode, linked = found.st_mode & MODE_MASK, found.st_nlink > 1
                yield self._linked(found, name) or codec.Fifo(
                    *self._owner(name, found), mode, linked, _mtime(found), name
                )
            else:
                yield from self._opened(directory, name, kind)
        except FileNotFoundError:
            if len(self.rules.path) > self._top or self._named is None:
                return  # it was removed meanwhile: as if it had been before
            if self._absent is None:
                raise self._refusal(name, "is not there") from None
            self._note(name, None)
            yield codec.RegularFile(self._uid, os.getgid(), self._absent, 0, name)
            yield codec.FileEnd(0, ABSENT_TIME)
        except OSError as error:
            raise self._refusal(name, f"cannot be read: {error.strerror}") from error

    def _opened(self, directory: int, name: bytes, kind: int) -> Iterator[Record]:
        """Send a file or a directory by its descriptor."""
        flags = _READ | (os.O_DIRECTORY if kind == stat.S_IFDIR else 0)
        try:
            descriptor = open_beneath(directory, (name,), flags, crossing=False)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            yield from self._mounted(directory, name, kind)
            return
        try:
            found = os.fstat(descriptor)
            if stat.S_IFMT(found.st_mode) != kind:
                raise self._refusal(name, "changed while it was read")
            owner = self._owner(name, found)
            self._note(name, found)
            if kind == stat.S_IFDIR:
                yield codec.Directory(*owner, found.st_mode & MODE_MASK, name)
                yield from self._inside(descriptor)
                yield codec.DirectoryEnd(_mtime(found))
            elif linked := self._linked(found, name):
                yield linked
            else:
                yield codec.RegularFile(*owner, found.st_mode & MODE_MASK, found.st_nlink > 1, name)
                if self._contents:
                    yield from _contents(descriptor, found.st_size)
                else:
                    self.rules.add(min(found.st_size, found.st_blocks * 512))
                yield codec.FileEnd(found.st_size, _mtime(found))
        finally:
            os.close(descriptor)

    def _inside(self, descriptor: int) -> Iterator[Record]:
        for name in self._listed(descriptor):
            yield from self._entry(descriptor, name)

    def _mounted(self, directory: int, name: bytes, kind: int) -> Iterator[Record]:
        if self._mounts is Mounts.REFUSE:
            raise self._refusal(name, "is another file system, mounted there")
        if kind == stat.S_IFDIR:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            yield codec.Directory(self._uid, found.st_gid, found.st_mode & MODE_MASK, name)
            yield codec.DirectoryEnd(_mtime(found))

    def _linked(self, found: os.stat_result, name: bytes) -> codec.HardLink | None:
        """Return a hard link to the entry that has this file already; else remember this one."""
        if found.st_nlink < 2:
            return None
        key = (found.st_dev, found.st_ino)
        if key in self._links:
            return codec.HardLink(self._links[key], name)
        self._links[key] = self.rules.entries
        return None

    def _owner(self, name: bytes, found: os.stat_result) -> tuple[int, int]:
        if found.st_uid == self._uid or self._owners is Owners.KEEP:
            return found.st_uid, found.st_gid
        if self._owners is Owners.ADOPT:
            return self._uid, found.st_gid
        raise self._refusal(name, f"belongs to another user, uid {found.st_uid}")

    def _refusal(self, name: bytes | None, why: str) -> TreeRefused:
        return TreeRefused(f"{shown((*self.rules.path, *([name] if name is not None else [])))} {why}")


def _contents(descriptor: int, size: int) -> Iterator[Record]:
    """Yield the data of a file up to ``size``, without its holes."""
    position = 0
    while position < size:
        begin, end = next_data(descriptor, position, size)
        position = begin
        while position < end:
            data = os.pread(descriptor, min(CHUNK_BYTES, end - position), position)
            if not data:
                return  # it became shorter meanwhile: the rest is a hole
            yield codec.Chunk(position, data)
            position += len(data)


def next_data(descriptor: int, position: int, size: int) -> tuple[int, int]:
    """Return where the next data from ``position`` on begins and ends."""
    try:
        begin = os.lseek(descriptor, position, os.SEEK_DATA)
        return min(begin, size), min(os.lseek(descriptor, begin, os.SEEK_HOLE), size)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size, size
        return position, size  # a file system that does not know its holes


def _mtime(found: os.stat_result) -> int:
    return max(-_MAX_TIME, min(found.st_mtime_ns, _MAX_TIME))
