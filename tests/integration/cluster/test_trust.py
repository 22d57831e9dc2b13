"""`[peers] admin_from_peers = no`: root of one node is not root of this one."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.cluster.asking import ask, eventually, see, start
from tests.integration.hosts import Host, Network
from tests.integration.line import Reply

PAIR = frozenset({1, 2})


#: `gom` as another user, who may not execute every python there is: it becomes that user when it runs.
_AS = (
    "import os, sys, gom.run, gom.relay; from gom.command import run; uid = int(sys.argv.pop(1)); "
    "os.setgroups([uid]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid); sys.exit(run())"
)


@pytest.fixture(scope="module")
def pair() -> Iterator[Network]:
    """Two hosts with one key; the second one takes no admins of other nodes."""
    if reason := hosts.missing():
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="gomd-trust-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            for _ in PAIR:
                network.add(home / "key")
            network.hosts[1].ini(admin_from_peers="no")
            start(network.hosts)
            see(network.hosts, PAIR)
            yield network
    finally:
        shutil.rmtree(home)


def gom(host: Host, uid: int, *words: str) -> tuple[int, str]:
    """Run `gom` on a host as a user; return its exit status and all it said."""
    done = subprocess.run(
        [sys.executable, "-c", _AS, str(uid), "-c", f"unix:{host.home / 'gomd.sock'}", *words],
        cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.strip()


def refused(reply: Reply) -> bool:
    return reply.code == 403 and "admin_from_peers = no" in reply.text


_VERBS = [
    "stay", "block", "quiet", "setspeed 1", "put /proc/hpc/admin/stay 1", "shutdown", "do nothing", "expel",
    "bring", "kill 1", "signal 1 TERM", "renice 1 5", "lock 1", "checkpoint x", "jobs", "migrate 1 1",
]  # fmt: skip


@pytest.mark.parametrize("verb", _VERBS)
def test_admin_verbs_of_root_elsewhere(pair: Network, verb: str) -> None:
    """Each is 403 in one sentence, and nothing happens; in the other direction the default allows them."""
    first, second = pair.hosts
    assert refused(ask(first, f"@2 {verb}")), ask(first, f"@2 {verb}")
    assert ask(second, "status").text == "3 up"
    assert ask(second, "load").code == 200
    assert not refused(ask(second, "@1 lock 999999"))


def test_reading_goes_on(pair: Network) -> None:
    """As nobody in particular: root of another node sees what everybody sees."""
    first, _second = pair.hosts
    for verb in ("load", "ps", "nodes", "node", "get /proc/loadavg", "events", "stats", "status", "mem"):
        assert ask(first, f"@2 {verb}").code in (200, 201), verb
    reply = ask(first, "@all load")
    assert reply.block is not None
    assert len(reply.block) == 2


def test_runs_of_root_and_of_system_users(pair: Network) -> None:
    """`gom run -n` is refused for them, whoever asks; at home root runs what it likes."""
    first, second = pair.hosts
    for uid in (0, 1):
        status, said = gom(first, uid, "run", "-n", "2", "id", "-u")
        assert status != 0
        assert "admin_from_peers = no" in said, said
        assert len(said.splitlines()) == 1
    assert gom(first, 0, "run", "-n", "1", "id", "-u") == (0, "0")
    assert gom(second, 0, "run", "-n", "2", "id", "-u") == (0, "0")
    # The other node trusts as ever.
    assert gom(second, 0, "run", "-n", "1", "id", "-u") == (0, "0")


def test_runs_of_people(pair: Network) -> None:
    """A user above 1000 is a user there too."""
    first, _second = pair.hosts
    assert gom(first, 65534, "run", "-n", "2", "id", "-u") == (0, "65534")


def test_it_is_taken_over_at_sighup(pair: Network) -> None:
    """Both ways, while streams are open."""
    first, second = pair.hosts
    try:
        for word, allowed in (("yes", True), ("no", False)):
            second.daemon.configure(second.ini(admin_from_peers=word))
            seen = len(second.daemon.lines)
            second.daemon.signal(signal.SIGHUP)
            second.daemon.wait_for("changed: peers.admin_from_peers", seen)
            eventually(lambda allowed=allowed: refused(ask(first, "@2 nostay")) != allowed)  # type: ignore[misc]
    finally:
        second.ini(admin_from_peers="no")
