"""
STATE, the daemon's own directory: only its user may write to it, and one daemon at a time uses it.

Whoever can write to STATE or to a directory above it can redirect what the daemon writes, with a symbolic
link or by replacing the directory. Such a STATE is refused. Files in it are opened with `libgomd.private`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import NoReturn

from twisted.logger import Logger

from libgomd.errors import ConfigError
from libgomd.private import on_the_way, open_private_directory, trusted_owners

_log = Logger()
_HINT = "set [node] state_dir or --state-dir to a directory of your own"


class StateDirectory:
    """
    Locks ``path`` for this process until it ends in any way: the kernel releases the lock.

    :ivar path: the directory, absolute.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._lock = -1

    def take(self) -> None:
        """
        Make the directory (0700) if it is missing, and lock it. Blocks briefly.

        :raises ConfigError: it cannot be made or written, it or a file in it belongs to another user or can
            be written by others, or another daemon uses it.
        """
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            try:
                os.mkdir(self.path, 0o700)
            except FileExistsError:
                pass
            directory = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                self._check_directory(directory)
                _check_way(f"STATE {self.path}", self.path, _HINT)
                self._open_lock(directory)
                self._check_entries(directory)
            finally:
                os.close(directory)
        except OSError as error:
            self.release()
            raise ConfigError([f"STATE {self.path} cannot be used ({error.strerror}): {_HINT}"]) from error
        except ConfigError:
            self.release()
            raise
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._lock, 20).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise ConfigError(
                [f"another gomd (pid {owner}) uses STATE {self.path}: stop it, or {_HINT}"]
            ) from error

    def check(self) -> None:
        """
        Check what is there as `take` does, and make, lock and change nothing. Blocks briefly.

        :raises ConfigError: a daemon would not start with it.
        """
        try:
            directory = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            _check_way(f"STATE {self.path}", nearest(self.path), _HINT, itself=True)
            return
        except OSError as error:
            raise ConfigError([f"STATE {self.path} cannot be used ({error.strerror}): {_HINT}"]) from error
        try:
            self._check_directory(directory)
            _check_way(f"STATE {self.path}", self.path, _HINT)
            self._check_lock(directory)
            self._check_entries(directory)
        except OSError as error:
            raise ConfigError([f"STATE {self.path} cannot be used ({error.strerror}): {_HINT}"]) from error
        finally:
            os.close(directory)

    def _check_directory(self, directory: int) -> None:
        found = os.fstat(directory)
        if not stat.S_ISDIR(found.st_mode):
            raise ConfigError([f"STATE {self.path} is not a directory: {_HINT}"])
        if found.st_uid != os.geteuid():
            raise ConfigError(
                [
                    f"STATE {self.path} belongs to another user, {found.st_uid}, and gomd runs as user "
                    f"{os.geteuid()}: {_HINT}"
                ]
            )
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError([f"STATE {self.path} can be written by others: chmod 700 it"])

    def _check_lock(self, directory: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat("lock", dir_fd=directory, follow_symlinks=False).st_mode):
                raise ConfigError([f"STATE {self.path}: lock in it is no plain file: remove it"])

    def _open_lock(self, directory: int) -> None:
        self._check_lock(directory)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        self._lock = os.open("lock", flags, 0o600, dir_fd=directory)

    def _check_entries(self, directory: int) -> None:
        """Check the files in STATE, which others may have been able to write earlier."""
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_symlink():
                    self._refuse_link(entry.name)
                owner = entry.stat(follow_symlinks=False).st_uid
                if owner not in (0, os.geteuid()):
                    raise ConfigError(
                        [f"{self.path}/{entry.name} belongs to another user, {owner}: remove it, or chown it"]
                    )
                if entry.is_dir(follow_symlinks=False):
                    self._check_below(directory, entry.name)

    def _check_below(self, directory: int, name: str, below: str = "") -> None:
        """Check a directory of the daemon for links, but not those of jobs, which jobs may write to."""
        number = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            with os.scandir(number) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        self._refuse_link(f"{below}{name}/{entry.name}")
                    if name == "jobs" and not below and entry.is_dir(follow_symlinks=False):
                        self._check_below(number, entry.name, "jobs/")
        finally:
            os.close(number)

    def _refuse_link(self, name: str) -> NoReturn:
        raise ConfigError(
            [
                f"{self.path}/{name} is a symbolic link, and gomd follows none in STATE: remove it "
                "([jobs] spool and [history] file put directories elsewhere)"
            ]
        )

    def sign(self) -> None:
        """Write the pid of this process into the lock, for the error of a second daemon. Never raises."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let the next daemon have it."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def nearest(path: str) -> str:
    """Return ``path``, or what is there of it: the directory that what is missing would be made in."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def check_directory(setting: str, path: str) -> None:
    """
    Check a directory that the daemon keeps things in beside STATE; one that is missing is made later. Blocks.

    :param setting: what names it, e.g. ``[jobs] spool``.
    :raises ConfigError: it is a symbolic link, another user's or others' to write, or something on the way to
        it is.
    """
    hint = f"set {setting} to a directory of the daemon's own"
    try:
        os.close(open_private_directory(path))
        _check_way(f"{setting} {path}", path, hint)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError([f"{setting} {path} cannot be used ({error.strerror}): {hint}"]) from error


def _check_way(name: str, path: str, hint: str, itself: bool = False) -> None:
    """
    Check the directories and symbolic links on the way to ``path``: who can change one of them can redirect
    it.

    :param itself: ``path`` is on the way too, to what is made in it later.

    For an ordinary user's daemon a directory that everybody may write to is only worth a warning: root's is
    the one that others would like to make write elsewhere.
    """
    trusted, there = trusted_owners(), os.stat(path)
    for each, found in on_the_way(path):
        if not itself and os.path.samestat(found, there):
            continue
        if found.st_uid not in trusted:
            raise ConfigError(
                [
                    f"{name}: {each} on the way to it belongs to another user, {found.st_uid}, who could put "
                    f"another directory there: {hint}"
                ]
            )
        writable = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
        if writable and not stat.S_ISLNK(found.st_mode):
            problem = f"{name}: everybody may write to {each}: chmod o-w or +t it"
            if os.geteuid() == 0:
                raise ConfigError([problem])
            _log.warn("{problem}", problem=problem)
