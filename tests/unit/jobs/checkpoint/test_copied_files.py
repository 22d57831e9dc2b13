"""Which open files a program would not take for the same file when they are copies."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gomd.jobs.checkpoint.copied_files import is_sqlite, why_no_copy


@pytest.mark.parametrize(("journal", "stays"), [("DELETE", True), ("PERSIST", True), ("WAL", False)])
def test_databases_with_a_rollback_journal_stay(tmp_path: Path, journal: str, stays: bool) -> None:
    """SQLite itself made them; a database with a write-ahead log moves."""
    path = tmp_path / "data"
    base = sqlite3.connect(path)
    base.execute(f"PRAGMA journal_mode={journal}")
    base.execute("CREATE TABLE t (a)")
    base.commit()
    size = path.stat().st_size
    base.close()
    reason = why_no_copy(str(path), "/tmp/data", size, with_sqlite=False)
    assert ("its file /tmp/data is an SQLite database" in reason) is stays


def test_an_open_journal_names_its_database(tmp_path: Path) -> None:
    """In the first transaction nothing is written to the database yet."""
    journal = tmp_path / "data-journal"
    journal.write_bytes(b"\0" * 512)
    assert "its file /tmp/data is" in why_no_copy(str(journal), "/tmp/data-journal", 512, with_sqlite=True)


def test_an_empty_file_may_be_a_database_to_come(tmp_path: Path) -> None:
    """Only where SQLite is loaded."""
    path = tmp_path / "empty"
    path.touch()
    assert why_no_copy(str(path), "/tmp/empty", 0, with_sqlite=True)
    assert not why_no_copy(str(path), "/tmp/empty", 0, with_sqlite=False)


def test_other_files_and_files_that_are_gone_may_be_copied(tmp_path: Path) -> None:
    """A file that begins like a database for a few bytes is none."""
    path = tmp_path / "text"
    path.write_bytes(b"SQLite format 3")
    assert not why_no_copy(str(path), "/tmp/text", 15, with_sqlite=True)
    assert not why_no_copy(str(tmp_path / "gone"), "/tmp/gone", 15, with_sqlite=True)


def test_the_library_and_its_bindings_are_recognised() -> None:
    """By the name of the mapped file."""
    assert is_sqlite("/usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6")
    assert is_sqlite("/usr/lib/python3.11/lib-dynload/_sqlite3.cpython-311-x86_64-linux-gnu.so")
    assert not is_sqlite("/usr/lib/x86_64-linux-gnu/libc.so.6")
