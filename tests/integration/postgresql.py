"""A PostgreSQL server of Debian for tests: made, started and stopped here, on a unix socket of its own."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

#: Who the server runs as when root tests: PostgreSQL refuses root.
SERVER_USER = "nobody"
PATIENCE = 60.0
_HBA = """
local all boss trust
local all gomd peer map=testers
local all secret scram-sha-256
"""
PASSWORD = "correct horse \\' battery"


def programs() -> str:
    """Return the directory of the newest server that is installed, empty when there is none."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    newest = max(found, key=lambda path: int(path.split("/")[4]), default="")
    return os.path.dirname(newest)


def has_timescaledb() -> bool:
    """Return whether TimescaleDB is installed for that server; Debian has no package of it."""
    version = "".join(programs().split("/")[4:5])
    return os.path.exists(f"/usr/share/postgresql/{version}/extension/timescaledb.control")


needs_postgresql = pytest.mark.skipif(not programs(), reason="there is no PostgreSQL: apt install postgresql")


class Postgres:
    """
    A server with a database ``gomd``.

    Its role ``gomd`` is that of the user who tests (peer authentication), ``secret`` has `PASSWORD`, and
    ``boss`` may do everything.

    :param settings: more lines of postgresql.conf.
    """

    def __init__(self, settings: str = "") -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="gomd-pg-", dir="/tmp"))
        self.data = self.directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam(SERVER_USER)
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
            self._as = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        try:
            self._run("initdb", "-D", str(self.data), "-U", "boss", "-A", "trust", "-E", "UTF8",
                      "--locale=C", "--no-sync")  # fmt: skip
            (self.data / "pg_hba.conf").write_text(_HBA)
            own = pwd.getpwuid(os.geteuid()).pw_name
            (self.data / "pg_ident.conf").write_text(f"testers {own} gomd\n")
            with (self.data / "postgresql.conf").open("a") as file:
                file.write(
                    f"listen_addresses = ''\nunix_socket_directories = '{self.directory}'\nfsync = off\n"
                    f"shared_buffers = 64MB\nmax_connections = 30\n{settings}"
                )
            self.start()
            quoted = PASSWORD.replace("'", "''")
            self.sql("CREATE ROLE gomd LOGIN", database="postgres")
            self.sql(f"CREATE ROLE secret LOGIN PASSWORD '{quoted}'", database="postgres")
            self.sql("CREATE DATABASE gomd OWNER gomd", database="postgres")
        except BaseException:
            self.close()
            raise

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [os.path.join(programs(), program), *arguments], capture_output=True, text=True, timeout=PATIENCE,
            check=False, cwd="/", **self._as,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    @property
    def database(self) -> str:
        """`[history] database` of the role ``gomd``."""
        return f"host={self.directory} dbname=gomd user=gomd"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            [os.path.join(programs(), "postgres"), "-D", str(self.data)], cwd="/",
            stdout=subprocess.DEVNULL, stderr=(self.directory / "log").open("ab"), **self._as,
        )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(
                ["psql", "-h", str(self.directory), "-U", "boss", "-d", "postgres", "-qc", "SELECT 1"],
                capture_output=True, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return
            assert self._process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < end, done.stderr
            time.sleep(0.1)

    def stop(self, how: str = "fast") -> None:
        """Stop it. :param how: as `pg_ctl stop -m` has it."""
        if self._process is not None:
            self._run("pg_ctl", "stop", "-D", str(self.data), "-m", how, "-t", str(int(PATIENCE)))
            self._process.wait(PATIENCE)
            self._process = None

    def sql(self, statement: str, database: str = "gomd") -> list[list[str]]:
        """Return what `psql` answers to ``statement``, as people type it."""
        done = subprocess.run(
            ["psql", "-h", str(self.directory), "-U", "boss", "-d", database, "-v", "ON_ERROR_STOP=1",
             "-AtqF", "\t", "-c", statement],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def clear(self) -> None:
        """Remove everything that a test has stored."""
        self.sql("DROP SCHEMA IF EXISTS gomd CASCADE")

    def close(self) -> None:
        """Stop it, and remove it."""
        try:
            if self._process is not None and self._process.poll() is None:
                self.stop("immediate")
        finally:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            shutil.rmtree(self.directory, ignore_errors=True)
