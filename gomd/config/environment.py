"""Reads what decides settings besides the file: user, host, directories; and finds the file to read."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from libgomd.endpoints import state_directory
from libgomd.errors import ConfigError
from libgomd.node_names import name_from_host
from libgomd.private import on_the_way, trusted_owners

#: Where gomd.ini is searched for after the working directory and the directory of the systemd unit.
SYSTEM_FILES: Final = ("/etc/gomd/gomd.ini", "/etc/gomd.conf")


@dataclass(frozen=True)
class Environment:
    """
    Where and as which user the daemon was started. Keep it, so that a later `load` resolves paths alike.

    :ivar cwd: absolute directory that relative paths of the command line are relative to.
    :ivar hostname: the host name of the kernel, with or without a domain.
    :ivar unit: whether systemd started this process, so that the unit's directories are the daemon's.
    """

    cwd: str
    uid: int
    environ: Mapping[str, str]
    hostname: str
    unit: bool = True

    @classmethod
    def of_this_process(cls) -> Environment:
        """Return the environment of this process as it is now."""
        started = os.environ.get("SYSTEMD_EXEC_PID", "")
        # A descendant of another unit (a shell, a test runner) inherits that unit's directories.
        unit = started in ("", str(os.getpid()), str(os.getppid()))
        return cls(os.getcwd(), os.geteuid(), dict(os.environ), socket.gethostname(), unit)

    @property
    def state_directory(self) -> str:
        """The default STATE: the StateDirectory= of the systemd unit, else the directory of this user."""
        return self._unit_directory("STATE") or os.path.join(
            self.cwd, state_directory(self.environ, self.uid)
        )

    @property
    def runtime_directory(self) -> str:
        """Directory for the socket of all users: systemd's RuntimeDirectory=; empty without one."""
        return self._unit_directory("RUNTIME")

    @property
    def configuration_directory(self) -> str:
        """Directory searched for gomd.ini: systemd's ConfigurationDirectory=; empty without one."""
        return self._unit_directory("CONFIGURATION")

    def _unit_directory(self, kind: str) -> str:
        """Return the first directory of the colon-separated list that systemd sets; empty without any."""
        first = self.environ.get(f"{kind}_DIRECTORY", "").partition(":")[0]
        return os.path.normpath(first) if self.unit and os.path.isabs(first) else ""

    @property
    def node_name(self) -> str:
        """The first label of the host name, with as few changes as make it a valid node name."""
        return name_from_host(self.hostname)


def find_file(explicit: str | None, around: Environment) -> str | None:
    """
    Return the absolute path of the file to read, None if there is none.

    :param explicit: the file that `--config` names. It is returned whether it exists or not.
    :raises ConfigError: others could have put ./gomd.ini there, or may change it. What it names must not be
        run: somebody may have placed it in a directory of theirs for that purpose.
    """
    if explicit:
        return os.path.join(around.cwd, explicit)
    here = os.path.join(around.cwd, "gomd.ini")
    if os.path.lexists(here):
        _check_owner(here, around.uid)
        return here
    own = around.configuration_directory
    files = (os.path.join(own, "gomd.ini"), *SYSTEM_FILES) if own else SYSTEM_FILES
    return next((path for path in files if os.path.lexists(path)), None)


def _check_owner(path: str, uid: int) -> None:
    """
    Check that nobody but root and user ``uid`` can choose what ``path`` is: the file, every link that leads
    to it, and the directories in which these stand. Else another file may be there when it is read.
    """
    as_is = f"say --config {path} to use it all the same"
    try:
        way = list(on_the_way(path))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    trusted = {*(trusted_owners() - {os.geteuid()}), 0, uid}
    for each, status in way:
        if status.st_uid not in trusted:
            what = "" if each == path else f"{each} on the way to it "
            raise ConfigError(
                [f"{path}: {what}belongs to user {status.st_uid}, and gomd runs as user {uid}: {as_is}"]
            )
        if stat.S_ISLNK(status.st_mode) or (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
            continue
        if status.st_mode & stat.S_IWOTH:
            what = "" if each == path else f"into {each} on the way to it "
            raise ConfigError([f"{path}: {what}everybody may write: chmod o-w {each}, or {as_is}"])
        # A group with its user's number is that user's own, as most systems make them.
        if status.st_mode & stat.S_IWGRP and status.st_gid != status.st_uid:
            what = "" if each == path else f"into {each} on the way to it "
            raise ConfigError(
                [f"{path}: {what}group {status.st_gid} may write: chmod g-w {each}, or {as_is}"]
            )
