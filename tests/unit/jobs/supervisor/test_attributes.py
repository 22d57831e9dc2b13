"""The limits a job gets, and the numbers of system calls."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.syscalls import numbers
from gomd.jobs.supervisor.attributes import HARD_FILES, parse_limits, within

_HEAD = "Limit                     Soft Limit           Hard Limit           Units     \n"
INF = resource.RLIM_INFINITY


class LimitsTests(SynchronousTestCase):
    """/proc/1/limits, and what a job may have of it."""

    def test_parsed(self) -> None:
        """Numbers, unlimited, and a resource that is not known."""
        text = _HEAD + (
            "Max stack size            8388608              unlimited            bytes     \n"
            "Max open files            1073741816           1073741816           files     \n"
            "Max nice priority         0                    0                    \n"
            "Max something new         1                    2                    bytes     \n"
        )
        self.assertEqual(
            parse_limits(text),
            {
                resource.RLIMIT_STACK: (8388608, INF),
                resource.RLIMIT_NOFILE: (1073741816, 1073741816),
                resource.RLIMIT_NICE: (0, 0),
            },
        )

    def test_junk_is_no_limit(self) -> None:
        """Nothing in it stops a job."""
        for text in ("", "Max stack size", _HEAD + "Max stack size            many                 few\n"):
            self.assertEqual(parse_limits(text), {})

    def test_never_beyond_the_daemons_hard_limit(self) -> None:
        """Soft limits that the daemon lowered for itself come back, hard ones do not."""
        stack, core = resource.RLIMIT_STACK, resource.RLIMIT_CORE
        self.assertEqual(within(stack, (8 << 20, INF), (1 << 20, 4 << 20)), (4 << 20, 4 << 20))
        self.assertEqual(within(stack, (8 << 20, INF), (1 << 20, INF)), (8 << 20, INF))
        self.assertEqual(within(core, (INF, INF), (0, 0)), (0, 0))
        self.assertEqual(within(core, (0, 100), (INF, INF)), (0, 100))

    def test_files(self) -> None:
        """A login's number of files, whatever the daemon or the first process of the machine has."""
        files = resource.RLIMIT_NOFILE
        self.assertEqual(within(files, (1 << 30, 1 << 30), (1 << 20, 1 << 20)), (1024, HARD_FILES))
        self.assertEqual(within(files, (INF, INF), (512, 512)), (512, 512))
        self.assertEqual(within(files, (256, 4096), (1 << 20, 1 << 20)), (256, 4096))


class NumbersTests(SynchronousTestCase):
    """System calls by machine."""

    def test_some_machines(self) -> None:
        """As the kernel's tables have them."""
        for machine, pointer, keyctl, ioprio in (
            ("x86_64", 8, 250, 251), ("x86_64", 4, 288, 289), ("i686", 4, 288, 289),
            ("aarch64", 8, 219, 30), ("aarch64", 4, 311, 314), ("riscv64", 8, 219, 30),
            ("armv7l", 4, 311, 314), ("ppc64le", 8, 271, 273), ("s390x", 8, 280, 282),
        ):  # fmt: skip
            found = numbers(machine, pointer)
            assert found is not None, machine
            self.assertEqual((found["keyctl"], found["ioprio_set"]), (keyctl, ioprio), machine)

    def test_an_unknown_machine(self) -> None:
        """It has no numbers, rather than another one's."""
        self.assertIsNone(numbers("pdp11", 2))
