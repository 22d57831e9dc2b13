"""A failure is told in words, not as Python shows it."""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.migration.failure_reason import reason_of
from libgomd.errors import CannotMove


class ReasonTests(SynchronousTestCase):
    def test_no_number_and_no_class_is_shown(self) -> None:
        """A full disk, a quota, a file, something without one, and an error of gomd's own."""
        for error, expected in (
            (OSError(errno.ENOSPC, "x"), "no space is left on the disk of [jobs] spool"),
            (OSError(errno.EDQUOT, "x"), "no space is left on the disk of [jobs] spool"),
            (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/f"), "/f: Permission denied"),
            (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
            (OSError("the file is closed"), "the file is closed"),
            (OSError(), "OSError"),
            (CannotMove("it stays"), "it stays"),
            (ValueError("bug"), "ValueError('bug')"),
        ):
            self.assertEqual(reason_of(error), expected)
