"""Makes connections to the database, and says in words what is wrong with it. Everything blocks."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg import errors

from gomd.history.postgresql.conninfo import protected
from gomd.history.postgresql.credentials import read_password
from libgomd.errors import ConfigError
from libgomd.wire.text import printable

#: Seconds that a connection may take, and milliseconds after which a server that is silent counts as gone.
CONNECT_TIMEOUT: Final = 10
TCP_TIMEOUT: Final = 20_000
#: A file that is not there: libpq shall read no password of its own.
_NO_FILE: Final = "/dev/null/none"

Connection = psycopg.Connection[Any]
Connect = Callable[[float], Connection]


class DatabaseAway(Exception):
    """The database cannot be used now; the text says why."""


class DatabaseUnusable(DatabaseAway):
    """The tables are another program's, or a newer gomd's; the text says what to do."""


def connector(parameters: Mapping[str, str], password_file: str) -> Connect:
    """
    Return what connects: it takes the seconds that each statement may take.

    It raises `DatabaseAway`. The password is read from its file for each connection.
    """
    words = protected(parameters, bool(password_file), psycopg.pq.version())

    def connect(statement_timeout: float) -> Connection:
        try:
            password = read_password(password_file)
        except ConfigError as error:
            raise DatabaseAway(error.mistakes[0]) from error
        options = (
            f"-c statement_timeout={int(statement_timeout * 1000)} -c lock_timeout=5000 "
            "-c idle_in_transaction_session_timeout=60000 -c timezone=UTC -c client_encoding=UTF8 "
            "-c search_path=gomd,pg_catalog"
        )
        try:
            return psycopg.connect(
                **{  # type: ignore[arg-type]
                    "connect_timeout": CONNECT_TIMEOUT, "tcp_user_timeout": TCP_TIMEOUT,
                    "keepalives_idle": 30, "application_name": "gomd", "passfile": _NO_FILE,
                    **words, "password": password, "options": options,
                },
            )  # fmt: skip
        except (psycopg.Error, OSError, UnicodeError) as error:
            raise DatabaseAway(_with_hint(reason_of(error), parameters, words)) from None

    return connect


class Breaker:
    """
    Breaks a connection from another thread: one that waits for a server that is silent waits no longer.

    It has a descriptor of its own, because that of the connection may be another file's by then.
    """

    def __init__(self, connection: Connection) -> None:
        self._socket = socket.socket(fileno=os.dup(connection.pgconn.socket))
        self._lock = threading.Lock()

    def break_off(self) -> None:
        """Break the connection, unless `close` was called."""
        with self._lock, suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Break nothing any more."""
        with self._lock:
            self._socket.close()


@contextmanager
def broken_off_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Break a connection that is still used after so many seconds: a statement on it fails then."""
    breaker = Breaker(connection)
    timer = threading.Timer(max(0.0, seconds), breaker.break_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        breaker.close()


def _with_hint(reason: str, named: Mapping[str, str], used: Mapping[str, str]) -> str:
    """Return the reason, and what to do when it is the certificate of a server at another machine."""
    if named.get("sslmode") == used.get("sslmode") or not ("SSL" in reason or "certificate" in reason):
        return reason
    return (
        f"{reason} (it is at another machine and has to prove its name: sslrootcert in [history] database "
        "names the file of the authority of its certificate)"
    )


def reason_of(error: BaseException) -> str:
    """
    Return one clause that says what is wrong with the database, without the statement.

    Some of it are words of the server, or of somebody who pretends to be it.
    """
    if isinstance(error, errors.QueryCanceled):
        return "it is too slow: a statement took longer than it may"
    if isinstance(error, errors.LockNotAvailable):
        return "another program has locked its tables"
    if isinstance(error, errors.DiskFull):
        return "its disk is full"
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    text = str(primary or error).strip()
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return printable(first.removeprefix("connection failed: ")[:300])
