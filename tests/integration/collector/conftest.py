"""A PostgreSQL server for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.postgresql import Postgres


@pytest.fixture(scope="package")
def server() -> Iterator[Postgres]:
    """One server for all tests here."""
    found = Postgres()
    yield found
    found.close()
