"""Runs the scenarios of tests/page in a real Chromium, against the real daemons of a test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

PAGE_TESTS = Path(__file__).parents[1] / "page"
#: Seconds that a scenario may take.
LIMIT = 120.0


def browser_or_skip() -> str:
    """Return the path of Chromium. As root on Debian, where it is installed, a skip is a failure."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    missing = [name for name, found in (
        ("chromium", chromium), ("node", shutil.which("node")),
        ("playwright-core (make page-tools)", (PAGE_TESTS / "node_modules" / "playwright-core").is_dir()),
    ) if not found]  # fmt: skip
    if missing:
        text = f"the page is not tried in a browser: {', '.join(missing)} is missing"
        if os.geteuid() == 0 and os.path.exists("/etc/debian_version"):
            pytest.fail(text)
        pytest.skip(text)
    assert chromium is not None
    return chromium


@contextmanager
def browser_asleep() -> Iterator[None]:
    """Let the browser of the scenario stand still, all of its processes, as on a laptop that sleeps."""
    found = [each for each in psutil.Process().children(recursive=True) if "chrom" in each.name()]
    assert found
    for each in found:
        each.suspend()
    try:
        yield
    finally:
        for each in found:
            each.resume()


def run_scenario(name: str, on_turn: Callable[[str], str] = lambda _word: "", **config: Any) -> None:
    """
    Run one scenario.

    :param on_turn: called with each word by which the scenario lets the test go on; returns the answer.
    :raises AssertionError: it failed, or took too long.
    """
    whole = {"chromium": browser_or_skip(), **config}
    with subprocess.Popen(
        ["node", str(PAGE_TESTS / "run.mjs"), name, json.dumps(whole)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for line in process.stdout:
                process.stdin.write(f"{on_turn(line.strip())}\n")
                process.stdin.flush()
            process.wait(LIMIT)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            process.kill()
        assert process.wait() == 0, f"{name}:\n{process.stderr.read()}"
