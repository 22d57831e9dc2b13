"""Takes the temporary files and the large images of a job from the source node, into a file of its images."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

from gomd.interfaces import IThreads
from gomd.jobs.checkpoint.criu import TlsFiles
from gomd.jobs.checkpoint.move_limits import MAX_IMAGE_BYTES
from gomd.jobs.checkpoint.page_connection import listen
from gomd.jobs.checkpoint.tree_connection import TreeReceiver, shut_down
from gomd.jobs.checkpoint.tree_stream import OVERHEAD_BYTES, STREAM_FILE
from gomd.jobs.migration.thread_transfer import CONNECT_TIMEOUT, TRANSFER_TIMEOUT, ThreadTransfer
from libgomd.errors import CannotMove


class TreeServer:
    """
    Listens at a port that the kernel chooses, for one job.

    :param addresses: those of this node, one or two. :param sources: addresses from which it may come.
    :param size: bytes of temporary files and memory that are expected; many more are refused.
    :ivar port: where the source has to connect. :raises CannotMove: it cannot listen.
    """

    def __init__(self, threads: IThreads, addresses: Sequence[str], sources: set[str], size: int) -> None:
        try:
            self._listening: socket.socket = listen(*addresses)
        except OSError as error:
            raise CannotMove(f"nothing can listen at {addresses[0]}: {error.strerror}") from error
        self.port = int(self._listening.getsockname()[1])
        self._sources = sources
        self._most = OVERHEAD_BYTES + MAX_IMAGE_BYTES + 2 * size
        self._transfer = ThreadTransfer(threads, "its temporary files")

    def start(self, directory: str, tls: TlsFiles, failed: Callable[[str], None]) -> None:
        """
        Begin to serve on a thread.

        :param directory: of the images. :param failed: called with the reason; not after `cancel`.
        """
        self._transfer.start(self._serve, directory, tls, failed=failed)

    async def wait(self) -> None:
        """Wait until all of it is here. :raises CannotMove: it did not arrive completely."""
        await self._transfer.wait()

    def cancel(self) -> None:
        """Take no more. May be called twice."""
        self._transfer.cancelled = True
        shut_down(self._listening)
        if not self._transfer.started:  # else the thread closes it
            self._listening.close()

    def _serve(self, directory: str, tls: TlsFiles) -> None:
        """Write the stream. Blocks; runs on a thread."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._listening as listening:
            file = os.open(os.path.join(directory, STREAM_FILE), flags, 0o600)
            try:
                receiver = TreeReceiver(listening, self._sources, tls, file, self._most)
                receiver.receive(CONNECT_TIMEOUT, TRANSFER_TIMEOUT)
            finally:
                os.close(file)
