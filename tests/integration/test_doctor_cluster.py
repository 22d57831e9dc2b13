"""What `gom doctor` finds by comparing nodes: MTUs, paths that lose large packets, users and directories."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts, hung_fs
from tests.integration.cluster.asking import ask, eventually, see, start
from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host, Network

GOM = [sys.executable, "-c", "import sys; from gom.command import run; sys.exit(run())"]
#: A user of these tests, and one whose name has what a shell would read.
ANA, ODD = "ana", "o'dd$(x)"


@pytest.fixture
def network() -> Iterator[Network]:
    """Three hosts, each with an /etc of its own."""
    if reason := hosts.missing():
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="gomd-doctor-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as made:
            for _ in range(3):
                made.add(home / "key")
            yield made
    finally:
        shutil.rmtree(home)


def accounts(host: Host, lines: str, groups: str = "") -> None:
    """Give a host accounts of its own besides root."""
    for name, more in (("passwd", lines), ("group", groups)):
        file = host.home / name
        base = "root:x:0:0:root:/root:/bin/sh\n" if name == "passwd" else "root:x:0:\n"
        file.write_text(base + more)
        host.run("mount", "--bind", str(file), f"/etc/{name}")


def doctor(host: Host, user: str | None = None) -> list[dict[str, Any]]:
    """Run `gom --json doctor` on a host: what is wrong."""
    program = [*GOM, "-c", f"unix:{host.home}/gomd.sock", "--json", "doctor"]
    if user is not None:
        program = ["setpriv", f"--reuid={user}", "--clear-groups", "--", *program]
    done = subprocess.run(
        host.command(program), capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    assert done.stderr == "", done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [row for row in rows if row["state"] != "good"]


def texts(rows: list[dict[str, Any]], check: str) -> list[str]:
    return [f"{row['name'] or ''}: {row['text']}" for row in rows if row["check"] == check]


def job_of(host: Host, uid: int, directory: Path) -> None:
    """Start a job of a user on a host, in a directory of theirs, and wait until it runs."""
    known = len(ask(host, "jobs", as_json=True).rows)
    gom = (*GOM, "-c", f"unix:{host.home}/gomd.sock", "run", "-n", "1", "--no-input", "sleep", "600")
    enter = (
        "env",
        f"--chdir={directory}",
        "setpriv",
        f"--reuid={uid}",
        f"--regid={uid}",
        "--clear-groups",
        "--",
    )
    subprocess.Popen(host.command([*enter, *gom]), stdout=subprocess.DEVNULL)
    eventually(lambda: len([row for row in ask(host, "jobs", as_json=True).rows if row["pid"]]) > known)


@pytest.fixture
def private(network: Network) -> Path:
    """A directory that is another one on each host, with the home of ana in it."""
    place = network.hosts[0].home.parent / "private"
    place.mkdir(mode=0o755)
    for host in network.hosts:
        host.run("mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "none", str(place))
        host.run("install", "-d", "-o", "1000", str(place / "ana"))
    return place


def test_users_and_directories_that_differ(network: Network, private: Path) -> None:
    """Each is told once, with its nodes and a command; ordinary users learn of themselves only."""
    alpha, beta, gamma = network.hosts
    people = f"ana:x:1000:1000::{private}/ana:/bin/sh\n{ODD}:x:1001:1001::{private}/odd:/bin/sh\n"
    accounts(alpha, people + "eve:x:1002:1002::/:/bin/sh\n", "team:x:2001:ana\n")
    accounts(beta, people + "eve:x:1003:1003::/:/bin/sh\n", "team:x:2002:ana\n")
    accounts(gamma, people.replace(":1001:1001:", ":1007:1001:"), "team:x:2001:ana\n")
    alpha.run("install", "-d", "-o", "1001", str(private / "odd"))
    gamma.run("install", "-d", "-o", "1007", str(private / "odd"))
    beta.ip(["link set dev eth0 mtu 9000"])
    start([alpha, beta, gamma])
    see([alpha, beta, gamma], frozenset({1, 2, 3}))
    job_of(alpha, 1000, private / "ana")
    job_of(alpha, 1001, private / "odd")

    found = doctor(alpha)
    users = texts(found, "users")
    assert sorted(users) == [
        ": the groups of ana, who has jobs, differ: 2001 (team) on h[1,3]; 2002 (team) on h2",
        ": the uid of eve is 1002 on h1; 1003 on h2",
        f": the uid of {ODD} is 1001 on h[1-2]; 1007 on h3",
    ]
    [mend] = [row["mend"] for row in found if ODD in row["text"] and row["check"] == "users"]
    assert mend.startswith("""on h3, while nothing of theirs runs: usermod -u 1001 'o'"'"'dd$(x)'; """)
    missing = f"h2: there is no directory {private}/odd, where jobs of {ODD} work on other nodes"
    assert texts(found, "directories") == [missing]
    assert texts(found, "mtu") == [
        ": the MTU of the interfaces in 10.77.0.0/24 differs: 1500 on h[1,3]; 9000 on h2"
    ]
    assert all(row["mend"] for row in found)

    own = doctor(alpha, "1000")
    assert texts(own, "users") == [users[0]] or "groups of ana" in texts(own, "users")[0]
    assert ODD not in json.dumps(own)
    assert "eve" not in json.dumps(own)
    other = doctor(alpha, "1001")
    assert ODD in " ".join(texts(other, "trust"))  # h3 knows this user by another uid, and refuses
    assert texts(other, "directories") == [missing]
    assert "ana" not in json.dumps(other)


def test_a_home_that_hangs_is_named_and_costs_nothing_else(network: Network, private: Path) -> None:
    """Again and again, and the daemon's threads and processes do not become more."""
    if reason := hung_fs.missing():
        pytest.skip(reason)
    alpha, beta = network.hosts[:2]
    for host in (alpha, beta):
        accounts(host, f"ana:x:1000:1000::{private}/ana:/bin/sh\n")
    start([alpha, beta])
    see([alpha, beta], frozenset({1, 2}))
    job_of(alpha, 1000, private / "ana")
    before = len(hosts.children_of(beta.daemon.pid))
    hung = beta.popen(
        sys.executable, "-c",
        f"import sys; sys.path[:0] = {sys.path!r}; from tests.integration import hung_fs; import time; "
        f"number = hung_fs.mount({str(private / 'ana')!r}); print('up', flush=True); time.sleep(600)",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert hung.stdout is not None
    assert hung.stdout.readline() == "up\n"
    for _ in range(2):
        found = doctor(alpha)
        assert texts(found, "directories") == [f"h2: {private}/ana, where jobs of ana work, does not answer"]
        assert not texts(found, "users")
    assert len(hosts.children_of(beta.daemon.pid)) == before
    hung.stdout.close()


@pytest.mark.parametrize(("ends", "middle"), [(1500, 1400), (9000, 1500)])
def test_a_path_that_loses_large_packets(network: Network, ends: int, middle: int) -> None:
    """Membership notices nothing; the nodes on both sides name the node, the size and what to do."""
    for host in network.hosts:
        host.ip([f"link set dev eth0 mtu {ends}", "link set dev eth0 gso_max_segs 1"])
    alpha, beta, gamma = network.hosts
    network.limit(ends, alpha, gamma)
    network.limit(middle, beta)
    start(network.hosts)
    see(network.hosts, frozenset({1, 2, 3}))
    for asker, other in ((alpha, "h3"), (gamma, "h1")):
        lost, good = ask(asker, "doctor paths", as_json=True).rows[::-1]
        assert good["text"] == f"packets of {ends} bytes reach {other}"
        assert lost["state"] == "bad"
        assert lost["text"].startswith(f"packets of {ends} bytes to h2 are lost on the way")
        assert f"ping -M do -s {ends - 28} {beta.address}" in lost["mend"]
        assert lost["value"] == ends
