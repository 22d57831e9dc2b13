"""
Passes on what has changed of a job's memory since it was sent ahead, and names what has not.

criu sends all of the stopped job's memory, as to any page server (`page_relay`). Each piece is compared with
the copy of what the page server has. Standard library only: supervisors use it.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from gomd.jobs.checkpoint import page_images
from gomd.jobs.checkpoint.page_images import Header
from gomd.jobs.checkpoint.page_relay import BUFFER_BYTES, PageRelay
from gomd.jobs.checkpoint.precopy_difference import PageDifference
from gomd.jobs.checkpoint.present_pages import PAGE
from gomd.jobs.checkpoint.sent_copy import SentCopy

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.page_tls import OutgoingStream


class PrecopyRelay(PageRelay):
    """
    :param stream: to the page server, which has taken what `gomd.jobs.checkpoint.precopy_rounds` sent.
    :param copy: of that. It is closed with this.
    """

    def __init__(self, stream: OutgoingStream, copy: SentCopy) -> None:
        super().__init__(stream)
        self._copy = copy
        self._difference = PageDifference(stream.send_parts, copy)
        self._width = 0
        self._head = b""
        self._left = 0
        self._have = 0

    def close(self) -> None:
        """See `PageRelay.close`."""
        super().close()
        self._copy.close()

    def _to_server(self, _stream: OutgoingStream) -> bool:
        try:
            return self._take_pages() if self._left else self._take_head()
        except BlockingIOError:
            return True

    def _take_head(self) -> bool:
        """Take a part of a header. :returns: whether there was something."""
        size = (self._width or page_images.NARROW) - len(self._head)
        data = self._ours.recv(size, socket.MSG_DONTWAIT)
        self._head += data
        if not self._width and len(self._head) == page_images.NARROW:
            self._width = page_images.width(self._head)
        if self._width and len(self._head) == self._width:
            header, self._head = page_images.parse(self._head), b""
            self._begin(header)
        return bool(data)

    def _begin(self, header: Header) -> None:
        self._difference.take_request(header)
        self._left = header.pages * PAGE if header.present else 0
        if header.command == page_images.OPEN2:
            self._ours.sendall(page_images.NO_PARENT)

    def _take_pages(self) -> bool:
        """Take a part of the pages that follow a header. :returns: whether there was something."""
        wanted = min(self._left, BUFFER_BYTES)
        count = self._ours.recv_into(self._buffer[self._have : wanted], 0, socket.MSG_DONTWAIT)
        self._have += count
        if self._have == wanted:
            self._difference.take_pages(self._buffer[:wanted])
            self.passed += wanted
            self._left, self._have = self._left - wanted, 0
        return bool(count)
