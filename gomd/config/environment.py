"""What outside the configuration decides a setting: user, host, directory; and which file is read."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from libgomd.endpoints import state_directory
from libgomd.errors import ConfigError

#: Where gomd.ini is looked for when it is not in the working directory, nor where systemd's unit says.
SYSTEM_FILES: Final = ("/etc/gomd/gomd.ini", "/etc/gomd.conf")
#: Names a node cannot have: words of the verbs that take a node.
RESERVED_NAMES: Final = frozenset({"all", "best", "home"})
NODE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Environment:
    """
    Where and as whom the daemon was started. Kept by the caller, so that a later `load` resolves alike.

    :ivar cwd: what relative paths of the command line are relative to, absolute.
    :ivar hostname: as the kernel has it, with or without a domain.
    :ivar unit: systemd started this process: its directories are the daemon's.
    """

    cwd: str
    uid: int
    environ: Mapping[str, str]
    hostname: str
    unit: bool = True

    @classmethod
    def of_this_process(cls) -> Environment:
        """Return those of this process, now."""
        started = os.environ.get("SYSTEMD_EXEC_PID", "")
        # A program far below another unit's (a shell, a test runner) inherits that unit's directories.
        unit = started in ("", str(os.getpid()), str(os.getppid()))
        return cls(os.getcwd(), os.geteuid(), dict(os.environ), socket.gethostname(), unit)

    @property
    def state_directory(self) -> str:
        """The default STATE: as systemd's StateDirectory= says, else this user's."""
        return self._unit_directory("STATE") or os.path.join(
            self.cwd, state_directory(self.environ, self.uid)
        )

    @property
    def runtime_directory(self) -> str:
        """Where the socket for every user belongs, by systemd's RuntimeDirectory=; empty without one."""
        return self._unit_directory("RUNTIME")

    @property
    def configuration_directory(self) -> str:
        """Where gomd.ini is looked for first, by systemd's ConfigurationDirectory=; empty without one."""
        return self._unit_directory("CONFIGURATION")

    def _unit_directory(self, kind: str) -> str:
        """Return the first of the directories that systemd lists, parted by colons; empty without any."""
        first = self.environ.get(f"{kind}_DIRECTORY", "").partition(":")[0]
        return os.path.normpath(first) if self.unit and os.path.isabs(first) else ""

    @property
    def node_name(self) -> str:
        """The host name's first label, changed as little as makes it a name of a node."""
        label = re.sub(r"[^A-Za-z0-9_-]+", "-", self.hostname.partition(".")[0]).strip("-")[:50]
        return label if is_node_name(label) else f"node-{label}".rstrip("-")


def is_node_name(name: str) -> bool:
    """Whether ``name`` can name a node: no number, which would be an id, and no word that verbs use."""
    return bool(NODE_NAME.fullmatch(name)) and not name.isdigit() and name not in RESERVED_NAMES


def find_file(explicit: str | None, around: Environment) -> str | None:
    """
    Return the absolute path of the file to read, None where there is none.

    :param explicit: what `--config` named; taken whether it exists or not.
    :raises ConfigError: ./gomd.ini is another user's, or anybody's to write: somebody may have left it
        in a shared directory for us to run his commands.
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
    try:
        status = os.stat(path)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    if status.st_uid not in (uid, 0):
        raise ConfigError(
            [
                f"{path}: belongs to user {status.st_uid}, and gomd runs as user {uid}: "
                f"say --config {path} to use it all the same"
            ]
        )
    if status.st_mode & stat.S_IWOTH:
        raise ConfigError(
            [f"{path}: everybody may write it: chmod o-w it, or say --config {path} to use it as it is"]
        )
