"""Ends every conversation that a test has begun, as a network would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.protocols.talk import Talk


@pytest.fixture(autouse=True)
def _hang_up() -> Iterator[None]:
    yield
    while Talk.open:
        Talk.open.pop().hang_up()
