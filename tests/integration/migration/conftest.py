"""Three hosts with a key and with criu, made once for all tests here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.cluster.asking import see, start
from tests.integration.hosts import Host, Network
from tests.integration.migration.moving import NODES, end_jobs
from tests.integration.test_criu import find_criu


@pytest.fixture(scope="package")
def made() -> Iterator[Network]:
    """Return the hosts, not started. Every user can reach what is in their network's directory."""
    if reason := hosts.missing():
        pytest.skip(reason)
    criu = find_criu()
    home = Path(tempfile.mkdtemp(prefix="gomd-moving-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            for _ in NODES:
                network.add(home / "key").more = f"[jobs]\ncriu = {criu}\n"
            yield network
    finally:
        shutil.rmtree(home)


@pytest.fixture
def three(made: Network) -> Iterator[list[Host]]:
    """Return the hosts, started, with no switch set; no job is left behind."""
    stopped = [host for host in made.hosts if not host.daemon.runs]
    if stopped:
        start(stopped)
    see(made.hosts, NODES)
    yield made.hosts
    end_jobs(made.hosts)
