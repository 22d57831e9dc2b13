"""A process moves by openMosix's own kernel where there is one; where nothing can move it one is told why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from gomd.interfaces import IMigrator, MigrationSubject, MoveCost
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.migration.openmosix import OpenMosixMigrator
from gomd.jobs.migration.service import Migrations
from libgomd.errors import CannotMove, NotFound
from libgomd.model import Counter
from tests.unit.jobs.moving_nodes import Cluster, subject_of
from tests.unit.scratch import quick_scratch

MOVABLE, UNKNOWN = MigrationSubject(36), MigrationSubject(37)


class AtOnce:
    """Threads that are none."""

    async def run(self, limit: float, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)


class Kernel:
    """What openMosix shows of process 36, and what it does when told to move it."""

    def __init__(self, cantmove: str = "", obeys: bool = True) -> None:
        self.files = {"/proc/36/cantmove": cantmove, "/proc/36/where": "0"}
        self.obeys = obeys

    def read_file(self, path: Any, caller: Any) -> bytes:
        if str(path) not in self.files:
            raise NotFound(f"there is no {path}")
        return f"{self.files[str(path)]}\n".encode()

    def write_file(self, path: Any, value: str) -> None:
        if str(path) == "/proc/36/goto" and self.obeys:
            self.files["/proc/36/where"] = value


def migrator(kernel: Kernel) -> OpenMosixMigrator:
    return OpenMosixMigrator(kernel, AtOnce(), 1)  # type: ignore[arg-type]


class Contract:
    """
    What every `IMigrator` does: run for each of them.

    :cvar can: a process that can be moved to node 2, None when none can; ``cannot`` one that cannot.
    :cvar nobody: a process that does not exist; None when nothing is looked at.
    """

    kind = ""
    can: MigrationSubject | None = None
    cannot = MigrationSubject(0)
    nobody: MigrationSubject | None = None

    def make(self) -> IMigrator:
        """Return one that has the processes ``can`` and ``cannot``."""
        raise NotImplementedError

    def wait(self) -> None:
        """Let what was begun come to its end."""

    def done(self: Any, waited: Any) -> Deferred[Any]:
        result: Deferred[Any] = Deferred.fromCoroutine(waited)
        self.wait()
        return result

    def test_it_says_what_it_is(self: Any) -> None:
        """Its kind is a word, why nothing moves a clause, and its counters have names of their own."""
        made = self.make()
        self.assertTrue(verifyObject(IMigrator, made))
        self.assertEqual(made.kind, self.kind)
        self.assertIsInstance(made.cannot(), str)
        self.assertEqual(bool(made.cannot()), self.can is None)
        counters = list(made.counters())
        self.assertTrue(all(isinstance(each, Counter) and int(each.value) >= 0 for each in counters))
        self.assertEqual(len({each.name for each in counters}), len(counters))

    def test_what_cannot_move_says_why_and_stays(self: Any) -> None:
        """The reasons of the question are those of the order: clauses of one line each."""
        made = self.make()
        reasons = self.successResultOf(self.done(made.reasons(self.cannot, 2)))
        self.assertNotEqual(reasons, [])
        self.assertTrue(all(each and each.isprintable() for each in reasons))
        error = self.failureResultOf(self.done(made.migrate(self.cannot, 2)), CannotMove).value
        for each in reasons:
            self.assertIn(each, str(error))

    def test_what_can_move_moves(self: Any) -> None:
        """Nothing stands in its way, and it is there when the order has ended."""
        made = self.make()
        if self.can is None:
            self.assertNotEqual(self.successResultOf(self.done(made.reasons(MigrationSubject(1), 2))), [])
            return
        self.assertEqual(self.successResultOf(self.done(made.reasons(self.can, 2))), [])
        cost = self.successResultOf(self.done(made.migrate(self.can, 2)))
        self.assertIsInstance(cost, (MoveCost, type(None)))

    def test_a_process_that_is_nobody(self: Any) -> None:
        """It is not found, neither to be asked about nor to be moved."""
        made = self.make()
        if self.nobody is not None:
            self.failureResultOf(self.done(made.reasons(self.nobody, 2)), NotFound)
            self.failureResultOf(self.done(made.migrate(self.nobody, 2)), NotFound)
        else:
            self.failureResultOf(self.done(made.migrate(MigrationSubject(1), 2)), CannotMove)

    def test_any_stream_may_come(self: Any) -> None:
        """Known or not, silent or full of junk: it is taken or closed, and nothing is raised."""
        made = self.make()
        for node in (2, None):
            for junk in (b"", b"GET / HTTP/1.1\r\n\r\n"):
                transport, stream = StringTransport(), FrameStream()
                stream.makeConnection(transport)
                stream.dataReceived(junk)
                made.join(node, stream)
                if junk or self.kind != "criu":
                    self.assertTrue(transport.disconnecting)


class OpenMosixContractTests(Contract, SynchronousTestCase):
    kind = "openmosix"
    can, cannot, nobody = MigrationSubject(36), MigrationSubject(37), MigrationSubject(38)

    def make(self) -> IMigrator:
        kernel = Kernel()
        kernel.files |= {"/proc/37/cantmove": "monkey", "/proc/37/where": "0"}
        return migrator(kernel)


class NoContractTests(Contract, SynchronousTestCase):
    kind, cannot = "none", MigrationSubject(36)

    def make(self) -> IMigrator:
        return NoMigrator("the daemon does not run as root")


class CriuContractTests(Contract, SynchronousTestCase):
    kind, nobody = "criu", MigrationSubject(4711, "1-9")
    can, cannot = MigrationSubject(1000, "1-1"), MigrationSubject(1002, "1-2")

    def make(self) -> IMigrator:
        self.cluster = Cluster(quick_scratch(self), 2)
        self.addCleanup(self.cluster.end)
        self.cluster.begin()
        self.cluster.machines[1].cantmove = "it has no namespaces of its own"
        self.cluster.begin()
        subjects = [subject_of(here) for here in self.cluster[1].jobs.here()]
        type(self).can, type(self).cannot = subjects
        return self.cluster[1].migrations

    def wait(self) -> None:
        self.cluster.settle()


class MigratorTests(SynchronousTestCase):
    def test_all_keep_the_promise(self) -> None:
        """They can stand for each other."""
        for part in (OpenMosixMigrator, NoMigrator, Migrations):
            self.assertTrue(verifyClass(IMigrator, part))

    def test_the_kernel_moves_it_and_brings_it_home(self) -> None:
        """The number that is written is openMosix's: 0 for home."""
        kernel = Kernel()
        for node, where in ((2, "2"), (1, "0"), (2, "2"), (0, "0")):
            self.successResultOf(Deferred.fromCoroutine(migrator(kernel).migrate(MOVABLE, node)))
            self.assertEqual(kernel.files["/proc/36/where"], where)

    def test_what_the_kernel_says_it_cannot_is_not_tried(self) -> None:
        """The reason is the kernel's own."""
        kernel = Kernel("monkey, writable mmap")
        reasons = self.successResultOf(Deferred.fromCoroutine(migrator(kernel).reasons(MOVABLE, 2)))
        self.assertEqual(reasons, ["monkey, writable mmap"])
        error = self.failureResultOf(Deferred.fromCoroutine(migrator(kernel).migrate(MOVABLE, 2)), CannotMove)
        self.assertIn("monkey", str(error.value))
        self.assertEqual(kernel.files["/proc/36/where"], "0")

    def test_an_order_that_was_not_followed_is_an_error(self) -> None:
        """openMosix takes any order; that it moved is only believed when it is seen."""
        moving = migrator(Kernel(obeys=False)).migrate(MOVABLE, 2)
        error = self.failureResultOf(Deferred.fromCoroutine(moving), CannotMove)
        self.assertIn("stays on node 0", str(error.value))

    def test_a_process_that_is_not_there(self) -> None:
        """It is said so."""
        self.failureResultOf(Deferred.fromCoroutine(migrator(Kernel()).migrate(UNKNOWN, 2)), NotFound)

    def test_where_nothing_moves_the_reason_is_told(self) -> None:
        """As `cantmove`, for a dry run and for the order itself."""
        none = NoMigrator("criu is not installed")
        self.assertEqual(none.cannot(), "criu is not installed")
        self.assertEqual(
            self.successResultOf(Deferred.fromCoroutine(none.reasons(MOVABLE, 2))),
            ["criu is not installed"],
        )
        self.failureResultOf(Deferred.fromCoroutine(none.migrate(MigrationSubject(1), 2)), CannotMove)
