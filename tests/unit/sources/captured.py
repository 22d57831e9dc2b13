"""The trees captured from a running openMosix 2.4.26, and copies of them that a test may write to."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

DATA: Final = Path(__file__).parents[2] / "data" / "openmosix-proc"


def captured(node: str) -> Path:
    """The /proc of ``node1`` or ``node2`` as it was captured."""
    return DATA / node / "proc"


def copied(test: SynchronousTestCase, node: str) -> Path:
    """
    A copy that is gone when the test is over.

    It has the files that could not be captured because they can only be written (unreadable.json).
    """
    directory = tempfile.mkdtemp(prefix="gomd-openmosix-")
    test.addCleanup(shutil.rmtree, directory)
    root = Path(directory) / "proc"
    shutil.copytree(captured(node), root, copy_function=shutil.copyfile)
    for where, _, files in os.walk(root):
        os.chmod(where, 0o755)
        for name in files:
            os.chmod(os.path.join(where, name), 0o644)
    for order in ("hpc/admin/bring", "hpc/admin/expel", "36/goto", "36/migrate"):
        (root / order).touch(0o222)
    return root


def written_to(order: Path) -> bytes:
    """Return what was written to a file that can only be written, even by its owner, unless that is root."""
    order.chmod(0o644)
    try:
        return order.read_bytes()
    finally:
        order.chmod(0o222)
