"""
The files of the tree about jobs, with openMosix's contents.

``/proc/hpc/remote`` is about guests. ``/proc/PID/where`` and the files beside it are about processes of jobs
that run here, and about those of this home that run on other nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from gomd.interfaces import ICollector, IJobOwnership, IJobs, IMembership, JobHere
from libgomd.errors import NotFound
from libgomd.model import Caller, Job
from libgomd.wire.text import printable
from libgomd.wire.tree import CLUSTER_FILES, REMOTE_FILES, Kind, TreePath

#: Clock ticks per second, the unit of openMosix.
_TICKS_PER_SECOND = 100


class Guests:
    """
    Answers for paths about jobs.

    :param ownership: tells which job a process belongs to; None where openMosix's kernel knows all of that.
    """

    def __init__(
        self, jobs: IJobs, collector: ICollector, members: IMembership, ownership: IJobOwnership | None = None
    ) -> None:
        self._jobs = jobs
        self._collector = collector
        self._members = members
        self._ownership = ownership

    def at_home(self, path: TreePath) -> TreePath:
        """Return ``path`` with the present pid of its process, if it has one from before a move."""
        if path.number is None or path.parts[0] == "hpc":
            return path
        pid = self._jobs.pid_here(path.number)
        return path if pid == path.number else TreePath((str(pid), *path.parts[1:]), path.kind, pid)

    def list_directory(self, path: TreePath) -> Sequence[str] | None:
        """Return the names in a directory about guests or a process on another node; None for other paths."""
        if path.parts == ("hpc", "remote"):
            return [str(guest.pid) for guest in self._guests()]
        if path.parts[:2] == ("hpc", "remote"):
            self._find(path.number)
            return REMOTE_FILES
        if path.number is not None and self._elsewhere(path.number) and len(path.parts) == 1:
            return CLUSTER_FILES
        return None

    async def read_file(self, path: TreePath, caller: Caller) -> bytes | None:
        """Return the content of a file about guests or a process on another node; None for other paths."""
        if path.kind is Kind.REMOTE:
            return await self._remote(self._find(path.number), path.name)
        if path.kind is Kind.CLUSTER and path.number is not None:
            job = self._elsewhere(path.number)
            if job is not None:
                return _cluster_file(job, path.name)
        return None

    async def as_job(self, path: TreePath, data: bytes) -> bytes:
        """
        Return the content of ``path`` for a process of a job here, else ``data``, the content from the
        source.
        """
        if (
            path.kind is not Kind.CLUSTER
            or path.number is None
            or self._ownership is None
            or not self._jobs.here()
        ):
            return data
        job = await self._ownership.job_of(path.number)
        if job is None:
            return data
        own = self._members.own_id
        values = {
            "where": 0 if job.home == own else own,
            "nmigs": job.nmigs,
            "lock": int(job.lock or data.strip() == b"1"),
            "cantmove": job.cantmove,
        }
        return f"{values[path.name]}\n".encode()

    def _guests(self) -> list[JobHere]:
        return sorted(
            (job for job in self._jobs.here() if job.home != self._members.own_id), key=lambda job: job.pid
        )

    def _find(self, pid: int | None) -> JobHere:
        for guest in self._guests():
            if guest.pid == pid:
                return guest
        raise NotFound(f"there is no guest {pid} on this node")

    def _elsewhere(self, pid: int) -> Job | None:
        job = self._jobs.of_pid(pid)
        return job if job is not None and job.node != self._members.own_id else None

    async def _remote(self, guest: JobHere, name: str) -> bytes:
        if name == "from":
            return f"{guest.home:<5} {self._address(guest.home)}\n".encode()
        if name == "identity":
            lines = (
                f"pid={guest.pid_at_home}", f"uid={guest.uid}", f"gid={guest.gid}", f"pgrp={guest.pid}",
                f"session={guest.pid}", f"nmigs={guest.nmigs}", f"command={printable(guest.command)}",
            )  # fmt: skip
            return "".join(f"{line}\n" for line in lines).encode()
        process = await self._collector.process(guest.pid)
        numbers = (
            f"utime={round((process.cpu_seconds or 0.0) * _TICKS_PER_SECOND)}", "cutime=0",
            f"nice={process.nice or 0}",
            f"state={process.state}", f"vsize={process.vsize or 0}", f"rss={process.rss or 0}",
            "nswap=0", "cnswap=0",
        )  # fmt: skip
        return "".join(f"{number}\n" for number in numbers).encode()

    def _address(self, node_id: int) -> str:
        try:
            return self._members.find(str(node_id)).address
        except NotFound:
            return "-"


def _cluster_file(job: Job, name: str) -> bytes:
    values = {"where": job.node, "nmigs": job.nmigs, "lock": int(job.lock), "cantmove": job.cantmove}
    if name not in values:
        raise NotFound(f"{name} of process {job.pid} can only be written")
    return f"{values[name]}\n".encode()
