"""Inspects this node and its jobs before one leaves or comes: criu, requirements, capabilities, obstacles."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IReactorTime

from gomd.interfaces import IThreads
from gomd.jobs.checkpoint import first_inspection, kernel_cache
from gomd.jobs.checkpoint.criu import Criu
from gomd.jobs.checkpoint.move_limits import largest
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.migration.bounded_inspection import BoundedInspection
from gomd.jobs.migration.images import ImageDirectories
from libgomd.errors import CannotMove, NotFound, NotPossible, TimedOut
from libgomd.private import make_private_directory

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.requirements import Capabilities, Requirements

#: Seconds that one inspection of a job, of this node's files or of criu may take.
INSPECTION_TIMEOUT: Final = 30.0
#: Seconds for which a good result of `Criu.check` is believed, and a bad one.
CRIU_WORKS_LIFETIME: Final = 600.0
CRIU_FAILS_LIFETIME: Final = 30.0


class CriuCheck:
    """
    Whether criu works on this node. It is checked when first asked for, and again when that is old.

    :param images: the directory below which images are, for `kernel_cache`; empty for none.
    :ivar known: what kept it from working when it was last checked, empty when nothing did.
    :ivar version: its version then, empty when it is not known.
    """

    def __init__(self, criu: Criu, threads: IThreads, clock: IReactorTime, images: str = "") -> None:
        self._criu = criu
        self._images = images
        self._threads = threads
        self._clock = clock
        self._checked_at = -CRIU_WORKS_LIFETIME
        self.known = ""
        self.version = ""

    async def why_not(self) -> str:
        """Return why criu does not work, a clause; empty when it does."""
        now = self._clock.seconds()
        if now - self._checked_at >= (CRIU_FAILS_LIFETIME if self.known else CRIU_WORKS_LIFETIME):
            self.known = await self._threads.run(INSPECTION_TIMEOUT, self._criu.check)
            self.version = await self._threads.run(INSPECTION_TIMEOUT, self._read_version)
            if self._images and not self.known:
                await self._threads.run(INSPECTION_TIMEOUT, self._prepare)
            self._checked_at = now
        return self.known

    def _prepare(self) -> None:
        try:
            make_private_directory(self._images)
        except OSError:
            return  # a job that is to come is told why
        kernel_cache.prepare(self._criu.program, self._images, self.version)

    def _read_version(self) -> str:
        try:
            return self._criu.version()
        except (CannotMove, NotPossible):
            return ""


class NodeChecks:
    """
    Inspects the jobs of this node and the node itself, on threads.

    :param criu: tells whether criu works here. :param images: where the images of jobs are kept.
    :param read_requirements: reads what a job needs, given its pid, its supervisor's, its user and the
        version of criu. Blocks.
    :param read_obstacles: reads why a job cannot leave for any node, given both pids and that version.
        Blocks.
    :param withdraw: removes the proofs that ``read_requirements`` has made. Blocks.
    :param sweep: removes those that an earlier daemon has left. Blocks.
    :param read_capabilities: reads what this node has of what a job needs, as
        `gomd.jobs.checkpoint.inspection.read_offer` does. Blocks.
    :param private_limit: bytes of its own temporary files with which a job can move, as configured.
    """

    def __init__(
        self,
        threads: IThreads,
        criu: CriuCheck,
        images: ImageDirectories,
        read_requirements: Callable[[int, int, str, str], Requirements] = first_inspection.look,
        read_obstacles: Callable[[int, int, str], list[str]] = first_inspection.look_for_stays,
        read_capabilities: Callable[
            [Requirements, str, str, str], Capabilities
        ] = first_inspection.read_offer,
        withdraw: Callable[[Requirements], None] = first_inspection.withdraw,
        private_limit: int = 0,
        sweep: Callable[[], None] = lambda: None,
    ) -> None:
        self._withdraw = withdraw
        self._sweep = sweep
        self._threads = threads
        self._bounded = BoundedInspection(threads)
        self._criu = criu
        self._images = images
        self._read_requirements = read_requirements
        self._read_obstacles = read_obstacles
        self._read_capabilities = read_capabilities
        self.private_limit = largest(private_limit)

    @property
    def known_criu_problem(self) -> str:
        """Why criu did not work when it was last checked, a clause; empty when it did."""
        return self._criu.known

    async def criu_problem(self) -> str:
        """Return why criu does not work, a clause; empty when it does."""
        return await self._criu.why_not()

    async def requirements(self, job: TrackedJob) -> Requirements:
        """
        Return what a job of this node needs of another one. `withdraw` has to follow.

        :raises NotFound: it has ended.
        """
        running = job.running
        if running is None:
            raise NotFound(f"job {job.name} does not run here")
        late: list[bool] = []
        made: list[Requirements] = []

        def read() -> Requirements:
            found = self._read_requirements(running.pid, running.supervisor, running.user, self._criu.version)
            made.append(found)
            if late:
                self._withdraw(found)
            return found

        try:
            found = await self._bounded.run(INSPECTION_TIMEOUT, job.name, job.uid, read)
        except OSError as error:
            raise NotFound(f"job {job.name} has ended") from error
        except TimedOut:
            late.append(True)  # nobody else removes the proofs that it makes yet, or has just made
            for found in made:
                await self.withdraw(job, found)
            raise
        from gomd.jobs.checkpoint.requirements import too_many_files, without_carried

        private, stays = found.private_bytes or 0, found.stays
        if private > self.private_limit:
            stays = (*stays, too_many_files(private, self.private_limit))
        known = replace(
            found, memory_max=running.memory_max, node=self._images.node, stays=stays,
            terminals=found.terminals or running.tty,
        )  # fmt: skip
        return without_carried(known, running.carry)

    async def withdraw(self, job: TrackedJob, requirements: Requirements) -> None:
        """Remove the proofs that `requirements` has made, once another node has looked for them."""
        if requirements.probes:
            await self._threads.run_apart(
                INSPECTION_TIMEOUT, ("probes", job.name), "files", self._withdraw, requirements
            )

    async def sweep(self) -> None:
        """Remove the proofs that an earlier daemon has left when it was killed."""
        await self._threads.run_apart(INSPECTION_TIMEOUT, ("probes", ""), "files", self._sweep)

    async def obstacles(self, job: TrackedJob) -> Sequence[str]:
        """Return why a job of this node cannot leave for any other. :raises OSError: it has ended."""
        running = job.running
        if running is None:
            return ()
        return await self._bounded.run(
            INSPECTION_TIMEOUT, job.name, job.uid, self._read_obstacles, running.pid, running.supervisor,
            self._criu.version,
        )  # fmt: skip

    async def missing(
        self, job: str, requirements: Requirements, node: str, no_memory_limit: str
    ) -> Sequence[str]:
        """
        Return why this node lacks what a job needs, a clause for each reason.

        :param job: its name. :param node: what a message calls this node.
        :param no_memory_limit: why the memory of a job cannot be limited here, empty when it can.
        """
        problem = await self.criu_problem()
        room = await self._images.make_root()
        uid = requirements.uid
        user = await self._threads.run_apart(INSPECTION_TIMEOUT, ("user", uid), "names", _user_name, uid)
        offer = await self._bounded.run(
            INSPECTION_TIMEOUT, job, uid, self._read_capabilities, requirements, user, room, problem
        )
        offer = replace(
            offer,
            no_limit=no_memory_limit,
            private_limit=self.private_limit,
            criu_version=self._criu.version,
        )
        from gomd.jobs.checkpoint.requirements import reasons

        return reasons(requirements, offer, node)


def _user_name(uid: int) -> str:
    """Return the name of a user of this node, empty when there is none of that uid. Blocks."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
