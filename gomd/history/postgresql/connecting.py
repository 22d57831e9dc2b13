"""Makes connections to the database, and says in words what is wrong with it. Everything blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg
from psycopg import errors

from gomd.history.postgresql.credentials import read_password
from libgomd.errors import ConfigError

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
                    **parameters, "password": password, "options": options,
                },
            )  # fmt: skip
        except (psycopg.Error, OSError, UnicodeError) as error:
            raise DatabaseAway(reason_of(error)) from None

    return connect


def reason_of(error: BaseException) -> str:
    """Return one clause that says what is wrong with the database, without the statement."""
    if isinstance(error, errors.QueryCanceled):
        return "it is too slow: a statement took longer than it may"
    if isinstance(error, errors.LockNotAvailable):
        return "another program has locked its tables"
    if isinstance(error, errors.DiskFull):
        return "its disk is full"
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    text = str(primary or error).strip()
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return first.removeprefix("connection failed: ")[:300]
