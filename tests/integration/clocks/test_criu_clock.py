"""criu is waited for whatever the wall clock does: a set clock is no reason that nothing can move."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.clocks.conftest import faked_clock, faketime_is_missing, write_clock
from tests.integration.daemon import PATIENCE

pytestmark = [
    pytest.mark.skipif(
        faketime_is_missing(), reason="libfaketime is not installed (Debian package faketime)"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root's daemon moves processes"),
]
_ASK = """
import sys
from gomd.jobs.checkpoint.criu import Criu
print(repr(Criu(sys.argv[1]).check(float(sys.argv[2]))))
"""


def ask(home: Path, seconds: int, script: str, limit: float) -> str:
    """Return what is found out about a criu that is ``script``, by a program whose clock is off."""
    program = home / "criu"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    write_clock(home, seconds)
    done = subprocess.run(
        ["env", *faked_clock(home), sys.executable, "-c", _ASK, str(program), str(limit)],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("seconds", [0, -3600, 86400])
def test_a_criu_that_takes_its_time(tmp_path: Path, seconds: int) -> None:
    """It is waited for, and what it says counts."""
    assert ask(tmp_path, seconds, "sleep 0.3", 20.0) == "''"


@pytest.mark.parametrize("seconds", [-3600, 86400])
def test_a_criu_that_never_ends(tmp_path: Path, seconds: int) -> None:
    """It is killed after the limit."""
    assert "criu took longer than 0.5 s" in ask(tmp_path, seconds, "exec sleep 100", 0.5)
