"""A machine in memory, with what remains on it when its daemon ends, and the faults that a test gives it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gomd.jobs.checkpoint.requirements import Capabilities, Requirements
from gomd.jobs.migration.images import ImageDirectories
from gomd.jobs.migration.node_checks import CriuCheck, NodeChecks
from gomd.jobs.migration.page_server import PageServers
from libgomd.model import Status
from tests.unit.jobs.memory_network import Network
from tests.unit.jobs.memory_parts import AtOnce, Listening
from tests.unit.jobs.memory_supervisors import Supervisor

if TYPE_CHECKING:
    from tests.unit.jobs.moving_nodes import Daemon

UP = Status.CONFIGURED | Status.UP


class MemoryMachine:
    """
    What remains when its daemon ends: the disk, the supervisors and their programs.

    :param number: the id of its node. :param directory: its disk.
    :ivar daemon: that runs on it; None when none does.
    """

    def __init__(self, network: Network, number: int, directory: str) -> None:
        self.network = network
        self.name = f"node{number}"
        self.number = number
        self.up = True
        self.status = UP
        self.daemon: Daemon | None = None
        self.supervisors: list[Supervisor] = []
        self.listening: list[Listening] = []
        self.spool = os.path.join(directory, "spool")
        self.log = os.path.join(directory, "migrations")
        self.journal = os.path.join(directory, "journal")
        self.hold_freeze = False
        self.busy = 0
        self.dump_fails = self.restore_fails = self.cantmove = ""
        self.stays: list[str] = []
        self.stays_fails: Exception | None = None
        self.look_at_stays: Callable[[int, int, str], list[str]] = self._say_stays
        self.lacks = self.full = ""
        self.needs = Requirements(1 << 20, "x86_64", "6.1.0", 0, "root", (), ("/",), ())
        self._pids = 1000 * number

    def new_pid(self) -> int:
        self._pids += 2
        return self._pids

    def page_servers(self, criu: Any, threads: AtOnce) -> PageServers:
        """Return what takes the memory of jobs here, without a network."""
        return PageServers(
            threads, f"10.0.0.{self.number}",
            listen=lambda _address: Listening(self.listening),  # type: ignore[arg-type,return-value]
            accept=lambda listening, *_more: listening, receive=criu.receive,
        )  # fmt: skip

    def checks(self, threads: AtOnce, criu: CriuCheck, images: ImageDirectories) -> NodeChecks:
        """Return what inspects the jobs of this machine."""
        return NodeChecks(
            threads, criu, images,
            read_requirements=lambda _pid, _supervisor, _user, _criu: self.needs,
            read_obstacles=self.look_at_stays,
            read_capabilities=self._offer,
        )  # fmt: skip

    def _say_stays(self, pid: int, supervisor: int, _criu: str) -> list[str]:
        if self.stays_fails is not None:
            raise self.stays_fails
        return self.stays

    def _offer(self, needs: Requirements, user: str, room: str, criu: str) -> Capabilities:
        return Capabilities(
            1 << 40, 1 << 40, needs.machine, needs.kernel, user, (), needs.directories, (),
            criu or self.lacks,
        )  # fmt: skip

    def forget(self, supervisor: Supervisor) -> None:
        if supervisor in self.supervisors:
            self.supervisors.remove(supervisor)

    def left(self) -> list[str]:
        """Return what migrations have left behind on the disk."""
        found = []
        for directory in (self.log, os.path.join(self.spool, "moving")):
            if os.path.isdir(directory):
                found += [f"{self.name}: {name}" for name in os.listdir(directory)]
        return found
