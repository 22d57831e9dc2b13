"""
Passes a job's memory on from the source node's criu, which has a socket of this process, to the page server.

criu would leave its connection corked, so that both ends wait for 200 ms and more; over a pair of unix
sockets it cannot. The memory is encrypted here. criu asks before the memory of each process whether the page
server has an earlier dump, and waits for the answer, which is always no: it gets that from here, and what the
page server says to that is left out. Standard library only: supervisors use it.
"""

from __future__ import annotations

import resource
import select
import socket
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint import page_images
from gomd.jobs.checkpoint.page_tls import BROKEN, OutgoingStream, reason
from libgomd.errors import CannotMove

#: Bytes that are passed on at a time, and that the kernel may keep for this process.
BUFFER_BYTES: Final = 1 << 18
_KERNEL_BUFFER_BYTES: Final = 4 << 20
_SO_SNDBUFFORCE: Final = 32


class PageRelay:
    """
    :param stream: to the page server, closed with this; None: `use` gives it before criu sends anything.
    :ivar theirs: the socket for criu; close it when criu has it.
    :ivar failure: why the memory cannot be passed on, empty while it can. :ivar passed: bytes, so far.
    """

    def __init__(self, stream: OutgoingStream | None) -> None:
        self.failure = ""
        self.passed = 0
        self._stream = stream
        self._ours, self.theirs = socket.socketpair()
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._requests = page_images.RequestReader(resource.getpagesize())
        self._answered = 0
        with suppress(OSError):
            self.theirs.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _KERNEL_BUFFER_BYTES)

    def use(self, stream: OutgoingStream) -> None:
        """Take the stream to the page server."""
        self._stream = stream

    def words(self) -> tuple[str, ...]:
        """Return the arguments for criu."""
        return ("--page-server", "--ps-socket", str(self.theirs.fileno()))

    def register(self, poll: select.poll) -> None:
        """Poll for what is to be passed on."""
        if self._stream is not None:
            poll.register(self._ours, select.POLLIN)
            poll.register(self._stream, select.POLLIN)

    def handle(self, ready: dict[int, int]) -> None:
        """Pass on what is ready. Blocks while the page server takes none."""
        stream = self._stream
        if stream is None:
            return
        try:
            goes_on = self._to_criu(stream) if stream.fileno() in ready else self._to_server(stream)
        except (OSError, CannotMove) as error:
            self.failure = reason(error) if isinstance(error, OSError) else str(error)
            goes_on = False
        if not goes_on:
            self._end()

    def descriptors(self) -> tuple[int, ...]:
        """Return those that no other process may keep: with this one, the connection of criu has to end."""
        stream = () if self._stream is None else (self._stream.fileno(),)
        return tuple(each for each in (self._ours.fileno(), self.theirs.fileno(), *stream) if each >= 0)

    def close(self) -> None:
        """End what is left."""
        self.theirs.close()
        self._end()

    def _to_server(self, stream: OutgoingStream) -> bool:
        try:
            count = self._ours.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        if count:
            opened = self._requests.feed(self._buffer[:count])
            if opened:
                self._answered += opened
                self._ours.sendall(page_images.NO_PARENT * opened)
            stream.sendall(self._buffer[:count])
            self.passed += count
        return bool(count)

    def _to_criu(self, stream: OutgoingStream) -> bool:
        while (data := stream.received()) is not None:
            if not data:
                return False
            known, self._answered = data[: self._answered], max(0, self._answered - len(data))
            if known.strip(page_images.NO_PARENT):
                raise CannotMove(f"{BROKEN} (it has an earlier dump)")
            self._ours.sendall(data[len(known) :])
        return True  # it was something of TLS itself, or all of it

    def _end(self) -> None:
        stream, self._stream = self._stream, None
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)  # criu fails at once, whoever else has this socket
        self._ours.close()
        if stream is not None:
            stream.close()
