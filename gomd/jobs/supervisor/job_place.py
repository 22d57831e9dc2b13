"""
What a job has on this machine: a directory, what it carries along, a cgroup, its own temporary directories.

All of it is made before the job begins, and removed when its supervisor ends. Standard library only.
"""

from __future__ import annotations

from contextlib import suppress

from gomd.jobs.supervisor.job_directory import JobDirectory, carried_directory, make_job_directory
from gomd.jobs.supervisor.job_group import JobGroup, NoLimit, group_of
from gomd.jobs.supervisor.own_directories import own_directories, show_carried, show_named
from gomd.jobs.supervisor.private_dirs import STORED, PrivateDirectories
from gomd.jobs.supervisor.spawn import CannotStart, SupervisorEnvironment
from libgomd.errors import CannotMove
from libgomd.private import open_private_directory
from libgomd.wire.job_messages import SpawnSpec


class JobPlace:
    """
    Makes and enters the job's directory; the rest is made by `prepare`, or by whoever restores the job.

    :ivar directory: the job's directory. :ivar carried: the open directory of what the job carries along, -1
        where that is not. :ivar group: its cgroup, :ivar private: its temporary directories; both None while
        it has none.
    :param spec: names the directory, which is there already when the job has come with images.
    :raises OSError: the directory cannot be made or entered, or belongs to another user.
    """

    def __init__(self, spec: SpawnSpec) -> None:
        make_job_directory(spec.directory, may_exist=bool(spec.images))
        self.directory = JobDirectory(spec.directory)
        self.carried = -1
        with suppress(FileNotFoundError):  # most jobs carry nothing along
            self.carried = open_private_directory(carried_directory(spec.directory))
        self.group: JobGroup | None = None
        self.private: PrivateDirectories | None = None

    def prepare(self, spec: SpawnSpec, environment: SupervisorEnvironment) -> None:
        """
        Give the cgroup and the files to a job that begins here. Blocks, see `own_directories`.

        :raises CannotStart: something cannot be had; `remove_group` and `remove_private` remove the rest.
        """
        try:
            self.group = group_of(spec)
        except NoLimit as error:
            raise CannotStart(405, f"its memory cannot be limited on {spec.where}: {error}") from error
        self.private = own_directories(spec, environment, self.directory.descriptor)
        if self.private is not None:
            show_named(self.private, spec)
        try:
            show_carried(spec, environment, self.carried, self.private)
        except CannotMove as error:
            raise CannotStart(405, str(error)) from error

    def cover_anew(self, spec: SpawnSpec) -> PrivateDirectories:
        """
        Give empty temporary directories to a job that is restored here, and return them. Blocks.

        :raises OSError: there can be none.
        """
        for name in STORED.values():
            self.directory.remove_below(name)
        private = PrivateDirectories(self.directory.descriptor, spec.uid, spec.gid, spec.groups)
        self.private = private
        return private

    def remove_private(self) -> None:
        """Remove the job's temporary directories: nothing of it runs any more."""
        if self.private is not None:
            self.private.uncover()
            with suppress(OSError):  # whoever removes the job's directory tries again
                for name in STORED.values():
                    self.directory.remove_below(name)

    def remove_group(self) -> None:
        """Remove the job's cgroup. Blocks until the last process has left it, a second at most."""
        group, self.group = self.group, None
        if group is not None:
            group.remove()

    def leave(self, has_output: bool) -> None:
        """
        Remove the job's directory.

        :param has_output: it has output that a caller may still come for: only the socket in it is removed.
        """
        if has_output:
            self.directory.remove_socket()
        else:
            self.directory.remove()
