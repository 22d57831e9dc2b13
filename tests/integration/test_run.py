"""
`gom run` on one node: bytes, signals, ends, refusals, and daemons that go away meanwhile.

Each test runs with the Python program and with gomrun.
"""

from __future__ import annotations

import hashlib
import json
import os
import pty
import random
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, NOBODY, begin, gom, job, jobs, running, until

MEGABYTE = 1 << 20

pytestmark = pytest.mark.usefixtures("run_program")


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Iterator[Daemon]:
    """A daemon, whose jobs are ended after the test."""
    started = start_daemon()
    yield started
    if started.process.poll() is None:
        for row in jobs(started):
            if row["state"] == "running":
                gom(started, "kill", str(row["job"]), "KILL")
        until(lambda: all(row["state"] != "running" for row in jobs(started)))
        until(lambda: not _supervisors(started))  # one that has not been heard would wait for a next daemon


def _supervisors(daemon: Daemon) -> list[int]:
    """Return the supervisors of the daemon's jobs that still run."""
    pids = []
    for file in (daemon.state / "spool").glob("*/job"):
        with suppress(FileNotFoundError):  # it was removed meanwhile
            pids.append(json.loads(file.read_text()).get("supervisor"))
    return [pid for pid in pids if pid and Path(f"/proc/{pid}").exists()]


def test_output_and_exit_status_are_the_commands_own(daemon: Daemon) -> None:
    """stdout and stderr come apart, the status is the command's."""
    done = gom(daemon, "run", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_both_outputs_into_one_file_keep_their_order(daemon: Daemon) -> None:
    """`gom run COMMAND > file 2>&1 | ...` shows lines of both in the order they were written."""
    script = "for i in $(seq 1 300); do echo o$i; echo e$i >&2; done"
    done = subprocess.run(
        [*GOM, "-c", daemon.unix, "run", "sh", "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert done.stdout.decode() == "".join(f"o{i}\ne{i}\n" for i in range(1, 301))


def test_fifty_megabytes_go_both_ways_unchanged(daemon: Daemon) -> None:
    """Every byte of 50 MB comes back in its order."""
    data = random.Random(1).randbytes(50 * MEGABYTE)
    done = gom(daemon, "run", "cat", stdin=data)
    assert done.returncode == 0
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_the_surroundings_come_along(daemon: Daemon, tmp_path: Path) -> None:
    """Directory, environment and umask are the caller's."""
    script = "import os; print(os.getcwd(), os.environ['COLOUR'], os.umask(0))"
    done = gom(
        daemon, "run", "python3", "-c", script, env={"COLOUR": "blä\udcff"}, cwd=tmp_path, umask=0o27
    )  # fmt: skip
    assert done.stdout == os.fsencode(f"{tmp_path} blä\udcff {0o27}\n")


@pytest.mark.parametrize(
    ("command", "status", "sentence"),
    [
        (["no-such-command"], 127, b"gom: no-such-command: command not found\n"),
        (["/etc/passwd"], 126, b"gom: /etc/passwd: Permission denied\n"),
        (["/no/such"], 127, b"gom: /no/such: command not found\n"),
    ],
)
def test_a_command_that_cannot_be_started(
    daemon: Daemon, command: list[str], status: int, sentence: bytes
) -> None:
    """127 and 126 as in a shell, with one sentence."""
    done = gom(daemon, "run", *command)
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", sentence)
    assert jobs(daemon) == []


def test_a_directory_that_is_gone_is_said(daemon: Daemon, tmp_path: Path) -> None:
    """No job runs in a directory that is not the caller's."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'rmdir {gone}; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *GOM, "-c", daemon.unix, "run", "true"],
        cwd=gone, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert b"director" in done.stderr


def test_a_signal_ends_it_as_in_a_shell(daemon: Daemon) -> None:
    """128 + the signal's number, whoever sent it."""
    assert gom(daemon, "run", "sh", "-c", "kill -9 $$").returncode == 137
    started = begin(daemon, "run", "sleep", "1000")
    running(daemon)
    started.send_signal(signal.SIGTERM)
    assert started.wait(PATIENCE) == 143


@pytest.mark.one_program
def test_a_command_has_nothing_of_the_daemons(daemon: Daemon) -> None:
    """No open file but its three streams, every signal at its default."""
    script = "ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status"
    files, _name, ignored = gom(daemon, "run", "sh", "-c", script).stdout.split()
    assert files == b"4"
    assert int(ignored, 16) & 0x7FFFFFFF == 0  # 32 and 33 are the C library's own


def test_signals_reach_the_command(daemon: Daemon) -> None:
    """Ctrl-C is the command's to handle: all of its processes get it."""
    script = (
        "import signal as s, time\ns.signal(2, lambda *_: exit(5))\nprint('up', flush=True)\n"
        "while True: time.sleep(0.1)"
    )
    started = begin(daemon, "run", "python3", "-c", script, start_new_session=True)
    assert started.stdout is not None
    assert started.stdout.readline() == b"up\n"
    started.send_signal(signal.SIGINT)
    assert started.wait(PATIENCE) == 5


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_closed_terminal_ends_the_job(daemon: Daemon, number: signal.Signals) -> None:
    """Nothing runs on unseen, not even in the background of the job."""
    started = begin(daemon, "run", "sh", "-c", "sleep 1000 & sleep 1000")
    row = running(daemon)
    started.send_signal(number)
    started.wait(PATIENCE)
    until(lambda: job(daemon, row["job"])["state"] == "done")
    assert job(daemon, row["job"])["exit"] == 129
    until(lambda: not Path(f"/proc/{row['pid']}").exists())


def test_a_detached_job_goes_on_and_keeps_its_output(daemon: Daemon) -> None:
    """Its number is printed; what it writes can be read while it runs and afterwards, again and again."""
    done = gom(daemon, "run", "--detach", "sh", "-c", "echo one; echo two >&2; sleep 0.5; echo three; exit 4")
    number = done.stdout.decode().strip()
    for _ in range(2):
        shown = gom(daemon, "attach", number)
        assert (shown.returncode, shown.stdout, shown.stderr) == (4, b"one\nthree\n", b"two\n")
    assert job(daemon, int(number))["detached"] is True


def test_an_attached_terminal_can_go_again(daemon: Daemon) -> None:
    """Ctrl-C ends `gom attach`, and not the detached job."""
    number = gom(daemon, "run", "--detach", "sh", "-c", "echo up; sleep 1000").stdout.decode().strip()
    shown = begin(daemon, "attach", number, start_new_session=True)
    assert shown.stdout is not None
    assert shown.stdout.readline() == b"up\n"
    shown.send_signal(signal.SIGINT)
    assert shown.wait(PATIENCE) == 130
    assert job(daemon, int(number))["state"] == "running"
    assert gom(daemon, "kill", number).returncode == 0
    until(lambda: job(daemon, int(number))["exit"] == 143)


def test_a_daemon_that_is_killed_finds_its_jobs_again(daemon: Daemon) -> None:
    """`gom run` waits for it and goes on: not a byte is lost or doubled, the status is the command's."""
    data = random.Random(2).randbytes(20 * MEGABYTE)
    detached = (
        gom(daemon, "run", "--detach", "sh", "-c", "sleep 2; echo late; exit 3").stdout.decode().strip()
    )
    started = begin(daemon, "run", "sh", "-c", "cat; exit 6")
    assert started.stdin is not None
    half = len(data) // 2
    feed = threading.Thread(target=_feed, args=(started, data, half))
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(started.stdout.read()))  # type: ignore[union-attr]
    feed.start()
    reader.start()
    until(lambda: [row for row in jobs(daemon) if row["state"] == "running" and "cat" in row["command"]])
    time.sleep(0.3)
    daemon.kill()
    time.sleep(0.3)
    daemon.start()
    feed.join(PATIENCE)
    assert started.wait(PATIENCE) == 6
    reader.join(PATIENCE)
    assert hashlib.sha256(read[0]).digest() == hashlib.sha256(data).digest()
    shown = gom(daemon, "attach", detached)
    assert (shown.returncode, shown.stdout) == (3, b"late\n")


def _feed(started: subprocess.Popen[bytes], data: bytes, half: int) -> None:
    assert started.stdin is not None
    started.stdin.write(data[:half])
    started.stdin.flush()
    time.sleep(2.0)  # the daemon is killed meanwhile
    started.stdin.write(data[half:])
    started.stdin.close()


@pytest.mark.one_program
def test_a_job_that_ended_while_no_daemon_was_there(daemon: Daemon) -> None:
    """Its exit status was kept."""
    number = int(gom(daemon, "run", "--detach", "sh", "-c", "sleep 0.5; exit 9").stdout)
    daemon.kill()
    time.sleep(1.0)
    daemon.start()
    until(lambda: job(daemon, number)["state"] == "done")
    assert job(daemon, number)["exit"] == 9


def test_a_supervisor_that_is_killed_takes_its_job_along(daemon: Daemon) -> None:
    """The job is lost, which is said: nothing runs without its pipes. The next job is not concerned."""
    started = begin(daemon, "run", "sleep", "1000")
    row = running(daemon)
    told = json.loads((daemon.state / "spool" / f"{row['home']}-{row['job']}" / "job").read_text())
    os.kill(told["supervisor"], signal.SIGKILL)
    assert started.wait(PATIENCE) == 143
    assert started.stderr is not None
    assert b"is lost" in started.stderr.read()
    assert job(daemon, row["job"])["state"] == "lost"
    if os.geteuid() == 0:
        until(lambda: not Path(f"/proc/{row['pid']}").exists())
    assert gom(daemon, "run", "echo", "again").stdout == b"again\n"


@pytest.mark.one_program
def test_a_launcher_that_is_killed_is_started_anew(daemon: Daemon) -> None:
    """Nobody notices."""
    started = begin(daemon, "run", "sh", "-c", "sleep 1; exit 8")
    running(daemon)
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
    [launcher] = [int(pid) for pid in children if _name(pid) == "gomd-launcher"]
    os.kill(launcher, signal.SIGKILL)
    assert gom(daemon, "run", "echo", "again").stdout == b"again\n"
    assert started.wait(PATIENCE) == 8


def _name(pid: str) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_a_reader_that_stops_stops_the_job_and_costs_nothing(daemon: Daemon) -> None:
    """The command blocks as on a pipe; the daemon holds a window's worth and no more."""
    gom(daemon, "run", "true")
    before = daemon.rss()
    started = begin(daemon, "run", "sh", "-c", "head -c 300000000 /dev/zero; echo end >&2")
    row = running(daemon)
    time.sleep(2.0)
    assert job(daemon, row["job"])["state"] == "running"
    assert daemon.rss() - before < 16 * MEGABYTE
    assert started.stdout is not None
    output = started.stdout
    assert sum(len(data) for data in iter(lambda: output.read(MEGABYTE), b"")) == 300_000_000
    assert started.wait(PATIENCE) == 0


def test_a_reader_that_has_enough(daemon: Daemon) -> None:
    """`gom run yes | head -1` ends, and so does the job."""
    line = shlex.join((*GOM, "-c", daemon.unix, "run", "yes"))
    done = subprocess.run(
        ["sh", "-c", f"{line} | head -1"], capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.stdout == b"y\n"
    until(lambda: [row["state"] for row in jobs(daemon)] == ["done"])


@pytest.mark.one_program
def test_many_at_once(daemon: Daemon) -> None:
    """A burst of jobs: each has its own output and status, and nothing of them stays."""

    def one(number: int) -> tuple[int, bytes]:
        done = gom(daemon, "run", "sh", "-c", f"echo {number}; exit {number % 100}")
        return done.returncode, done.stdout

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, range(60)))
    assert found == [(number % 100, f"{number}\n".encode()) for number in range(60)]
    spool = daemon.state / "spool"
    # Some seconds after the first job the daemon keeps there what criu finds out about the kernel.
    until(lambda: {path.name for path in spool.iterdir()} <= {"log", ".kernel"})
    assert (spool / "log").read_text() == ""


def test_a_job_with_a_terminal(daemon: Daemon) -> None:
    """On a terminal the command has one too, of the same size, and hears when that changes."""
    ours, theirs = pty.openpty()
    script = "trap 'stty size' WINCH; stty size; echo ready; while :; do sleep 0.1; done"
    env = {**os.environ, "TERM": "vt100"}
    started = subprocess.Popen(
        [*GOM, "-c", daemon.unix, "run", "sh", "-c", script],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=env,
    )  # fmt: skip
    os.close(theirs)
    seen = _read_until(ours, b"ready\r\n")
    assert seen.startswith(b"0 0\r\n")
    import fcntl
    import struct
    import termios

    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))
    started.send_signal(signal.SIGWINCH)
    assert b"33 77\r\n" in _read_until(ours, b"33 77\r\n")
    os.write(ours, b"\x03")  # Ctrl-C, a byte like any other here
    assert started.wait(PATIENCE) == 130
    os.close(ours)


def _read_until(descriptor: int, end: bytes) -> bytes:
    seen = b""
    while end not in seen:
        assert select.select([descriptor], [], [], PATIENCE)[0], f"it never said {end!r}: {seen!r}"
        seen += os.read(descriptor, 4096)
    return seen


@pytest.mark.one_program
def test_what_was_left_behind_is_ended(daemon: Daemon, tmp_path: Path) -> None:
    """A job ends with its command: what it put into the background does not stay on the node."""
    marker = tmp_path / "pid"
    done = gom(daemon, "run", "sh", "-c", f"setsid sleep 1000 & readlink /proc/self > {marker}; exit 0")
    assert done.returncode == 0
    left = subprocess.run(["pgrep", "-f", "^sleep 1000$"], capture_output=True, text=True, check=False)
    assert all(
        Path(f"/proc/{pid}/environ").read_bytes().find(str(tmp_path).encode()) < 0
        for pid in left.stdout.split()
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="to be several users one has to be root")
class TestUsers:
    """Who may run what, on root's daemon."""

    @pytest.fixture
    def public(self) -> Iterator[Daemon]:
        """A daemon whose socket everybody reaches, as root's own has one."""
        place = Path(tempfile.mkdtemp(prefix="gomd-run-", dir="/tmp"))
        try:
            place.chmod(0o711)
            with Daemon(place) as daemon:
                daemon.state.chmod(0o711)
                daemon.socket.chmod(0o666)
                yield daemon
        finally:
            shutil.rmtree(place)

    def test_a_job_is_its_callers(self, public: Daemon) -> None:
        """uid, gid and groups are the caller's; root's files are not."""
        done = gom(public, "run", "sh", "-c", "id -u; id -g; id -G; cat /etc/shadow", program=NOBODY, cwd="/")
        assert done.stdout.split()[0] == b"65534"
        assert b"0" not in done.stdout.split()
        assert done.returncode == 1

    def test_a_directory_that_is_closed_to_the_caller(self, public: Daemon) -> None:
        """One sentence, and no job."""
        done = gom(public, "run", "true", program=NOBODY, cwd="/root")
        assert done.returncode == 1
        assert b"/root" in done.stderr

    @pytest.mark.one_program
    def test_another_users_job(self, public: Daemon) -> None:
        """Neither seen, nor killed, nor attached to."""
        number = gom(public, "run", "--detach", "sleep", "1000").stdout.decode().strip()
        for words in (("kill", number), ("attach", number)):
            done = gom(public, *words, program=NOBODY, cwd="/")
            assert (done.returncode, b"not yours" in done.stderr) == (1, True)
        assert number.encode() not in gom(public, "jobs", program=NOBODY, cwd="/").stdout
        assert gom(public, "kill", number).returncode == 0

    @pytest.mark.one_program
    def test_an_anonymous_caller(self, public: Daemon) -> None:
        """They may only read: 403."""
        with public.connect() as line:
            assert line.ask("run").code == 403
            assert line.ask("jobs").code == 403
