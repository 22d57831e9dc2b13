"""
Brings the carried files of a job home: what the job changed, and nothing else.

Theory of operation. Three states of each file are compared: what it was when the job began (the base),
what it is at home now, and what the job left. A file that the job left as it was is not touched. One that
is at home as it was then is replaced by the job's, removed with it, or made anew. One that was changed at
home meanwhile is kept, and the job's version stands beside it under a name with a suffix. Merging again,
after an interruption, does the same and no more: what has the job's contents already is left alone.

A file is replaced by a rename, so that it is whole at any moment. This runs in a process that has become
the job's user, and works below directories that it has opened: no symbolic link is followed. Standard
library only.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from gomd.jobs.checkpoint.file_tree import ABSENT_TIME, next_data
from gomd.jobs.checkpoint.file_tree_codec import shown
from gomd.jobs.checkpoint.open_beneath import MAX_NAME, open_beneath
from gomd.jobs.supervisor.carried_base import Base, Identity, Path
from gomd.jobs.supervisor.carried_copy import (
    PIECE_BYTES,
    READ_FLAGS,
    copy_entry,
    names_in,
    remove_entry,
)


class Merge:
    """
    Merges one carried path after the other.

    :param base: see `gomd.jobs.supervisor.carried_base`. :param suffix: of names beside changed files.
    :param uid: of the job's user. :ivar notes: what a person should know, a clause each.
    :ivar failures: what could not be written, a clause each.
    """

    def __init__(self, base: Base, suffix: str, uid: int) -> None:
        self._base = base
        self._suffix = os.fsencode(suffix)
        self._uid = uid
        self._known: dict[Path, set[bytes]] = {}
        for path in base:
            self._known.setdefault(path[:-1], set()).add(path[-1])
        self._where = ""
        self.notes: list[str] = []
        self.failures: list[str] = []

    def merge(self, number: int, path: str, staged: int, home: int) -> None:
        """
        Merge one carried path.

        :param number: of it among the job's paths. :param path: at home. :param staged: the open
            directory in which the job's version lies. :param home: the open directory in which the path
            lies at home.
        """
        self._where = os.path.dirname(path).rstrip("/")
        name = os.fsencode(os.path.basename(path))
        self._entry((str(number).encode(), name), staged, home)

    # -- one entry

    def _entry(self, path: Path, staged: int, home: int) -> None:
        name = path[-1]
        try:
            theirs, ours = _identity(staged, name), _identity(home, name)
            base = self._base.get(path)
            if theirs is None:
                self._removed(path, home, ours, base)
            elif theirs.kind == stat.S_IFDIR:
                self._directory(path, staged, home, theirs, ours, base)
            else:
                self._file(path, staged, home, theirs, ours, base)
        except OSError as error:
            self.failures.append(f"{self._shown(path)}: {error.strerror}")

    def _file(
        self,
        path: Path,
        staged: int,
        home: int,
        theirs: Identity,
        ours: Identity | None,
        base: Identity | None,
    ) -> None:
        name = path[-1]
        if base is not None and base.was_left(theirs):
            return
        if path in self._base and base is None and _is_placeholder(theirs):
            return
        if ours is not None and _is_equal(staged, home, name, theirs, ours):
            return
        untouched = ours is None if base is None else ours is not None and base.is_same(ours)
        if untouched and (ours is None or ours.kind != stat.S_IFDIR) and self._is_own(home, name):
            copy_entry(staged, home, name, name, None if ours is None else self._group(home, name))
        else:
            self._beside(path, staged, home)

    def _directory(
        self,
        path: Path,
        staged: int,
        home: int,
        theirs: Identity,
        ours: Identity | None,
        base: Identity | None,
    ) -> None:
        name = path[-1]
        if ours is None and base is not None and not self._changed_below(path, staged):
            return  # removed at home, and the job did nothing with it
        if ours is not None and ours.kind != stat.S_IFDIR and base is not None and base.is_same(ours):
            os.unlink(name, dir_fd=home)  # the job has made a directory of it
            ours = base = None
        if (ours is None) != (base is None) and (ours is None or ours.kind != stat.S_IFDIR):
            self._beside(path, staged, home)
            return
        if ours is not None and ours.kind != stat.S_IFDIR:
            self._beside(path, staged, home)
            return
        if ours is None:
            os.mkdir(name, 0o700, dir_fd=home)
        below = open_beneath(staged, (name,), READ_FLAGS | os.O_DIRECTORY)
        try:
            at_home = open_beneath(home, (name,), READ_FLAGS | os.O_DIRECTORY)
            try:
                for each in sorted({*names_in(below), *self._known.get(path, ())}):
                    self._entry((*path, each), below, at_home)
                if ours is None or (base is not None and base.mode != theirs.mode and ours.mode == base.mode):
                    os.fchmod(at_home, theirs.mode & 0o1777)
            finally:
                os.close(at_home)
        finally:
            os.close(below)

    def _removed(self, path: Path, home: int, ours: Identity | None, base: Identity | None) -> None:
        """The job has removed what was there when it began."""
        if ours is None or base is None:
            return
        name = path[-1]
        if ours.kind == stat.S_IFDIR and base.kind == stat.S_IFDIR:
            below = open_beneath(home, (name,), READ_FLAGS | os.O_DIRECTORY)
            try:
                for each in sorted(self._known.get(path, ())):
                    inner = (*path, each)
                    self._removed(inner, below, _identity(below, each), self._base.get(inner))
            finally:
                os.close(below)
            try:
                os.rmdir(name, dir_fd=home)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                self.notes.append(f"{self._shown(path)} is kept: it has files that the job did not have")
        elif base.is_same(ours):
            os.unlink(name, dir_fd=home)
        else:
            self.notes.append(f"{self._shown(path)} was changed here and removed by the job: it is kept")

    def _beside(self, path: Path, staged: int, home: int) -> None:
        """Put the job's version beside what is at home."""
        name = path[-1]
        beside = name[: MAX_NAME - len(self._suffix)] + self._suffix
        remove_entry(home, beside)
        copy_entry(staged, home, name, beside)
        self.notes.append(
            f"{self._shown(path)} was changed here meanwhile and is kept: the job's version is "
            f"{self._shown((*path[:-1], beside))}"
        )

    def _changed_below(self, path: Path, staged: int) -> bool:
        """Whether the job changed anything in a directory, or in one below it."""
        below = open_beneath(staged, path[-1:], READ_FLAGS | os.O_DIRECTORY)
        try:
            names = set(names_in(below))
            if names != self._known.get(path, set()):
                return True
            for name in names:
                inner = (*path, name)
                theirs, base = _identity(below, name), self._base.get(inner)
                if theirs is None or base is None or not base.was_left(theirs):
                    return True
                if theirs.kind == stat.S_IFDIR and self._changed_below(inner, below):
                    return True
            return False
        finally:
            os.close(below)

    def _is_own(self, home: int, name: bytes) -> bool:
        """Whether what is to be replaced at home belongs to the user, or nothing is there."""
        try:
            return os.stat(name, dir_fd=home, follow_symlinks=False).st_uid == self._uid
        except FileNotFoundError:
            return True

    def _group(self, home: int, name: bytes) -> int | None:
        """Return the group of what is replaced at home, which the new file keeps."""
        with suppress(FileNotFoundError):
            return os.stat(name, dir_fd=home, follow_symlinks=False).st_gid
        return None

    def _shown(self, path: Path) -> str:
        return f"{shown([os.fsencode(self._where)]) if self._where else ''}/{shown(path[1:])}"


def _identity(directory: int, name: bytes) -> Identity | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    target = os.fsdecode(os.readlink(name, dir_fd=directory)) if stat.S_ISLNK(found.st_mode) else ""
    return Identity.of(found, target)


def _is_placeholder(theirs: Identity) -> bool:
    """Whether the job has not touched the empty file that stood for an output file."""
    return theirs.kind == stat.S_IFREG and theirs.size == 0 and theirs.mtime == ABSENT_TIME


def _is_equal(staged: int, home: int, name: bytes, theirs: Identity, ours: Identity) -> bool:
    """Whether both have the same contents and mode already."""
    if theirs.kind != ours.kind or theirs.target != ours.target:
        return False
    if theirs.kind != stat.S_IFREG:
        return theirs.kind in (stat.S_IFLNK, stat.S_IFIFO)
    if theirs.size != ours.size or theirs.mode & 0o1777 != ours.mode & 0o1777:
        return False
    first = open_beneath(staged, (name,), READ_FLAGS)
    try:
        second = open_beneath(home, (name,), READ_FLAGS)
        try:
            at = 0
            while at < theirs.size:  # what is a hole in both, whatever its size, is not read
                at = min(next_data(each, at, theirs.size)[0] for each in (first, second))
                if os.pread(first, PIECE_BYTES, at) != os.pread(second, PIECE_BYTES, at):
                    return False
                at += PIECE_BYTES
            return True
        finally:
            os.close(second)
    finally:
        os.close(first)
