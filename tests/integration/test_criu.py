"""A program moved between two hosts in namespaces of their own, by the real criu: root only."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gomd.jobs.checkpoint.criu import Criu
from libgomd.certificates import page_server_credentials, write_pem_files
from libgomd.derivation import ClusterKey
from libgomd.errors import CannotMove
from tests.integration.criu_host import Host

A, B = "198.18.77.1", "198.18.77.2"
_COUNT = """
import time
memory = bytearray({size})
for place in range(0, len(memory), 4096):
    memory[place] = place % 251
for number in range({lines}):
    print(number, flush=True)
    time.sleep(0.002)
print(sum(memory[place] == place % 251 for place in range(0, len(memory), 4096)), flush=True)
"""


def find_criu() -> str:
    """A criu that works here; skips the test with the reason when there is none."""
    if os.geteuid() != 0:
        pytest.skip("only root can move processes")
    why = "no criu"
    for program in (os.environ.get("GOMD_CRIU"), "/opt/gomd-criu/criu", shutil.which("criu")):
        if program and os.path.exists(program):
            why = Criu(program).check()
            if not why:
                return program
    pytest.skip(f"{why}: make criu")


@pytest.fixture(scope="module")
def networks() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a link between them."""
    names = f"gomd-a-{os.getpid()}", f"gomd-b-{os.getpid()}"
    steps = [
        *(f"ip netns add {name}" for name in names),
        f"ip -n {names[0]} link add eth0 type veth peer name eth0 netns {names[1]}",
        *(
            f"ip -n {name} addr add {address}/24 dev eth0"
            for name, address in zip(names, (A, B), strict=True)
        ),
        *(f"ip -n {name} link set {device} up" for name in names for device in ("lo", "eth0")),
    ]
    try:
        for step in steps:
            if subprocess.run(step.split(), capture_output=True).returncode:
                pytest.skip(f"no network namespaces here: {step}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


class Pair:
    """Two hosts, the directories of their images, and the cluster's certificates."""

    def __init__(self, program: str, networks: tuple[str, str], path: Path) -> None:
        self.hosts = [Host(program, networks[0]), Host(program, networks[1])]
        self.path = path
        self.moves = 0
        self.tls = [self._certificates(bytes(32), "ours"), self._certificates(bytes(32), "theirs")]

    def _certificates(self, secret: bytes, name: str) -> list[str]:
        directory = self.path / name
        directory.mkdir()
        files = write_pem_files(page_server_credentials([ClusterKey.derive(secret)]), str(directory), "pages")
        return [files.authorities, files.certificate, files.key]

    def use_another_key(self) -> None:
        """The second host has the key of another cluster."""
        self.tls[1] = self._certificates(bytes(31) + b"x", "foreign")

    def directory(self, name: str) -> str:
        directory = self.path / f"{self.moves}-{name}"
        directory.mkdir()
        return str(directory)

    def freeze(self, there: int, **more: Any) -> tuple[dict[str, Any], str]:
        """Stop the program on the one host, its memory sent to host ``there``."""
        self.moves += 1
        source, target = self.hosts[1 - there], self.hosts[there]
        here, far = self.directory("source"), self.directory("target")
        port = target.do("listen", address=(A, B)[there])
        target.do("take", source=(B, A)[there], directory=far, tls=self.tls[1])
        try:
            frozen = source.do("dump", directory=here, to=[(A, B)[there], port], tls=self.tls[0], **more)
        except CannotMove:
            with suppress(CannotMove):  # or nothing came at all
                target.do("taken")
            raise
        target.do("taken")
        target.do("take_images", directory=far, images=source.do("send_images", directory=here))
        return frozen, far

    def move(self, there: int) -> str:
        """Move the program to host ``there``; return the rest of what it wrote before."""
        frozen, far = self.freeze(there)
        source, target = self.hosts[1 - there], self.hosts[there]
        copy = target.do("restore", directory=far, pid=frozen["pid"], names=frozen["names"])
        assert frozen["held"]
        assert copy["held"]
        assert sorted(copy["pids"]) == sorted(frozen["pids"])
        assert set(target.do("states")) == {"T"}
        rest: str = source.do("read")
        assert source.do("end") == -9
        target.do("thaw")
        return rest


@pytest.fixture
def pair(networks: tuple[str, str], tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(find_criu(), networks, tmp_path)
    yield pair
    for host in pair.hosts:
        host.stop()


def start(pair: Pair, size: int, lines: int, uid: int = 0) -> None:
    text = _COUNT.format(size=size, lines=lines)
    pair.hosts[0].do("start", argv=["/usr/bin/python3", "-c", text], uid=uid)
    deadline = time.monotonic() + 20
    while pair.hosts[0].do("states") != "S" and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)


def check(output: str, size: int, lines: int) -> None:
    assert output.split() == [str(number) for number in [*range(lines), (size + 4095) // 4096]]


@pytest.mark.parametrize("uid", [0, 65534])
def test_it_moves_and_not_a_line_is_lost_or_doubled(pair: Pair, uid: int) -> None:
    """A program of root's and one of a user's go to another node and back, under TLS."""
    start(pair, 10_000_000, 800, uid)
    output = pair.move(1)
    time.sleep(0.2)
    output += pair.move(0)
    assert pair.hosts[0].do("wait") == 0
    check(output + pair.hosts[0].do("read"), 10_000_000, 800)
    assert pair.hosts[0].do("errors") == ""


def test_two_hundred_megabytes(pair: Pair) -> None:
    """A large process arrives with every page as it was."""
    start(pair, 200_000_000, 600)
    output = pair.move(1)
    assert pair.hosts[1].do("wait") == 0
    check(output + pair.hosts[1].do("read"), 200_000_000, 600)


def test_a_family(pair: Pair) -> None:
    """A shell and what it started move together, and the shell gets their exit statuses there."""
    script = (
        "(sleep 1.2; exit 3) & a=$!; (sleep 1; echo b; exit 4) & b=$!; wait $a; echo $?; wait $b; echo $?"
    )
    pair.hosts[0].do("start", argv=["/bin/sh", "-c", script])
    time.sleep(0.4)
    output = pair.move(1)
    assert pair.hosts[1].do("wait") == 0
    assert (output + pair.hosts[1].do("read")).split() == ["b", "3", "4"]


@pytest.mark.parametrize("die", [False, True])
def test_a_dump_that_is_begun_and_not_wanted(pair: Pair, die: bool) -> None:
    """A criu that waits has done nothing with the program, and ends with the process that has begun it."""
    start(pair, 1_000_000, 500)
    host = pair.hosts[0]
    [_pid] = host.do("begin_in_vain", directory=pair.directory("begun"), die=die)
    assert host.do("states") in ("R", "S")
    output = pair.move(1)
    assert pair.hosts[1].do("wait") == 0
    check(output + pair.hosts[1].do("read"), 1_000_000, 500)


def test_a_target_with_another_key(pair: Pair) -> None:
    """The memory goes to nobody without the cluster's key; the program runs on at the source."""
    start(pair, 1_000_000, 500)
    pair.use_another_key()
    with pytest.raises(CannotMove, match="certificates"):
        pair.move(1)
    assert pair.hosts[0].do("wait") == 0
    check(pair.hosts[0].do("read"), 1_000_000, 500)


def test_a_refused_restore_leaves_it_at_the_source(pair: Pair) -> None:
    """Images that cannot be restored: the target has nothing, the source goes on as if nothing was."""
    start(pair, 1_000_000, 500)
    frozen, far = pair.freeze(1)
    os.truncate(os.path.join(far, f"core-{frozen['pid']}.img"), 100)
    with pytest.raises(CannotMove):
        pair.hosts[1].do("restore", directory=far, pid=frozen["pid"], names=frozen["names"])
    assert pair.hosts[0].do("states") == "T"
    pair.hosts[0].do("thaw")
    assert pair.hosts[0].do("wait") == 0
    check(pair.hosts[0].do("read"), 1_000_000, 500)


def test_criu_is_killed_while_it_freezes(pair: Pair) -> None:
    """kill -9 of criu in the middle of a dump: the program goes on, and moves when asked again."""
    start(pair, 200_000_000, 1500)
    with pytest.raises(CannotMove):
        pair.freeze(1, kill_after=0.15)
    pair.hosts[0].do("thaw")
    time.sleep(0.2)
    output = pair.move(1)
    assert pair.hosts[1].do("wait") == 0
    check(output + pair.hosts[1].do("read"), 200_000_000, 1500)


def test_what_cannot_move_says_why(pair: Pair) -> None:
    """A program with a connection or a lock is refused in a clear clause, and runs on."""
    outside = socket.socket(socket.AF_UNIX)
    path = str(pair.path / "socket")
    outside.bind(path)
    outside.listen()
    for text, reason in (
        ("import socket; s = socket.create_server(('127.0.0.1', 0)); "
         "c = socket.create_connection(s.getsockname())", "TCP connection"),
        ("import fcntl; f = open('{path}.lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX)", "holds a lock"),
        ("import socket; s = socket.socket(socket.AF_UNIX); s.connect('{path}')", "another program"),
    ):  # fmt: skip
        host = pair.hosts[0]
        program = f"{text}; print(1, flush=True); import time; time.sleep(30)".replace("{path}", path)
        host.do("start", argv=["/usr/bin/python3", "-c", program])
        deadline = time.monotonic() + 10
        while not host.do("read") and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(CannotMove, match=reason):
            pair.freeze(1)
        deadline = time.monotonic() + 10
        while host.do("states") != "S" and time.monotonic() < deadline:
            time.sleep(0.02)
        assert host.do("states") == "S"
        host.do("end")
    outside.close()
