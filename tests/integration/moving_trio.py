"""Three daemons of a cluster on loopback, a job that moves among them, and what must be true of it."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.integration import faulty
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.faulty import Fault, fragile_criu
from tests.integration.jobs import GOM, free_port, jobs, until

#: Numbers its lines and, at the end of its input, has a status of its own.
FILTER = """
import mmap, sys
memory = b"x" * %d
reserved = mmap.mmap(-1, %d or 4096)
out = sys.stdout.buffer
for number, line in enumerate(sys.stdin.buffer, 1):
    out.write(b"%%d %%s" %% (number, line))
    out.flush()
sys.exit(7)
"""
STATUS = 7
#: Seconds that a daemon that was killed is away.
AWAY = 1.0
#: Seconds in which a migration has to be settled once both daemons are there.
SETTLES = 25.0


class FaultyDaemon(Daemon):
    """
    A daemon with faults to be armed.

    :ivar spool: the directory of its jobs.
    """

    def __init__(self, home: Path, *options: str) -> None:
        super().__init__(home, *options)
        self.spool = self.state / "spool"

    @property
    def fault(self) -> Path:
        """Its FILE, see `tests.integration.faulty`."""
        return self.home / "fault"

    def command(self) -> Sequence[str]:
        """The command that starts it."""
        return (sys.executable, faulty.__file__, str(self.fault), *self._options)

    def left(self, name: str = "") -> list[str]:
        """Return what is still there of migrations, and of the job ``name``."""
        places = (self.state / "jobs" / "migrations", self.spool / "moving")
        found = [str(path) for place in places if place.is_dir() for path in place.glob("[!.]*")]
        return found + [str(path) for path in (self.spool / name,) if name and path.exists()]


class Trio:
    """
    Nodes 1, 2 and 3.

    :param lane: no two trios that run at the same time have the same. :param more: options by node id.
    """

    def __init__(
        self, home: Path, lane: int, criu: str, more: dict[int, Sequence[str]] | None = None
    ) -> None:
        self.home = home
        self.started = False
        home.mkdir(exist_ok=True)
        key = home / "key"
        key.touch(0o600)
        key.write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
        self.criu = fragile_criu(home / "criu", criu)
        port = free_port()
        addresses = {number: f"127.77.{lane}.{number}:{port}" for number in (1, 2, 3)}
        self.options = {
            number: (
                "--node-id", str(number), "--name", f"node{number}", "--key-file", str(key),
                "--peers", address, "--seeds", ",".join(addresses.values()),
                "--set", f"jobs.criu={self.criu}", "--set", "node.speed=40000", *(more or {}).get(number, ()),
            )
            for number, address in addresses.items()
        }  # fmt: skip
        self.nodes = {
            number: FaultyDaemon(home / f"node{number}", *options) for number, options in self.options.items()
        }

    def start(self) -> None:
        """Start all daemons and wait until each of them sees the others."""
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda node: node.start(), self.nodes.values()))
        self.wait_until_up()
        self.started = True

    def wait_until_up(self) -> None:
        """Wait until each daemon sees the others."""
        for node in self.nodes.values():
            until(lambda node=node: _all_up(node))  # type: ignore[misc]

    def end(self) -> None:
        """End all daemons and supervisors, and with them all jobs."""
        self.started = False
        for node in self.nodes.values():
            node.end()
        for pid in self.supervisors():
            os.kill(pid, signal.SIGKILL)

    def clear(self) -> None:
        """End all daemons, and remove what they know of jobs."""
        self.end()
        for node in self.nodes.values():
            shutil.rmtree(node.state, ignore_errors=True)
            node.fault.unlink(missing_ok=True)

    def supervisors(self) -> list[int]:
        """Return the processes of gomd, besides the daemons, that belong to jobs of these nodes."""
        found = []
        for pid in _pids():
            try:
                if Path(f"/proc/{pid}/comm").read_bytes() == b"gomd-job\n" and os.readlink(
                    f"/proc/{pid}/cwd"
                ).startswith(f"{self.home}/"):
                    found.append(pid)
            except OSError:
                continue
        return found


def _all_up(daemon: Daemon) -> bool:
    with daemon.connect_unix() as line:
        line.ask("format json")
        return [row["up"] for row in line.ask("nodes").rows] == [True] * 3


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


#: Flags of a process that runs no more of its program: PF_EXITING and PF_SIGNALED.
_ENDING = 0x404
_SIGKILL = 1 << 8


def _is_killed(pid: int) -> bool:
    """Whether SIGKILL waits for a process: stopped or not, it never runs its program again."""
    text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    pending = [
        int(line.split()[1], 16) for line in text.split("\n") if line.startswith(("SigPnd:", "ShdPnd:"))
    ]
    return any(mask & _SIGKILL for mask in pending)


class Moving:
    """
    A job of node 1 whose caller stays attached and feeds it lines; `finish` says whether all was well.

    :param at: where it begins. :param size: bytes of memory that it has. :param reserve: that it could have.
    """

    def __init__(self, trio: Trio, at: int, size: int = 0, reserve: int = 0) -> None:
        self.trio = trio
        self.home = trio.nodes[1]
        self.token = uuid.uuid4().hex
        self.argv = ["/usr/bin/python3", "-I", "-S", "-c", f"# {self.token}{FILTER % (size, reserve)}"]
        self._stop = threading.Event()
        self._lines = 0
        self._read: list[bytes] = []
        directory = trio.home / "work"
        directory.mkdir(exist_ok=True)
        self.caller = subprocess.Popen(
            [*GOM, "-c", self.home.unix, "run", "-n", str(at), *self.argv],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=directory,
        )  # fmt: skip
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._feed, self._drain)]
        for thread in self._threads:
            thread.start()
        row = until(self.row)
        self.number, self.name = int(row["job"]), f"1-{row['job']}"

    def _feed(self) -> None:
        assert self.caller.stdin is not None
        try:
            while not self._stop.wait(0.006):
                self._lines += 1
                self.caller.stdin.write(b"line %d\n" % self._lines)
                self.caller.stdin.flush()
            self.caller.stdin.close()
        except BrokenPipeError:
            pass

    def _drain(self) -> None:
        assert self.caller.stdout is not None
        self._read.append(self.caller.stdout.read())

    def row(self) -> dict[str, Any] | None:
        """Return its row at home, None before it runs or when its home cannot be asked."""
        try:
            rows = jobs(self.home)
        except (OSError, AssertionError):
            return None
        found = [row for row in rows if self.token in row["command"] and row["state"] != "starting"]
        return found[0] if found else None

    def copies(self) -> list[tuple[int, str, int]]:
        """Return node, the kernel's letter for its state, and pid of each process of it."""
        found = []
        for pid in _pids():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
                if words != self.argv:
                    continue
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                if int(stat[6]) & _ENDING or _is_killed(pid):
                    continue
                directory = os.readlink(f"/proc/{stat[1]}/cwd")
            except (OSError, UnicodeDecodeError):
                continue
            node = [n for n, daemon in self.trio.nodes.items() if directory.startswith(f"{daemon.spool}/")]
            found.append((node[0] if node else 0, stat[0], pid))
        return found

    def migrate(self, to: int) -> subprocess.Popen[bytes]:
        """Ask its home to move it, and ignore the answer."""
        row = self.row()
        assert row is not None
        return subprocess.Popen(
            [*GOM, "-c", self.home.unix, "migrate", str(row["pid"]), str(to)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def is_settled(self, at: int, nmigs: int) -> str:
        """Return what is not yet as it must be when it runs on node ``at``; empty when all is."""
        left = [path for daemon in self.trio.nodes.values() for path in daemon.left()]
        if left:
            return f"left: {left}"
        copies = self.copies()
        if [(node, state in "RSD") for node, state, _pid in copies] != [(at, True)]:
            return f"copies: {copies}"
        row = self.row()
        told = row and (row["node"], row["nmigs"], row["state"])
        return "" if told == (at, nmigs, "running") else f"home says {row}"

    def settle(self, at: int, nmigs: int) -> None:
        """Wait until it runs once, on node ``at``, and nothing is left of migrations."""
        end = time.monotonic() + SETTLES
        while why := self.is_settled(at, nmigs):
            assert len([1 for _node, state, _pid in self.copies() if state in "RSD"]) <= 1, "it runs twice"
            assert self.caller.poll() is None, self.told(f"the job ended: {why}")
            assert time.monotonic() < end, self.told(why)
            time.sleep(0.1)

    def finish(self, at: int, nmigs: int) -> None:
        """End its input; check that all it wrote is there once, and that nothing of it is left anywhere."""
        self._stop.set()
        try:
            status = self.caller.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.told(f"it does not end: {self.copies()}, {self.row()}")) from None
        for thread in self._threads:
            thread.join(PATIENCE)
        assert status == STATUS, self.told(f"it ended with {status}")
        expected = b"".join(b"%d line %d\n" % (n, n) for n in range(1, self._lines + 1))
        assert self._read[0] == expected, _difference(self._read[0], expected)
        row = until(lambda: (row := self.row()) and row["state"] == "done" and row)
        assert (row["node"], row["nmigs"], row["exit"]) == (at, nmigs, STATUS), row
        self.gone()

    def gone(self) -> None:
        """Wait until nothing is left of it."""

        def left() -> list[Any]:
            paths = [path for daemon in self.trio.nodes.values() for path in daemon.left(self.name)]
            return paths + self.trio.supervisors() + self.copies()

        end = time.monotonic() + 10
        while found := left():
            assert time.monotonic() < end, self.told(f"left: {found}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Feed it no more."""
        self._stop.set()

    def close(self) -> None:
        """Remove all that is left of it, whatever came of the test."""
        self._stop.set()
        if self.caller.poll() is None:
            self.caller.kill()
        for thread in self._threads:
            thread.join(PATIENCE)
        self.caller.wait()
        for pid in [pid for _node, _state, pid in self.copies()]:
            os.kill(pid, signal.SIGKILL)

    def told(self, what: str) -> str:
        logs = [f"--- node {n}\n" + "\n".join(d.lines[-25:]) for n, d in self.trio.nodes.items()]
        error = ""
        if self.caller.poll() is not None and self.caller.stderr is not None:
            error = self.caller.stderr.read().decode()
        return "\n".join([what, error, *logs])


def _difference(got: bytes, expected: bytes) -> str:
    at = next((n for n, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), len(got))
    piece = slice(at, at + 60)
    return f"{len(got)} bytes, not {len(expected)}; from {at}: {got[piece]!r}, not {expected[piece]!r}"


def inject(trio: Trio, job: Moving, source: int, target: int, at: int, fault: Fault, victim: int = 0) -> str:
    """
    Move ``job`` with ``fault`` armed at node ``at``; the node ``victim`` is back a second later.

    :returns: what the one who asked for the move was told.
    """
    fault.arm(trio.nodes[at].fault)
    asked = job.migrate(target)
    try:
        end = time.monotonic() + PATIENCE / 2
        while not faulty.fired(trio.nodes[at].fault).exists():
            assert time.monotonic() < end, job.told("nothing was injected")
            if asked.poll() is not None:  # who asked knows it before the other side has written its end
                end = min(end, time.monotonic() + 5.0)
            time.sleep(0.01)
        if victim:
            assert trio.nodes[victim].wait() == -(signal.SIGTERM if fault.do == "end" else signal.SIGKILL)
            time.sleep(AWAY)
            trio.nodes[victim].start()
        _out, error = asked.communicate(timeout=PATIENCE)
        return error.decode()
    finally:
        asked.kill()
        asked.communicate()
