"""
Questions to nodes by datagram, for programs without Twisted: blocking versions of the calls of
`libgomd.peer`.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from libgomd.answers import node_in, parse_address, value_in, where_in
from libgomd.derivation import ring_of_files
from libgomd.errors import MalformedDatagram, PeerUnreachable, TimedOut
from libgomd.model import Node
from libgomd.wallclock import wall_clock
from libgomd.wire.addresses import shown
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import MAX_NUMBER, MAX_PACKET, Answer, ClockWarning, Question, Summary

#: Timeout of each of the three tries, in seconds.
TRY_TIMEOUTS: Final = (0.3, 0.5, 0.7)
#: Addresses of one name that are asked.
MAX_ADDRESSES: Final = 8


class BlockingPeer:
    """
    Sends questions to nodes, one at a time. Every call blocks for at most 1.5 s. It is a context manager.

    :param key_files: the cluster's key file, or several while the key is being changed. A daemon without a
        configured key uses its own, ``STATE/key``, which its user and root can name here.
    :raises ConfigError: no key file is given, or one cannot be used.
    """

    def __init__(self, key_files: str | Sequence[str] = ()) -> None:
        self._keys = ring_of_files(key_files)
        self._sealer = Sealer(self._keys, 0, int.from_bytes(os.urandom(6), "big"), os.urandom)
        self._sockets: dict[int, socket.socket] = {}

    def __enter__(self) -> BlockingPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets."""
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()

    def get_cur_node(self, node: str, pid: int) -> int:
        """
        Ask ``node``, the home of process ``pid``, on which node the process runs.

        :param node: ``HOST`` or ``HOST:PORT``, an IPv6 address with a port as ``[ADDRESS]:PORT``. All
            addresses of a name are asked.

        :returns: a node id, never 0.
        :raises NotFound: there is no such process. :raises TimedOut: no answer came.
        """
        return where_in(self._ask(node, Question(0, f"/proc/{pid}/where"))) or self.summary(node).id

    def read(self, node: str, path: str) -> bytes:
        """
        Read the file ``path`` of the tree of ``node``. Content that exceeds a packet is cut off.

        :raises RequestError: the node refused. :raises TimedOut: no answer came.
        """
        return value_in(self._ask(node, Question(0, path, room=MAX_PACKET)))

    def summary(self, node: str) -> Node:
        """Return the values of ``node``. :raises TimedOut: no answer came."""
        return node_in(self._ask(node, Question(0)))

    def _ask(self, node: str, question: Question) -> Answer | Summary:
        host, port = parse_address(node)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[:MAX_ADDRESSES]
        except OSError as error:
            raise PeerUnreachable(f"the host {host} is not known here: {error.strerror or error}") from error
        question = question._replace(request_id=int.from_bytes(os.urandom(7), "big") & MAX_NUMBER)
        for timeout in TRY_TIMEOUTS:
            unsent: OSError | None = None
            sent = 0
            for family, _kind, _protocol, _name, address in found:
                try:
                    self._socket(family).sendto(
                        self._sealer.seal(question, int(wall_clock() * 1000)), address
                    )
                    sent += 1
                except OSError as error:  # a family or a network that this machine has no way to
                    unsent = error
            if unsent is not None and not sent:
                raise PeerUnreachable(
                    f"nothing can be sent to {host}: {unsent.strerror or unsent}"
                ) from unsent
            answer = self._wait(timeout, question)
            if answer is not None:
                return answer
        raise TimedOut(
            f"no answer from {shown(host, port)} after {len(TRY_TIMEOUTS)} tries: is it up, with our key?"
        )

    def _socket(self, family: int) -> socket.socket:
        if family not in self._sockets:
            self._sockets[family] = socket.socket(family, socket.SOCK_DGRAM)
            self._sockets[family].setblocking(False)
        return self._sockets[family]

    def _wait(self, timeout: float, question: Question) -> Answer | Summary | None:
        """Return the answer that comes within so many seconds, None for none."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            for ready in select.select(tuple(self._sockets.values()), (), (), left)[0]:
                try:
                    answer = self._take(ready.recv(MAX_PACKET + 1), question)
                except (BlockingIOError, ConnectionRefusedError):
                    continue
                if answer is not None:
                    return answer
        return None

    def _take(self, packet: bytes, question: Question) -> Answer | Summary | None:
        try:
            opened = open_sealed(packet, self._keys).datagram
        except MalformedDatagram:
            return None
        message = opened.message
        if isinstance(message, (Answer, Summary)) and message.request_id == question.request_id:
            return message
        if isinstance(message, ClockWarning) and message.instance == self._sealer.instance:
            skew = abs(opened.sent_at / 1000 - wall_clock())
            raise TimedOut(
                f"node {message.name} drops what we ask: its clock and ours are {skew:.0f} s apart"
            )
        return None
