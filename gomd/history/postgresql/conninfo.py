"""
``[history] database``: which database, at which server, as which user. No I/O.

Both forms of libpq are taken: ``dbname=gomd host=db user=gomd`` and ``postgresql://gomd@db/gomd``. A
password, and whatever else may contain one or name a file with one, is refused: gomd.ini is read by many, and
the command line by everybody. What is allowed is handed over to libpq value by value, so that nothing is read
otherwise there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from libgomd.wire.addresses import is_loopback

#: The parameters of libpq that may be set.
ALLOWED: Final = (
    "host", "hostaddr", "port", "dbname", "user", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl",
    "channel_binding", "gssencmode", "krbsrvname", "target_session_attrs", "require_auth", "requirepeer",
)  # fmt: skip
_SECRET: Final = ("password", "passfile", "sslpassword", "service")
#: The first libpq that knows ``require_auth`` and the certificates of the system.
_LIBPQ_16: Final = 160000
_VERIFIED: Final = ("verify-ca", "verify-full")


class BadConninfo(ValueError):
    """
    The text names no database that may be used; the message says why, never with the text itself.

    :ivar secret: whether the text may contain a password, so that it must not be shown.
    """

    def __init__(self, message: str, secret: bool) -> None:
        super().__init__(message)
        self.secret = secret


def parse_conninfo(text: str) -> Mapping[str, str]:
    """
    Return the parameters in ``text`` by their names in libpq; at least one.

    :raises BadConninfo: they cannot be read, are unknown, or may contain a password.
    """
    found = _in_url(text) if "://" in text else _in_words(text)
    for name, value in found.items():
        if name in _SECRET:
            raise BadConninfo(
                f"{name} must not stand here: use peer authentication, or write the password into a file "
                "with mode 0600 and set [history] password_file to it",
                secret=True,
            )
        if name not in ALLOWED:
            raise BadConninfo(f"a parameter is unknown; there are {', '.join(ALLOWED)}", secret=True)
        if "\0" in value or not value.isprintable():
            raise BadConninfo("a value has characters that cannot be printed", secret=True)
    if not found:
        raise BadConninfo("name the database, such as dbname=gomd", secret=False)
    if "://" in found.get("dbname", "") or "=" in found.get("dbname", ""):
        # libpq would read these as parameters of their own
        raise BadConninfo("dbname must be the name of a database alone", secret=True)
    return found


def _in_url(text: str) -> dict[str, str]:
    unreadable = BadConninfo(
        "must be postgresql://USER@HOST:PORT/DATABASE, or words such as dbname=gomd", secret=True
    )
    try:
        url = urlsplit(text)
        port = url.port
        pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise unreadable from None
    if url.scheme not in ("postgresql", "postgres") or url.fragment:
        raise unreadable
    found: dict[str, str] = {}
    if url.password is not None:
        found["password"] = ""
    for name, value in (
        ("user", unquote(url.username or "")), ("host", unquote(url.hostname or "")),
        ("port", str(port) if port else ""), ("dbname", unquote(url.path[1:])),
    ):  # fmt: skip
        if value:
            found[name] = value
    for name, value in pairs:
        found[name] = value
    return found


def _in_words(text: str) -> dict[str, str]:
    """Read ``name = value`` words as libpq does: values may be quoted, and have backslashes."""
    unreadable = BadConninfo("must be words such as dbname=gomd host=db user=gomd", secret=True)
    found: dict[str, str] = {}
    at, end = 0, len(text)

    def skip_spaces() -> None:
        nonlocal at
        while at < end and text[at].isspace():
            at += 1

    skip_spaces()
    while at < end:
        start = at
        while at < end and text[at] != "=" and not text[at].isspace():
            at += 1
        name = text[start:at]
        skip_spaces()
        if at >= end or text[at] != "=" or not name:
            raise unreadable
        at += 1
        skip_spaces()
        quoted = at < end and text[at] == "'"
        at += quoted
        value: list[str] = []
        while at < end and (text[at] != "'" if quoted else not text[at].isspace()):
            if text[at] == "\\" and at + 1 < end:
                at += 1
            value.append(text[at])
            at += 1
        if quoted:
            if at >= end:
                raise unreadable
            at += 1
        found[name] = "".join(value)
        skip_spaces()
    return found


def protected(parameters: Mapping[str, str], has_password: bool, libpq: int) -> Mapping[str, str]:
    """
    Return the parameters, with those that keep others on the way from being the server where none are set.

    libpq alone takes any server that answers, without TLS if that wants none, and tells it the password in
    clear text if it asks for that. A server at another machine therefore has to prove its name by a
    certificate, unless ``sslmode`` says otherwise. Where none is checked no password is told in clear text.

    :param libpq: its version, as 160002.
    """
    found = dict(parameters)
    hosts = (found.get("hostaddr") or found.get("host") or "").split(",")
    networked = [host for host in hosts if host and not host.startswith(("/", "@"))]
    remote = [host for host in networked if host != "localhost" and not is_loopback(host)]
    if remote and "sslmode" not in found:
        found["sslmode"] = "verify-full"
        if libpq >= _LIBPQ_16:
            found.setdefault("sslrootcert", "system")
    if networked and has_password and found.get("sslmode") not in _VERIFIED and libpq >= _LIBPQ_16:
        found.setdefault("require_auth", "!password")
    return found


def shown(parameters: Mapping[str, str]) -> str:
    """Return the database in words for people: its name and server."""
    host = parameters.get("host") or parameters.get("hostaddr") or "this machine"
    return f"{parameters.get('dbname') or parameters.get('user') or 'the default database'} at {host}"
