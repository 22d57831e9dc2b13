"""Two hosts that have nothing in common below the temporary directories."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration import hosts
from tests.integration.cluster.asking import eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import end_jobs
from tests.integration.migration.private_files.running import spools
from tests.integration.own_tmp import own_tmp_hosts
from tests.integration.test_criu import find_criu


@pytest.fixture(scope="package")
def made() -> Iterator[list[Host]]:
    """Two hosts that have nothing in common below /tmp, /var/tmp and /dev/shm."""
    if reason := hosts.missing():
        pytest.skip(reason)
    with own_tmp_hosts(find_criu(), more=f"private_tmp = {64 << 20}\n") as network:
        yield network.hosts


@pytest.fixture
def two(made: list[Host]) -> Iterator[list[Host]]:
    """The same, and no job is left behind, nor anything of one."""
    yield made
    end_jobs(made)
    for host in made:
        host.run("find", "/tmp", "/var/tmp", "/dev/shm", "-mindepth", "1", "-delete")
        eventually(lambda host=host: not spools(host))  # type: ignore[misc]
