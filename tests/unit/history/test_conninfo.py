"""Which database is named, and what protects the way to it."""

from __future__ import annotations

import pytest

from gomd.history.postgresql.conninfo import parse_conninfo, protected

LIBPQ_15, LIBPQ_16 = 150013, 160002


@pytest.mark.parametrize("host", ["db.example", "10.0.0.5", "fd00::5", "/run/postgresql,db.example"])
def test_a_server_at_another_machine_proves_its_name(host: str) -> None:
    """Whoever is on the way could else be the server, and is told the password and the past of all nodes."""
    named = parse_conninfo(f"host={host} dbname=gomd")
    assert protected(named, True, LIBPQ_16) == {
        **named, "sslmode": "verify-full", "sslrootcert": "system"
    }  # fmt: skip
    assert protected(named, True, LIBPQ_15) == {**named, "sslmode": "verify-full"}
    own = parse_conninfo(f"host={host} dbname=gomd sslrootcert=/etc/gomd/db.pem")
    assert protected(own, True, LIBPQ_16) == {**own, "sslmode": "verify-full"}


def test_an_address_counts_not_the_name() -> None:
    """``hostaddr`` is where libpq connects."""
    named = parse_conninfo("host=localhost hostaddr=10.0.0.5")
    assert protected(named, False, LIBPQ_16)["sslmode"] == "verify-full"


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
def test_a_password_is_not_told_in_clear_text_to_a_server_that_proves_nothing(sslmode: str) -> None:
    """It asks for it, and libpq alone would tell it; on this machine another user may be the server."""
    for text in (f"host=db.example sslmode={sslmode}", "host=127.0.0.1", "host=localhost", "hostaddr=::1"):
        named = parse_conninfo(text)
        assert protected(named, True, LIBPQ_16) == {**named, "require_auth": "!password"}
        assert protected(named, True, LIBPQ_15) == named
        assert protected(named, False, LIBPQ_16) == named
    chosen = parse_conninfo(f"host=db.example sslmode={sslmode} require_auth=scram-sha-256")
    assert protected(chosen, True, LIBPQ_16) == chosen


@pytest.mark.parametrize("host", ["/run/postgresql", "@abstract", "''"])
def test_a_unix_socket_needs_nothing(host: str) -> None:
    """The directory says who may be the server; ``requirepeer`` may say so, too."""
    named = parse_conninfo(f"host={host} dbname=gomd requirepeer=postgres")
    assert protected(named, True, LIBPQ_16) == named
