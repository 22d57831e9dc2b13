"""
Private directories and files: created or checked to be one user's alone, never reached by a symbolic link.

Files in STATE are opened with these functions. A symbolic link in STATE may lead to a place that another user
chose, and root would write there. All functions block briefly. They raise OSError and nothing else; its
``strerror`` is a clause that fits into a sentence.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

#: Maximum number of symbolic links in a path, as in the kernel.
_MAX_LINKS = 40
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_private_directory(path: str) -> None:
    """
    Create the directory ``path`` and missing parents with mode 0700.

    An existing directory must belong to this user. Write permission of others is removed.

    :raises OSError: it cannot be created, is a symbolic link, or belongs to another user.
    """
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    os.close(open_private_directory(path))


def open_private_directory(path: str) -> int:
    """
    Return a descriptor of the directory ``path``, and remove write permission of others.

    :raises OSError: it is missing, is a symbolic link, or belongs to another user.
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
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_private(path: str) -> int:
    """
    Return a descriptor for reading the file ``path``, which must belong to root or this user.

    :raises OSError: it is missing, is a symbolic link or not a regular file, or belongs to another user.
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
    Return a descriptor for writing a new, empty file ``path`` (mode 0600). An existing file is removed first.

    :raises OSError: it cannot be created.
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def trusted_owners() -> frozenset[int]:
    """
    Return the users whose directories this process may trust: root and its own user.

    In a user namespace that does not map all users, an unmapped owner counts as root, because the machine's
    root appears as unmapped there.
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
    Yield each directory and symbolic link that the kernel traverses to reach ``path``, and ``path`` itself.

    :param path: an absolute path. :raises OSError: one of them is missing, or the links form a loop.
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
