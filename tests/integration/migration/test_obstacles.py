"""What keeps a job on its node is said by `--dry-run` and in `cantmove`, before anything is stopped."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host, Network
from tests.integration.migration.moving import Job, process
from tests.integration.migration.test_refusals import PYTHON, moves, refused

_SOURCE = Path(__file__).with_name("restricted.c")
USERS = ("root", "nobody")


@pytest.fixture(scope="module")
def restricted(made: Network) -> Iterator[str]:
    """Compile the program that restricts itself; every user may run it."""
    path = made.hosts[0].home.parent / "restricted"
    subprocess.run(["gcc", "-O1", "-pthread", "-o", str(path), str(_SOURCE)], check=True)
    yield str(path)
    path.unlink()


@pytest.fixture
def shared(made: Network) -> Iterator[Path]:
    """A directory that all hosts share, and everybody may write to."""
    path = made.hosts[0].home.parent / "shared"
    path.mkdir()
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


def _ready(job: Job) -> None:
    eventually(lambda: b"ready\n" in job.out or b"not here" in job.out)
    if b"not here" in job.out:
        pytest.skip("this kernel does not have it")


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("io_uring", "it uses io_uring"),
        ("userfaultfd", "it uses userfaultfd"),
        ("perf", "it uses performance counters (perf_event)"),
        ("ruleset", "it uses a landlock rule set"),
        ("secret", "it uses secret memory"),
        ("vsock", "it has a socket for virtual machines (AF_VSOCK) open"),
        ("vfork", "one of its processes waits for a child that it made with vfork: try again when that runs"),
    ],
)
def test_what_the_kernel_shows(three: list[Host], restricted: str, kind: str, reason: str, user: str) -> None:
    """It is refused in its own words, and `cantmove` says the same."""
    job = Job(three[0], "-n", "1", restricted, kind, user=user)
    _ready(job)
    refused(job, reason)
    assert eventually(lambda: reason in str(process(three[0], job.pid)["cantmove"]))


def test_fanotify(three: list[Host], restricted: str) -> None:
    """Only root may use it."""
    job = Job(three[0], "-n", "1", restricted, "fanotify")
    _ready(job)
    refused(job, "it uses fanotify")


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    ("kind", "reason"), [("mdwe", "MDWE"), ("landlock", "landlock"), ("landlock-thread", "landlock")]
)
def test_restrictions_that_no_file_shows(
    three: list[Host], restricted: str, kind: str, reason: str, user: str
) -> None:
    """They are found when the job is about to be frozen; it goes on, and is told of by name."""
    job = Job(three[0], "-n", "1", restricted, kind, user=user)
    _ready(job)
    said = ask(three[0], f"migrate {job.pid} 2")
    assert (said.code, reason in said.text, "which would be lost" in said.text) == (405, True, True), said
    assert "criu" not in said.text
    job.write(b"on\n")
    assert eventually(lambda: job.out.count(b"\n") == 2), job.out
    assert job.row()["node"] == 1


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("kind", "kept"), [("no-new-privs", b"1 0 0\n"), ("seccomp", b"1 2 1\n")])
def test_restrictions_that_move_along(
    three: list[Host], restricted: str, kind: str, kept: bytes, user: str
) -> None:
    """The copy cannot do more than the job could."""
    job = Job(three[0], "-n", "1", restricted, kind, user=user)
    _ready(job)
    for number, target in enumerate(("2", "home")):
        job.move(target)
        job.write(b"on\n")
        assert eventually(lambda number=number: job.out.count(kept) == number + 1), job.out  # type: ignore[misc]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("strace", "-f", "-o", "/dev/null", "sleep", "1000"), "a debugger or strace, traces it"),
        (("unshare", "-r", "sleep", "1000"), "has a user namespace of its own"),
        (("unshare", "-n", "sleep", "1000"), "has a network namespace of its own"),
        (("unshare", "-u", "sleep", "1000"), "has a UTS namespace of its own"),
        (("unshare", "-p", "-f", "sleep", "1000"), "has a PID namespace of its own"),
        (("bwrap", "--ro-bind", "/", "/", "sleep", "1000"), "has a mount namespace of its own"),
    ],
)
def test_programs_around_programs(three: list[Host], words: tuple[str, ...], reason: str) -> None:
    """A tracer, and what containers are made of: namespaces of their own."""
    job = Job(three[0], "-n", "1", *words)
    eventually(lambda: reason in ask(three[0], f"migrate {job.pid} 2 dry-run").text)
    refused(job, reason)
    assert eventually(lambda: reason in str(process(three[0], job.pid)["cantmove"]))


@pytest.mark.parametrize("user", USERS)
def test_locks(three: list[Host], shared: Path, user: str) -> None:
    """Of flock(1), of fcntl and of a lease: each by its file's name, for its owner."""
    for number, script in enumerate((
        "fcntl.flock(file, fcntl.LOCK_SH)", "fcntl.lockf(file, fcntl.LOCK_EX)",
        "fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)",
    )):  # fmt: skip
        path = shared / f"{user}{number}"
        begin = "import fcntl, sys; file = open(sys.argv[1], 'w+')"
        words = f"{begin}; {script}; print('ready', flush=True); input()"
        job = Job(three[0], "-n", "1", PYTHON, "-c", words, str(path), user=user)
        _ready(job)
        refused(job, f"it holds a lock on {path}")
    path = shared / f"{user}-flock"
    job = Job(three[0], "-n", "1", "flock", str(path), "sleep", "1000", user=user)
    eventually(lambda: "lock" in ask(three[0], f"migrate {job.pid} 2 dry-run").text)
    refused(job, f"it holds a lock on {path}")


_CONNECTED = """
import socket, sys
ours = socket.socket(socket.AF_UNIX)
ours.connect(sys.argv[1])
print("ready", flush=True)
input()
"""
_PAIR = """
import os, socket
one, other = socket.socketpair()
if os.fork() == 0:
    while data := other.recv(100):
        other.send(data.upper())
    os._exit(0)
other.close()
print("ready", flush=True)
while line := input():
    one.send(line.encode())
    print(one.recv(100).decode(), flush=True)
"""


@pytest.mark.parametrize("user", USERS)
def test_unix_sockets(three: list[Host], user: str) -> None:
    """One that leads to another program keeps it, by the name of that one; a pair within the job moves."""
    path = three[0].home / "gomd.sock"
    job = Job(three[0], "-n", "1", PYTHON, "-c", _CONNECTED, str(path), user=user)
    _ready(job)
    refused(job, f"it has a socket open to another program of this machine, at {path}")
    job = Job(three[0], "-n", "1", PYTHON, "-c", _PAIR, user=user)
    _ready(job)
    moves(job)
    job.write(b"hello\n")
    assert eventually(lambda: job.out.endswith(b"HELLO\n"))


def test_a_posix_queue(three: list[Host]) -> None:
    """By its name."""
    script = (
        "import ctypes; c = ctypes.CDLL(None, use_errno=True); "
        "print('ready' if c.mq_open(b'/gomd-test', 0o102, 0o600, None) >= 0 else 'not here', flush=True); "
        "c.mq_unlink(b'/gomd-test'); input()"
    )
    job = Job(three[0], "-n", "1", PYTHON, "-c", script)
    _ready(job)
    refused(job, "it has the POSIX message queue /gomd-test")


def test_watched_files(three: list[Host], restricted: str) -> None:
    """A watch on a file that it has not open keeps it."""
    job = Job(three[0], "-n", "1", restricted, "inotify", "/etc/passwd")
    _ready(job)
    refused(job, "it watches files of this node for changes (inotify)")


_WATCHES = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
file = open(sys.argv[1], "r")
watch = libc.inotify_init()
assert libc.inotify_add_watch(watch, sys.argv[1].encode(), 2) > 0
print("ready", flush=True)
while os.read(watch, 4096):
    print("changed", flush=True)
"""


def test_a_watch_on_an_open_file(three: list[Host], shared: Path) -> None:
    """As `tail -f` has it: it goes on where both nodes see the same file."""
    path = shared / "followed"
    path.write_text("")
    path.chmod(0o666)
    job = Job(three[0], "-n", "1", PYTHON, "-c", _WATCHES, str(path), user="nobody")
    _ready(job)
    moves(job)
    path.write_text("more")
    assert eventually(lambda: b"changed" in job.out)


_UNLINKED = """
import os, sys
file = open(sys.argv[1], "w+")
os.unlink(sys.argv[1])
file.write("kept")
file.flush()
print("ready", flush=True)
input()
file.seek(0)
print(file.read(), flush=True)
input()
"""


@pytest.mark.parametrize("user", USERS)
def test_a_file_without_a_name(three: list[Host], shared: Path, user: str) -> None:
    """A temporary file that its program has removed goes along, if it is not large."""
    job = Job(three[0], "-n", "1", PYTHON, "-c", _UNLINKED, str(shared / user), user=user)
    _ready(job)
    moves(job)
    job.write(b"\n")
    assert eventually(lambda: job.out.endswith(b"kept\n"))


def test_files_of_proc(three: list[Host]) -> None:
    """What everybody may read is opened again; what is for the process itself cannot be."""
    script = "import os, sys; number = os.open(sys.argv[1], os.O_RDONLY); print('ready', flush=True); input()"
    for path in ("/proc/self/stat", "/proc/cpuinfo", "/sys/kernel/mm/transparent_hugepage/enabled"):
        job = Job(three[0], "-n", "1", PYTHON, "-c", script, path, user="nobody")
        _ready(job)
        moves(job)
    job = Job(three[0], "-n", "1", PYTHON, "-c", script, "/proc/self/fd", user="nobody")
    _ready(job)
    refused(job, "/fd open, which cannot be opened for it elsewhere")


def test_a_directory_that_was_removed(three: list[Host], shared: Path) -> None:
    """The job is in it, and there is none to be in on another node."""
    script = "import os, sys; os.mkdir(sys.argv[1]); os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); " \
        "print('ready', flush=True); input()"  # fmt: skip
    job = Job(three[0], "-n", "1", PYTHON, "-c", script, str(shared / "gone"))
    _ready(job)
    refused(job, f"its directory {shared}/gone was removed")


def test_another_users_file(three: list[Host], shared: Path) -> None:
    """What the user may not have on the other node is named, before anything is stopped."""
    path = shared / "private"
    path.write_text("text")
    path.chmod(0o644)
    script = "import sys; file = open(sys.argv[1]); print('ready', flush=True); input()"
    job = Job(three[0], "-n", "1", PYTHON, "-c", script, str(path), user="nobody")
    _ready(job)
    path.chmod(0o600)
    refused(job, f"nobody may not have {path} on node 2 h2")
