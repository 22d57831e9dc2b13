"""A job goes on with the file it had, or stays: another file of the same name is never taken for it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host, Network
from tests.integration.migration.moving import Gom, Job
from tests.integration.migration.test_obstacles import _WATCHES
from tests.integration.migration.test_refusals import PYTHON, moves, refused

_WRITES = """
import sys
with open(sys.argv[1], sys.argv[2]) as file:
    for line in sys.stdin:
        file.write(line)
        file.flush()
        print("written", flush=True)
"""
_READS = """
import sys
with open(sys.argv[1], "rb", buffering=0) as file:
    for line in sys.stdin:
        print(file.read(3).decode(), flush=True)
"""
_MAPS = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    memory = mmap.mmap(file.fileno(), 4096)
for line in sys.stdin:
    memory[:3] = b"new"
    print("written", flush=True)
"""


@pytest.fixture
def own(made: Network) -> Iterator[Path]:
    """A directory that everybody may write to, which is another, equally new one on each of two hosts."""
    path = made.hosts[0].home.parent / "each-own"
    path.mkdir()
    for host in made.hosts[:2]:
        host.run("mount", "-t", "tmpfs", "-o", "mode=1777", "none", str(path))
    yield path
    for host in made.hosts[:2]:
        host.run("umount", "-l", str(path))
    shutil.rmtree(path)


def _write(host: Host, path: Path, text: str, *, mtime: str = "2020-01-01") -> str:
    """Make a file on a host, everybody's; return its inode number."""
    host.run("sh", "-c", f"cat >{path} && chmod 666 {path} && touch -d {mtime} {path}", text=text)
    return host.run("stat", "-c", "%i", str(path)).strip()


def _names(three: list[Host]) -> list[str]:
    return [f"node {host.number} {host.name}" for host in three[:2]]


@pytest.mark.parametrize("script", [[_WRITES, "a"], [_WRITES, "r+"], [_MAPS]])
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_a_written_file_with_the_number_of_another_one(
    three: list[Host], own: Path, script: list[str], user: str
) -> None:
    """Two file systems that count alike: the job stays, and both nodes and the way out are named."""
    log = own / "log"
    numbers = {_write(host, log, "begin" * 1000) for host in three[:2]}
    assert len(numbers) == 1, "the file systems count alike"
    job = Job(three[0], "-n", "1", PYTHON, "-c", script[0], str(log), *script[1:], user=user)
    job.write(b"one\n")
    eventually(lambda: job.out == b"written\n")
    here, there = _names(three)
    refused(job, f"{log} is another one on {there} than on {here}: share it between {here} and {there}")
    refused(job, f"--carry {log}")
    job.write(b"two\n")
    eventually(lambda: job.out == b"written\n" * 2)
    assert three[1].run("cat", str(log)) == "begin" * 1000


def test_data_of_equal_size(three: list[Host], own: Path) -> None:
    """Another content is seen, though size and time of change agree; equal content is read on."""
    data = own / "data"
    _write(three[0], data, "abcdefghi")
    _write(three[1], data, "ABCDEFGHI")
    job = Job(three[0], "-n", "1", PYTHON, "-c", _READS, str(data), user="nobody")
    job.write(b"\n")
    eventually(lambda: job.out == b"abc\n")
    refused(job, f"{data} is another one on {_names(three)[1]} than on {_names(three)[0]} (another content)")
    _write(three[1], data, "abcdefghij")
    refused(job, "(another size)")
    _write(three[1], data, "abcdefghi", mtime="2021-02-03")
    moves(job)
    job.write(b"\n")
    eventually(lambda: job.out == b"abc\ndef\n")


def test_a_large_file_that_differs_in_one_byte(three: list[Host], own: Path) -> None:
    """It is refused, and soon."""
    data = own / "data"
    for host, letter in zip(three[:2], "xy", strict=True):
        host.run("sh", "-c", f"head -c 50M /dev/zero >{data} && chmod 644 {data}")
        host.run("dd", f"of={data}", "bs=1", "seek=31234567", "conv=notrunc", text=letter)
        host.run("touch", "-d", "2020-01-01", str(data))
    job = Job(three[0], "-n", "1", PYTHON, "-c", _READS, str(data), user="nobody")
    refused(job, f"{data} is another one")


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_a_directory_with_other_contents(three: list[Host], own: Path, user: str) -> None:
    """The job would go on with the files there: it stays, unless the system's own directories are meant."""
    directory = own / "runs"
    for host in three[:2]:
        host.run("mkdir", "-m", "777", str(directory))
    job = Job(three[0], "-n", "1", "sleep", "1000", user=user, cwd=_inside(three[0], directory))
    refused(job, f"{directory} is another one on {_names(three)[1]}")
    for system in ("/", "/usr/bin", "/etc"):
        moves(Job(three[0], "-n", "1", "sleep", "1000", user=user, cwd=system))


def _inside(host: Host, directory: Path) -> Path:
    """A directory of a host as it is reached from outside; `gom` tells the daemon its path inside."""
    return Path(f"/proc/{host.init}/root{directory}")


@pytest.fixture
def network_disk(made: Network) -> Iterator[Path]:
    """A file system of which each host has a mount of its own, with other device numbers, as of a server."""
    server = made.hosts[0].home.parent / "server"
    path = made.hosts[0].home.parent / "network-disk"
    for each in (server, path):
        each.mkdir()
        each.chmod(0o1777)
    for host in made.hosts[:2]:
        host.run("bindfs", "-o", "allow_other", str(server), str(path))
    yield path
    for host in made.hosts[:2]:
        host.run("umount", "-l", str(path))
    shutil.rmtree(server)
    shutil.rmtree(path)


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_a_shared_file_system(three: list[Host], network_disk: Path, user: str) -> None:
    """What is written goes on in the same file, and nothing is left of how that was found out."""
    log = network_disk / "log"
    _write(three[0], log, "zero\n")
    devices = {host.run("stat", "-c", "%d", str(log)) for host in three[:2]}
    assert len(devices) == 2, "each host has a mount of its own"
    job = Job(three[0], "-n", "1", PYTHON, "-c", _WRITES, str(log), "a", user=user)
    job.write(b"one\n")
    eventually(lambda: job.out == b"written\n")
    moves(job)
    job.write(b"two\n")
    eventually(lambda: job.out == b"written\n" * 2)
    assert three[1].run("cat", str(log)) == "zero\none\ntwo\n"
    assert eventually(lambda: os.listdir(network_disk.parent / "server") == ["log"])


_WRITES_MAPPED = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    memory = mmap.mmap(file.fileno(), 0)
memory[-4:] = b"new!"
print("written", flush=True)
sys.stdin.readline()
with open(sys.argv[1], "rb") as file:
    print(memory[-4:].decode(), file.read()[-4:].decode(), flush=True)
"""
_SIZE = 2 << 20


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_what_the_kernel_has_not_written_yet(three: list[Host], network_disk: Path, user: str) -> None:
    """It is with the server before the copy looks, also of a file that is closed and only mapped."""
    path, server = network_disk / "mapped", network_disk.parent / "server" / "mapped"
    _write(three[0], path, "old!" * (_SIZE // 4))
    job = Job(three[0], "-n", "1", PYTHON, "-c", _WRITES_MAPPED, str(path), user=user)
    eventually(lambda: job.out == b"written\n")
    assert server.read_text()[-4:] == "old!", "the kernel keeps it until the file is synchronised"
    moves(job)
    job.write(b"\n")
    assert eventually(lambda: job.out == b"written\nnew! new!\n")


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_what_the_server_does_not_take(three: list[Host], network_disk: Path, user: str) -> None:
    """The job stays, with the reason: its copy would find something else in the file."""
    limited = "trap '' XFSZ; ulimit -f 1024; exec bindfs -o allow_other,nonempty"
    server = network_disk.parent / "server"
    three[0].run("umount", "-l", str(network_disk))
    three[0].run("sh", "-c", f"{limited} {server} {network_disk}")
    path = network_disk / "mapped"
    (server / "mapped").write_text("old!" * (_SIZE // 4))
    (server / "mapped").chmod(0o666)
    job = Job(three[0], "-n", "1", PYTHON, "-c", _WRITES_MAPPED, str(path), user=user)
    eventually(lambda: job.out == b"written\n")
    said = ask(three[0], f"migrate {job.pid} 2")
    assert (said.code, said.text) == (405, f"its file {path} cannot be written out: File too large")
    assert (job.row()["node"], job.row()["state"]) == (1, "running")
    job.write(b"\n")
    assert job.wait() == 0


def test_a_watched_file_of_a_shared_file_system(three: list[Host], network_disk: Path) -> None:
    """criu could not watch it there: the job stays, and is never stopped for that."""
    path = network_disk / "followed"
    _write(three[0], path, "")
    job = Job(three[0], "-n", "1", PYTHON, "-c", _WATCHES, str(path), user="nobody")
    eventually(lambda: job.out == b"ready\n")
    refused(job, f"it watches {path} for changes (inotify)")


def test_probes_are_removed(three: list[Host], own: Path) -> None:
    """After a dry run and after a refusal; a user's probe is made where that user may make files."""
    log = own / "log"
    for host in three[:2]:
        _write(host, log, "")
    job = Job(three[0], "-n", "1", PYTHON, "-c", _WRITES, str(log), "a", user="nobody")
    for _ in range(2):
        ask(three[0], f"migrate {job.pid} 2 dry-run")
        ask(three[0], f"migrate {job.pid} 2")
    assert eventually(lambda: three[0].run("ls", "-A", str(own)).split() == ["log"])


def test_many_large_files(three: list[Host], own: Path) -> None:
    """They are not read whole, for that would take long; what was added to one of them is seen."""
    for host, letter in zip(three[:2], "xy", strict=True):
        for number in range(4):
            host.run("sh", "-c", f"head -c 100M /dev/zero >{own}/{number} && chmod 644 {own}/{number}")
        host.run("sh", "-c", f"printf {letter} >>{own}/0; touch -d 2020-01-01 {own}/*")
    files = [str(own / str(number)) for number in range(4)]
    script = "import sys; files = [open(name) for name in sys.argv[1:]]; print(1, flush=True); input()"
    job = Job(three[0], "-n", "1", PYTHON, "-c", script, *files, user="nobody")
    eventually(lambda: job.out == b"1\n")
    refused(job, f"{own}/0 is another one on {_names(three)[1]} than on {_names(three)[0]} (another content)")


def test_no_probe_is_left_by_a_daemon_that_was_killed(three: list[Host]) -> None:
    """It was asking the other node, which did not answer; the next daemon removes what it had made."""
    place = three[0].home.parent / "probed"
    place.mkdir()
    place.chmod(0o777)
    three[0].run("mount", "--bind", str(place), str(place))
    job = Job(three[0], "-n", "1", PYTHON, "-c", _WRITES, str(place / "log"), "a", user="nobody")
    job.write(b"one\n")
    eventually(lambda: job.out == b"written\n")

    def left() -> list[Path]:
        return list(place.rglob(".gomd-probe-*"))

    three[1].daemon.signal(signal.SIGSTOP)
    try:
        Gom(three[0], "migrate", str(job.pid), "2")
        eventually(left)
        three[0].daemon.kill()
        assert left()
        three[0].start()
        eventually(lambda: not left())
    finally:
        three[1].daemon.process.send_signal(signal.SIGCONT)  # nsenter stopped with it, and wakes it
    assert not list((three[0].home / "state/spool/moving").glob(".probes/*"))
    three[0].run("umount", "-l", str(place))
