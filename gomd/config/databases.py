"""Checks the connection string of a database, which must not have a password."""

from __future__ import annotations

from gomd.config.scalars import Refused, string, unquoted


def database(value: str) -> str:
    """Check the connection string of a PostgreSQL database; empty for none."""
    text = unquoted(value)
    if not text:
        return ""
    from gomd.history.postgresql.conninfo import BadConninfo, parse_conninfo

    try:
        parse_conninfo(string(text))
    except BadConninfo as error:
        raise Refused(str(error), secret=error.secret) from None
    return text
