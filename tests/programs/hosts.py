"""
Two hosts with nothing writable in common but /home, as two machines with home directories on NFS.

Each has its own processes, network, host name, System V and POSIX IPC, /tmp, /var/tmp, /dev/shm and /run. The
system's files are the same on both and read-only.
"""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libgomd.keys import new_key_file
from tests.integration.cluster.asking import see, start
from tests.integration.hosts import Host, Network
from tests.programs.definition import ORDINARY, ROOT

#: Where the directories of such hosts are made: not below one that each host has its own.
BASE = Path("/var/lib")
_USERS = (ORDINARY, ROOT)
_OWN = ("/tmp", "/var/tmp", "/dev/shm", "/run")
_SHARED = "home"


class ProgramHost(Host):
    """A host whose file systems are its own, except /home."""

    KINDS = (*Host.KINDS, "--ipc")

    def __init__(self, number: int, home: Path, key_file: Path) -> None:
        super().__init__(number, home, key_file)
        shared = home.parent / _SHARED
        steps = [
            *(f"mount -t tmpfs -o nosuid,nodev,mode=1777 own {place}" for place in _OWN),
            "mount -t mqueue own /dev/mqueue" if Path("/dev/mqueue").is_dir() else "true",
            "chmod 755 /run",
            f"mount --bind {shared} /home",
            f"mount --bind {home} {home}",
            "mount -o remount,bind,ro /",
        ]
        for step in steps:
            self.run(*step.split())

    @property
    def proc(self) -> Path:
        """Its /proc, as it is seen from outside."""
        return Path(f"/proc/{self.init}/root/proc")


class ProgramNetwork(Network):
    """Two such hosts. A context manager."""

    HOST = ProgramHost

    def home_of(self, user: str) -> Path:
        """Return the home directory of a user, as it is seen from outside."""
        return self._home / _SHARED / user


def home_of(user: str) -> Path:
    """Return the home directory of a user, as the hosts see it."""
    return Path("/home") / user


@contextmanager
def two_hosts(criu: str) -> Iterator[ProgramNetwork]:
    """Make the hosts and start their daemons; nothing is left of them afterwards."""
    base = Path(tempfile.mkdtemp(prefix="gomd-programs-", dir=BASE))
    try:
        new_key_file(str(base / "key"))
        for name in _USERS:
            home = base / _SHARED / name
            home.mkdir(parents=True)
            os.chown(home, pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid)
        network = ProgramNetwork(base)
        with network:
            for _ in range(2):
                network.add(base / "key").more = f"[jobs]\ncriu = {criu}\n"
            start(network.hosts)
            see(network.hosts, frozenset((1, 2)))
            yield network
    finally:
        shutil.rmtree(base)
