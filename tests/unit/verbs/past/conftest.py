"""The node whose past is asked for."""

from __future__ import annotations

import pytest

from tests.unit.verbs.past.remembering import Remembering


@pytest.fixture
def node() -> Remembering:
    return Remembering()
