"""A place for a file of one test, gone with it: trial's mktemp leaves folders where pytest was started."""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest


def scratch(case: unittest.TestCase) -> str:
    """Return a path where nothing is yet; what the test puts there is removed after it."""
    directory = tempfile.mkdtemp(prefix="gomd-test-")
    case.addCleanup(shutil.rmtree, directory, ignore_errors=True)
    return os.path.join(directory, "file")
