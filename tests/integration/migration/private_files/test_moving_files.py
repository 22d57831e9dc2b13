"""Temporary files move with their job, and nothing is left of a move that fails."""

from __future__ import annotations

import textwrap
import time

import pytest

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Gom, Job, row_of
from tests.integration.migration.private_files.running import PYTHON, USERS, run, spools

_FILES = """
import mmap, os, sys, tempfile
from multiprocessing import get_context
named = open("/tmp/named", "w+"); named.write("named"); named.flush()
gone = open("/tmp/gone", "w+"); gone.write("gone"); gone.flush(); os.unlink("/tmp/gone")
large = tempfile.TemporaryFile(); large.write(b"z" * 5_000_000); large.flush()
unnamed = os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR, 0o600); os.write(unnamed, b"unnamed")
shared = open("/dev/shm/shared", "w+b"); shared.truncate(8192)
memory = mmap.mmap(shared.fileno(), 8192); memory[0:6] = b"mapped"
sparse = open("/tmp/sparse", "w+b"); sparse.truncate(1 << 30); sparse.seek(1 << 29); sparse.write(b"mid")
sparse.flush()
other = open("/tmp/one", "w+"); other.write("other"); other.flush()
os.link("/tmp/one", "/tmp/two"); os.unlink("/tmp/one")
os.mkdir("/tmp/d", 0o700); os.symlink("../named", "/tmp/d/link"); os.link("/tmp/named", "/tmp/d/hard")
open("/tmp/d/closed", "w").write("closed"); os.utime("/tmp/d/closed", (1000, 1000))
os.chmod("/tmp/d/closed", 0o640); open("/tmp/d/none", "w").write("none"); os.chmod("/tmp/d/none", 0)
semaphore = get_context("spawn").Semaphore(3); semaphore.acquire()
os.chdir("/tmp/d")
print("ready", flush=True)
for line in sys.stdin:
    named.seek(0); gone.seek(0); large.seek(0); sparse.seek(1 << 29); other.seek(0)
    closed = os.stat("closed")
    print(named.read(), gone.read(), len(large.read()), os.pread(unnamed, 99, 0), memory[0:6],
          open("/dev/shm/shared", "rb").read(6), sorted(os.listdir("/tmp")), sorted(os.listdir(".")),
          os.getcwd(), oct(closed.st_mode), closed.st_mtime, closed.st_uid == os.getuid(),
          os.stat("/tmp/named").st_nlink, os.stat("/tmp/sparse").st_blocks < 100, sparse.read(3),
          open("link").read(), os.listdir("/var/tmp"), len(os.listdir("/dev/shm")), other.read(),
          oct(os.stat("none").st_mode), oct(os.stat("/tmp/d").st_mode), flush=True)
    semaphore.release(); semaphore.acquire()
"""


@pytest.mark.parametrize("user", USERS)
def test_every_kind_of_file_moves(two: list[Host], user: str) -> None:
    """Written on, unlinked, without a name, mapped, sparse, linked, closed: there, on, and back home."""
    home = two[0]
    job = Job(home, "-n", "1", "-T", PYTHON, "-c", textwrap.dedent(_FILES), user=user)
    eventually(lambda: job.out == b"ready\n" or job.err)
    job.write(b"before\n")
    eventually(lambda: job.out.count(b"\n") == 2 or job.err)
    first = job.out.split(b"\n")[1]
    for count, target in enumerate(("2", "home", "2"), 3):
        job.move(target)
        job.write(b"after\n")
        eventually(lambda count=count: job.out.count(b"\n") == count or job.err)  # type: ignore[misc]
        assert job.out.split(b"\n")[count - 1] == first
        assert not job.err
    job.close()
    assert job.wait() == 0
    assert host_tmp(two[1]) == "", "nothing of it is in the machine's own"


def host_tmp(host: Host) -> str:
    """Return what is in the temporary directories of a host itself, of this test's job."""
    names = host.run("sh", "-c", "ls /tmp /var/tmp /dev/shm").split()
    return " ".join(name for name in names if name in ("named", "sparse", "two", "d", "shared"))


_LARGE = """
import os, sys
print("ready", flush=True)
for line in sys.stdin:
    with open("/tmp/large", "wb") as file:
        for _ in range(int(line)):
            file.write(os.urandom(1 << 20))
    print("written", flush=True)
"""


def test_more_than_may_move(two: list[Host]) -> None:
    """It is refused with the sizes before anything stops, and moves when there is less."""
    home = two[0]
    job = Job(home, "-n", "1", "-T", PYTHON, "-c", _LARGE, user="nobody")
    eventually(lambda: job.out == b"ready\n")
    job.write(b"70\n")
    eventually(lambda: job.out.count(b"written") == 1)
    for words in ("2 dry-run", "2"):
        said = ask(home, f"migrate {job.pid} {words}")
        reason = "it has 70 MB of temporary files, at most 64 MB may move: see [jobs] private_tmp"
        assert (said.code, reason in said.text) == (405, True), said
    job.write(b"20\n")
    eventually(lambda: job.out.count(b"written") == 2)
    job.move("2")


def test_sort_with_files_that_are_closed(two: list[Host]) -> None:
    """Its temporary files stand in its directory while it reads others: none may stay behind."""
    script = "seq 1 400000 | sort -R --random-source=/etc/passwd | (sort -S 1M -n; cat >&2) | sha256sum"
    home = two[0]
    _status, expected, _err = run(home, "sh", "-c", script)
    job = Job(home, "-n", "1", "-T", "sh", "-c", script, user="nobody")
    job.close()
    for target in ("2", "home"):
        time.sleep(0.3)
        job.move(target)
    assert (job.wait(), job.out.decode(), job.err) == (0, expected, b"")


_LINKED = """
import os, sys
file = open("/tmp/a", "w+"); file.write("x"); file.flush()
os.link("/tmp/a", "/tmp/b"); os.unlink("/tmp/a")
print("ready", flush=True)
for line in sys.stdin:
    print(sorted(os.listdir("/tmp")), flush=True)
"""


def test_a_move_that_fails_leaves_nothing(two: list[Host]) -> None:
    """Links that criu makes are removed at a source where the job goes on."""
    home, other = two
    program = _LINKED
    job = Job(home, "-n", "1", "-T", PYTHON, "-c", program, user="nobody")
    eventually(lambda: job.out == b"ready\n" or job.err)
    for _attempt in range(2):  # the target cannot make a directory for the job, after the freeze
        blocked = other.home / f"state/spool/1-{job.number}"
        blocked.parent.mkdir(parents=True, exist_ok=True)  # made with the first job that comes there
        blocked.write_text("in the way")
        said = ask(home, f"migrate {job.pid} 2")
        blocked.unlink()
        assert said.code == 405, said
        job.write(b"list\n")
        eventually(lambda: b"]" in job.out.split(b"\n")[-2])
        assert job.out.split(b"\n")[-2] == b"['b']"
    eventually(lambda: not spools(other))
    job.move("2")
    job.write(b"list\n")
    eventually(lambda: job.out.count(b"['b']") == 3)


def test_a_daemon_that_is_started_again(two: list[Host]) -> None:
    """A job goes on with its own files, moves with them afterwards, and takes them along at its end."""
    home = two[0]
    number = run(home, "--detach", "sh", "-c", "echo kept > $TMPDIR/f; sleep 3; cat $TMPDIR/f; sleep 1000")[1]
    job = number.strip()
    eventually(lambda: row_of(home, int(job))["pid"])
    pid = row_of(home, int(job))["pid"]
    home.daemon.kill()
    home.start()
    eventually(lambda: ask(home, f"migrate {pid} 2").code == 200)
    attached = Gom(home, "attach", job)
    eventually(lambda: attached.out == b"kept\n")
    ask(home, f"kill {job} KILL")
    attached.wait()
