"""Network sockets of a job that moves: servers that wait, idle datagram sockets, and connections."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gomd.jobs.checkpoint.criu import Criu
from gomd.jobs.checkpoint.inet_sockets import cannot_carry
from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import TOUR, Job
from tests.integration.test_criu import find_criu

#: Answers datagrams and connections; each line of its input is a word that it does.
_SERVER = """
import os, select, socket, sys
port = int(sys.argv[1])
def server(family, address):
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind((address, port))
    made.listen()
    return made
servers = [server(socket.AF_INET, "0.0.0.0"), server(socket.AF_INET6, "::")]
receiver = socket.socket(type=socket.SOCK_DGRAM)
receiver.bind(("0.0.0.0", port))
closed, unbound = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
epoll, kept = select.epoll(), []
for each in (0, receiver, *servers):
    epoll.register(each, select.EPOLLIN)
known = {each.fileno(): each for each in (receiver, *servers)}
print("ready", flush=True)
while True:
    for number, _events in epoll.poll():
        if number == 0:
            line = os.read(0, 100)
            if not line:
                sys.exit()
            if line == b"connect\\n":
                client = socket.create_connection(("127.0.0.1", port))
                accepted, _ = servers[0].accept()
                kept += [client, accepted]
            elif line == b"talk\\n":
                for client, accepted in zip(kept[::2], kept[1::2]):
                    client.sendall(b"ping")
                    accepted.sendall(accepted.recv(4) + b"!")
                    print(client.recv(5).decode(), flush=True)
                closed.connect(("127.0.0.1", port))
                servers[0].accept()[0].close()
                closed.close()
                closed = socket.socket()
                unbound.sendto(b"x", ("127.0.0.1", 9))
            elif line.startswith(b"to "):
                peer = socket.create_connection((line.split()[1].decode(), int(line.split()[2])))
            elif line == b"close\\n":
                peer.close()
            print("done", flush=True)
        elif known[number] is receiver:
            data, address = receiver.recvfrom(100)
            receiver.sendto(data.upper(), address)
        else:
            connection, _ = known[number].accept()
            connection.sendall(connection.recv(100).upper())
            connection.close()
"""
PORT = 7411


@pytest.fixture
def capable(three: list[Host]) -> list[Host]:
    """The hosts, with a criu that carries network sockets here."""
    if why := cannot_carry(Criu(find_criu()).version(), os.uname().release):
        pytest.skip(why)
    return three


@contextmanager
def server(host: Host, user: str) -> Iterator[Job]:
    job = Job(host, "-n", "1", "/usr/bin/python3", "-c", _SERVER, str(PORT), user=user)
    eventually(lambda: job.out == b"ready\n" or job.process.poll() is not None)
    yield job
    job.close()
    assert (job.wait(), job.err) == (0, b"")


def do(job: Job, word: str) -> None:
    """Let the job do something, and wait until it has."""
    before = job.out.count(b"done\n")
    job.write(word.encode() + b"\n")
    eventually(lambda: job.out.count(b"done\n") > before)


_CLIENT = """
import socket, sys
for family, kind, address in ((2, 1, sys.argv[1]), (10, 1, "::1"), (2, 2, sys.argv[1])):
    with socket.socket(family, kind) as client:
        client.settimeout(20)
        client.connect((address, int(sys.argv[2])))
        client.send(b"hello")
        print(client.recv(10).decode())
"""


def answers(host: Host) -> str:
    """Return what a server on a host answers over TCP, TCP on IPv6, and UDP."""
    return host.run("/usr/bin/python3", "-c", _CLIENT, host.address, str(PORT))


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_a_server_that_waits(capable: list[Host], user: str) -> None:
    """It answers under the address of the node where it is, at each step of a tour."""
    with server(capable[0], user) as job:
        assert answers(capable[0]) == "HELLO\n" * 3
        for target in TOUR:
            job.move(target)
            where = capable[0 if target == "home" else int(target) - 1]
            assert answers(where) == "HELLO\n" * 3
        do(job, "talk")


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_connections_within_the_job(capable: list[Host], user: str) -> None:
    """Both ends go along, and what is said goes on."""
    with server(capable[0], user) as job:
        do(job, "connect")
        do(job, "connect")
        do(job, "talk")
        for target in TOUR:
            job.move(target)
            do(job, "talk")
        assert job.out.count(b"ping!\n") == 8


def refused(job: Job, *words: str) -> None:
    """Check that it says why it stays, in a dry run and in a move, and that it runs on."""
    for dry in ("", " dry-run"):
        said = ask(job.home, f"migrate {job.pid} 2{dry}")
        assert said.code == 405
        for word in words:
            assert word in said.text, said.text
    do(job, "talk")


@contextmanager
def listening(host: Host, port: int) -> Iterator[None]:
    """Another program listens on a port of a host, until the block ends."""
    program = f"import socket; s = socket.create_server(('0.0.0.0', {port})); print(1, flush=True); input()"
    other = host.popen("/usr/bin/python3", "-c", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    try:
        yield
    finally:
        other.communicate("\n")


def test_a_connection_to_elsewhere(capable: list[Host]) -> None:
    """The peer's address is named; when it is closed, the job moves."""
    with server(capable[0], "nobody") as job, listening(capable[2], PORT):
        do(job, f"to {capable[2].address} {PORT}")
        refused(job, f"TCP connection to {capable[2].address}:{PORT}")
        do(job, "close")
        job.move("2")
        assert answers(capable[1]) == "HELLO\n" * 3


def test_a_port_that_is_taken_there(capable: list[Host]) -> None:
    """It is said before anything stops; the job moves when the port is free."""
    with server(capable[0], "root") as job:
        with listening(capable[1], PORT):
            refused(job, f"tcp port {PORT} is in use on node 2")
        job.move("2")
        assert answers(capable[1]) == "HELLO\n" * 3


def test_an_address_of_its_node(capable: list[Host]) -> None:
    """A server that is bound to the node's own address stays, and the address is named."""
    program = "import socket, sys; s = socket.create_server((sys.argv[1], 0)); print(1, flush=True); input()"
    job = Job(capable[0], "-n", "1", "/usr/bin/python3", "-c", program, capable[0].address, user="nobody")
    eventually(lambda: job.out == b"1\n")
    said = ask(capable[0], f"migrate {job.pid} 2")
    assert said.code == 405
    assert f"node 2 h2 has no address {capable[0].address}" in said.text
    job.write(b"\n")
    assert job.wait() == 0


def test_with_an_older_criu(three: list[Host]) -> None:
    """What a criu cannot carry is named with the way out."""
    if not (why := cannot_carry(Criu(find_criu()).version(), os.uname().release)):
        assert why == ""
        return
    with server(three[0], "nobody") as job:
        refused(job, f"it listens on port {PORT} of this node", "4.2 and newer can")
