"""A rotated file: it has a header, grows by whole records, and is renamed when it is large."""

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

    A failed `append` raises OSError and leaves nothing of the record in the file; the next one starts again.
    If the file was removed, renamed or begun by an older version, a new one is begun. An incomplete last
    line, left by a crash, is ended before anything is appended.

    :param header: first lines of each file. A file with another header is rotated.
    :param rotate_bytes: maximum size of a file, unless a single record is larger.
    :param keep: number of old files to keep; 0 for none.
    :param write: writes to a descriptor, like os.write; tests simulate a full disk with it.
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
        Append ``record``, which consists of whole lines. Blocks.

        :raises OSError: it could not be written.
        """
        try:
            if self._descriptor >= 0 and not self._is_in_place():
                self.close()
            if self._descriptor < 0:
                self._open()
            if self._size > len(self._header) and self._size + len(record) > self.rotate_bytes:
                self.close()
                self._rotate()
                self._open()
            self._write(record)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file. A later `append` opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_in_place(self) -> bool:
        """Return whether the path still names the open file; writes to a deleted file would be lost."""
        try:
            there = os.stat(os.path.join(self._directory, self._name), follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        here = os.fstat(self._descriptor)
        self._size = here.st_size
        whole = here.st_size >= len(self._header)  # false if something emptied it, as logrotate may
        return whole and (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def _open(self) -> None:
        self._open_once()
        if self._size and os.pread(self._descriptor, len(self._header), 0) != self._header:
            self.close()
            self._rotate()
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

    def _rotate(self) -> None:
        """Rename NAME to NAME.1, NAME.1 to NAME.2 and so on; remove files from NAME.KEEP on."""
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
        """Write all of ``data`` or nothing: a partial write to a full disk is undone."""
        sent = 0
        try:
            while sent < len(data):
                sent += self._write_some(self._descriptor, data[sent:])
        except OSError:
            if sent:
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
