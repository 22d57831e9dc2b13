"""The private directory that samples are kept in: made, or found to be safe to write to."""

from __future__ import annotations

import errno
import os
import re
import stat


def open_log_directory(path: str, name: str) -> int:
    """
    Return a descriptor of the directory at ``path``, made with mode 0700 if it is not there. Blocks.

    One that holds nothing but our own files is given that mode. Another that is there for other things
    as well (``/var/log``, ``/tmp``) keeps its mode, and is refused when others may write to it: they
    could put files under the names we are going to use.

    :param name: of our files: ``NAME`` and ``NAME.1``, ``NAME.2`` and so on.
    :raises OSError: it cannot be made or opened, is a symbolic link, or is not ours alone to write.
    """
    _make(path)
    if os.path.islink(path):
        raise OSError(errno.ELOOP, "it is a symbolic link: name the directory itself", path)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check(descriptor, path, name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make(path: str) -> None:
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        os.mkdir(each, 0o700)


def _check(descriptor: int, path: str, name: str) -> None:
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        raise OSError(
            errno.EPERM, f"it belongs to user {status.st_uid}: give gomd a directory of its own", path
        )
    if status.st_mode & 0o077 and all(_is_ours(entry, name) for entry in os.listdir(descriptor)):
        os.fchmod(descriptor, 0o700)
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(errno.EPERM, "others may write to it: give gomd a directory of its own", path)


def _is_ours(entry: str, name: str) -> bool:
    return entry == name or re.fullmatch(re.escape(name) + r"\.[0-9]+", entry) is not None
