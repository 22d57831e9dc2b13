"""The page server of one migration: takes the memory of a job from the source node's criu."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gomd.interfaces import IThreads
from gomd.jobs.checkpoint import spare_file
from gomd.jobs.checkpoint.criu import TlsFiles
from gomd.jobs.checkpoint.page_connection import accept, listen, speaks_tls
from gomd.jobs.checkpoint.page_receiver import receive
from gomd.jobs.migration.thread_transfer import CONNECT_TIMEOUT, ThreadTransfer
from libgomd.errors import CannotMove
from libgomd.model import Node
from libgomd.wire.addresses import is_loopback

LOOPBACK: Final = ("127.0.0.1", "::1")
_CALLED_OFF: Final = "the migration was called off"


@dataclass(frozen=True, slots=True)
class PageServers:
    """
    Makes page servers on this node.

    :ivar address: at which the other nodes reach this one. :ivar second: its address of the other family,
        empty if it has none.
    :ivar listen: waits for a connection, as `gomd.jobs.checkpoint.page_connection.listen` does;
        ``accept`` takes it, and ``receive`` takes the memory that comes over it.
    """

    threads: IThreads
    address: str
    listen: Callable[..., socket.socket] = listen
    accept: Callable[..., socket.socket] = accept
    receive: Callable[[socket.socket, str, TlsFiles, int], int] = receive
    second: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The one or two addresses."""
        return (self.address, self.second) if self.second else (self.address,)

    def sources(self, node: Node) -> set[str]:
        """Return the addresses from which ``node`` may connect."""
        return {*node.hosts, *(LOOPBACK if is_loopback(self.address) else ())}

    def open(self, node: Node) -> PageServer:
        """
        Listen at a port that the kernel chooses, for one connection from ``node``.

        :raises CannotMove: it cannot listen.
        """
        try:
            listening = self.listen(*self.addresses)
            port = int(listening.getsockname()[1])
        except OSError as error:
            raise CannotMove(f"no page server at {self.address}: {error.strerror}") from error
        return PageServer(self, listening, port, self.sources(node))


class PageServer:
    """
    Takes the memory of one job.

    :ivar port: where the source node's criu has to connect.
    :ivar received: bytes of memory that have come, when all have.
    """

    def __init__(
        self, servers: PageServers, listening: socket.socket, port: int, addresses: set[str]
    ) -> None:
        self.port = port
        self.received = 0
        self._servers = servers
        self._listening = listening
        self._addresses = addresses
        self._accepted: socket.socket | None = None
        self._transfer = ThreadTransfer(servers.threads, "its memory")

    def start(
        self,
        directory: str,
        tls: TlsFiles,
        failed: Callable[[str], None],
        expected: int = 0,
        precopy: bool = False,
    ) -> None:
        """
        Begin to serve on a thread.

        :param directory: where the memory is written.
        :param failed: called with the reason when the memory cannot be taken; not after `cancel`.
        :param expected: bytes for which space is made before the source is answered, which stops the job
            only then.
        :param precopy: the source offers memory before that; space is made if it cannot be taken.
        """
        self._transfer.start(self._serve, directory, tls, expected, precopy, failed=failed)

    async def wait(self) -> None:
        """Wait until all of the memory is here. :raises CannotMove: it did not arrive completely."""
        await self._transfer.wait()

    def cancel(self) -> None:
        """Take no more. May be called twice."""
        self._transfer.cancelled = True
        for each in (self._listening, self._accepted):
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self, directory: str, tls: TlsFiles, expected: int, precopy: bool) -> None:
        """Take space, and the memory that comes. Blocks; runs on a thread."""
        try:
            if not precopy:
                spare_file.make(directory, expected)
            self._receive(directory, tls, expected)
        finally:
            spare_file.remove(directory)  # nobody came, or the memory comes on another way

    def _receive(self, directory: str, tls: TlsFiles, expected: int) -> None:
        """Accept the connection and take the memory that comes over it. Blocks."""
        servers = self._servers
        with self._listening as listening:
            accepted = servers.accept(listening, self._addresses, CONNECT_TIMEOUT, speaks_tls)
        with accepted:
            self._accepted = accepted
            try:
                if (
                    self._transfer.cancelled
                ):  # before `cancel` could see and shut down the accepted connection
                    raise CannotMove(_CALLED_OFF)
                self.received = servers.receive(accepted, directory, tls, expected)
            finally:
                self._accepted = None
