"""A small /proc of a stock kernel, and copies of it that a test may write to."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.linux.source import LinuxSource
from libgomd.model import Caller, Role

DATA: Final = Path(__file__).parents[2] / "data" / "proc-linux"
ADMIN: Final = Caller(Role.ADMIN, "root", 0, "unix")
READER: Final = Caller(Role.READ, "", None, "tcp 127.0.0.1:40000")
#: A user who owns nothing in these tests, whoever runs them.
STRANGER: Final = Caller(Role.USER, "stranger", 61234, "unix")


def directory(test: SynchronousTestCase) -> Path:
    """A directory that is gone when the test is over."""
    name = tempfile.mkdtemp(prefix="gomd-linux-")
    test.addCleanup(shutil.rmtree, name)
    return Path(name)


def copied(test: SynchronousTestCase) -> Path:
    """A copy of the tree that the kernel's own modes protect: `io` is its owner's alone."""
    root = directory(test) / "proc"
    shutil.copytree(DATA, root, copy_function=shutil.copyfile)
    for where, _, files in os.walk(root):
        os.chmod(where, 0o755)
        for name in files:
            os.chmod(os.path.join(where, name), 0o600 if name == "io" else 0o644)
    return root


def source_over(test: SynchronousTestCase, root: Path, speed: int | None = 15000) -> LinuxSource:
    """A source over ``root`` with a STATE of its own."""
    return LinuxSource(1, "alpha", "10.0.0.1", str(root), str(directory(test) / "state"), speed=speed)
