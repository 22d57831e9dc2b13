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
  finds. The user could not have put anything there, and a set-id program may look for a library or its
  settings in just that place. So a user's job that carries files begins with no_new_privs: in it set-id
  programs have no more rights than the user. It moves with the job, and no copy is shown to one without it.

Each place is looked up with the user's rights and opened without following links, these rights are checked
on that descriptor, and it is what is mounted on, so nothing can be exchanged in between. Standard library
only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Sequence
from contextlib import suppress

from gomd.jobs.checkpoint.open_beneath import open_beneath
from gomd.jobs.supervisor.carried_place import (
    check_free,
    looking_as,
    nearest_existing,
    path_components,
    root_directory,
)
from gomd.jobs.supervisor.directory_copy import mount_copy
from gomd.jobs.supervisor.mount_calls import MS_NODEV, MS_NOSUID, bind_at, no_programs
from gomd.jobs.supervisor.user_rights import UserRights
from libgomd.errors import CannotMove


def mount_carried(
    paths: Sequence[str],
    carried: int,
    uid: int,
    gid: int,
    groups: Sequence[int],
    where: str,
    private: Collection[str] = (),
) -> bool:
    """
    Bind the carried files onto ``paths``. The caller is root, in a mount namespace of the job's own.
    Blocks briefly.

    :returns: whether the job sees one of them where its user could have put nothing.

    :param carried: the open directory of the carried files, see `gomd.jobs.supervisor.carrier`.
    :param where: this node, for errors. :param private: directories that are the job's own, and end with it.
    :raises CannotMove: a path is not the user's here, or cannot be made.
    """
    user = UserRights(uid, gid, groups, private)
    is_copied = False
    for number, path in enumerate(paths):
        source = -1
        try:
            source = _staged(carried, number, path)
            is_directory = stat.S_ISDIR(os.fstat(source).st_mode)
            place, has_copy = _place(path, is_directory, carried, user, where)
            is_copied = is_copied or has_copy
            try:
                flags = MS_NOSUID | MS_NODEV | no_programs(place)
                bind_at(f"/proc/self/fd/{source}", f"/proc/self/fd/{place}", flags)
            finally:
                os.close(place)
        except OSError as error:
            raise CannotMove(f"{path} cannot appear on {where}: {error.strerror}") from error
        finally:
            if source >= 0:
                os.close(source)
    return is_copied


def look_up(paths: Sequence[str]) -> None:
    """Look up where `mount_carried` would put something, and change nothing. Blocks as file systems do."""
    for path in paths:
        with suppress(OSError):
            os.lstat(os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)))


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


def _place(path: str, is_directory: bool, carried: int, user: UserRights, where: str) -> tuple[int, bool]:
    """
    Return a descriptor of the place for a carried file, and whether it is in a copy of a directory.

    :raises CannotMove: there can be none.
    """
    with looking_as(user.uid, user.gid, user.groups):
        above = os.path.realpath(os.path.dirname(path))
        names = (*path_components(above), os.fsencode(os.path.basename(path)))
        existing = nearest_existing(names)
    try:
        if existing.depth == len(names):
            if stat.S_ISDIR(os.fstat(existing.descriptor).st_mode) != is_directory:
                kind = "a directory" if is_directory else "a file"
                raise CannotMove(f"{path} is {kind} at its home and something else on {where}")
            if not user.may_replace(existing):
                raise CannotMove(f"{path} on {where} is not the user's to replace")
            return os.dup(existing.descriptor), False
        missing, is_copied = names[existing.depth :], False
        if user.may_write(existing.descriptor):
            user.make(existing.descriptor, missing, is_directory, carried, existing.path)
        else:
            check_free(existing, path, where, user.uid)
            mount_copy(existing, missing, is_directory, path, carried, where)
            is_copied = True
        return open_beneath(root_directory(), names, os.O_PATH), is_copied
    finally:
        existing.close()
