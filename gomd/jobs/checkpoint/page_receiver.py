"""Receives the memory of one job from the source node's criu, and writes it as images. Blocks."""

from __future__ import annotations

import os
import resource
import socket
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from gomd.jobs.checkpoint import page_images, page_tls, precopy_images, precopy_records, spare_file
from gomd.jobs.checkpoint.images import MAX_IMAGES
from gomd.jobs.checkpoint.page_images import Header
from gomd.jobs.checkpoint.precopy_images import PrecopyImages
from libgomd.errors import CannotMove

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.criu import TlsFiles

#: Bytes that are written at a time.
_BUFFER_BYTES: Final = 1 << 20
#: Bytes after which a process is a large one, whose memory goes into the file that was made beforehand.
_LARGE: Final = 4 << 20
_BROKEN: Final = "the connection to the page server broke"


class ByteStream(Protocol):
    """A TLS connection, as far as it is used here: bytes come from it and go to it."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Read some bytes, at least one; none at the end. :raises OSError: it broke."""

    def sendall(self, data: bytes, /) -> object:
        """Write all of ``data``. :raises OSError: it broke."""


class PageReceiver:
    """
    Takes the memory of one job.

    :param stream: from the source. :param directory: where the images are written.
    :param expected: bytes of the job's memory, for which space is made when none of it comes ahead.
    :ivar received: bytes of memory that have come.
    """

    def __init__(self, stream: ByteStream, directory: str, expected: int = 0) -> None:
        self.received = 0
        self._stream = stream
        self._directory = directory
        self._expected = expected
        self._ahead: PrecopyImages | None = None
        self._memory = 0
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._number = page_images.FIRST_NUMBER
        self._pagemap: BinaryIO | None = None
        self._pages: BinaryIO | None = None
        self._small = True

    def run(self) -> None:
        """
        Receive all of it.

        :raises CannotMove: the connection broke before the end, or what came is no memory.
        :raises OSError: the disk is full, or the like.
        """
        try:
            self._run()
        finally:
            self._close()
            if self._ahead is not None:
                self._ahead.close()
            spare_file.remove(self._directory)

    def _run(self) -> None:
        first = self._read(page_images.NARROW)
        words = page_images.WORDS
        if precopy_records.is_offer(first):
            offer = precopy_records.parse(first + self._read(page_images.WIDE - len(first)))
            if self._take_ahead(offer.pages * resource.getpagesize()):
                words = precopy_records.STOPPED
            first = self._read(page_images.NARROW)
        width = page_images.WIDE if self._ahead is not None else page_images.width(first)
        header = page_images.parse(first + self._read(width - len(first)), words)
        while header.command not in (page_images.CLOSE, page_images.FORCE_CLOSE):
            self._take(header)
            header = page_images.parse(self._read(width), words)
        self._close()
        self._send(page_images.COMPLETE)

    def _take_ahead(self, offered: int) -> bool:
        """
        Answer the offer of memory that comes before the job is stopped, and take it if it may come.

        :returns: whether it came.
        """
        room = precopy_images.room(self._directory, offered)
        if not room:
            spare_file.make(self._directory, self._expected)
        self._send(precopy_records.ANSWER.pack(room))
        if not room:
            return False
        ahead = self._ahead = PrecopyImages(self._directory, resource.getpagesize(), room)
        ahead.begin()
        header = self._read_ahead()
        while header.command != precopy_records.DONE:
            for file, size in ahead.take(header):
                self._take_pages(file, size)
            header = self._read_ahead()
        ahead.finish()
        self.received = 0  # what counts is what the dump has
        self._send(page_images.COMPLETE)
        return True

    def _read_ahead(self) -> Header:
        return page_images.parse(self._read(page_images.WIDE), precopy_records.AHEAD)

    def _take(self, header: Header) -> None:
        if header.command == page_images.OPEN2:
            self._open(header.memory)
            if self._ahead is None:  # else the source answers by itself
                self._send(page_images.NO_PARENT)
        elif header.command == page_images.PARENT:
            self._send(page_images.COMPLETE)
        elif self._pagemap is None or self._pages is None:
            raise CannotMove("the other node sends memory of no process of the job")
        elif header.command == precopy_records.SAME:
            if self._ahead is None or not self._ahead.has(self._memory, header.address, header.pages):
                raise CannotMove("the other node means memory that it has not sent ahead")
            self._pagemap.write(page_images.entry(header._replace(flags=page_images.IN_PARENT)))
        elif header.command not in (page_images.ADD, page_images.ADD_F):
            raise CannotMove("the other node sends its memory in another order")
        else:
            self._pagemap.write(page_images.entry(header))
            if header.present:
                if self._small and self._pages.tell() >= _LARGE:
                    self._small = False
                    self._pages = self._use_spare(self._pages)
                self._take_pages(self._pages, header.pages * resource.getpagesize())

    def _open(self, memory: int) -> None:
        self._close()
        self._memory = memory
        if self._number - page_images.FIRST_NUMBER >= MAX_IMAGES:
            raise CannotMove("it has too many processes")
        self._pagemap = self._create(page_images.pagemap_name(memory))
        self._pagemap.write(page_images.head(self._number))
        self._pages = self._create(page_images.pages_name(self._number), 0)
        self._small = True
        self._number += 1

    def _use_spare(self, pages: BinaryIO) -> BinaryIO:
        """Return the file of the pages, which is one that was made beforehand, if there is one."""
        path = os.path.join(self._directory, page_images.pages_name(self._number - 1))
        taken = spare_file.take(self._directory, path, pages.tell())
        if taken is None:
            return pages
        pages.close()
        return taken

    def _create(self, name: str, buffering: int = -1) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(os.path.join(self._directory, name), flags, 0o600), "wb", buffering)

    def _take_pages(self, pages: BinaryIO, left: int) -> None:
        while left:
            size = min(left, _BUFFER_BYTES)
            self._fill(self._buffer[:size])
            written = 0
            while written < size:
                written += pages.write(self._buffer[written:size])
            left -= size
            self.received += size

    def _read(self, size: int) -> bytes:
        self._fill(self._buffer[:size])
        return bytes(self._buffer[:size])

    def _fill(self, view: memoryview) -> None:
        at = 0
        while at < len(view):
            try:
                count = self._stream.recv_into(view[at:])
            except OSError as error:
                raise CannotMove(page_tls.reason(error)) from error
            if not count:
                raise CannotMove(_BROKEN)
            at += count

    def _send(self, data: bytes) -> None:
        try:
            self._stream.sendall(data)
        except OSError as error:
            raise CannotMove(page_tls.reason(error)) from error

    def _close(self) -> None:
        """Write all to the disk's cache. :raises OSError: the disk is full."""
        if self._pages is not None:
            self._pages.truncate()  # a spare file may have been larger
        for file in (self._pagemap, self._pages):
            if file is not None:
                file.close()
        self._pagemap = self._pages = None


def receive(plain: socket.socket, directory: str, tls: TlsFiles, expected: int = 0) -> int:
    """
    Take a job's memory over a connection that begins to speak TLS. Blocks. Closes the connection.

    :param directory: where the images are written.
    :param tls: certificates of the cluster: memory from anybody else is refused.
    :param expected: see `PageReceiver`.
    :returns: how many bytes of memory came.
    :raises CannotMove: the connection broke, the certificates differ. :raises OSError: the disk is full.
    """
    stream = page_tls.accept(plain, tls)
    receiver = PageReceiver(stream, directory, expected)
    try:
        receiver.run()
    finally:
        page_tls.say_goodbye(stream)
    return receiver.received
