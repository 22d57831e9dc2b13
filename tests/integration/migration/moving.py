"""How tests start jobs on a host, move them, and see where they are."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.integration.cluster.asking import ask, eventually
from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host
from tests.integration.jobs import GOM, NOBODY

NODES = frozenset((1, 2, 3))
#: Where a job of the first host goes: to another one, to a third one, and home again.
TOUR: tuple[str, ...] = ("2", "3", "home")
#: Seconds a job may take, with all its moves: the machine may have other things to do.
LIMIT = 4 * PATIENCE


class TooQuick(Exception):
    """A program ended before it had been moved as often as the test requires: give it more to do."""


class Gom:
    """The `gom` command on a host, running; its output is collected as it comes."""

    def __init__(self, host: Host, *words: str, user: str = "root", cwd: Path | str = "/") -> None:
        program = {"root": GOM, "nobody": NOBODY}[user]
        self.start([*program, "-c", f"unix:{host.home / 'gomd.sock'}", *words], cwd)

    def start(self, command: Sequence[str], cwd: Path | str) -> None:
        """Start it, and collect what it writes."""
        self.process = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._pieces: dict[str, list[bytes]] = {"out": [], "err": []}
        self._readers = [
            threading.Thread(target=self._read, args=(self._pieces[name], stream), daemon=True)
            for name, stream in (("out", self.process.stdout), ("err", self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pieces: list[bytes], stream: Any) -> None:
        while piece := stream.read1(1 << 16):
            pieces.append(piece)

    @property
    def out(self) -> bytes:
        """Its standard output up to now."""
        return b"".join(self._pieces["out"])

    @property
    def err(self) -> bytes:
        """Its standard error up to now."""
        return b"".join(self._pieces["err"])

    def write(self, data: bytes) -> None:
        """Write to its input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close(self) -> None:
        """End its input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait(self) -> int:
        """Return its exit status, once all of its output is there."""
        status = self.process.wait(LIMIT)
        for reader in self._readers:
            reader.join(PATIENCE)
        return status


class Job(Gom):
    """
    A job started with `gom run` on a host.

    :ivar number: of the job. :ivar pid: its process id at home.
    """

    _starting: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, home: Host, *words: str, user: str = "root", cwd: Path | str = "/") -> None:
        self.home = home
        with self._starting:  # whose job is the new one?
            known = {row["job"] for row in rows(home)}
            super().__init__(home, "run", *words, user=user, cwd=cwd)
            self.number, self.pid = eventually(lambda: self._find(known)) or (0, 0)

    def _find(self, known: set[int]) -> tuple[int, int] | None:
        new = [row for row in rows(self.home) if row["job"] not in known and row["pid"] is not None]
        mine = [row for row in new if row["state"] != "starting"]
        assert mine or self.process.poll() is None, self.err
        return (mine[-1]["job"], mine[-1]["pid"]) if mine else None

    def row(self) -> dict[str, Any]:
        """Return what its home tells of it."""
        return row_of(self.home, self.number)

    def move(self, target: str) -> None:
        """
        Move it, and see that it is there.

        :raises TooQuick: it has done its work already.
        """
        said = ask(self.home, f"migrate {self.pid} {target}")
        row = self.row()
        if said.code != 200 and (row["state"], row["exit"]) == ("done", 0):
            raise TooQuick(f"{row['command'][:40]} ended after {row['nmigs']} moves")
        assert said.code == 200, f"{said.text}; {row} {self.err!r}"
        node = self.home.number if target == "home" else int(target)
        assert row["node"] == node, row

    def tour(self) -> None:
        """Move it to another host, from there to a third one, and home again."""
        for target in TOUR:
            self.move(target)


def rows(host: Host) -> Sequence[dict[str, Any]]:
    """Return the jobs of a home."""
    return ask(host, "jobs", as_json=True).rows


def row_of(home: Host, job: int) -> dict[str, Any]:
    """Return what a home tells of one of its jobs."""
    [row] = [row for row in rows(home) if row["job"] == job]
    return row


def process(host: Host, pid: int) -> dict[str, Any]:
    """Return what `ps` on a host tells of a process."""
    [row] = ask(host, f"ps {pid}", as_json=True).rows
    return row


def end_jobs(hosts: Sequence[Host]) -> None:
    """Leave no job running on these hosts, and none of their switches set."""
    for host in hosts:
        for word in ("noblock", "nostay", "nolstay"):
            ask(host, word)
        for row in rows(host):
            if row["state"] in ("starting", "running"):
                ask(host, f"kill {row['job']} KILL")
    for host in hosts:
        eventually(lambda host=host: all(row["state"] in ("done", "lost") for row in rows(host)))  # type: ignore[misc]
