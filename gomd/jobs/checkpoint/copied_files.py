"""
Recognises open files that a program would not take for the same file after a move.

Theory of operation. What travels with a job is made anew on the target node, with the same names and
contents and with other inode numbers, which no file system lets anybody choose. Nearly no program looks at
them. SQLite does: before a transaction it compares the number that its database had when it was opened with
the one that the path leads to, and refuses to write ("attempt to write a readonly database") when they
differ. It does not look when the database has a write-ahead log, so these move.
"""

from __future__ import annotations

import os
from typing import Final

_MAGIC: Final = b"SQLite format 3\0"
#: Where the header has the version that a writer must know: 1 for a rollback journal, 2 for a log.
_WRITE_VERSION: Final = 18
_ROLLBACK: Final = 1
#: What SQLite appends to the name of a database for its rollback journal.
_JOURNAL: Final = "-journal"


def is_sqlite(path: str) -> bool:
    """Whether a mapped file is SQLite's library, or a binding to it."""
    return "sqlite3" in os.path.basename(path)


def why_no_copy(at: str, path: str, size: int, with_sqlite: bool) -> str:
    """
    Return why a program cannot go on with a copy of a file that it has open for writing. Blocks as disks do.

    :param at: where it can be opened. :param path: its name. :param size: its bytes.
    :param with_sqlite: whether its process has SQLite loaded: an empty file may be a database to come.
    :returns: empty when nothing is known against it.
    """
    if path.endswith(_JOURNAL):
        path = path.removesuffix(_JOURNAL)
    elif size == 0:
        if not with_sqlite:
            return ""
    elif not _has_rollback_journal(at):
        return ""
    return (
        f"its file {path} is an SQLite database, and SQLite writes to no copy of an open file: keep "
        "it in a directory that both nodes share, or with a write-ahead log (PRAGMA journal_mode=WAL)"
    )


def _has_rollback_journal(at: str) -> bool:
    try:
        descriptor = os.open(at, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False  # it was closed meanwhile
    try:
        header = os.pread(descriptor, _WRITE_VERSION + 1, 0)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return header.startswith(_MAGIC) and header[_WRITE_VERSION:] == bytes((_ROLLBACK,))
