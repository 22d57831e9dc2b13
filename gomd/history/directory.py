"""The directory of the sample log: created, or checked to be safe to write to."""

from __future__ import annotations

import errno
import os
import re
import stat


def open_log_directory(path: str, name: str) -> int:
    """
    Return a descriptor of the directory at ``path``, created with mode 0700 if it is missing. Blocks.

    A directory that contains only our files gets mode 0700. One with other files (``/var/log``, ``/tmp``)
    keeps its mode and is refused if other users may write to it, since they could place files under the
    names that we will use.

    :param name: name of our files: ``NAME``, ``NAME.1``, ``NAME.2`` and so on.
    :raises OSError: it cannot be created or opened, is a symbolic link, or other users may write to it.
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
