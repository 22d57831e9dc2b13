"""A process moves by openMosix's own kernel where there is one; where nothing can move it one is told why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from gomd.interfaces import IMigrator
from gomd.jobs.migrators import NoMigrator, OpenMosixMigrator
from libgomd.errors import CannotMove, NotFound


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


class MigratorTests(SynchronousTestCase):
    def test_both_keep_the_promise(self) -> None:
        """They can stand for each other."""
        self.assertTrue(verifyClass(IMigrator, OpenMosixMigrator))
        self.assertTrue(verifyClass(IMigrator, NoMigrator))

    def test_the_kernel_moves_it_and_brings_it_home(self) -> None:
        """The number that is written is openMosix's: 0 for home."""
        kernel = Kernel()
        for node, where in ((2, "2"), (1, "0"), (2, "2"), (0, "0")):
            self.successResultOf(Deferred.fromCoroutine(migrator(kernel).migrate(36, node)))
            self.assertEqual(kernel.files["/proc/36/where"], where)

    def test_what_the_kernel_says_it_cannot_is_not_tried(self) -> None:
        """The reason is the kernel's own."""
        kernel = Kernel("monkey, writable mmap")
        reasons = self.successResultOf(Deferred.fromCoroutine(migrator(kernel).reasons(36, 2)))
        self.assertEqual(reasons, ["monkey, writable mmap"])
        error = self.failureResultOf(Deferred.fromCoroutine(migrator(kernel).migrate(36, 2)), CannotMove)
        self.assertIn("monkey", str(error.value))
        self.assertEqual(kernel.files["/proc/36/where"], "0")

    def test_an_order_that_was_not_followed_is_an_error(self) -> None:
        """openMosix takes any order; that it moved is only believed when it is seen."""
        moving = migrator(Kernel(obeys=False)).migrate(36, 2)
        error = self.failureResultOf(Deferred.fromCoroutine(moving), CannotMove)
        self.assertIn("stays on node 0", str(error.value))

    def test_a_process_that_is_not_there(self) -> None:
        """It is said so."""
        self.failureResultOf(Deferred.fromCoroutine(migrator(Kernel()).migrate(37, 2)), NotFound)

    def test_where_nothing_moves_the_reason_is_told(self) -> None:
        """As `cantmove`, for a dry run and for the order itself."""
        none = NoMigrator("criu is not installed")
        self.assertEqual(none.cannot(), "criu is not installed")
        self.assertEqual(
            self.successResultOf(Deferred.fromCoroutine(none.reasons(1, 2))), ["criu is not installed"]
        )
        self.failureResultOf(Deferred.fromCoroutine(none.migrate(1, 2)), CannotMove)
