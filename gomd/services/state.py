"""STATE, the daemon's own directory: made private, and taken by one daemon at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

from libgomd.errors import ConfigError


class StateDirectory:
    """
    Takes ``path`` for this process until it ends, however it ends: the lock is the kernel's.

    :ivar path: the directory, absolute.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._lock = -1

    def take(self) -> None:
        """
        Make the directory (0700) where it is missing, and lock it. Blocks briefly.

        :raises ConfigError: it cannot be made or written, is somebody else's, or another daemon has it.
        """
        hint = "set [node] state_dir or --state-dir to a directory of your own"
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            try:
                os.mkdir(self.path, 0o700)
            except FileExistsError:
                pass
            found = os.stat(self.path)
            if not stat.S_ISDIR(found.st_mode):
                raise ConfigError([f"STATE {self.path} is not a directory: {hint}"])
            if found.st_uid != os.geteuid() and os.geteuid() != 0:
                raise ConfigError([f"STATE {self.path} belongs to another user: {hint}"])
            if found.st_mode & 0o022:
                raise ConfigError([f"STATE {self.path} can be written by others: chmod 700 it"])
            self._lock = os.open(
                os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise ConfigError([f"STATE {self.path} cannot be used ({error.strerror}): {hint}"]) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._lock, 20).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise ConfigError(
                [f"another gomd (pid {owner}) uses STATE {self.path}: stop it, or {hint}"]
            ) from error

    def sign(self) -> None:
        """Write this process's pid into the lock, for whoever finds it taken; a full disk does no harm."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let the next daemon have it."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)
