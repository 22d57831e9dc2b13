"""Temporary files are a job's own: nobody else sees them, they move with it, and they are gone with it."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator

import pytest

from tests.integration import hosts
from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Gom, Job, end_jobs, row_of
from tests.integration.own_tmp import own_tmp_hosts
from tests.integration.test_criu import find_criu

PYTHON = "/usr/bin/python3"
USERS = ("root", "nobody")


@pytest.fixture(scope="module")
def made() -> Iterator[list[Host]]:
    """Two hosts that have nothing in common below /tmp, /var/tmp and /dev/shm."""
    if reason := hosts.missing():
        pytest.skip(reason)
    with own_tmp_hosts(find_criu(), more=f"private_tmp = {64 << 20}\n") as network:
        yield network.hosts


@pytest.fixture
def two(made: list[Host]) -> Iterator[list[Host]]:
    """The same, and no job is left behind, nor anything of one."""
    yield made
    end_jobs(made)
    for host in made:
        host.run("find", "/tmp", "/var/tmp", "/dev/shm", "-mindepth", "1", "-delete")
        eventually(lambda host=host: not spools(host))  # type: ignore[misc]


def spools(host: Host) -> list[str]:
    """Return what is left in the spool of a host: temporary directories of jobs, and images."""
    spool = host.home / "state/spool"
    return [str(path) for name in ("*-*/tmp", "*-*/vartmp", "moving/[!.]*") for path in spool.glob(name)]


def run(host: Host, *words: str, user: str = "nobody", cwd: str = "/") -> tuple[int, str, str]:
    """Run a job on this host to its end; return its exit status and what it printed."""
    job = Gom(host, "run", "-n", str(host.number), "-T", *words, user=user, cwd="/" if cwd != "/" else cwd)
    job.close()
    return job.wait(), job.out.decode(), job.err.decode()


@pytest.mark.parametrize("user", USERS)
def test_a_job_has_its_own(two: list[Host], user: str) -> None:
    """They are empty, everybody may write to them, and nothing in them has another user's rights."""
    script = (
        "ls -A /tmp /var/tmp /dev/shm; stat -c %a /tmp /var/tmp /dev/shm; echo $TMPDIR; grep -c nosuid,nodev"
    )
    status, out, err = run(two[0], "sh", "-c", f"{script} /proc/self/mountinfo | grep -c .", user=user)
    assert (status, err) == (0, "")
    assert out.split() == ["/dev/shm:", "/tmp:", "/var/tmp:", "1777", "1777", "1777", "/tmp", "1"]


def test_what_the_job_names_is_there(two: list[Host]) -> None:
    """The program, an argument, its directory, also in a line of shell: at their own paths, and no more."""
    host = two[0]
    host.run("sh", "-c", """
        mkdir -m 755 /tmp/named /tmp/secret; echo in > /tmp/named/in; echo one > /tmp/one
        echo other > /tmp/other
        printf '#!/bin/sh\\necho script; ls /tmp\\n' > /tmp/script; chmod 755 /tmp/script
        echo x > /tmp/secret/x; chmod 700 /tmp/secret; chmod 777 /tmp/named
    """)  # fmt: skip
    assert run(host, "cat", "/tmp/one", "/tmp/named/in") == (0, "one\nin\n", "")
    assert run(host, "sh", "-c", "cat </tmp/one; ls /tmp") == (0, "one\none\n", "")
    assert run(host, "/tmp/script") == (0, "script\nscript\n", "")
    assert run(host, "sh", "-c", "echo new > /tmp/named/new") == (0, "", "")
    assert host.run("cat", "/tmp/named/new") == "new\n"
    status, _out, err = run(host, "cat", "/tmp/secret/x")
    assert (status, "Permission denied" in err) == (1, True)


def test_what_the_job_does_not_find(two: list[Host]) -> None:
    """One sentence says why, and names the option that helps; with the option the file is there."""
    host = two[0]
    host.run("sh", "-c", "echo data > /tmp/data")
    program = "print(open('/' + 'tmp/data').read())"
    status, _out, err = run(host, PYTHON, "-c", program)
    assert status == 1
    assert err.split("\n")[-2].startswith(
        "gom: there was no /tmp/data in the /tmp that the job has of its own"
    )
    assert "--shared-tmp" in err
    assert run(host, "--shared-tmp", PYTHON, "-c", program) == (0, "data\n\n", "")


def test_a_result_that_is_removed_with_the_job(two: list[Host]) -> None:
    """It is said, not left to be found out."""
    status, _out, err = run(two[0], "sh", "-c", "echo result > /tmp/result")
    assert status == 0
    assert "/tmp/result was in the job's own /tmp and was removed with it" in err


def test_links_lead_where_the_user_may_go(two: list[Host]) -> None:
    """A link in /tmp shows a user nothing that is closed to them, though root's supervisor binds it."""
    host = two[0]
    closed = host.home / "closed"
    (closed / "open").mkdir(parents=True, exist_ok=True)
    (closed / "open/secret").write_text("secret")
    closed.chmod(0o700)
    host.run("ln", "-sfn", str(closed / "open"), "/tmp/way")
    status, out, _err = run(host, "cat", "/tmp/way/secret")
    assert (status, out) == (1, "")


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


_DATABASE = """
import sqlite3, sys
base = sqlite3.connect("/tmp/base", isolation_level=None)
base.execute("PRAGMA journal_mode=" + sys.argv[1])
base.execute("CREATE TABLE t (a)"); base.execute("BEGIN IMMEDIATE")
for number in range(1000):
    base.execute("INSERT INTO t VALUES (?)", (number,))
print("ready", flush=True)
for line in sys.stdin:
    if line == "close\\n":
        base.execute("COMMIT")
        base.close()
        print("closed", flush=True)
        base = sqlite3.connect("/tmp/base", isolation_level=None)
        [count], [whole] = (base.execute(ask).fetchone() for ask in sys.argv[2:])
        print(count, whole)
        base.close()
        continue
    base.execute("INSERT INTO t VALUES (0)"); base.execute("COMMIT"); base.execute("BEGIN IMMEDIATE")
"""


_ASKED = ("SELECT count(*) FROM t", "PRAGMA integrity_check")


@pytest.mark.parametrize("user", USERS)
def test_a_database_in_a_transaction(two: list[Host], user: str) -> None:
    """Its write-ahead log and the locks on its own files move, and it writes on."""
    job = Job(two[0], "-n", "1", "-T", PYTHON, "-c", _DATABASE, "WAL", *_ASKED, user=user)
    eventually(lambda: job.out == b"ready\n" or job.err)
    for target in ("2", "home"):
        job.move(target)
        job.write(b"more\n")
    job.write(b"close\n")
    job.close()
    assert (job.wait(), job.out, job.err) == (0, b"ready\nclosed\n1002 ok\n", b"")


@pytest.mark.parametrize("journal", ["DELETE", "PERSIST"])
def test_a_database_that_notices_a_copy(two: list[Host], journal: str) -> None:
    """SQLite with a rollback journal compares inode numbers: the job moves when the database is closed."""
    home = two[0]
    job = Job(home, "-n", "1", "-T", PYTHON, "-c", _DATABASE, journal, *_ASKED, user="nobody")
    eventually(lambda: job.out == b"ready\n" or job.err)
    for words in ("2 dry-run", "2"):
        said = ask(home, f"migrate {job.pid} {words}")
        assert (said.code, "its file /tmp/base is an SQLite database" in said.text) == (405, True), said
    eventually(
        lambda: "is an SQLite database" in str(ask(home, f"ps {job.pid}", as_json=True).rows[0]["cantmove"])
    )
    job.write(b"close\n")
    eventually(lambda: b"closed" in job.out)
    job.move("2")
    job.close()
    assert (job.wait(), job.out, job.err) == (0, b"ready\nclosed\n1000 ok\n", b"")


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


@pytest.mark.parametrize("user", USERS)
def test_a_tree_that_is_hard_to_remove(two: list[Host], user: str) -> None:
    """Deep, closed and full of links: it is gone with the job, and what the links lead to is not."""
    home = two[0]
    kept = home.home / "kept"
    kept.mkdir(exist_ok=True)
    (kept / "file").write_text("kept")
    script = (
        "import os; os.chdir('/var/tmp')\n"
        "for i in range(1200): os.mkdir('d'); os.chdir('d')\n"
        f"os.symlink('{kept}', 'link'); os.symlink('{kept}', '/tmp/link'); os.chmod('/var/tmp/d', 0)"
    )
    assert run(home, PYTHON, "-c", script, user=user)[0] == 0
    eventually(lambda: not spools(home))
    assert (kept / "file").read_text() == "kept"
