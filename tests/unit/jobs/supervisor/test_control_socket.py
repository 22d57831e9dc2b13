"""What a supervisor sends to its daemon: all of it, in order, and little memory while it waits."""

from __future__ import annotations

import random
import socket
import sys

from gomd.jobs.supervisor.control_socket import MAX_OUTGOING_BYTES, ControlSocket
from libgomd.wire import frames


def joined() -> tuple[ControlSocket, socket.socket]:
    """Return a supervisor's end and a daemon's; neither blocks."""
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    return ControlSocket(ours, frames.FrameParser()), theirs


def read(theirs: socket.socket) -> bytes:
    """Return what has come."""
    came = b""
    try:
        while data := theirs.recv(1 << 16):
            came += data
    except BlockingIOError:
        pass
    return came


def test_parts_of_all_sizes_arrive_in_order() -> None:
    """However much of them the kernel takes at a time."""
    control, theirs = joined()
    draw, sent, came = random.Random(5), b"", b""
    for _ in range(400):
        part = draw.randbytes(draw.choice((0, 1, 5, 4095, 4096, 65_536)))
        control.send(part)
        sent += part
        if draw.random() < 0.3:
            control.flush()
            came += read(theirs)
    while control.room < MAX_OUTGOING_BYTES:
        control.flush()
        came += read(theirs)
    assert came + read(theirs) == sent
    control.disconnect()
    theirs.close()


def test_many_small_parts_take_little_memory() -> None:
    """A job writes byte by byte while its daemon does not read: what waits is bounded in memory, too."""
    control, theirs = joined()
    while control.room > 0:
        control.send(frames.head(frames.STDOUT, 2))
        control.send(b"ab")
    waiting = control._outgoing
    assert sum(map(sys.getsizeof, (waiting, *waiting))) < 2 * MAX_OUTGOING_BYTES
    control.disconnect()
    theirs.close()
