"""
Directories and files that are one user's alone: made so, or found to be so, and never reached over a link.

What a daemon keeps in STATE is opened with these. A symbolic link in it leads where somebody else wants, and
root would write there. Everything blocks briefly and raises OSError, whose ``strerror`` is a clause for a
sentence; nothing else.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

#: Symbolic links that a path may lead over, as for the kernel.
_MAX_LINKS = 40
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_private_directory(path: str) -> None:
    """
    Make the directory ``path`` with mode 0700, and those above it, where they are missing.

    One that is there must be this user's; that others may write to it is taken away.

    :raises OSError: it cannot be made, is a symbolic link, or belongs to another user.
    """
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    os.close(open_private_directory(path))


def open_private_directory(path: str, change: bool = True) -> int:
    """
    Return a descriptor of the directory ``path``, this user's alone.

    :param change: that others may write to it is taken away.
    :raises OSError: it is not there, is a symbolic link, or belongs to another user.
    """
    try:
        descriptor = os.open(path, _DIRECTORY)
    except OSError as error:
        if os.path.islink(path):
            raise OSError(errno.ELOOP, "it is a symbolic link", path) from error
        raise
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise OSError(errno.EPERM, f"it belongs to user {found.st_uid}", path)
        if change and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_private(path: str) -> int:
    """
    Return a descriptor for reading the file ``path``: root's or this user's, not what a link names.

    :raises OSError: it is not there, or is a symbolic link, no plain file, or another user's.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link", path) from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        reason = "it is no plain file"
    elif found.st_uid not in (0, os.geteuid()):
        reason = f"it belongs to user {found.st_uid}"
    else:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EPERM, reason, path)


def create_private(path: str) -> int:
    """
    Return a descriptor for writing a new, empty file ``path`` (0600); what was there is removed.

    :raises OSError: it cannot be made.
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def trusted_owners() -> frozenset[int]:
    """
    Return the users whose directories this process may rely on: root and its own user.

    In a user namespace that does not map all users, an owner that it does not map counts as root: the
    machine's own root is seen so there.
    """
    owners = {0, os.geteuid()}
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            mapped = file.read().split()
        if mapped != ["0", "0", "4294967295"]:
            with open("/proc/sys/kernel/overflowuid", encoding="ascii") as file:
                owners.add(int(file.read()))
    except (OSError, ValueError):
        pass
    return frozenset(owners)


def on_the_way(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """
    Yield each directory and symbolic link that the kernel passes on its way to ``path``, and that itself.

    :param path: absolute. :raises OSError: one is not there, or the links lead round and round.
    """
    here, links = "/", 0
    yield here, os.lstat(here)
    names = path.split("/")
    while names:
        name = names.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        found = os.lstat(os.path.join(here, name))
        yield os.path.join(here, name), found
        if not stat.S_ISLNK(found.st_mode):
            here = os.path.join(here, name)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(os.path.join(here, name))
        here = "/" if target.startswith("/") else here
        names = target.split("/") + names
