"""
The temporary directories that only one job has: its /tmp, /var/tmp and /dev/shm, and what else is seen there.

Theory of operation. In the job's mount namespace, JOB/tmp and JOB/vartmp are bound on /tmp and /var/tmp, and
a file system in memory is mounted on /dev/shm, all of them without set-id bits and devices. What the job
names below the machine's own directories is then bound into the private ones, at its own path. It is looked
up with the rights of the job's user, so that nobody gets to see by this what they could not reach themselves,
and below the directories as they were opened before they were covered. There, too, set-id bits mean nothing:
what is behind a link of the user's gets a path in this way, and beside that path the user may put anything
which a program looks for beside itself.

The supervisor shares the mount namespace. Its own paths below the covered directories, such as that of a
spool in /tmp, no longer lead anywhere; `outside` gives names for them that still do. The supervisor is
process 1 of its namespace, so these names lead through its open directories in /proc/1/fd.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from gomd.jobs.checkpoint.open_beneath import has_openat2, open_beneath, open_named
from gomd.jobs.checkpoint.private_mounts import TEMPORARY, PrivateView, place_of, private_view
from gomd.jobs.supervisor.kernel import bind, bind_for_user, detach, ignore_set_id, mount_tmpfs_for_user
from gomd.jobs.supervisor.named_paths import NamedPath, outermost

#: The name of each private directory in the directory of its job; the one in memory has none.
STORED: Final[Mapping[str, str]] = {"/tmp": "tmp", "/var/tmp": "vartmp"}  # noqa: S108
#: What of the machine's directories is shown to one job at most.
MAX_SHOWN: Final = 1000
_MODE: Final = 0o1777
#: What criu calls a link that it makes for a file whose name was removed.
_LINK: Final = re.compile(rb"link_remap\.[0-9]+")
#: What is said of a path that leads nowhere, or that is closed to the user.
_NOTHING_THERE: Final = (errno.ENOENT, errno.EACCES)
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class TooManyNamed(OSError):
    """A job names more files in the machine's temporary directories than can be shown to it."""


class PrivateDirectories:
    """
    Covers the machine's temporary directories in this mount namespace, for good. Blocks briefly.

    :param job: the open directory of the job. :param uid, gid, groups: the job's user.
    :raises OSError: the kernel or the disk does not allow it.
    """

    def __init__(self, job: int, uid: int, gid: int, groups: Iterable[int]) -> None:
        self._user = uid, gid, tuple(groups)
        self._covered: dict[str, int] = {}
        for place in TEMPORARY:
            with suppress(OSError):  # this machine has none
                if os.path.realpath(place) == place:
                    self._covered[place] = os.open(place, _DIRECTORY)
        self._mounted: tuple[str, ...] = tuple(self._covered)
        for place, opened in self._covered.items():
            no_programs = bool(os.statvfs(f"/proc/self/fd/{opened}").f_flag & os.ST_NOEXEC)
            if place in STORED:
                os.mkdir(STORED[place], 0o700, dir_fd=job)
                os.chmod(STORED[place], _MODE, dir_fd=job)
                bind_for_user(f"/proc/self/fd/{job}/{STORED[place]}", place, no_programs)
            else:
                mount_tmpfs_for_user(place, no_programs)
        self._import_from_outside()

    @property
    def places(self) -> tuple[str, ...]:
        """The directories that are the job's own."""
        return tuple(self._covered)

    def outside(self, path: str) -> str:
        """Return a name under which ``path`` leads where it did before, for all processes in here."""
        place = place_of(path)
        if place not in self._covered:
            return path
        return f"/proc/1/fd/{self._covered[place]}{path[len(place) :]}"

    def _import_from_outside(self) -> None:
        """Have this process, which is root's, import nothing of the job's from the covered places."""
        packages = (getattr(module, "__dict__", {}).get("__path__") for module in list(sys.modules.values()))
        for paths in (sys.path, *packages):
            if isinstance(paths, list):
                paths[:] = [self.outside(each) if isinstance(each, str) else each for each in paths]

    def uncover(self) -> None:
        """Take the mounts away: what a directory is mounted on cannot be removed. May be called twice."""
        for place in self._mounted:
            with suppress(OSError):
                detach(place)
        self._mounted = ()

    def show(self, named: Iterable[NamedPath]) -> None:
        """
        Let the job see what it names of the machine's own directories; what is not there is left out.

        Of a file that is to be written anew, the directory is shown, if that is not one of the covered ones
        itself.

        :raises TooManyNamed: it is too much. :raises OSError: it cannot be shown.
        """
        found = {self._existing(each) for each in named} - {""}
        paths = outermost(found)
        if len(paths) > MAX_SHOWN:
            raise TooManyNamed(
                errno.E2BIG,
                f"it names {len(paths)} files in temporary directories, and can be shown {MAX_SHOWN} of them",
            )
        self.show_paths(paths)

    def are_near(self, named: Iterable[NamedPath]) -> bool:
        """
        Whether these paths neither leave the file systems of the covered directories nor meet a link.

        Looking them up then waits for nothing that covering has not asked already.
        """
        if not has_openat2():
            return False
        with self._as_user():
            return all(self._is_near(each.path) for each in named)

    def _is_near(self, path: str) -> bool:
        top = self._covered.get(place := place_of(path))
        if top is None or path == place:
            return True
        try:
            names = tuple(map(os.fsencode, path[len(place) + 1 :].split("/")))
            opened = open_beneath(top, names, os.O_PATH, crossing=False)
        except OSError as error:
            return error.errno in _NOTHING_THERE
        except ValueError:  # a component that is no name
            return False
        try:
            return not stat.S_ISLNK(os.fstat(opened).st_mode)
        finally:
            os.close(opened)

    def reach(self, named: Iterable[NamedPath]) -> None:
        """Look up what `show` would show, and change nothing. Blocks as the file systems do."""
        for each in named:
            self._existing(each)

    def show_paths(self, paths: Iterable[str]) -> None:
        """
        Show these paths, those of them that are here; what lies below another one of them is there with it.

        :raises OSError: they cannot be shown.
        """
        for path in outermost(paths):
            place = place_of(path)
            if place in self._covered:
                self._show(place, path)

    def view(self) -> PrivateView:
        """Return what the job sees now. :raises OSError: the kernel does not tell."""
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return PrivateView(self.places, private_view(file.read(), "").shown)

    def remove_link_remaps(self, since: int) -> None:
        """
        Remove the links that criu made for files whose names had been removed. Blocks.

        :param since: when the job was frozen, in nanoseconds as files have it. Older ones are the job's.
        """
        for place in self._covered:
            top = os.open(place, _DIRECTORY)
            try:
                waiting: list[tuple[bytes, ...]] = [()]
                while waiting:
                    with suppress(OSError):  # it is gone, or its path too long for what criu does
                        waiting += _remove_links(top, waiting.pop(), since)
            finally:
                os.close(top)

    def is_there(self, path: str) -> bool:
        """
        Whether the job sees anything at ``path``, with its user's rights.

        What is shown of the machine's, or behind a link, counts as there unseen: it may be on a file system
        that never answers.
        """
        place = place_of(path)
        if place not in self._covered or not self.view().has(path):
            return True
        try:
            self._open_own(place, path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError):  # a link, or no path that leads down: the job printed it
            return True
        return True

    def is_own(self, path: str) -> bool:
        """
        Whether ``path``, there or not yet, is in one of these directories: behind no link, and in nothing
        that is shown. While no process of the job is there, nobody but root can change that.
        """
        place = place_of(path)
        if place not in self._covered:
            return False
        names = tuple(map(os.fsencode, path[len(place) + 1 :].split("/")))
        top = os.open(place, _DIRECTORY)
        try:
            opened = open_beneath(top, names, os.O_PATH, crossing=False)
        except FileNotFoundError:
            return True
        except (OSError, ValueError):
            return False
        finally:
            os.close(top)
        try:
            return not stat.S_ISLNK(os.fstat(opened).st_mode)
        finally:
            os.close(opened)

    def is_left_behind(self, path: str) -> bool:
        """Whether a file is at ``path`` that is removed with these directories; unless it is empty."""
        place = place_of(path)
        if place not in self._covered:
            return False
        try:
            found = self._open_own(place, path)
        except (OSError, ValueError):
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size > 0

    def _open_own(self, place: str, path: str) -> os.stat_result:
        """Stat ``path``, following no links and crossing no mounts. :raises OSError: there is nothing."""
        names = tuple(map(os.fsencode, path[len(place) + 1 :].split("/")))
        with self._as_user():
            top = os.open(place, _DIRECTORY)
            try:
                opened = open_beneath(top, names, os.O_PATH, crossing=False)
                try:
                    return os.fstat(opened)
                finally:
                    os.close(opened)
            finally:
                os.close(top)

    def _existing(self, named: NamedPath) -> str:
        """Return the path, or the nearest directory above it that is here; empty when there is none."""
        path = named.path
        while (place := place_of(path)) in self._covered:
            with self._as_user():
                try:
                    opened = open_named(self._covered[place], path[len(place) + 1 :], os.O_PATH)
                    try:
                        found = os.fstat(opened)
                    finally:
                        os.close(opened)
                except OSError:
                    found = None
            if found is not None:
                return "" if named.only_file and stat.S_ISDIR(found.st_mode) else path
            if named.only_file:
                return ""
            path = os.path.dirname(path)
        return ""

    def _show(self, place: str, path: str) -> None:
        """Bind one file or directory into the private directory."""
        rest = path[len(place) + 1 :]
        try:
            with self._as_user():
                source = open_named(self._covered[place], rest, os.O_PATH)
        except OSError:
            return  # it is gone, or closed to the user
        top = os.open(place, _DIRECTORY)
        try:
            is_directory = stat.S_ISDIR(os.fstat(source).st_mode)
            target = self._stub(top, rest.split("/"), is_directory)
            try:
                bind(f"/proc/self/fd/{source}", f"/proc/self/fd/{target}")
            finally:
                os.close(target)
            shown = open_beneath(top, tuple(map(os.fsencode, rest.split("/"))), os.O_PATH)
            try:
                ignore_set_id(shown)
            finally:
                os.close(shown)
        finally:
            os.close(top)
            os.close(source)

    def _stub(self, top: int, names: list[str], is_directory: bool) -> int:
        """Return the place to bind a file or directory on; what is missing of its path is made."""
        uid, gid, _groups = self._user
        here = os.dup(top)
        try:
            for at, name in enumerate(names):
                if is_directory or at < len(names) - 1:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o755, dir_fd=here)
                        os.chown(name, uid, gid, dir_fd=here, follow_symlinks=False)
                else:
                    with suppress(FileExistsError):
                        flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                        os.close(os.open(name, flags, 0o600, dir_fd=here))
                        os.chown(name, uid, gid, dir_fd=here, follow_symlinks=False)
                # No further than the private directory: what is shown in it is the machine's.
                below = open_beneath(here, (os.fsencode(name),), os.O_PATH, crossing=False)
                os.close(here)
                here = below
        except BaseException:
            os.close(here)
            raise
        return here

    @contextmanager
    def _as_user(self) -> Iterator[None]:
        """Look up paths with the rights of the job's user. This process has one thread."""
        uid, gid, groups = self._user
        if os.geteuid() != 0 or uid == 0:
            yield
            return
        own_groups, own_gid = os.getgroups(), os.getegid()
        os.setgroups(groups)
        os.setegid(gid)
        os.seteuid(uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(own_gid)
            os.setgroups(own_groups)


def _remove_links(top: int, path: tuple[bytes, ...], since: int) -> list[tuple[bytes, ...]]:
    """Remove criu's links in a directory below ``top``; return the directories in it."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    here = open_beneath(top, path, flags, crossing=False) if path else os.open(".", flags, dir_fd=top)
    try:
        below = []
        with os.scandir(here) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    below.append((*path, name))
                elif _LINK.fullmatch(name) and entry.stat(follow_symlinks=False).st_ctime_ns >= since:
                    os.unlink(name, dir_fd=here)
        return below
    finally:
        os.close(here)
