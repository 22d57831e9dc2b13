"""Files with secrets in them: for their owner only, whole or not there, still there after a power cut."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from libgomd.errors import ConfigError


def create(path: str, content: bytes) -> None:
    """
    Make the file ``path``, readable by its owner only. Blocks until it is on the disk.

    :raises ConfigError: there is something of that name already, or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise ConfigError([f"{path} exists already and is never overwritten: choose another name"]) from error
    except OSError as error:
        raise ConfigError([f"{path} cannot be made: {error.strerror}"]) from error
    try:
        _write(descriptor, content)
        _sync_directory(path)
    except OSError as error:
        os.unlink(path)
        raise ConfigError([f"{path} cannot be written: {error.strerror}"]) from error


def replace(path: str, content: bytes) -> None:
    """
    Put ``content`` in the place of the file ``path``: a reader sees all of the old or all of the new. Blocks.

    :raises ConfigError: it cannot be written; the old file is as it was.
    """
    path = _where(path)
    beside = f"{path}.new"
    with contextlib.suppress(OSError):  # left by one that was killed; the lock says that nobody uses it
        os.unlink(beside)
    create(beside, content)
    try:
        if os.geteuid() == 0:  # root keeps the file of a daemon that runs as somebody else
            owner = os.stat(path if os.path.exists(path) else os.path.dirname(path))
            os.chown(beside, owner.st_uid, owner.st_gid, follow_symlinks=False)
        os.rename(beside, path)
        _sync_directory(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise ConfigError([f"{path} cannot be replaced: {error.strerror}"]) from error


def _where(path: str) -> str:
    """
    Return the file itself: a symbolic link to it stays one, when it is root's or the caller's own.

    :raises ConfigError: it is another user's, such as a daemon's that runs as an ordinary user.
    """
    try:
        owner = os.lstat(path).st_uid
    except OSError:
        owner = 0
    if os.path.islink(path) and owner not in (0, os.geteuid()):
        raise ConfigError(
            [f"{path} is a symbolic link of user {owner}: name the file it leads to, or remove it"]
        )
    return os.path.realpath(path)


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """
    Hold off everybody else who uses this for the same directory: no change is lost. Blocks.

    The directory of ``path`` is made when it is not there, for its owner only.

    :raises ConfigError: the directory cannot be made or used.
    """
    directory = os.path.dirname(_where(path))
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError([f"the directory {directory} cannot be used: {error.strerror}"]) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: str) -> None:
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
