"""The output of a detached job, kept in files: bounded, and never so much that it fills the disk."""

from __future__ import annotations

import os

from libgomd.wire.attachment import OUTPUTS
from libgomd.wire.frames import CHUNK
from libgomd.wire.job_messages import SpawnSpec

#: The clause that tells of bytes that could not be kept.
LOST = "{} bytes of output are lost: the disk is full, or nearly so"
#: The reserve that is in proportion to the size of the disk.
AUTOMATIC = -1


class FileStore:
    """
    A `libgomd.wire.resumable.Store` in files of a directory, each named by its first position: ``stdout.0``.

    When they would have more than ``limit`` bytes the oldest are removed; the job never waits. Blocks as
    disks do.

    :param directory: an open directory. :param limit: bytes, at least two of `CHUNK`.
    :param reserve: bytes of the disk that are left free, half of it at least; see `free_of`.
    :ivar base: position of the oldest byte that is kept. :ivar end: position behind the newest.
    :ivar lost: bytes that could not be written because the disk was full, or nearly so.
    """

    def __init__(self, directory: int, name: str, limit: int, reserve: int = 0) -> None:
        self._directory = directory
        self._name = name
        self._half = max(CHUNK, limit // 2)
        self._reserve = reserve
        self._files: list[tuple[int, int]] = []  # where each begins, and its descriptor
        self.lost = 0
        self.base = self.end = 0
        self.refresh()

    def refresh(self) -> None:
        """Find what another process has written since."""
        known = {begin for begin, _descriptor in self._files}
        for begin in sorted(_positions(self._directory, self._name)):
            if begin not in known:
                self._open(begin)
        if self._files:
            self.base, [last, descriptor] = self._files[0][0], self._files[-1]
            self.end = last + os.fstat(descriptor).st_size

    def _open(self, begin: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(f"{self._name}.{begin}", flags, 0o600, dir_fd=self._directory)
        self._files.append((begin, descriptor))

    def append(self, data: bytes) -> None:
        """Write more bytes; those that the disk does not take are lost, and counted."""
        try:
            if not self._has_space():
                self.lost += len(data)
                return
            if not self._files or self.end - self._files[-1][0] >= self._half:
                self._open(self.end)
            while len(self._files) > 2:
                self._drop_oldest()
            while data:
                written = os.write(self._files[-1][1], data)
                self.end += written
                data = data[written:]
        except OSError:
            self.lost += len(data)

    def _has_space(self) -> bool:
        """Make space by removing the oldest of this output; return whether the disk has enough of it now."""
        while self._reserve:
            free, reserve = free_of(os.fstatvfs(self._directory), self._reserve)
            if free >= reserve // 2:
                break
            if len(self._files) < 2:
                return False
            self._drop_oldest()
        return True

    def _drop_oldest(self) -> None:
        begin, descriptor = self._files.pop(0)
        os.close(descriptor)
        os.unlink(f"{self._name}.{begin}", dir_fd=self._directory)
        self.base = self._files[0][0] if self._files else self.end

    def keep(self, limit: int) -> None:
        """Keep at most ``limit`` bytes from now on. Blocks."""
        self._half = max(CHUNK, limit // 2)
        if self.end - self.base <= 2 * self._half:
            return
        begin, old = self.end - self._half, len(self._files)
        try:
            self._copy(begin)
        except OSError:
            pass  # no space to copy the newest: then whole files are removed, as many as the limit asks for
        for _ in range(old if len(self._files) > old else old - 1):
            self._drop_oldest()

    def _copy(self, begin: int) -> None:
        """Write what lies behind ``begin`` into a new file, which becomes the newest."""
        if any(begin == known for known, _descriptor in self._files):
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        beside = f"{self._name}.new"
        descriptor = os.open(beside, flags, 0o600, dir_fd=self._directory)
        try:
            position = begin
            while position < self.end:
                data = self.read(position, CHUNK)
                position += os.write(descriptor, data)
            name = f"{self._name}.{begin}"
            os.rename(beside, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except OSError:
            os.close(descriptor)
            os.unlink(beside, dir_fd=self._directory)
            raise
        self._files.append((begin, descriptor))

    def discard_before(self, position: int) -> None:
        """Keep everything: a later caller may attach and read it all again."""

    def read(self, position: int, limit: int) -> bytes:
        """Return up to ``limit`` bytes from ``position`` on, as many as lie together in one file."""
        for at, (begin, descriptor) in enumerate(self._files):
            end = self._files[at + 1][0] if at + 1 < len(self._files) else self.end
            if begin <= position < end:
                return os.pread(descriptor, min(limit, end - position), position - begin)
        return b""

    def close(self) -> None:
        """Close the files, which stay."""
        for _, descriptor in self._files:
            os.close(descriptor)
        self._files.clear()


def output_stores(directory: int, spec: SpawnSpec) -> dict[int, FileStore]:
    """
    Return the stores of the outputs of a detached job, by the kinds of their frames.

    :param directory: the job's, open. :raises OSError: what is there already cannot be read.
    """
    return {
        kind: FileStore(directory, name, spec.spool_bytes, spec.spool_reserve)
        for kind, name in OUTPUTS.items()
    }


def free_of(disk: os.statvfs_result, reserve: int) -> tuple[int, int]:
    """
    Return how many bytes of a disk are free, and how many of those are to stay free.

    :param reserve: as configured: bytes, or `AUTOMATIC`: 5 % of the disk, at most 1 GiB.
    """
    size = disk.f_blocks * disk.f_frsize
    return disk.f_bavail * disk.f_frsize, min(1 << 30, size // 20) if reserve == AUTOMATIC else reserve


def _positions(directory: int, name: str) -> list[int]:
    found = (text.split(".") for text in os.listdir(directory))
    return [int(words[1]) for words in found if len(words) == 2 and words[0] == name and words[1].isdigit()]
