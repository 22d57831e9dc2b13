"""The Serf agent that the administrator runs, and the file with the auth key of its RPC."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Final, Protocol

from twisted.internet.defer import Deferred, succeed

from gomd.interfaces import IThreads
from libgomd.edited import plain_bytes
from libgomd.errors import ConfigError, NotPossible, TimedOut, TooMany
from libgomd.private import open_private

#: Maximum bytes of an auth file.
_MAX_AUTH_BYTES: Final = 512
#: Seconds that reading it may take.
_READ_TIMEOUT: Final = 5.0

#: Host and port of an RPC, and the auth key; empty for an agent without one.
Place = tuple[str, int, str]


class Agent(Protocol):
    """
    A Serf agent of this node, as the engine uses it.

    :ivar is_ours: whether gomd runs it: then it leaves the cluster when gomd stops, and joins gomd's seeds.
    """

    is_ours: bool

    def start(self) -> None:
        """Start it, if it is ours, and keep it running."""

    def stop(self) -> Deferred[None]:
        """End it, if it is ours. The Deferred fires when it is gone, and never fails."""

    async def place(self) -> Place:
        """Return where its RPC is. :raises GomdError: it cannot be asked now; a clause says why."""

    def unresponsive(self) -> None:
        """Note that it does not answer: ours is killed and started again."""

    def restart(self) -> None:
        """Start it again without leaving the cluster, if it is ours, because its settings have changed."""

    def set_keys(self, keys: Sequence[bytes]) -> None:
        """Have it seal with the first of these keys and open with all, if it is ours."""


class AdministratorsAgent:
    """
    An agent that somebody else runs; gomd only speaks to it.

    :param auth_file: path of the file with its auth key, empty for none.
    """

    is_ours = False

    def __init__(self, host: str, port: int, auth_file: str, threads: IThreads) -> None:
        self._host = host
        self._port = port
        self._auth_file = auth_file
        self._threads = threads

    def start(self) -> None:
        """See `Agent`."""

    def stop(self) -> Deferred[None]:
        """See `Agent`."""
        return succeed(None)

    async def place(self) -> Place:
        """See `Agent`. The auth file is read each time, so that a new key needs no restart of gomd."""
        if not self._auth_file:
            return self._host, self._port, ""
        try:
            auth = await self._threads.run(_READ_TIMEOUT, read_auth_file, self._auth_file)
        except ConfigError as error:
            raise NotPossible(str(error)) from error
        except (TimedOut, TooMany) as error:
            raise NotPossible(f"the auth file {self._auth_file} cannot be read: {error}") from error
        return self._host, self._port, auth

    def unresponsive(self) -> None:
        """See `Agent`."""

    def restart(self) -> None:
        """See `Agent`."""

    def set_keys(self, keys: Sequence[bytes]) -> None:
        """See `Agent`. Its administrator gives it its key."""


def read_auth_file(path: str) -> str:
    """
    Return the auth key in the file at ``path``: one line of printable ASCII. Blocks.

    :raises ConfigError: it cannot be read, is empty or too long, or others could read it too.
    """
    try:
        descriptor = open_private(path)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            data = os.read(descriptor, _MAX_AUTH_BYTES + 1)
        finally:
            os.close(descriptor)
        if mode & 0o077:
            raise ConfigError(
                [
                    f"[peers] serf_auth_file {path}: others may read or change it (its mode is {mode:04o}): "
                    "chmod 600 it"
                ]
            )
        text = plain_bytes(data).strip()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError([f"[peers] serf_auth_file {path}: {reason}"]) from error
    key = text.decode("ascii", "replace")
    if not key or len(data) > _MAX_AUTH_BYTES or not (key.isascii() and key.isprintable()):
        raise ConfigError(
            [
                f"[peers] serf_auth_file {path}: it must have one line, the rpc_auth of the "
                "agent, and nothing else"
            ]
        )
    return key
