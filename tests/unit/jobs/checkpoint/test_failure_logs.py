"""A failure that nobody has words for names the process, the kind and the log, and shows nothing of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.criu_outcome import explain_failure
from gomd.jobs.checkpoint.failure_logs import MAX_BYTES, MAX_LOGS, describe, keep
from tests.unit.scratch import scratch


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("Error (criu/fsnotify.c:288): fsnotify: full moon", "the job because of a watch on a file"),
        ("(00.01) Error (criu/files.c:1): pid 301: odd", "process 301 of the job because of an open file"),
        ("(00.01)    302: Error (criu/mem.c:9): odd", "process 302 of the job because of its memory"),
        ("(00.01) Error (compel/arch/x86/src/lib/infect.c:9): odd", "the job"),
        ("", "the job"),
    ],
)  # fmt: skip
def test_what_is_said(line: str, about: str) -> None:
    """Not criu's own words."""
    told = describe(f"Warn  (criu/x.c:1): y\n{line}\n", "dump", "/spool/criu-logs/x")
    assert told == f"criu could not dump {about}: its log is /spool/criu-logs/x, for root"


@given(st.text(max_size=200))
def test_any_log(log: str) -> None:
    """Gives one sentence."""
    assert describe(log, "restore", "").startswith("criu could not restore ")


class KeepingTests(SynchronousTestCase):
    def test_logs_are_kept_for_root_and_are_few(self) -> None:
        """The newest ones, and the end of a long one."""
        spool = Path(scratch(self))
        for number in range(MAX_LOGS + 3):
            images = spool / "moving" / f"1-{number}.source"
            images.mkdir(parents=True)
            path = keep(str(images), "dump", f"{number}" * MAX_BYTES)
            os.utime(path, (number, number))
        logs = spool / "criu-logs"
        self.assertEqual(len(os.listdir(logs)), MAX_LOGS)
        self.assertNotIn("1-0.source-dump.log", os.listdir(logs))
        self.assertEqual(logs.stat().st_mode & 0o777, 0o700)
        last = logs / f"1-{MAX_LOGS + 2}.source-dump.log"
        self.assertEqual((last.stat().st_mode & 0o777, last.stat().st_size), (0o600, MAX_BYTES))

    def test_a_known_failure_needs_no_log(self) -> None:
        """Its sentence is enough."""
        images = Path(scratch(self)) / "moving" / "x"
        images.mkdir(parents=True)
        known = "Error (criu/image.c:530): Can't write: No space left on device"
        self.assertEqual(
            explain_failure(known, str(images), "dump"),
            "no space is left where the images are written",
        )
        told = explain_failure("Error (criu/tty.c:5): the moon is full", str(images), "dump")
        self.assertIn("criu could not dump the job because of a terminal: its log is ", told)
        self.assertNotIn("moon", told)
