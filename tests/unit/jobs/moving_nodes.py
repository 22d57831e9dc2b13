"""Nodes in memory between which jobs move: daemons with complete `Jobs` and `Migrations`, and callers."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gomd.cluster.events import Events
from gomd.interfaces import JobHere, MigrationSubject, MoveCost
from gomd.jobs.checkpoint.criu import TlsFiles
from gomd.jobs.home.journal import Journal
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.job_phase import Phase
from gomd.jobs.lifecycle.remote_jobs import RemoteJobs
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracker import JobTracker
from gomd.jobs.migration.channels import ChannelObserver, Channels
from gomd.jobs.migration.context import MigrationContext, Policy
from gomd.jobs.migration.images import ImageDirectories
from gomd.jobs.migration.journal import MigrationJournal
from gomd.jobs.migration.local_jobs import LocalJobs
from gomd.jobs.migration.location import JobLocations
from gomd.jobs.migration.node_checks import CriuCheck
from gomd.jobs.migration.service import Migrations
from gomd.jobs.service import Jobs
from libgomd.errors import GomdError
from libgomd.model import Caller, Job, Role
from libgomd.wire import frames
from libgomd.wire.frames import Frame
from tests.unit.jobs.memory_machine import MemoryMachine
from tests.unit.jobs.memory_network import Network
from tests.unit.jobs.memory_parts import AtOnce, Criu, NoPlacement
from tests.unit.jobs.memory_peers import Members, Peers
from tests.unit.jobs.memory_supervisors import MemoryForkServer, Program

ROOT = Caller(Role.ADMIN, "root", 0, "unix")


class Daemon:
    """One run of gomd on a machine, with the directories that earlier runs have left."""

    tracker: JobTracker
    table: HomeTable
    locations: JobLocations
    channels: Channels
    context: MigrationContext
    migrations: Migrations

    def __init__(self, cluster: Cluster, number: int) -> None:
        machine = cluster.machines[number]
        self.clock = Clock()
        self.clock.advance(cluster.now)
        self.peers = Peers(cluster, number)
        members = Members(cluster, number)
        self.threads = AtOnce()
        self.events = Events(100)
        self.criu = Criu()
        here = Supervisors(
            MemoryForkServer(machine, self), machine.spool, 1 << 20, True, f"node {number} {machine.name}"  # type: ignore[arg-type]
        )  # fmt: skip

        def migrator(tracker: JobTracker, table: HomeTable, locations: JobLocations) -> Migrations:
            def context(observer: ChannelObserver) -> MigrationContext:
                self.channels = Channels(members, self.peers, observer)
                self.context = self._context(machine, members, here)
                return self.context

            self.tracker, self.table, self.locations = tracker, table, locations
            self.migrations = Migrations(context)
            return self.migrations

        self.jobs = Jobs(
            self.clock, members, self.threads, self.events,
            partial(RemoteJobs, self.clock, members, self.peers),
            here, NoPlacement(), Journal(machine.journal, self.threads), self.peers,
            wall=self.clock.seconds, own_uid=0, migrator=migrator,
        )  # fmt: skip

    def _context(self, machine: MemoryMachine, members: Members, here: Supervisors) -> MigrationContext:
        criu: Any = self.criu
        images = ImageDirectories(
            self.threads, os.path.join(machine.spool, "moving"), f"node {machine.number} {machine.name}"
        )
        return MigrationContext(
            self.clock, self.clock.seconds, members, self.threads, criu.program,
            lambda: TlsFiles("ca", "cert", "key"), machine.page_servers(criu, self.threads), images,
            machine.checks(self.threads, CriuCheck(criu, self.threads, self.clock), images),
            Policy(True, full_for=lambda _uid: machine.full),
            LocalJobs(machine.number, self.tracker, self.table, here, self.locations),
            MigrationJournal(machine.log), self.channels,
        )  # fmt: skip


class Terminal:
    """A caller that does what `gom run` does."""

    def __init__(self, stream: FrameStream) -> None:
        self.stream = stream
        self.told: list[int] = []
        self.exit: int | None = None
        stream.listen(self._take)

    def _take(self, frame: Frame) -> None:
        self.told.append(frame.kind)
        if frame.kind in (frames.STARTED, frames.RESUME):
            self.stream.send(frames.encode_json(frames.ATTACH, {}))
        elif frame.kind == frames.EXIT:
            self.exit = frames.decode_json(frame.payload)["exit"]
            self.stream.send(frames.encode(frames.COLLECTED))


class Cluster:
    """
    Machines 1 and up, each with a daemon.

    :ivar apart: pairs of node ids of which the first cannot reach the second.
    """

    def __init__(self, directory: str, count: int = 3) -> None:
        self.network = Network()
        self.now = 1000.0
        self.apart: set[tuple[int, int]] = set()
        self.machines = {
            number: MemoryMachine(self.network, number, os.path.join(directory, str(number)))
            for number in range(1, count + 1)
        }
        for number in self.machines:
            self.start(number)

    def __getitem__(self, number: int) -> Daemon:
        daemon = self.machines[number].daemon
        assert daemon is not None
        return daemon

    # -- daemons

    def start(self, number: int) -> None:
        """Start the daemon of a machine."""
        daemon = self.machines[number].daemon = Daemon(self, number)
        daemon.jobs.startService()

    def kill(self, number: int) -> None:
        """End the daemon of a machine as SIGKILL does."""
        machine = self.machines[number]
        daemon, machine.daemon = machine.daemon, None
        if daemon is not None:
            self.network.drop(daemon)
            daemon.jobs._journal.close()  # as the kernel does
            following = daemon.jobs._following
            assert following is not None
            following.cancel()

    def stop(self, number: int) -> None:
        """Stop the daemon of a machine as SIGTERM does."""
        machine = self.machines[number]
        daemon, machine.daemon = machine.daemon, None
        if daemon is not None:
            daemon.jobs.stopService()
            self.network.drop(daemon)

    def crash(self, number: int) -> None:
        """Let a machine go down, with all that runs on it."""
        machine = self.machines[number]
        self.kill(number)
        for each in tuple(machine.supervisors):
            each.state = "gone"
        machine.supervisors.clear()
        self.network.drop(machine)
        machine.up = False

    def end(self) -> None:
        """End all daemons."""
        for number in self.machines:
            self.stop(number)

    # -- time

    def settle(self) -> None:
        """Let everything happen that needs no time to pass."""
        for _ in range(10_000):
            if not self.network.step():
                return
        raise AssertionError("messages are still sent after 10000 steps")

    def run(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            for machine in self.machines.values():
                if machine.daemon is not None:
                    machine.daemon.clock.advance(step)
            self.settle()

    # -- jobs

    def begin(self, home: int = 1, node: int = 1, detach: bool = False) -> tuple[Job, Terminal]:
        """Start a job; return it and the caller that waits for it."""
        near, far = self.network.connect(self, self[home])
        terminal = Terminal(near)
        self[home].jobs.run(ROOT, far)
        spec = {"argv": ["simulate"], "env": {}, "cwd": "/", "node": str(node), "detach": detach}
        near.send(frames.encode_json(frames.SPEC, spec))
        self.settle()
        return list(self[home].table)[-1], terminal

    def job(self, home: int = 1) -> Job:
        """Return the newest job of ``home``, as that node knows it."""
        return list(self[home].table)[-1]

    def move(self, source: int, target: int) -> Deferred[MoveCost | None]:
        """Begin to move the job that runs on ``source``."""
        [here] = self[source].jobs.here()
        return Deferred.fromCoroutine(self[source].migrations.migrate(subject_of(here), target))

    def programs(self, state: str = "running") -> list[tuple[int, Program]]:
        """Return the programs in that state, each with the node it is on."""
        return [
            (number, each.program)
            for number, machine in self.machines.items()
            for each in machine.supervisors
            if each.state == state and each.program is not None
        ]

    def left(self) -> list[str]:
        """Return everything that must not be there when all is settled."""
        found = [name for machine in self.machines.values() for name in machine.left()]
        found += [f"node{number}: frozen" for number, _program in self.programs("frozen")]
        for number, machine in self.machines.items():
            if machine.daemon is None:
                continue
            now = {counter.name: counter.value for counter in machine.daemon.migrations.counters()}
            if now["migrations_now"]:
                found.append(f"node{number}: a migration")
            found += [
                f"node{number}: {tracked.name} departing or arriving"
                for tracked in machine.daemon.tracker.jobs.values()
                if tracked.leaving or tracked.phase is Phase.ARRIVING
            ]
        return found


def subject_of(job: JobHere) -> MigrationSubject:
    """Return what a migrator is told of a job that runs here."""
    return MigrationSubject(job.pid, job.name)


def failure_of(deferred: Deferred[Any]) -> GomdError:
    """Return the error with which ``deferred`` has failed."""
    found: list[Any] = []
    deferred.addErrback(found.append)
    [failure] = found
    error = failure.value
    assert isinstance(error, GomdError), failure
    return error
