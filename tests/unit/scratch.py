"""A place for a file of one test, gone with it: trial's mktemp leaves folders where pytest was started."""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest


def scratch(case: unittest.TestCase) -> str:
    """Return a path where nothing is yet; what the test puts there is removed after it."""
    return _place(case, None)


def quick_scratch(case: unittest.TestCase) -> str:
    """Return such a path in memory, where there is such a place: for tests that sync files all the time."""
    return _place(case, "/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def _place(case: unittest.TestCase, where: str | None) -> str:
    directory = tempfile.mkdtemp(prefix="gomd-test-", dir=where)
    case.addCleanup(shutil.rmtree, directory, ignore_errors=True)
    return os.path.join(directory, "file")
