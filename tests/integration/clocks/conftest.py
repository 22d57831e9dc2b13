"""Three hosts whose wall clocks a test sets, each for itself."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.cluster.asking import see, start
from tests.integration.hosts import Host, Network

#: The loader puts the directory of this machine's libraries for $LIB.
_FAKETIME = "/usr/$LIB/faketime/libfaketime.so.1"
EVERYBODY = frozenset({1, 2, 3})
_COMMANDS = """
[commands]
tick = /bin/sh -c 'for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo tick $n; sleep 0.5; done'
"""


def faketime_is_missing() -> bool:
    """Whether there is no libfaketime, which gives a program a wall clock of its own."""
    return not list(Path("/usr").glob("lib*/**/faketime/libfaketime.so.1"))


def faked_clock(home: Path) -> tuple[str, ...]:
    """Return the environment of a program whose wall clock is that of `write_clock`."""
    return (
        f"LD_PRELOAD={_FAKETIME}", "DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1",
        f"FAKETIME_TIMESTAMP_FILE={home}/clock",
    )  # fmt: skip


def write_clock(home: Path, seconds: int) -> None:
    """Set the wall clock of a program, at once."""
    new = home / "clock.new"
    new.write_text(f"{seconds:+d}s\n")
    os.replace(new, home / "clock")


def set_clock(host: Host, seconds: int) -> None:
    """Set the wall clock of a host so many seconds on, or back, from the right time, at once."""
    write_clock(host.home, seconds)


def set_right(host: Host) -> None:
    """Set the wall clock of a host to the right time; its daemon has noticed that."""
    clock, said = host.home / "clock", len(host.daemon.lines)
    was = clock.read_text() if clock.exists() else ""
    set_clock(host, 0)
    if was not in ("", "+0s\n") and host.daemon.runs:
        host.daemon.wait_for("its wall clock was set", said)


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest) -> Iterator[Network]:
    """Three hosts with one key that find each other by multicast; with ``no`` by a seed alone."""
    if reason := hosts.missing():
        pytest.skip(reason)
    if faketime_is_missing():
        pytest.skip("libfaketime is not installed (Debian package faketime)")
    home = Path(tempfile.mkdtemp(prefix="gomd-clocks-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            for number in sorted(EVERYBODY):
                host = network.add(home / "key")
                host.more = _COMMANDS
                if getattr(request, "param", "yes") == "no":
                    host.configuration |= {"discovery": "no", "seeds": "10.77.0.1:5428"}
                host.daemon.under = ("env", *faked_clock(host.home))
                assert host.number == number
            yield network
    finally:
        shutil.rmtree(home)


@pytest.fixture
def trio(made: Network) -> Network:
    """The three, up and with the right time, whatever the test before did."""
    for host in made.hosts:
        set_right(host)
    stopped = [host for host in made.hosts if not host.daemon.runs]
    if stopped:
        start(stopped)
    see(made.hosts, EVERYBODY)
    return made
