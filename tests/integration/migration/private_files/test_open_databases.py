"""SQLite databases in a job's own temporary directory, open while it moves."""

from __future__ import annotations

import pytest

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job
from tests.integration.migration.private_files.running import PYTHON, USERS

_DATABASE = """
import sqlite3, sys
base = sqlite3.connect("/tmp/base", isolation_level=None)
base.execute("PRAGMA journal_mode=" + sys.argv[1])
base.execute("CREATE TABLE t (a)"); base.execute("BEGIN IMMEDIATE")
for number in range(1000):
    base.execute("INSERT INTO t VALUES (?)", (number,))
print("ready", flush=True)
for line in sys.stdin:
    if line == "close\\n":
        base.execute("COMMIT")
        base.close()
        print("closed", flush=True)
        base = sqlite3.connect("/tmp/base", isolation_level=None)
        [count], [whole] = (base.execute(ask).fetchone() for ask in sys.argv[2:])
        print(count, whole)
        base.close()
        continue
    base.execute("INSERT INTO t VALUES (0)"); base.execute("COMMIT"); base.execute("BEGIN IMMEDIATE")
"""
_ASKED = ("SELECT count(*) FROM t", "PRAGMA integrity_check")


@pytest.mark.parametrize("user", USERS)
def test_a_database_in_a_transaction(two: list[Host], user: str) -> None:
    """Its write-ahead log and the locks on its own files move, and it writes on."""
    job = Job(two[0], "-n", "1", "-T", PYTHON, "-c", _DATABASE, "WAL", *_ASKED, user=user)
    eventually(lambda: job.out == b"ready\n" or job.err)
    for target in ("2", "home"):
        job.move(target)
        job.write(b"more\n")
    job.write(b"close\n")
    job.close()
    assert (job.wait(), job.out, job.err) == (0, b"ready\nclosed\n1002 ok\n", b"")


@pytest.mark.parametrize("journal", ["DELETE", "PERSIST"])
def test_a_database_that_notices_a_copy(two: list[Host], journal: str) -> None:
    """SQLite with a rollback journal compares inode numbers: the job moves when the database is closed."""
    home = two[0]
    job = Job(home, "-n", "1", "-T", PYTHON, "-c", _DATABASE, journal, *_ASKED, user="nobody")
    eventually(lambda: job.out == b"ready\n" or job.err)
    for words in ("2 dry-run", "2"):
        said = ask(home, f"migrate {job.pid} {words}")
        assert (said.code, "its file /tmp/base is an SQLite database" in said.text) == (405, True), said
    eventually(
        lambda: "is an SQLite database" in str(ask(home, f"ps {job.pid}", as_json=True).rows[0]["cantmove"])
    )
    job.write(b"close\n")
    eventually(lambda: b"closed" in job.out)
    job.move("2")
    job.close()
    assert (job.wait(), job.out, job.err) == (0, b"ready\nclosed\n1000 ok\n", b"")
