"""Files that contain secrets: readable by their owner only, written whole, durable after a power cut."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator

from libgomd.durable import create_exclusively, replace_durably
from libgomd.errors import ConfigError
from libgomd.private import on_the_way


def create(path: str, content: bytes) -> None:
    """
    Create the file ``path``, readable by its owner only. Blocks until it is on the disk.

    :raises ConfigError: a file of that name exists already, or it cannot be written.
    """
    try:
        create_exclusively(path, content)
    except FileExistsError as error:
        raise ConfigError([f"{path} exists already and is never overwritten: choose another name"]) from error
    except OSError as error:
        raise ConfigError([f"{path} cannot be made: {error.strerror}"]) from error


def replace(path: str, content: bytes) -> None:
    """
    Replace the file ``path``: a reader finds all of the old or all of the new content. Blocks.

    Call it with `locked`. A file of another user, such as a daemon's, keeps its owner when root replaces it.

    :raises ConfigError: it cannot be written; the old file is unchanged.
    """
    path = _resolved(path)
    try:
        owner = None
        if os.geteuid() == 0:
            found = os.stat(path if os.path.exists(path) else os.path.dirname(path))
            owner = (found.st_uid, found.st_gid)
        replace_durably(path, content, owner)
    except OSError as error:
        raise ConfigError([f"{path} cannot be replaced: {error.strerror}"]) from error


def _resolved(path: str) -> str:
    """
    Return the file that ``path`` leads to, so that a symbolic link of root's or the caller's stays a link.

    :raises ConfigError: a link on the way is another user's, such as that of a daemon of an ordinary user.
    """
    try:
        for each, found in on_the_way(os.path.abspath(path)):
            if stat.S_ISLNK(found.st_mode) and found.st_uid not in (0, os.geteuid()):
                whose = f"{each} is a symbolic link of user {found.st_uid}"
                raise ConfigError([f"{path}: {whose}: name what it leads to, or remove it"])
    except OSError:
        pass  # what is missing is made
    return os.path.realpath(path)


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """
    Lock the directory of ``path`` against all others who use this, so that no change is lost. Blocks.

    A missing directory is created, for its owner only.

    :raises ConfigError: the directory cannot be created or opened.
    """
    directory = os.path.dirname(_resolved(path))
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
