"""Tests for what a daemon imports when it is first needed, and not at its start."""

import subprocess
import sys

import pytest

_FIRST_USE = (
    "cbor2",
    "difflib",
    "gomd.cluster.merged_events",
    "gomd.cluster.serf",
    "gomd.cluster.several",
    "gomd.cluster.swim",
    "gomd.jobs.checkpoint.criu",
    "gomd.history.postgresql",
    "gomd.jobs.checkpoint.file_tree",
    "gomd.jobs.checkpoint.inspection",
    "gomd.jobs.checkpoint.job_reader",
    "gomd.jobs.checkpoint.requirements",
    "gomd.jobs.checkpoint.tree_connection",
    "gomd.jobs.migration.active",
    "gomd.jobs.migration.channels",
    "gomd.jobs.migration.context",
    "gomd.jobs.migration.protocol",
    "gomd.jobs.migration.requirements_file",
    "gomd.jobs.migration.service",
    "gomd.jobs.migration.tree_server",
    "gomd.jobs.supervisor.carried_mounts",
    "gomd.jobs.supervisor.carrier",
    "gomd.services.collecting",
    "psycopg",
    "gomd.jobs.home.table",
    "gomd.jobs.lifecycle.submit",
    "gomd.jobs.lifecycle.tracker",
    "gomd.jobs.placement.choice",
    "gomd.jobs.relocation",
    "gomd.jobs.service",
    "gomd.jobs.supervisor.attributes",
    "gomd.tap.checking",
    "gomd.tap.jobs",
    "gomd.verbs.branch_rows",
    "gomd.verbs.passing_on",
    "gomd.verbs.relayed_commands",
    "gomd.verbs.tree_do",
    "gomd.verbs.tree_fan_out",
)
#: Used by the process beside a job.
_BY_SUPERVISORS = ("gomd.jobs.checkpoint.file_tree",)
#: What a move uses, so it is loaded before one begins.
_MOVE = [name for name in _FIRST_USE if name.startswith(("gomd.jobs.checkpoint", "gomd.jobs.migration"))]


def test_the_parts_list_imports_nothing_that_an_idle_daemon_does_not_need() -> None:
    imported = _imported_with("gomd.tap.service")
    assert "gomd.jobs.on_demand" in imported
    assert [name for name in _FIRST_USE if name in imported] == []


def test_all_that_a_move_uses_is_imported_at_once() -> None:
    """With the first job: an import in the middle of a move would lengthen its stop."""
    imported = _imported_with("gomd.tap.jobs")
    assert [name for name in _MOVE if name not in imported and name not in _BY_SUPERVISORS] == []
    assert "gomd.jobs.relocation.service" in imported


def _imported_with(name: str) -> list[str]:
    """Return the modules of a Python that has imported one."""
    code = f"import sys, {name}; print(*sorted(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return found.stdout.split()


@pytest.mark.parametrize("name", _FIRST_USE)
def test_what_is_imported_later_can_be(name: str) -> None:
    """None of them is misspelt above, or has moved."""
    if name == "gomd.cluster.swim":
        pytest.importorskip("kinship")  # an extra, which Debian and Python 3.10 do not have
    __import__(name)
    assert name in sys.modules
