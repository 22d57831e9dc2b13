"""The directory of one job, HOME-JOB in `[jobs] spool`, from inside: its supervisor's current directory."""

from __future__ import annotations

import json
import os
from contextlib import suppress

from gomd.jobs.checkpoint.remove_tree import remove_entry
from libgomd.private import create_private, make_private_directory, open_private, open_private_directory
from libgomd.wire.job_messages import JobExit, JobReport, from_json, to_json

#: The names in it, beside those of a `gomd.jobs.supervisor.file_store.FileStore`.
SOCKET, JOB, EXIT = "socket", "job", "exit"


def make_job_directory(path: str, may_exist: bool) -> None:
    """
    Make the directory ``path``, and the one it is in where that is missing.

    :param may_exist: one that is there is good: of a detached job that comes home, with its output.
    :raises OSError: it cannot be made, or belongs to another user.
    """
    make_private_directory(os.path.dirname(path))
    if may_exist:
        make_private_directory(path)
    else:
        os.mkdir(path, 0o700)


def carried_directory(path: str) -> str:
    """Return where the files are that the job with the directory ``path`` carries along: beside that."""
    return f"{path}.carry"


class JobDirectory:
    """
    Enters the directory ``path``, which is this user's alone.

    :ivar descriptor: the open directory.
    :raises OSError: it is not there, or belongs to another user.
    """

    def __init__(self, path: str) -> None:
        self._name = os.path.basename(path)
        #: Its place in the file system may be covered, for this process, by a directory of the job's own.
        self._parent = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.descriptor = open_private_directory(path)
        os.fchdir(self.descriptor)

    def write(self, name: str, value: JobReport | JobExit, on_disk: bool) -> None:
        """
        Write one file, all of it or none.

        A full disk is no error: whoever is connected is told the value as well, and that is what counts.

        :param on_disk: wait until it is on the disk. Blocks as disks do.
        """
        with suppress(OSError):
            with open(create_private(f"{name}.new"), "w", encoding="ascii") as file:
                json.dump(to_json(value), file)
                if on_disk:
                    file.flush()
                    os.fsync(file.fileno())
            os.rename(f"{name}.new", name)

    def read_exit(self) -> JobExit | None:
        """Return how the job ended, None while that is not written. :raises MalformedFrame: it is damaged."""
        try:
            with open(open_private(EXIT), encoding="ascii") as file:
                return from_json(JobExit, json.load(file))
        except FileNotFoundError:
            return None

    def has_socket(self) -> bool:
        """Whether the socket has its name: without it no daemon can connect."""
        return os.path.lexists(SOCKET)

    def remove_socket(self) -> None:
        """Remove the socket's name; it may be gone, as output is removed to make room."""
        with suppress(FileNotFoundError):
            os.unlink(SOCKET)

    def remove(self) -> None:
        """Remove the directory and all that is in it. Blocks as long as that takes."""
        remove_entry(self._parent, self._name)

    def remove_below(self, name: str) -> None:
        """Remove one directory in it with all that is in that; nothing happens if it is not there."""
        remove_entry(self.descriptor, name)
