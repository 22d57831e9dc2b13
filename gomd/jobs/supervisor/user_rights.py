"""Tests what a job's user may write or create, in a child that has become that user. Calls block briefly."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from gomd.jobs.checkpoint.open_beneath import open_beneath
from gomd.jobs.supervisor.carried_place import NEW_FILE, ExistingPath
from gomd.jobs.supervisor.stubs import STUBS


class UserRights:
    """
    The job's user, and what that user may do.

    :param private: directories that are the job's own, and end with it: nothing made in them is written down.
    """

    def __init__(self, uid: int, gid: int, groups: Sequence[int], private: Collection[str]) -> None:
        self.uid = uid
        self._private = private
        self.gid = gid
        self.groups = list(groups)

    def may_write(self, descriptor: int) -> bool:
        """Whether the user may write a directory or file."""
        return bool(self._try(lambda: os.access(f"/proc/self/fd/{descriptor}", os.W_OK)))

    def may_replace(self, existing: ExistingPath) -> bool:
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
                made.append(_identity(os.open(missing[-1], NEW_FILE, 0o600, dir_fd=here)))
            return made

        identities = self._try(work)
        if any(existing == place or existing.startswith(f"{place}/") for place in self._private):
            return  # they are removed with it
        top, stubs = existing.rstrip("/"), b""
        for name, identity in zip(missing, identities, strict=True):
            top = f"{top}/{os.fsdecode(name)}"
            stubs += json.dumps([top, *identity]).encode("ascii") + b"\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(STUBS, flags, 0o600, dir_fd=carried), "ab") as file:
            file.write(stubs)

    def _try(self, work: Callable[[], Any]) -> Any:
        """Do ``work`` in a child with the user's rights; return its result. :raises OSError: as ``work``."""
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
