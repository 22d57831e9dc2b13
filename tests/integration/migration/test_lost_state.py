"""What a copy would lack without a word goes along, or keeps its job; a move that fails costs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import TOUR, Job, process
from tests.integration.migration.test_refusals import PYTHON, moves, refused
from tests.integration.migration.test_sockets import capable

__all__ = ("capable",)
USERS = ("root", "nobody")
#: What each program begins with: system calls, a process that waits, and the wait for a line of its input.
_BEGIN = """
import ctypes, os, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def done(result):
    if result < 0:
        print("not here", os.strerror(ctypes.get_errno()), flush=True)
        sys.exit(7)
    return result
def clone(flags):
    child = done(libc.syscall(56, ctypes.c_ulong(flags), None, None, None, None))
    if child == 0:
        while True:
            libc.pause()
def alone(part):
    def run():
        done(libc.unshare(part))
        changed.set()
        time.sleep(1000)
    changed = threading.Event()
    threading.Thread(target=run, daemon=True).start()
    changed.wait()
"""
_END = """
print("ready", flush=True)
sys.stdin.readline()
"""
_CLONE_VM, _CLONE_FS, _CLONE_FILES, _SIGCHLD = 0x100, 0x200, 0x400, 17
_LOST = {
    "semaphore": ("n = done(libc.eventfd(3, 1))", "it has an eventfd that is a semaphore (EFD_SEMAPHORE)"),
    "packets": ("ends = os.pipe2(os.O_DIRECT)", "it has a pipe of packets (O_DIRECT) open"),
    "thread's files": (f"alone({_CLONE_FILES})", "one of its threads has open files of its own (unshare)"),
    "thread's directory": (
        f"alone({_CLONE_FS})", "one of its threads has a working directory of its own (unshare)"
    ),
    "shared directory": (
        f"clone({_CLONE_FS | _SIGCHLD})", "two of its processes share their working directory"
    ),
    "another signal": ("clone(12)", "ends with signal 12 to its parent instead of SIGCHLD"),
    "undo": (
        "number = done(libc.semget(0, 1, 0o600))\n"
        "done(libc.semop(number, struct.pack('=Hhh', 0, 1, 0x1000), 1))",
        "it may have changed System V semaphores so that the change is undone when it ends (SEM_UNDO)",
    ),
    "sealed memory": (
        "import mmap\n"
        "memory = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "at = ctypes.addressof(ctypes.c_char.from_buffer(memory))\n"
        "done(libc.syscall(462, ctypes.c_ulong(at), ctypes.c_ulong(4096), ctypes.c_ulong(0)))",
        "it has sealed memory (mseal)",
    ),
    "urgent data": (
        "one, other = socket.socketpair()\n"
        "try:\n    one.send(b'!', socket.MSG_OOB)\nexcept OSError:\n    done(-1)",
        "it has urgent data (MSG_OOB) in a socket that it has not read",
    ),
    "empty datagram": (
        "one, other = socket.socketpair(type=socket.SOCK_DGRAM)\none.send(b''); one.send(b'behind')",
        "it has an empty datagram in a socket that it has not read",
    ),
    "multicast": (
        "one = socket.socket(type=socket.SOCK_DGRAM)\n"
        "one.setsockopt(0, 35, socket.inet_aton('239.1.2.3') + socket.inet_aton('127.0.0.1'))",
        "it has joined the multicast group 239.1.2.3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("kind", _LOST)
def test_what_criu_leaves_out_without_a_word(capable: list[Host], kind: str, user: str) -> None:
    """It is named before anything stops."""
    program, reason = _LOST[kind]
    job = Job(capable[0], "-n", "1", PYTHON, "-c", f"{_BEGIN}{program}{_END}", user=user)
    eventually(lambda: job.out)
    if job.out.startswith(b"not here"):
        pytest.skip(job.out.decode())
    refused(job, reason)
    if kind != "sealed memory":  # for which all of its memory would have to be looked at, every three seconds
        assert eventually(lambda: reason in str(process(capable[0], job.pid)["cantmove"]))


@pytest.mark.parametrize("user", USERS)
def test_threads_and_semaphores_that_move(three: list[Host], user: str) -> None:
    """What looks alike and is carried over: threads, a child, a plain eventfd and pipe."""
    program = (
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
        "number, ends = done(libc.eventfd(3, 0)), os.pipe()\nif os.fork() == 0:\n    time.sleep(1000)\n"
    )
    job = Job(three[0], "-n", "1", PYTHON, "-c", f"{_BEGIN}{program}{_END}", user=user)
    eventually(lambda: job.out == b"ready\n")
    moves(job)


_OPTIONS = """
import socket, sys
udp, udp6 = socket.socket(type=socket.SOCK_DGRAM), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
tcp, (one, other) = socket.create_server(("0.0.0.0", 0)), socket.socketpair()
options = (
    (udp, 0, 33, 9), (udp, 0, 34, 0), (udp, 0, 12, 1), (udp, 1, 29, 1), (udp6, 41, 18, 9), (udp6, 41, 51, 1),
    (udp6, 41, 16, 7), (tcp, 6, 9, 7), (tcp, 6, 23, 5), (one, 1, 42, 3), (one, 1, 16, 1),
)
udp.bind(("0.0.0.0", 0))
udp6.bind(("::", 0))
for each, level, option, value in options:
    each.setsockopt(level, option, value)
print("ready", flush=True)
for line in sys.stdin:
    print(*[each.getsockopt(level, option) for each, level, option, _value in options], flush=True)
"""


@pytest.mark.parametrize("user", USERS)
def test_options_of_sockets(capable: list[Host], user: str) -> None:
    """Those that criu leaves out have their values at each step of a tour."""
    job = Job(capable[0], "-n", "1", PYTHON, "-c", _OPTIONS, user=user)
    eventually(lambda: job.out == b"ready\n")
    for step, target in enumerate(TOUR, 1):
        job.move(target)
        job.write(b"\n")
        eventually(lambda step=step: job.out.count(b"\n") > step)  # type: ignore[misc]
        assert job.out.splitlines()[-1] == b"9 0 1 1 9 1 7 7 5 3 1"


@pytest.mark.parametrize("user", USERS)
def test_a_child_that_was_killed_and_not_waited_for(three: list[Host], user: str) -> None:
    """Its parent hears of it after the move."""
    program = "child = os.fork()\nif child == 0:\n    os.kill(os.getpid(), 9)\ntime.sleep(0.2)\n"
    wait = "print(os.waitpid(child, 0)[1], flush=True)\n"
    job = Job(three[0], "-n", "1", PYTHON, "-c", f"{_BEGIN}{program}{_END}{wait}", user=user)
    eventually(lambda: job.out == b"ready\n")
    job.move("2")
    job.write(b"\n")
    assert (job.wait(), job.out) == (0, b"ready\n9\n")


@pytest.mark.parametrize("user", USERS)
def test_requests_to_the_disk(three: list[Host], user: str) -> None:
    """A context of the kernel's asynchronous input and output (io_setup), as databases have it."""
    program = "context = ctypes.c_ulong()\ndone(libc.syscall(206, 8, ctypes.byref(context)))\n"
    use = "print(libc.syscall(207, context), flush=True)\n"
    job = Job(three[0], "-n", "1", PYTHON, "-c", f"{_BEGIN}{program}{_END}{use}", user=user)
    eventually(lambda: job.out == b"ready\n")
    moves(job)
    job.write(b"\n")
    assert (job.wait(), job.out) == (0, b"ready\n0\n")


_TALKS = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0))
one = socket.create_connection(listening.getsockname())
other, _ = listening.accept()
other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
one.sendall(b"before")
print("ready", flush=True)
sys.stdin.readline()
other.sendall(b"after")
print(other.recv(6).decode(), one.recv(5).decode(), other.getsockopt(1, 2), flush=True)
"""


@pytest.mark.parametrize("user", USERS)
def test_connections_after_a_move_that_failed(capable: list[Host], tmp_path: Path, user: str) -> None:
    """The job goes on where it is, with what it says to itself over TCP."""
    job = Job(capable[0], "-n", "1", PYTHON, "-c", _TALKS, user=user)
    eventually(lambda: job.out == b"ready\n")
    target = capable[1]
    [criu] = [line.partition("= ")[2] for line in target.more.splitlines() if line.startswith("criu")]
    broken = target.home.parent / "no-restore"
    broken.write_text(f'#!/bin/sh\ncase " $* " in *" restore "*) exit 1 ;; esac\nexec {criu} "$@"\n')
    broken.chmod(0o755)
    before = target.more
    target.more = before.replace(criu, str(broken))
    try:
        target.daemon.stop()
        target.start()
        eventually(lambda: ask(capable[0], f"migrate {job.pid} 2 dry-run").code == 200)
        said = ask(capable[0], f"migrate {job.pid} 2")
        assert (said.code, "criu could not restore the job" in said.text) == (405, True), said
    finally:
        target.daemon.stop()
        target.more = before
        target.start()
    job.write(b"\n")
    assert (job.wait(), job.out) == (0, b"ready\nbefore after 1\n")
