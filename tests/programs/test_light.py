"""
Nine of the programs that `make programs` runs, from packages that every test system has; others are in
tests/integration/migration/test_programs.py.

Each runs unmoved, and as a job that is moved to a host with its own /tmp, processes and IPC, and home again.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration import hosts
from tests.integration.test_criu import find_criu
from tests.programs.definition import Program
from tests.programs.definitions import LIGHT
from tests.programs.hosts import ProgramNetwork, two_hosts
from tests.programs.outcome import try_program


@pytest.fixture(scope="module")
def network() -> Iterator[ProgramNetwork]:
    """Return the two hosts; only root can make them."""
    if reason := hosts.missing():
        pytest.skip(reason)
    with two_hosts(find_criu()) as made:
        yield made


@pytest.mark.parametrize("program", LIGHT, ids=[program.name for program in LIGHT])
def test_it_moves_or_is_refused(program: Program, network: ProgramNetwork) -> None:
    """It does the same, byte for byte, as unmoved; or `gom migrate` says beforehand why it stays."""
    outcome = try_program(program, network)
    assert outcome.is_right, f"{outcome.word}: {outcome.text}"
