"""The eight hosts, made once for all tests here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.cluster.asking import EVERYBODY, see, start
from tests.integration.hosts import Network


@pytest.fixture(scope="package")
def made() -> Iterator[Network]:
    """Eight hosts with one key, made once. Their files are where every user gets at them."""
    if reason := hosts.missing():
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="gomd-hosts-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            for _ in EVERYBODY:
                network.add(home / "key")
            yield network
    finally:
        shutil.rmtree(home)


@pytest.fixture
def cluster(made: Network) -> Network:
    """Eight hosts, all up and whole, whatever the test before did."""
    made.heal()
    stopped = [host for host in made.hosts if not host.daemon.runs]
    if stopped:
        start(stopped)
    see(made.hosts, EVERYBODY)
    return made
