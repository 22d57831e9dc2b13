"""The jobs that run on this node: their supervisors, and the directory each of them has in the spool."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from gomd.jobs.framestream import FrameStream
from gomd.jobs.launching import Launcher
from gomd.jobs.request import Account, JobRequest
from libgomd.wire import frames


class Supervisors:
    """
    :param spool: the directory of the jobs' directories. :param spool_bytes: output that is kept of a
        detached job, of each of its two streams.
    :param namespaces: jobs get namespaces of their own.
    :param where: this node, as errors name it: ``node 3 gamma``.
    """

    def __init__(
        self, launcher: Launcher, spool: str, spool_bytes: int, namespaces: bool, where: str
    ) -> None:
        self._launcher = launcher
        self._spool = spool
        self.spool_bytes = spool_bytes
        self._namespaces = namespaces
        self._where = where

    def directory(self, name: str) -> str:
        """Return the directory of the job ``name``."""
        return os.path.join(self._spool, name)

    def start(
        self, name: str, request: JobRequest, account: Account, detach: bool, now: float
    ) -> FrameStream:
        """
        Start a job; its supervisor tells what came of it.

        :param detach: its output is kept here. :param now: seconds since the epoch.
        :raises InternalError: there can be no supervisor.
        """
        spec = {
            **request.values(), "id": name, "directory": self.directory(name), "detach": detach,
            "uid": account.uid, "gid": account.gid, "groups": account.groups, "user": account.user,
            "where": self._where, "spool_bytes": self.spool_bytes, "lock": bool(request.lock), "nmigs": 0,
            "began": now,
        }  # fmt: skip
        stream = self._launcher.supervisor(self._namespaces)
        stream.send(frames.encode_json(frames.SPEC, spec))
        return stream

    def bring_up(
        self,
        name: str,
        images: str,
        criu: str,
        *,
        detach: bool,
        lock: bool,
        nmigs: int,
        pid_at_home: int | None = None,
        uid: int | None = None,
    ) -> FrameStream:
        """
        Bring a job up, stopped, from the images of it; its supervisor tells what came of it.

        As long as it has not told, closing the connection ends what it does.

        :param images: their directory. :param criu: the program. :param detach: its output is kept here.
        :param pid_at_home: its number there, None when it never was a process of its home.
        :param uid: whom it was offered for: one that turns out to be somebody else's is not brought up.
        :raises InternalError: there can be no supervisor.
        """
        spec = {
            "id": name, "directory": self.directory(name), "images": images, "criu": criu, "detach": detach,
            "where": self._where, "spool_bytes": self.spool_bytes, "lock": lock, "nmigs": nmigs,
            "pid_at_home": pid_at_home,
        }  # fmt: skip
        spec["expected_uid"] = uid
        stream = self._launcher.supervisor(self._namespaces)
        stream.send(frames.encode_json(frames.SPEC, spec))
        return stream

    def find(self, name: str) -> FrameStream:
        """Return a new connection to the supervisor of a job. :raises OSError: there is none."""
        return self._launcher.connect(os.path.join(self.directory(name), "socket"))

    def view(self, name: str) -> FrameStream:
        """Return a supervisor that shows what is kept of a job's output."""
        spec = {
            "view": True, "detach": True, "directory": self.directory(name), "spool_bytes": self.spool_bytes,
        }  # fmt: skip
        stream = self._launcher.supervisor(namespace=False)
        stream.send(frames.encode_json(frames.SPEC, spec))
        return stream

    def read(self, name: str, file: str) -> dict[str, Any] | None:
        """Return what a supervisor wrote into the directory of its job, None when it did not."""
        try:
            with open(os.path.join(self.directory(name), file), encoding="ascii") as opened:
                found = json.load(opened)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def names(self) -> list[tuple[int, int, str]]:
        """Return home, number and name of every job that has a directory here. Blocks briefly."""
        try:
            names = os.listdir(self._spool)
        except OSError:
            return []
        found = []
        for name in names:
            home, _, number = name.partition("-")
            if home.isdigit() and number.isdigit():
                found.append((int(home), int(number), name))
        return sorted(found)

    def remove(self, name: str) -> None:
        """Remove the directory of a job. Blocks."""
        shutil.rmtree(self.directory(name), ignore_errors=True)

    def close(self) -> None:
        """Let the launcher end; supervisors go on."""
        self._launcher.close()
