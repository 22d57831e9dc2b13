"""
Makes the files that a job carries along appear at their own paths, in the job's mount namespace alone.

Theory of operation. Each carried file or directory is bound onto its path with nosuid and nodev. The path
has to be one at which the user could have put something: what is there is the user's to write, or the
directory it is in; otherwise a user could show programs of root a library or a configuration of their
own. What is missing is made:

- in a directory that the user may write, as empty files and directories, by a process that has become the
  user. Their names are written down, and what is still empty of them is removed with the job;
- else, where the nearest directory that exists is neither the system's nor another user's, in a read-only
  copy of that directory which only the job sees: a tmpfs with everything that is in it bound again. A job
  that writes there beside its carried files gets "Read-only file system", and not a file that nobody ever
  finds.

Each place is looked up with the user's rights and opened without following links, these rights are checked
on that descriptor, and it is what is mounted on, so nothing can be exchanged in between. Standard library
only.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Final

from gomd.jobs.checkpoint.acting_as import acting_as
from gomd.jobs.checkpoint.open_beneath import open_beneath
from libgomd.errors import CannotMove

#: Entries of a directory of which the job gets a copy.
MAX_ENTRIES: Final = 1000
#: Directories, and those in them, that nothing is added to for a user.
SYSTEM: Final = (
    "bin", "boot", "dev", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "opt", "proc", "root",
    "run", "sbin", "snap", "sys", "usr", "var",
)  # fmt: skip
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MNT_DETACH = 2
_MS_REMOUNT, _MS_BIND, _MS_REC = 32, 4096, 16384
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


def mount_carried(
    paths: Sequence[str],
    carried: int,
    uid: int,
    gid: int,
    groups: Sequence[int],
    where: str,
    private: Collection[str] = (),
) -> None:
    """
    Bind the carried files onto ``paths``. The caller is root, in a mount namespace of the job's own.
    Blocks briefly.

    :param carried: the open directory of the carried files, see `gomd.jobs.supervisor.carrier`.
    :param where: this node, for errors. :param private: directories that are the job's own, and end with it.
    :raises CannotMove: a path is not the user's here, or cannot be made.
    """
    user = _User(uid, gid, groups, private)
    for number, path in enumerate(paths):
        source = -1
        try:
            source = _staged(carried, number, path)
            is_directory = stat.S_ISDIR(os.fstat(source).st_mode)
            place = _place(path, is_directory, carried, user, where)
            try:
                flags = _MS_NOSUID | _MS_NODEV | _no_programs(place)
                _bind(f"/proc/self/fd/{source}", f"/proc/self/fd/{place}", flags)
            finally:
                os.close(place)
        except OSError as error:
            raise CannotMove(f"{path} cannot appear on {where}: {error.strerror}") from error
        finally:
            if source >= 0:
                os.close(source)


def look_up(paths: Sequence[str]) -> None:
    """Look up where `mount_carried` would put something, and change nothing. Blocks as file systems do."""
    for path in paths:
        with suppress(OSError):
            os.lstat(os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)))


def obstacle(path: str, uid: int, gids: Collection[int], where: str) -> str:
    """
    Return why files of a user could not appear at ``path`` here, a clause; empty when they can. Blocks
    briefly.

    This goes by owners and modes, and changes nothing; `mount_carried` tries it as the user.
    """
    if uid == 0:
        return ""
    try:
        with _looking_as(uid, min(gids, default=uid), gids):
            above = os.path.realpath(os.path.dirname(path))
            existing = _nearest((*_components(above), os.fsencode(os.path.basename(path))))
        try:
            found, parent = os.fstat(existing.descriptor), os.fstat(existing.parent)
            if existing.path == os.path.join(above, os.path.basename(path)):
                sticky = bool(parent.st_mode & stat.S_ISVTX) and uid not in (parent.st_uid, found.st_uid)
                replaceable = not sticky and _is_writable(parent, uid, gids)
                if not (replaceable or _is_writable(found, uid, gids)):
                    return f"{path} on {where} is not the user's to replace"
            elif not _is_writable(found, uid, gids):
                _check_free(existing, path, where, uid)
        finally:
            existing.close()
    except CannotMove as error:
        return str(error)
    except OSError as error:
        return f"{path} cannot appear on {where}: {error.strerror}"
    return ""


def _is_writable(found: os.stat_result, uid: int, gids: Collection[int]) -> bool:
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IWUSR)
    return bool(found.st_mode & (stat.S_IWGRP if found.st_gid in gids else stat.S_IWOTH))


def _staged(carried: int, number: int, path: str) -> int:
    """Return an open carried file or directory."""
    top = open_beneath(carried, (b"files",), os.O_PATH | os.O_DIRECTORY)
    try:
        names = (str(number).encode(), os.fsencode(os.path.basename(path)))
        source = open_beneath(top, names, os.O_PATH)
    finally:
        os.close(top)
    if stat.S_IFMT(os.fstat(source).st_mode) not in (stat.S_IFDIR, stat.S_IFREG):
        os.close(source)
        raise CannotMove(f"{path} is neither a file nor a directory: name the directory it is in")
    return source


def _place(path: str, is_directory: bool, carried: int, user: _User, where: str) -> int:
    """Return a descriptor of the place for a carried file. :raises CannotMove: there can be none."""
    with _looking_as(user.uid, user.gid, user.groups):
        above = os.path.realpath(os.path.dirname(path))
        names = (*_components(above), os.fsencode(os.path.basename(path)))
        existing = _nearest(names)
    try:
        if existing.depth == len(names):
            if stat.S_ISDIR(os.fstat(existing.descriptor).st_mode) != is_directory:
                kind = "a directory" if is_directory else "a file"
                raise CannotMove(f"{path} is {kind} at its home and something else on {where}")
            if not user.may_replace(existing):
                raise CannotMove(f"{path} on {where} is not the user's to replace")
            return os.dup(existing.descriptor)
        missing = names[existing.depth :]
        if user.may_write(existing.descriptor):
            user.make(existing.descriptor, missing, is_directory, carried, existing.path)
        else:
            _check_free(existing, path, where, user.uid)
            _make_copy(existing, missing, is_directory, path, carried, where)
        return open_beneath(_ROOT(), names, os.O_PATH)
    finally:
        existing.close()


class _Existing:
    """
    The nearest directory that exists, or the file itself.

    :ivar descriptor: of it, and ``parent`` of what it is in.
    :ivar depth: how many names of the path lead there.
    """

    def __init__(self, descriptor: int, parent: int, depth: int, path: str) -> None:
        self.descriptor = descriptor
        self.parent = parent
        self.depth = depth
        self.path = path

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self.parent)


def _ROOT() -> int:
    """Return a descriptor of the root directory, which stays open."""
    global _root
    if _root < 0:
        _root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return _root


_root = -1


def _components(path: str) -> tuple[bytes, ...]:
    return tuple(os.fsencode(name) for name in path.split("/") if name)


def _nearest(names: tuple[bytes, ...]) -> _Existing:
    parent, at = os.dup(_ROOT()), os.dup(_ROOT())
    for depth, name in enumerate(names):
        try:
            below = open_beneath(at, (name,), os.O_PATH)
        except FileNotFoundError:
            return _Existing(at, parent, depth, "/" + os.fsdecode(b"/".join(names[:depth])))
        os.close(parent)
        parent, at = at, below
    return _Existing(at, parent, len(names), "/" + os.fsdecode(b"/".join(names)))


def _looking_as(uid: int, gid: int, groups: Collection[int]) -> AbstractContextManager[None]:
    """Look places up with a user's rights: what is in a directory that is closed to it is not for it."""
    return nullcontext() if os.geteuid() else acting_as(uid, gid, tuple(groups))


def _no_programs(descriptor: int) -> int:
    """Return the flag of a mount of which no program can be executed, if a file is on one; else 0."""
    return os.statvfs(f"/proc/self/fd/{descriptor}").f_flag & _MS_NOEXEC


def _check_free(found: _Existing, path: str, where: str, uid: int) -> None:
    """
    Check that a directory that the user may not write can get something for the job.

    :raises CannotMove: it cannot.
    """
    existing = found.path
    if existing == "/":
        top = "/" + path.split("/")[1]
        raise CannotMove(f"{where} has no directory {top}: make it there, then {path} can be carried")
    own = [os.path.realpath(each) for each in (sys.prefix, sys.base_prefix, os.path.dirname(__file__))]
    system = existing.split("/")[1] in SYSTEM or any(_overlap(existing, each) for each in own)
    others = os.fstat(found.descriptor).st_uid not in (0, uid)
    if uid != 0 and (system or others):
        raise CannotMove(f"{where} has no {path}, and {existing} there is not the user's")


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


class _User:
    """The job's user: what it may do is tried by a child that has become it."""

    def __init__(self, uid: int, gid: int, groups: Sequence[int], private: Collection[str]) -> None:
        self.uid = uid
        self._private = private
        self.gid = gid
        self.groups = list(groups)

    def may_write(self, descriptor: int) -> bool:
        """Whether the user may write a directory or file."""
        return bool(self._try(lambda: os.access(f"/proc/self/fd/{descriptor}", os.W_OK)))

    def may_replace(self, existing: _Existing) -> bool:
        """Whether the user could have put something in the place of a file, or into a directory."""
        if self.uid == 0 or self.may_write(existing.descriptor):
            return True
        parent = os.fstat(existing.parent)
        sticky = bool(parent.st_mode & stat.S_ISVTX) and self.uid not in (
            parent.st_uid, os.fstat(existing.descriptor).st_uid
        )  # fmt: skip
        return not sticky and self.may_write(existing.parent)

    def make(
        self, at: int, missing: tuple[bytes, ...], is_directory: bool, carried: int, existing: str
    ) -> None:
        """
        Make the missing directories, and the file, as the user, and write down which they are.

        :raises OSError: the user may not.
        """

        def work() -> list[list[int]]:
            os.umask(0o77)
            here, made = at, []
            for name in missing[:-1] if not is_directory else missing:
                os.mkdir(name, 0o700, dir_fd=here)
                here = open_beneath(here, (name,), os.O_PATH | os.O_DIRECTORY)
                made.append(_identity(here))
            if not is_directory:
                made.append(_identity(os.open(missing[-1], _NEW, 0o600, dir_fd=here)))
            return made

        identities = self._try(work)
        if any(existing == place or existing.startswith(f"{place}/") for place in self._private):
            return  # they are removed with it
        top, stubs = existing.rstrip("/"), b""
        for name, identity in zip(missing, identities, strict=True):
            top = f"{top}/{os.fsdecode(name)}"
            stubs += json.dumps([top, *identity]).encode("ascii") + b"\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open("stubs", flags, 0o600, dir_fd=carried), "ab") as file:
            file.write(stubs)

    def _try(self, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returns in a child that has the user's rights. :raises OSError: it does."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                if os.geteuid() == 0 and self.uid != 0:
                    os.setgroups(self.groups)
                    os.setresgid(self.gid, self.gid, self.gid)
                    os.setresuid(self.uid, self.uid, self.uid)
                try:
                    told = [0, work()]
                except OSError as error:
                    told = [error.errno or 5, error.strerror]
                os.write(writing, json.dumps(told).encode())
            finally:
                os._exit(0)
        os.close(writing)
        data = b""
        while piece := os.read(reading, 4096):
            data += piece
        os.close(reading)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        number, value = json.loads(data or b'[5, "it ended"]')
        if number:
            raise OSError(number, value)
        return value


def _identity(descriptor: int) -> list[int]:
    found = os.fstat(descriptor)
    return [found.st_dev, found.st_ino]


def _make_copy(
    existing: _Existing, missing: tuple[bytes, ...], is_directory: bool, path: str, carried: int, where: str
) -> None:
    """Mount a read-only copy of a directory over it that has the missing names as well."""
    at = f"/proc/self/fd/{existing.descriptor}"
    readable = os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        names, no_programs = os.listdir(readable), _no_programs(readable)
        if len(names) > MAX_ENTRIES:
            raise CannotMove(
                f"{existing.path} on {where} has more than {MAX_ENTRIES} entries: make {path} there once, "
                "then it can be carried"
            )
        mode = stat.S_IMODE(os.fstat(readable).st_mode) & 0o777
        place = f"/proc/self/fd/{carried}/mount"
        copy = _new_tmpfs(place, mode)
        try:
            for name in names:
                _bind_entry(readable, copy, name)
            _make_missing(copy, missing, is_directory)
            _mount(f"/proc/self/fd/{copy}", at, None, _MS_BIND | _MS_REC)
        finally:
            os.close(copy)
            _detach(place)
    finally:
        os.close(readable)
    over = open_beneath(_ROOT(), _components(existing.path), os.O_PATH)
    try:
        flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | no_programs
        _mount(
            None,
            f"/proc/self/fd/{over}",
            None,
            _MS_REMOUNT | _MS_BIND | flags,
        )
    finally:
        os.close(over)


def _new_tmpfs(place: str, mode: int) -> int:
    """Mount a new tmpfs at ``place``, and return a descriptor of it."""
    os.makedirs(place, 0o700, exist_ok=True)
    _mount("tmpfs", place, "tmpfs", _MS_NOSUID | _MS_NODEV, f"mode={mode:o},size=1m")
    return os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _detach(place: str) -> None:
    if _libc.umount2(os.fsencode(place), _MNT_DETACH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _bind_entry(source: int, target: int, name: str) -> None:
    """Let an entry of a directory appear in its copy."""
    try:
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            return
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
        else:
            os.close(os.open(name, _NEW, 0o600, dir_fd=target))
        first = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        second = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)
        try:
            _mount(f"/proc/self/fd/{first}", f"/proc/self/fd/{second}", None, _MS_BIND | _MS_REC)
        finally:
            os.close(first)
            os.close(second)
    except FileNotFoundError:
        return  # removed meanwhile


def _make_missing(at: int, missing: tuple[bytes, ...], is_directory: bool) -> None:
    here = os.dup(at)
    for name in missing[:-1] if not is_directory else missing:
        os.mkdir(name, 0o755, dir_fd=here)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        os.fchmod(below, 0o755)
        os.close(here)
        here = below
    if not is_directory:
        os.close(os.open(missing[-1], _NEW, 0o644, dir_fd=here))
    os.close(here)


def _bind(source: str, target: str, flags: int) -> None:
    _mount(source, target, None, _MS_BIND)
    # The descriptor of the target names what is below the new mount: the mount itself is found by its path.
    path = os.readlink(target)
    over = open_beneath(_ROOT(), _components(path), os.O_PATH)
    try:
        _mount(None, f"/proc/self/fd/{over}", None, _MS_REMOUNT | _MS_BIND | flags)
    finally:
        os.close(over)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    result = _libc.mount(
        None if source is None else os.fsencode(source), os.fsencode(target),
        None if kind is None else kind.encode(), ctypes.c_ulong(flags), data.encode() or None,
    )  # fmt: skip
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
