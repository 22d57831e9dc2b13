"""A file that only grows by whole records, begins with a header, and is moved aside when it is large."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable

from gomd.history.directory import open_log_directory

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

_NUMBER = re.compile("[1-9][0-9]{0,8}")


class RotatedFile:
    """
    ``DIRECTORY/NAME``, with ``NAME.1`` (the newest) to ``NAME.KEEP`` beside it.

    Any failure is an OSError after which nothing of the record is in the file; the next `append`
    begins afresh. A file that was removed, moved away or begun by an older version is begun anew.
    A last line that a crash has torn is ended before anything follows it.

    :param header: what each file begins with; a file with another one is moved aside.
    :param rotate_bytes: size that a file does not pass, unless a single record is larger.
    :param keep: old files that are kept; 0 for none.
    :param write: writes to a descriptor, as os.write; tests fill a disk with it.
    """

    def __init__(
        self,
        directory: str,
        name: str,
        header: bytes,
        rotate_bytes: int,
        keep: int,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        self.rotate_bytes = rotate_bytes
        self.keep = keep
        self.rotated = 0
        self._directory = directory
        self._name = name
        self._header = header
        self._write_some = write
        self._descriptor = -1
        self._size = 0

    def append(self, record: bytes) -> None:
        """
        Add ``record``, whole lines, to the file. Blocks.

        :raises OSError: it could not be kept.
        """
        try:
            if self._descriptor >= 0 and not self._is_in_place():
                self.close()
            if self._descriptor < 0:
                self._open()
            if self._size > len(self._header) and self._size + len(record) > self.rotate_bytes:
                self.close()
                self._move_aside()
                self._open()
            self._write(record)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; a later `append` opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_in_place(self) -> bool:
        """Whether the open file is still what its path names; a deleted one swallows every write."""
        try:
            there = os.stat(os.path.join(self._directory, self._name), follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        here = os.fstat(self._descriptor)
        self._size = here.st_size
        whole = here.st_size >= len(self._header)  # else something has emptied it, as logrotate may
        return whole and (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def _open(self) -> None:
        self._open_once()
        if self._size and os.pread(self._descriptor, len(self._header), 0) != self._header:
            self.close()
            self._move_aside()
            self._open_once()
        if not self._size:
            self._write(self._header)
        elif os.pread(self._descriptor, 1, self._size - 1) != b"\n":
            self._write(b"\n")

    def _open_once(self) -> None:
        parent = open_log_directory(self._directory, self._name)
        try:
            self._descriptor = os.open(self._name, _FLAGS, 0o600, dir_fd=parent)
        finally:
            os.close(parent)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise OSError(errno.EPERM, f"{self._name} in it is not a file of our own: move it away")
        if status.st_mode & 0o077:
            os.fchmod(self._descriptor, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(
                errno.EBUSY, f"another daemon writes {self._name} in it: give each its own"
            ) from error
        self._size = status.st_size

    def _move_aside(self) -> None:
        """Give NAME to NAME.1, that to NAME.2 and so on; from NAME.KEEP on they are removed."""
        parent = open_log_directory(self._directory, self._name)
        try:
            for number in sorted(filter(None, map(self._number, os.listdir(parent))), reverse=True):
                self._renumber(parent, f"{self._name}.{number}", number)
            self._renumber(parent, self._name, 0)
        finally:
            os.close(parent)
        self.rotated += 1

    def _number(self, entry: str) -> int:
        """Return N of ``NAME.N``, 0 for any other file."""
        base, _, number = entry.rpartition(".")
        return int(number) if base == self._name and _NUMBER.fullmatch(number) else 0

    def _renumber(self, parent: int, entry: str, number: int) -> None:
        if number >= self.keep:
            os.unlink(entry, dir_fd=parent)
        else:
            os.rename(entry, f"{self._name}.{number + 1}", src_dir_fd=parent, dst_dir_fd=parent)

    def _write(self, data: bytes) -> None:
        """Write all of ``data`` or nothing: what a full disk has cut off is taken back."""
        sent = 0
        try:
            while sent < len(data):
                sent += self._write_some(self._descriptor, data[sent:])
        except OSError:
            if sent:
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
