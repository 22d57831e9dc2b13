"""Seeds by name: known late, and by several addresses. Two hosts without multicast."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.cluster.asking import ask, eventually, see, up
from tests.integration.hosts import Host, Network

PAIR = frozenset({1, 2})


@pytest.fixture
def pair() -> Iterator[Network]:
    """Two hosts without multicast; the second one has a list of hosts of its own, with nobody in it."""
    if reason := hosts.missing():
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="gomd-names-"))
    try:
        new_key_file(str(home / "key"))
        (home / "hosts").write_text("127.0.0.1 localhost\n")
        with Network(home) as network:
            for _ in PAIR:
                network.add(home / "key").ini(discovery="no")
            network.hosts[1].run("mount", "--bind", str(home / "hosts"), "/etc/hosts")
            yield network
    finally:
        shutil.rmtree(home)


def name(host: Host, *addresses: str) -> None:
    """Let alpha.test be these addresses for a host."""
    lines = [f"{address} alpha.test\n" for address in addresses]
    (host.home.parent / "hosts").write_text("127.0.0.1 localhost\n" + "".join(lines))


@pytest.mark.parametrize("engine", ["heartbeat", "swim"])
def test_a_seed_that_is_named_later(pair: Network, engine: str) -> None:
    """The daemon starts, says once that it does not find it, and joins when the name is there."""
    if engine == "swim":
        pytest.importorskip("kinship")
    first, second = pair.hosts
    first.ini(engine=engine)
    second.ini(engine=engine, seeds="alpha.test:5428")
    first.start()
    second.start()
    second.daemon.wait_for("the seed alpha.test cannot be looked up")
    assert up(second) == {2}
    # Two addresses, and nobody is at one of them.
    name(second, "10.77.0.99", first.address)
    see(pair.hosts, PAIR)
    found = second.daemon.wait_for("the seed alpha.test is found now: (.*)")[1]
    assert set(found.split(", ")) == {"10.77.0.99", "10.77.0.1"}
    told = [line for line in second.daemon.lines if "cannot be looked up" in line]
    assert len(told) == 1
    assert ask(second, "@1 load").code == 200
    assert not [line for line in second.daemon.lines if "Traceback" in line or "membership failed" in line]


def test_localhost_is_a_seed(pair: Network) -> None:
    """Oneself, by name: it does no harm, and by SIGHUP neither."""
    first, second = pair.hosts
    name(second, first.address)
    first.start()
    second.ini(seeds="localhost:5428, alpha.test:5428")
    second.start()
    see(pair.hosts, PAIR)
    assert not [line for line in second.daemon.lines if "Traceback" in line]
    eventually(lambda: ask(first, "@2 load").code == 200)
