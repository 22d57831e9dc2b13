"""
The steps by which carried files travel: each is a process that has become the job's user, here or elsewhere.

The daemon itself reads and writes none of the files. It starts a process for each step
(`gomd.jobs.supervisor.carrier`), or asks another daemon for one, and passes bytes between two of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from twisted.internet.interfaces import IReactorTime

from gomd.interfaces import IMembership, IPeers, IThreads
from gomd.jobs.lifecycle.carried_transfer import Transfer, step_outcome
from gomd.jobs.lifecycle.carry_permission import DROP
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.request import Account, account_of
from gomd.jobs.lifecycle.supervisors import Supervisors
from libgomd.errors import MalformedRequest, NotPossible
from libgomd.model import Caller, Node
from libgomd.wire.carry_messages import REMOVE, CarrySpec
from libgomd.wire.lines import Request

R = TypeVar("R")

#: The request that carries files between two daemons.
VERB: Final = "carry"
#: Ends the names of the directories.
SUFFIX: Final = ".carry"
#: Seconds that one transfer may take.
TRANSFER_TIMEOUT: Final = 800.0
#: Seconds that the disk may take for one small file.
_DISK_TIMEOUT: Final = 60.0


class CarrySteps:
    """
    :param threads: for the spool. :param own_uid: the user this daemon runs as.

    :param max_files: files, directories and links that one job may carry along.
    :param max_bytes: bytes of their contents.
    """

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        peers: IPeers,
        threads: IThreads,
        supervisors: Supervisors,
        own_uid: int,
        *,
        max_files: int,
        max_bytes: int,
    ) -> None:
        self._clock = clock
        self._members = members
        self._peers = peers
        self._threads = threads
        self._supervisors = supervisors
        self._own_uid = own_uid
        self._max_files = max_files
        self._max_bytes = max_bytes

    def directory(self, name: str) -> str:
        """Return the directory of the files that the job ``name`` carries along."""
        return self._supervisors.directory(name) + SUFFIX

    async def start_here(
        self,
        step: str,
        name: str,
        account: Account,
        *,
        paths: tuple[str, ...] = (),
        umask: int = 0o22,
        suffix: str = "",
    ) -> FrameStream:
        """Start a step on this node; return the connection to its process. :raises GomdError: it cannot."""
        await self._ready()
        return self._supervisors.carry(
            CarrySpec(
                step, self.directory(name), account.uid, account.gid, account.groups, paths, umask,
                self._max_files, self._max_bytes, suffix,
            )
        )  # fmt: skip

    async def remove(self, name: str, paths: tuple[str, ...] = ()) -> None:
        """Remove the directory of a job, whoever's it is."""
        await self._ready()
        spec = CarrySpec(REMOVE, self.directory(name), -1, -1, paths=paths)
        await step_outcome(self._clock, self._supervisors.carry(spec), TRANSFER_TIMEOUT)

    async def transfer(self, source: FrameStream, sink: FrameStream) -> None:
        """Pass all files from ``source`` to ``sink``. :raises GomdError: they do not arrive."""
        await Transfer(self._clock, source, sink, TRANSFER_TIMEOUT).done

    async def start_there(self, node: Node, name: str, step: str, caller: Caller) -> FrameStream:
        """Have another daemon start a step; return the connection to it. :raises GomdError: it refuses."""
        try:
            stream = await self._peers.open(node, Request(VERB, (name, step)), caller)
        except MalformedRequest as error:
            raise NotPossible(
                f"gomd on node {node.id} {node.name} is older and cannot carry files: update it there"
            ) from error
        assert isinstance(stream, FrameStream)
        stream.pause_reading(False)
        return stream

    async def drop_there(self, name: str, node: int, caller: Caller) -> None:
        """Have another daemon remove what was sent to it. :raises GomdError: it refuses, or is silent."""
        stream = await self.start_there(self._members.find(str(node)), name, DROP, caller)
        await step_outcome(self._clock, stream, TRANSFER_TIMEOUT)

    async def account(self, caller: Caller) -> Account:
        """Return the account of a caller. :raises GomdError: there is none here."""
        found: Account = await self._threads.run_apart(
            _DISK_TIMEOUT, ("account", caller.uid), "accounts", account_of, caller, self._own_uid
        )
        return found

    async def on_disk(self, work: Callable[..., R], *arguments: object) -> R:
        """Do ``work`` on a thread of the spool, and return its result."""
        found: R = await self._threads.run(_DISK_TIMEOUT, work, *arguments)
        return found

    async def look_up(self, uid: int, paths: tuple[str, ...], work: Callable[[], R]) -> R:
        """Do ``work`` on a user's paths, which may be on a hung disk, on a thread; return its result."""
        found: R = await self._threads.run_apart(
            _DISK_TIMEOUT, ("carried", uid, paths), ("carried", uid), work
        )
        return found

    async def _ready(self) -> None:
        """Have the spool and the fork server ready; a disk that hangs is waited for on a thread."""
        if not self._supervisors.is_ready:
            await self._threads.run_apart(_DISK_TIMEOUT, "spool", "spool", self._supervisors.prepare)
