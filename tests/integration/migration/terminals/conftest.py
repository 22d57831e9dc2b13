"""Who is at the prompt, and the hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.hosts import Host
from tests.integration.migration.prompt import PromptJob

USERS = ("root", "nobody")


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest) -> str:
    """Return who is at the prompt."""
    return str(request.param)


@pytest.fixture
def hosts(three: list[Host]) -> Iterator[list[Host]]:
    """Return two hosts, at the first of which somebody is; no caller is left behind."""
    yield three
    for prompt in PromptJob.opened:
        prompt.end()
    PromptJob.opened.clear()
