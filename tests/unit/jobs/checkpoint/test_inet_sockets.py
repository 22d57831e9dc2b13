"""Network sockets of a job: the kernel's tables, and what goes along."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from gomd.jobs.checkpoint import inet_sockets
from gomd.jobs.checkpoint.free_ports import NotFree, not_free
from gomd.jobs.checkpoint.inet_sockets import Port, cannot_carry, reasons_to_stay


@contextmanager
def sockets(*kinds: tuple[socket.AddressFamily, socket.SocketKind]) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.socket(*kind)) for kind in kinds]


def own(*found: socket.socket) -> dict[str, str]:
    """Return sockets of this process as a job's."""
    return {
        str(os.fstat(each.fileno()).st_ino): inet_sockets.protocol(f"/proc/self/fd/{each.fileno()}")
        for each in found
    }


TCP, UDP = (socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)


def stays(*found: socket.socket, too_old: str = "") -> list[str]:
    return reasons_to_stay(own(*found), inet_sockets.read("/proc/self/net"), too_old)


def test_idle_sockets_go_along() -> None:
    """Those that listen, wait for datagrams or do nothing; the ports that are bound have to be free."""
    with sockets(TCP, UDP, TCP, UDP) as (server, receiver, closed, unbound):
        server.bind(("127.0.0.1", 0))
        server.listen()
        receiver.bind(("127.0.0.1", 0))
        every = (server, receiver, closed, unbound)
        assert stays(*every) == []
        ports = inet_sockets.bound(own(*every), inet_sockets.read("/proc/self/net"))
        assert ports == (
            Port("tcp", "127.0.0.1", server.getsockname()[1]),
            Port("udp", "127.0.0.1", receiver.getsockname()[1]),
        )  # fmt: skip
        assert [each.error for each in not_free(ports, 0)] == [errno.EADDRINUSE] * 2
        said = stays(*every, too_old="criu 4.1.1 cannot")
        assert sorted(said) == [
            "it has a tcp socket open, which criu 4.1.1 cannot",
            "it has a udp socket open, which criu 4.1.1 cannot",
            f"it listens on port {server.getsockname()[1]} of this node, which criu 4.1.1 cannot",
        ]  # fmt: skip
    assert list(not_free(ports, 0)) == []


def test_somebody_has_connected() -> None:
    """A connection that was not accepted yet, and one whose other end is another program's."""
    with sockets(TCP, TCP) as (server, client):
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        client.connect(("127.0.0.1", port))
        assert stays(server) == [f"somebody has connected to its port {port}"]
        accepted, peer = server.accept()
        with accepted:
            assert stays(server, accepted) == [f"it has a TCP connection to 127.0.0.1:{peer[1]}"]
            assert stays(server, accepted, client) == []
            assert inet_sockets.is_connected(own(accepted), inet_sockets.read("/proc/self/net"))
        assert not inet_sockets.is_connected(own(server), inet_sockets.read("/proc/self/net"))


def test_datagrams_that_nobody_has_read() -> None:
    """They would be lost; so would those of a peer elsewhere."""
    with sockets(UDP, UDP) as (one, other):
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        other.connect(one.getsockname())
        assert stays(other) == [f"it has a UDP connection to 127.0.0.1:{one.getsockname()[1]}"]
        one.connect(other.getsockname())
        assert stays(one, other) == []
        other.send(b"data")
        assert stays(one, other) == [f"its udp port {one.getsockname()[1]} has data that it has not read"]


def test_a_socket_of_another_kind() -> None:
    """The kernel names it; what the kernel does not name is left to criu."""
    assert reasons_to_stay(
        {"7": "MPTCP", "8": "NETLINK", "9": "UNIX-STREAM", "10": ""}, inet_sockets.NONE
    ) == ["it has a socket of kind MPTCP open"]


_LINE = "  0: {} {} {} 00000000:00000000 00:00000000 00000000  0  0 {} 1 0 100 0 0 10 0\n"


def test_addresses_of_the_tables() -> None:
    """Of both families, and those of IPv4 in the tables of the other one."""
    text = "head\n" + _LINE.format("B80D0120000000000000000001000000:0050", "0" * 32 + ":0000", "0A", 7)
    text += _LINE.format(
        "0000000000000000FFFF00000100007F:0051", "0000000000000000FFFF00000200007F:0052", "01", 8
    )
    text += (
        "junk\n" + _LINE.format("xyz:1", "0:0", "01", 9) + _LINE.format("0100007F:1", "0100007F:2", "01", 0)
    )
    found = inet_sockets.parse("tcp6", text)
    assert found.keys() == {"7", "8"}
    assert found["7"].local == Port("tcp6", "2001:db8::1", 80)
    assert (found["8"].local, found["8"].remote) == (
        Port("tcp6", "127.0.0.1", 81),
        Port("tcp6", "127.0.0.2", 82),
    )


@pytest.mark.parametrize(("criu", "kernel", "can"), [
    ("4.2.1", "6.18.3", True), ("4.1.1", "6.18.3-amd64", False), ("4.1.1", "6.15.9", True),
    ("4.2", "6.16", True), ("4.10", "7.0", True),
    ("", "5.10", False), ("", "6.18", False), ("junk", "6.18", False),
])  # fmt: skip
def test_which_criu_can(criu: str, kernel: str, can: bool) -> None:
    """From 4.2 on every one; older ones on older kernels."""
    assert (cannot_carry(criu, kernel) == "") is can


def test_ports_that_cannot_be_had() -> None:
    """In words: taken, an address of another node, and what only root may have."""
    first = Port("tcp", "0.0.0.0", 80)
    assert list(not_free([Port("udp", "192.0.2.1", 4000)], 0)) == [
        NotFree(Port("udp", "192.0.2.1", 4000), errno.EADDRNOTAVAIL)
    ]
    assert NotFree(first, errno.EADDRINUSE).sentence("beta") == "tcp port 80 is in use on beta"
    assert "may not have tcp port 80 on beta" in NotFree(first, errno.EACCES).sentence("beta")
    assert "beta has no address 0.0.0.0" in NotFree(first, errno.EADDRNOTAVAIL).sentence("beta")
    assert "No buffer space" in NotFree(first, errno.ENOBUFS).sentence("beta")
