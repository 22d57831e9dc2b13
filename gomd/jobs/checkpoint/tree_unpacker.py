"""
Creates the files of a tree that `gomd.jobs.checkpoint.file_tree` packed, below an opened directory.

It runs with the rights of the files' owner. Every entry is made anew in the directory that was entered
last, with descriptors; one that exists already is refused. Standard library and libgomd.wire/errors only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from gomd.jobs.checkpoint import file_tree_codec as codec
from gomd.jobs.checkpoint.file_tree_codec import Record, TreeLimits, TreeRefused, shown
from gomd.jobs.checkpoint.file_tree_rules import TreeRules
from gomd.jobs.checkpoint.open_beneath import open_beneath


class Unpacker:
    """
    Creates the files of a stream in an opened directory. Blocks as disks do.

    Call `feed` with the bytes as they come, then `finish`; call `close` in any case. After an error what
    was created so far stays, for the caller to remove.

    :param directory: open; it is not closed. :param uid: who this process is, and to whom the files must
        belong; with 0 they may belong to anybody. :param gids: groups that a file may have; others become
        the process's own. :param only: takes regular files of these names, and nothing else; None: all.
    """

    def __init__(
        self,
        directory: int,
        uid: int,
        gids: Iterable[int],
        limits: TreeLimits,
        only: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._top = directory
        self._uid = uid
        self._only = only
        self._gids = frozenset(gids)
        self._decoder = codec.TreeDecoder()
        self._rules = TreeRules(limits)
        self._directories: list[tuple[int, codec.Directory]] = []
        self._file: tuple[int, codec.RegularFile] | None = None
        self._paths: dict[int, tuple[bytes, ...]] = {}
        self._closed_directories: list[tuple[tuple[bytes, ...], int, int]] = []

    @property
    def complete(self) -> bool:
        """Whether the end of the stream has come."""
        return self._decoder.complete

    def feed(self, data: bytes) -> None:
        """
        Take the next bytes of the stream.

        :raises MalformedTree: they are no such stream. :raises TreeTooLarge: a limit is exceeded.
        :raises TreeRefused: a file cannot be created; the text says which and why (a full disk, for
            example).
        """
        for record in self._decoder.feed(data):
            path = (*self._rules.path, getattr(record, "name", b"")) if hasattr(record, "name") else ()
            allowed = self._only is None or (type(record) is codec.RegularFile and self._only(path[-1]))
            if path and not allowed:
                raise codec.MalformedTree(f"{shown(path)} is no file that may be in it")
            if isinstance(record, (codec.RegularFile, codec.Fifo)) and record.linked:
                self._paths[self._rules.entries] = path
            self._rules.check(record)
            try:
                self._take(record)
            except OSError as error:
                name = shown(path or (*self._rules.path, *([self._file[1].name] if self._file else [])))
                why = f"cannot be written: {error.strerror}"
                if error.errno == errno.EEXIST:
                    why = "comes twice"
                raise TreeRefused(f"{name} {why}") from error

    def finish(self) -> None:
        """
        Set the modes that would have been in the way until now.

        :raises MalformedTree: the stream is not complete. :raises TreeRefused: a mode cannot be set.
        """
        if not self.complete:
            raise codec.MalformedTree("a tree of files ends in the middle")
        try:
            for path, mode, mtime in reversed(self._closed_directories):
                descriptor = open_beneath(self._top, path, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    _set_mode(descriptor, mode, mtime)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise TreeRefused(f"{shown(path)} cannot be written: {error.strerror}") from error
        self._closed_directories.clear()

    def close(self) -> None:
        """Close what is open."""
        for descriptor, _record in self._directories:
            os.close(descriptor)
        self._directories.clear()
        if self._file is not None:
            os.close(self._file[0])
            self._file = None

    @property
    def _here(self) -> int:
        return self._directories[-1][0] if self._directories else self._top

    def _take(self, record: Record) -> None:
        if isinstance(record, codec.Chunk):
            assert self._file is not None
            _write_all(self._file[0], record.data, record.offset)
        elif isinstance(record, codec.RegularFile):
            self._check_owner(record)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(record.name, flags, 0o600, dir_fd=self._here), record
        elif isinstance(record, codec.FileEnd):
            self._end_file(record)
        elif isinstance(record, codec.Directory):
            self._check_owner(record)
            os.mkdir(record.name, 0o700, dir_fd=self._here)
            descriptor = open_beneath(
                self._here, (record.name,), os.O_RDONLY | os.O_DIRECTORY, crossing=False
            )
            self._directories.append((descriptor, record))
        elif isinstance(record, codec.DirectoryEnd):
            self._leave(record)
        else:
            self._special(record)

    def _special(self, record: Record) -> None:
        here = self._here
        if isinstance(record, codec.Link):
            self._check_owner(record)
            os.symlink(record.target, record.name, dir_fd=here)
            if self._uid == 0:
                os.chown(record.name, record.uid, record.gid, dir_fd=here, follow_symlinks=False)
            os.utime(record.name, ns=(record.mtime, record.mtime), dir_fd=here, follow_symlinks=False)
        elif isinstance(record, codec.Fifo):
            self._check_owner(record)
            os.mkfifo(record.name, 0o600, dir_fd=here)
            descriptor = open_beneath(here, (record.name,), os.O_RDONLY | os.O_NONBLOCK)
            try:
                self._set_owner(descriptor, record)
                _set_mode(descriptor, record.mode, record.mtime)
            finally:
                os.close(descriptor)
        elif isinstance(record, codec.HardLink):
            self._link(record)

    def _link(self, record: codec.HardLink) -> None:
        *above, name = self._paths[record.entry]
        parent = (
            open_beneath(self._top, tuple(above), os.O_PATH | os.O_DIRECTORY) if above else os.dup(self._top)
        )
        try:
            os.link(name, record.name, src_dir_fd=parent, dst_dir_fd=self._here, follow_symlinks=False)
        finally:
            os.close(parent)

    def _end_file(self, record: codec.FileEnd) -> None:
        assert self._file is not None
        (descriptor, file), self._file = self._file, None
        try:
            os.ftruncate(descriptor, record.size)
            self._set_owner(descriptor, file)
            _set_mode(descriptor, file.mode, record.mtime)
        except OSError as error:
            raise OSError(error.errno, error.strerror, file.name) from error
        finally:
            os.close(descriptor)

    def _leave(self, record: codec.DirectoryEnd) -> None:
        descriptor, entered = self._directories.pop()
        path = (*self._rules.path, entered.name)
        try:
            self._set_owner(descriptor, entered)
            if entered.mode & 0o700 == 0o700:
                _set_mode(descriptor, entered.mode, record.mtime)
            else:  # a later hard link may have to pass through it
                self._closed_directories.append((path, entered.mode, record.mtime))
        finally:
            os.close(descriptor)

    def _check_owner(self, record: codec.Directory | codec.RegularFile | codec.Link | codec.Fifo) -> None:
        if self._uid != 0 and record.uid != self._uid:
            raise codec.MalformedTree(
                f"a tree of files has an entry of uid {record.uid}, and is for {self._uid}"
            )

    def _set_owner(self, descriptor: int, record: codec.Directory | codec.RegularFile | codec.Fifo) -> None:
        if self._uid == 0:
            os.fchown(descriptor, record.uid, record.gid)
        elif record.gid in self._gids:
            with suppress(PermissionError):  # a group that the process does not have: it keeps its own
                os.fchown(descriptor, -1, record.gid)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _set_mode(descriptor: int, mode: int, mtime: int) -> None:
    os.fchmod(descriptor, mode)
    os.utime(descriptor, ns=(mtime, mtime))
