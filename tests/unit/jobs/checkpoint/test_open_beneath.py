"""No name leads out of an opened directory, with openat2 and where the kernel does not have it."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.open_beneath import has_openat2, open_beneath
from tests.unit.scratch import scratch


class StepByStepTests(SynchronousTestCase):
    """Each component is opened by itself."""

    by_kernel = False

    def setUp(self) -> None:
        top = Path(scratch(self))
        (top / "in" / "deep").mkdir(parents=True)
        (top / "in" / "deep" / "file").write_text("inside")
        (top / "secret").write_text("outside")
        os.symlink("..", top / "in" / "up")
        os.symlink("deep", top / "in" / "same")
        os.symlink("../secret", top / "in" / "link")
        self.directory = os.open(top / "in", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, self.directory)

    def open(self, *names: bytes, crossing: bool = True, directory: int | None = None) -> bytes:
        """Return what is in the file."""
        at = self.directory if directory is None else directory
        descriptor = open_beneath(at, names, os.O_RDONLY, crossing=crossing, by_kernel=self.by_kernel)
        try:
            self.assertFalse(os.get_inheritable(descriptor))
            return os.read(descriptor, 100) if names[-1] != b"proc" else b""
        finally:
            os.close(descriptor)

    def test_a_file_below(self) -> None:
        """A path of names is opened."""
        self.assertEqual(self.open(b"deep", b"file"), b"inside")

    def test_names_that_are_none(self) -> None:
        """Upwards, absolute, empty and several in one are refused before anything is opened."""
        for names in ((b"..", b"secret"), (b".",), (b"",), (b"/etc",), (b"deep/file",), (b"a\0b",), ()):
            with self.assertRaises(ValueError):
                self.open(*names)

    def test_links_are_not_followed(self) -> None:
        """Neither at the end of a path nor on its way, wherever they lead."""
        for names in ((b"link",), (b"up", b"secret"), (b"same", b"file")):
            with self.assertRaises(OSError):
                self.open(*names)

    def test_a_mount_is_entered_only_if_wanted(self) -> None:
        """Another file system is told apart."""
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, root)
        self.assertNotEqual(self.open(b"proc", b"version", directory=root), b"")
        for names in ((b"proc", b"version"), (b"proc",)):
            with self.assertRaisesRegex(OSError, "ross-device"):
                self.open(*names, crossing=False, directory=root)


class KernelTests(StepByStepTests):
    """openat2, where this kernel has it; else the same again without it, as the module decides."""

    by_kernel = has_openat2()
