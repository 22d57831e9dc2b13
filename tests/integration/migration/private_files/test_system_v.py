"""Semaphores, message queues and shared memory of System V move with their job."""

from __future__ import annotations

import textwrap

import pytest

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job
from tests.integration.migration.private_files.running import PYTHON

_QUEUES = """
import ctypes, os, sys
c = ctypes.CDLL(None, use_errno=True); c.shmat.restype = ctypes.c_void_p
rt = ctypes.CDLL("librt.so.1", use_errno=True)
class Message(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_long), ("data", ctypes.c_char * 16)]
size = 3 << 20
semaphores = c.semget(0x1234, 2, 0o1600); c.semctl(semaphores, 0, 16, 7); c.semctl(semaphores, 1, 16, 9)
queue = c.msgget(0x77, 0o1600); message = Message(3, b"message")
c.msgsnd(queue, ctypes.byref(message), 16, 0)
attached = c.shmget(0x55, size, 0o1600); at = c.shmat(attached, None, 0)
ctypes.memset(at, 65, size)
detached = c.shmget(0x56, 8192, 0o1600); there = c.shmat(detached, None, 0)
ctypes.memmove(there, b"detached", 8); c.shmdt(ctypes.c_void_p(there))
print("ready", flush=True)
for line in sys.stdin:
    if line == "open\\n":
        opened = rt.mq_open(b"/queue", os.O_CREAT | os.O_RDWR, 0o600, None); print(opened >= 0, flush=True)
        continue
    if line == "close\\n":
        os.close(opened); print("closed", flush=True)
        continue
    there = c.shmat(c.shmget(0x56, 8192, 0), None, 0); got = Message()
    length = c.msgrcv(c.msgget(0x77, 0), ctypes.byref(got), 16, 0, 0o4000)
    c.msgsnd(queue, ctypes.byref(message), 16, 0)
    print(c.semget(0x1234, 2, 0) == semaphores, c.semctl(semaphores, 0, 12), c.semctl(semaphores, 1, 12),
          length, got.kind, got.data, ctypes.string_at(at, 8), ctypes.string_at(at + size - 4, 4),
          ctypes.string_at(there, 8), c.shmget(0x55, size, 0) == attached, flush=True)
    c.shmdt(ctypes.c_void_p(there))
"""


@pytest.mark.parametrize("options", [("root",), ("nobody",), ("nobody", "--shared-tmp")])
def test_system_v_queues_move(two: list[Host], options: tuple[str, ...]) -> None:
    """Semaphores, messages and memory, attached or not, keep their ids and keys; a POSIX queue is refused."""
    user, *more = options
    home = two[0]
    job = Job(home, "-n", "1", "-T", *more, PYTHON, "-c", textwrap.dedent(_QUEUES), user=user)

    def said(line: str) -> bytes:
        before = job.out.count(b"\n")
        job.write(line.encode() + b"\n")
        eventually(lambda: job.out.count(b"\n") == before + 1 or job.err)
        return job.out.split(b"\n")[-2]

    eventually(lambda: job.out == b"ready\n" or job.err)
    expected = b"True 7 9 16 3 b'message' b'AAAAAAAA' b'AAAA' b'detached' True"
    assert said("before") == expected
    for target in ("2", "home"):
        job.move(target)
        assert said("after") == expected
    assert said("open") == b"True"
    refused = ask(home, f"migrate {job.pid} 2 dry-run")
    assert (refused.code, "it has the POSIX message queue /queue open" in refused.text) == (405, True), (
        refused
    )
    assert ask(home, f"migrate {job.pid} 2").code == 405
    assert said("close") == b"closed"
    job.move("2")
    assert said("after") == expected
