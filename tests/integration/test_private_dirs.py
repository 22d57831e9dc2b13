"""What a job's own /tmp shows of the machine's, to a user who changes links meanwhile. Root only."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces are root's")
def test_links_lead_to_nothing_of_roots() -> None:
    """
    Not to what the supervisor has open; and root makes no file of the user's in what is shown. What lies
    behind a link or a mount is not looked up without a time limit.
    """
    command = ["unshare", "--mount", "--propagation", "private", "--", sys.executable, "-m",
               "tests.integration.private_dirs_program"]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.stdout.split("\n") == [
        "near ['file', 'no/such', 'closed/file']", "all near False",
        "shown ['file']", "refused Invalid cross-device link", "made []", "",
    ], said.stderr  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces are root's")
def test_root_imports_nothing_of_the_users() -> None:
    """Where gomd lies below /tmp, its supervisor goes on loading it from there, not from the job's."""
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private", "--",
               sys.executable, "-m", "tests.integration.own_imports_program"]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.stdout.split("\n") == [
        "WHOSE = 'the user'", "own_package.late root", "beside root", "",
    ], said.stderr  # fmt: skip
