"""The worker that all tabs of a browser share, with a clock of the test: sleep, silence, and still tabs."""

from __future__ import annotations

import subprocess

from tests.integration.page_browser import PAGE_TESTS, browser_or_skip


def test_the_worker_of_all_tabs() -> None:
    """One stream for all, a whole new one after a sleep, none for a tab that takes nothing."""
    browser_or_skip()
    done = subprocess.run(
        ["node", "--test", "worker.test.mjs"], cwd=PAGE_TESTS, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
