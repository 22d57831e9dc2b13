"""
The commands behind a prompt in the documentation, run as they are printed, by a shell, against a real daemon.

What a reader would have at hand is put there first: a program `simulate`, a Makefile, a node called beta.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doc_blocks import BLOCKS, Block, commands
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import until

#: Pages whose commands change nothing and end by themselves.
READING = ("monitoring.md", "troubleshooting.md")


@pytest.fixture(scope="module")
def beta(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The daemon of the node beta, which is the only one, and so the best."""
    with Daemon(tmp_path_factory.mktemp("gomd"), "--node-id", "2", "--name", "beta") as daemon:
        with daemon.connect() as line:
            until(lambda: line.ask("ps --top 1").code == 201)
        yield daemon


def run(command: str, daemon: Daemon, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell as a reader would, with `gom` of this environment."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    env = {**os.environ, "PATH": path, "GOMD_ENDPOINT": daemon.unix}
    return subprocess.run(
        ["sh", "-c", command], cwd=directory, env=env, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=PATIENCE * 2,
    )  # fmt: skip


def named(page: str) -> list[Block]:
    """Return the blocks with commands of a page."""
    found = [block for block in BLOCKS if block.page == page and block.language == "console"]
    assert found, page
    return found


@pytest.mark.parametrize("page", READING)
def test_commands_that_only_read_succeed(page: str, beta: Daemon, tmp_path: Path) -> None:
    """Each prints something, or nothing where nothing was found, and warns of nothing."""
    for block in named(page):
        for command in commands(block):
            done = run(command, beta, tmp_path)
            # `gom doctor` has the exit status 1 when it finds something to mend.
            assert done.returncode in ((0, 1) if "doctor" in command else (0,)), (command, done.stderr)
            assert done.stderr == "", command


def test_running_jobs_goes_as_shown(beta: Daemon, tmp_path: Path) -> None:
    """The first block of jobs.md from its first to its last line; the job's number is the printed one."""
    tmp_path.chmod(0o755)
    (tmp_path / "simulate").write_text('#!/bin/sh\necho "run $1"\n[ "$1" = 42 ] || exec sleep 60\n')
    (tmp_path / "simulate").chmod(0o755)
    (tmp_path / "Makefile").write_text("all:\n\t@echo made\n")
    number = "17"
    for command in commands(named("jobs.md")[0]):
        words = re.sub(r"\b17\b", number, command)
        if words.startswith("gom attach"):
            # It shows the output until the job ends, which the next line of the page sees to.
            words = f"{words.partition('#')[0]} & sleep 1; gom kill {number}; wait $!"
        elif words.startswith("gom kill"):
            assert run(words, beta, tmp_path).returncode == 1, "the job has ended already"
            continue
        done = run(words, beta, tmp_path)
        if "--detach" in words:
            number = done.stdout.strip()
        assert done.returncode == (143 if "attach" in words else 0), (words, done.stderr)
    assert (tmp_path / "result").read_text() == "run 42\n"
