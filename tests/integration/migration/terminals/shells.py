"""What the tests of terminals share: shells, where a job goes, and how it is held."""

from __future__ import annotations

import shutil

import pytest

from tests.integration.cluster.asking import ask
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job
from tests.integration.migration.prompt import PromptJob

MOVES = 10
#: Seconds that a program has to begin, or to take note of a signal, where nothing on the screen tells.
SOON = 0.5
#: What a shell does until it is told to `go_on`.
HOLD = "go=; trap go=1 USR1; until [ $go ]; do sleep 0.1; done; trap - USR1; "


def go_on(job: Job) -> None:
    """Let a job go on behind its `HOLD`."""
    assert ask(job.home, f"kill {job.number} USR1").code == 200


def there(number: int) -> str:
    """Return where the move of this number goes: away, home, away ..."""
    return "home" if number % 2 else "2"


def shell(host: Host, user: str, *words: str) -> PromptJob:
    """Return a shell at its prompt."""
    job = PromptJob(host, *(words or ("bash", "--norc")), user=user)
    job.type("PS1='ready> '\n")
    job.see(r"ready> $")
    return job


def need(program: str) -> None:
    """Skip the test where a program is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: make system")
