"""A program in its directory on the first of two hosts: as it is, or as a job that is moved."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration import hosts
from tests.integration.cluster.asking import ask
from tests.integration.hosts import Host
from tests.integration.jobs import GOM, NOBODY
from tests.programs.definition import ORDINARY, ROOT, Content, Program
from tests.programs.hosts import ProgramNetwork, home_of
from tests.programs.process import PATIENCE, Process, Unseen

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/games:/usr/sbin:/sbin"
_TICKS = os.sysconf("SC_CLK_TCK")
_ENDED = re.compile(r"has ended|no process|no job")
#: Seconds between two looks at how far a program is.
_EACH = 0.05


class TooQuick(Exception):
    """The program ended before it had been moved as often as it should be: give it more to do."""


@dataclass(frozen=True)
class Attempt:
    """
    One move that was asked for.

    :ivar foretold: why it could not move, as `--dry-run` said; empty when it said that it can.
    :ivar said: what `gom migrate` said. :ivar done: whether it moved. :ivar seconds: how long that took.
    """

    foretold: str
    said: str
    done: bool
    seconds: float


@dataclass(frozen=True)
class Result:
    """
    What a program did, all of it.

    :ivar files: its directory afterwards: by name the content, the target of a link, or what else it is.
    :ivar beside: what the commands beside it printed.
    """

    status: int
    out: bytes
    err: bytes
    beside: Sequence[bytes]
    files: dict[str, bytes]


class Running(ABC):
    """A program that runs. Blocks in all that it does."""

    process: Process

    def __init__(self, program: Program, network: ProgramNetwork) -> None:
        self.program = program
        self.network = network
        self.host: Host = network.hosts[0]
        self._cwd = home_of(program.user) / program.directory
        self._directory = network.home_of(program.user) / program.directory
        self._beside: list[bytes] = []
        self._companions: list[Process] = []

    # -- what the steps ask for

    @abstractmethod
    def work(self, part: float) -> None:
        """Wait until it has used a part of the processor time that it takes, counted from the last move."""

    @abstractmethod
    def move(self) -> None:
        """Move it to the other host."""

    @abstractmethod
    def signal(self, name: str) -> None:
        """Send it a signal."""

    def wait_for_file(self, name: str, size: int) -> None:
        """Wait until a file is there and has so many bytes. :raises Unseen: that does not happen."""
        end = time.monotonic() + PATIENCE
        path = self._directory / name
        while not path.exists() or path.stat().st_size < size:
            if time.monotonic() > end or not self.process.runs:
                raise Unseen(f"{name} never had {size} bytes: {self.process.err[-300:]!r}")
            time.sleep(_EACH)

    def run_beside(self, command: Sequence[str]) -> None:
        """Run a command where it is now, and keep what that prints."""
        beside = Process(self._as_user(command), environment(self.program.user))
        try:
            beside.close_input()
            status = beside.wait()
            self._beside.append(b"%d %s%s" % (status, beside.out, beside.err))
        finally:
            beside.close()

    def start_companion(self, command: Sequence[str], ready: bytes, user: str) -> None:
        """Start a command where it is now, to be ended with it."""
        companion = Process(self._as_user(command, user), environment(self.program.user))
        self._companions.append(companion)
        if ready:
            companion.expect(ready)

    # -- how it is run

    def run(self) -> Result:
        """Run it from its beginning to its end, with all of its steps."""
        self._fill()
        try:
            for step in self.program.before:
                step.do(self)
            self._start()
            for step in self.program.steps:
                step.do(self)
            status = self.process.wait()
        finally:
            self.close()
        return Result(status, self.process.out, self.process.err, self._beside, contents(self._directory))

    @abstractmethod
    def _start(self) -> None:
        """Start it."""

    def close(self) -> None:
        """Leave nothing of it running."""
        for process in (*self._companions, *([self.process] if hasattr(self, "process") else ())):
            process.close()

    def _fill(self) -> None:
        """Make its directory anew, with the files that it needs."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        for name, content in self.program.files.items():
            path = self._directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_bytes(content))
            if path.read_bytes()[:2] == b"#!":
                path.chmod(0o755)
        user = pwd.getpwnam(self.program.user)
        for path in (self._directory, *self._directory.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)

    def _inside(self, command: Sequence[str]) -> Sequence[str]:
        """Return what runs a command in its directory on the host where it is."""
        return self.host.command(self._in_directory(command))

    def _in_directory(self, command: Sequence[str]) -> Sequence[str]:
        return ("env", "--default-signal", "-C", str(self._cwd), *command)

    def _in_terminal(self, command: Sequence[str]) -> Sequence[str]:
        """Return what runs a command as the first process of its terminal's session, if it has a terminal."""
        return ("setsid", "--ctty", "--wait", *command) if self.program.terminal else command

    def _as_user(self, command: Sequence[str], user: str = "") -> Sequence[str]:
        """Return what runs a command there as its user."""
        name = pwd.getpwnam(user or self.program.user)
        ids = (f"--reuid={name.pw_uid}", f"--regid={name.pw_gid}", "--clear-groups")
        return self._inside(("setpriv", *ids, "--", *command))


class Unmoved(Running):
    """The program as it is, without gomd."""

    def _start(self) -> None:
        command = self._as_user(self._in_terminal(self.program.command))
        self.process = Process(command, environment(self.program.user), self.program.terminal)

    def work(self, part: float) -> None:
        """Do not wait: it does all of its work here."""

    def move(self) -> None:
        """It stays."""

    def signal(self, name: str) -> None:
        os.kill(self._pid(), getattr(signal, f"SIG{name}"))

    def _pid(self) -> int:
        pid = self.process.pid
        while Path(f"/proc/{pid}/comm").read_text().strip() in ("setsid", "nsenter", "env", "setpriv"):
            [pid] = hosts.children_of(pid)
        return pid


class Moving(Running):
    """
    The program as a job, moved between the hosts.

    :param cpu: the seconds of processor time that it takes unmoved.
    :ivar attempts: the moves that were asked for.
    """

    def __init__(self, program: Program, network: ProgramNetwork, cpu: float) -> None:
        super().__init__(program, network)
        self._cpu = cpu
        self.attempts: list[Attempt] = []
        #: Its exit status and what its home says of its end, empty when that is nothing special.
        self.end: tuple[int | None, str] = (None, "")
        self._job = 0

    def _start(self) -> None:
        known = {row["job"] for row in self._rows()}
        terminal = "-t" if self.program.terminal else "-T"
        gom = self._gom("run", "-n", "1", terminal, "--", *self.program.command)
        command = self.network.hosts[0].command(self._in_directory(self._in_terminal(gom)))
        self.process = Process(command, environment(self.program.user), self.program.terminal)
        end = time.monotonic() + PATIENCE
        while not self._job:
            for row in self._rows():
                if row["job"] not in known and row["pid"] is not None and row["state"] != "starting":
                    self._job = row["job"]
            if not self._job and (time.monotonic() > end or not self.process.runs):
                raise Unseen(f"it never began: {self.process.err!r}")

    def _gom(self, *words: str) -> Sequence[str]:
        home = self.network.hosts[0]
        program = {ROOT: GOM, ORDINARY: NOBODY}[self.program.user]
        return (*program, "-c", f"unix:{home.home / 'gomd.sock'}", *words)

    def _rows(self) -> Sequence[dict[str, Any]]:
        return ask(self.network.hosts[0], "jobs", as_json=True).rows

    @property
    def row(self) -> dict[str, Any]:
        """What its home tells of it."""
        [row] = [row for row in self._rows() if row["job"] == self._job]
        return row

    def work(self, part: float) -> None:
        row, end = self.row, time.monotonic() + PATIENCE
        proc, pid = Path(f"/proc/{self.host.init}/root/proc"), row["pid_there"]
        begun = cpu_of(proc, pid)
        while cpu_of(proc, pid) - begun < part * self._cpu:
            if self.row["state"] != "running":
                raise TooQuick("it ended before it was moved")
            if time.monotonic() > end:
                raise Unseen(f"it used less than {part * self._cpu:.1f} s of the processor")
            time.sleep(_EACH)

    def move(self) -> None:
        other = next(host for host in self.network.hosts if host is not self.host)
        row = self.row
        if row["state"] != "running":
            raise TooQuick(f"it had ended before its move {len(self.attempts) + 1}")
        foretold, _, can = self._migrate("--dry-run", str(row["pid"]), str(other.number))
        said, seconds, done = self._migrate(str(row["pid"]), str(other.number))
        if not done and _ENDED.search(said):
            raise TooQuick(f"it ended at its move {len(self.attempts) + 1}: {said}")
        self.attempts.append(Attempt("" if can else foretold, said, done, seconds))
        if done:
            assert self.row["node"] == other.number, self.row
            self.host = other

    def _migrate(self, *words: str) -> tuple[str, float, bool]:
        """Run `gom migrate`: what it says, the seconds that it takes, and whether it can or did."""
        command = self.network.hosts[0].command(self._in_directory(self._gom("migrate", *words)))
        gom = Process(command, environment(self.program.user))
        begun = time.monotonic()
        try:
            status = gom.wait()
            return (gom.out + gom.err).decode().strip(), time.monotonic() - begun, status == 0
        finally:
            gom.close()

    def signal(self, name: str) -> None:
        said = ask(self.network.hosts[0], f"kill {self._job} {name}")
        assert said.code == 200, said

    def close(self) -> None:
        if self._job:
            row = self.row
            if row["state"] in ("starting", "running"):
                ask(self.network.hosts[0], f"kill {self._job} KILL")
            self.end = row["exit"], row["reason"]
        super().close()


def environment(user: str) -> dict[str, str]:
    """Return the environment of everything that a user starts."""
    return {
        "HOME": str(home_of(user)), "LANG": "C.UTF-8", "LOGNAME": user, "PATH": _PATH, "SHELL": "/bin/sh",
        "TERM": "xterm", "USER": user,
    }  # fmt: skip


def cpu_of(proc: Path, pid: int) -> float:
    """Return the seconds of processor time of a process and all that came from it."""
    total, waiting = 0.0, [pid]
    while waiting:
        pid = waiting.pop()
        with suppress(OSError, ValueError):  # it has just ended: its parent has its time
            fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15]) / _TICKS
            for task in (proc / str(pid) / "task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
    return total


def contents(directory: Path) -> dict[str, bytes]:
    """Return what is in a directory, by name."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_symlink():
            found[name] = b"link to " + os.readlink(path).encode()
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = b"directory" if path.is_dir() else b"special file"
    return found


def _bytes(content: Content) -> bytes:
    if isinstance(content, str):
        return content.encode()
    return content if isinstance(content, bytes) else content()
