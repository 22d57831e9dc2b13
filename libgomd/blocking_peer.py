"""
Questions to nodes by datagram, for programs without Twisted: blocking versions of the calls of
`libgomd.peer`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from libgomd.answers import node_in, parse_address, value_in, where_in
from libgomd.derivation import ring_of_files
from libgomd.errors import MalformedDatagram, TimedOut
from libgomd.model import Node
from libgomd.wallclock import wall_clock
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import MAX_NUMBER, MAX_PACKET, Answer, ClockWarning, Question, Summary

#: Timeout of each of the three tries, in seconds.
TRY_TIMEOUTS: Final = (0.3, 0.5, 0.7)


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
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def __enter__(self) -> BlockingPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def get_cur_node(self, node: str, pid: int) -> int:
        """
        Ask ``node`` (``HOST`` or ``HOST:PORT``), the home of process ``pid``, on which node the process runs.

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
        address = parse_address(node)
        question = question._replace(request_id=int.from_bytes(os.urandom(7), "big") & MAX_NUMBER)
        for timeout in TRY_TIMEOUTS:
            self._socket.sendto(self._sealer.seal(question, int(wall_clock() * 1000)), address)
            end = time.monotonic() + timeout
            while (left := end - time.monotonic()) > 0:
                self._socket.settimeout(left)
                try:
                    answer = self._take(self._socket.recv(MAX_PACKET + 1), question)
                except (TimeoutError, ConnectionRefusedError):
                    break
                if answer is not None:
                    return answer
        raise TimedOut(
            f"no answer from {address[0]}:{address[1]} after {len(TRY_TIMEOUTS)} tries: "
            "is it up, with our key?"
        )

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
