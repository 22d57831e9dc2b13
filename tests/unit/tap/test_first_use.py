"""Tests for what a daemon imports when it is first needed, and not at its start."""

import subprocess
import sys

import pytest

_FIRST_USE = (
    "cbor2",
    "gomd.cluster.swim",
    "gomd.history.postgresql",
    "gomd.jobs.checkpoint.file_tree",
    "gomd.jobs.checkpoint.inspection",
    "gomd.jobs.checkpoint.job_reader",
    "gomd.jobs.checkpoint.requirements",
    "gomd.jobs.checkpoint.tree_connection",
    "gomd.jobs.migration.requirements_file",
    "gomd.jobs.migration.tree_server",
    "gomd.jobs.supervisor.carried_mounts",
    "gomd.jobs.supervisor.carrier",
    "gomd.services.collecting",
    "psycopg",
)


def test_the_parts_list_imports_nothing_that_an_idle_daemon_does_not_need() -> None:
    code = "import sys, gomd.tap.compose; print(*sorted(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    imported = found.stdout.split()
    assert "gomd.jobs.migration.service" in imported
    assert [name for name in _FIRST_USE if name in imported] == []


@pytest.mark.parametrize("name", _FIRST_USE)
def test_what_is_imported_later_can_be(name: str) -> None:
    """None of them is misspelt above, or has moved."""
    __import__(name)
    assert name in sys.modules
