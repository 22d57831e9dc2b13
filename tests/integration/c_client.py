"""Builds the client in C, and has clients/c/tests/calls.c make calls and say what comes of each of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "c"
#: The mark of tests that build it.
NEEDED = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("gcc")), reason="the client in C needs make and gcc"
)


def run(*command: str, **variables: str) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(prefix: Path) -> Path:
    """Build everything below ``prefix``, if that is not done yet; return the folder."""
    build = prefix / "build"
    run("make", "-s", "-C", str(CLIENT), f"BUILD={build}", "CFLAGS=-O1 -g", "examples", f"{build}/calls")
    return build


def calls(build: Path, endpoint: str, *names: str, timeout_ms: int = 20000, **variables: str) -> list[str]:
    """What comes of the calls, a line each; the first is that of connecting. A crash fails the test."""
    output = run(str(build / "calls"), endpoint, str(timeout_ms), *names, **variables)
    return output.splitlines()
