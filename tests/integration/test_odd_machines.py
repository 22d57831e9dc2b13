"""Machines that tell odd things of themselves: what a real daemon makes of them, as its users see it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, TWISTD, Daemon
from tests.integration.line import Line

GOM = (sys.executable, "-c", "import sys; from gom.command import run; sys.exit(run())")
DATA = Path(__file__).parents[1] / "data" / "proc-linux"
MIB = 1 << 20
COMMANDS = """
[commands]
yes = /bin/echo hello
no = /bin/sh -c 'echo "exit 0"; exit 3'
killed = /bin/sh -c 'kill -9 $$'
"""


def gom(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `gom` as this user."""
    return subprocess.run(
        [*GOM, "-c", daemon.unix, *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_gom_do_ends_as_the_command_does(start_daemon: StartDaemon) -> None:
    """Its exit status, 128 + the number of a signal, in text and in JSON, here or by `@NODE`."""
    daemon = start_daemon(ini=COMMANDS)
    for name, status in (("yes", 0), ("no", 3), ("killed", 137)):
        for before in ((), ("--json",), ("@1",), ("--json", "@1")):
            asked = [word.replace("@1", "@" + own_id(daemon)) for word in before]
            done = gom(daemon, *asked, "do", name)
            assert done.returncode == status, (before, name, done)
            assert done.stderr == ""
    assert gom(daemon, "do", "no").stdout == "exit 0\nexit 3\n"
    assert gom(daemon, "do", "nothing").returncode == 1


def own_id(daemon: Daemon) -> str:
    """Return the id of its node."""
    with daemon.connect() as line:
        return line.greeting.split()[4]


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc that can be written to."""
    root = tmp_path / "machine" / "proc"
    shutil.copytree(DATA, root, copy_function=shutil.copyfile)
    return root


def value_of(line: Line, field: str) -> object:
    """Return a value of the node that is asked, as `node` has it in JSON."""
    [row] = line.ask("node").rows
    return row[field]


def until(line: Line, field: str, expected: object) -> None:
    """Wait until the node says so."""
    end = time.monotonic() + PATIENCE
    while (found := value_of(line, field)) != expected:
        assert time.monotonic() < end, f"{field} is {found}, not {expected}"
        time.sleep(0.05)


def test_a_number_that_cannot_be_costs_nothing_else(start_daemon: StartDaemon, proc: Path) -> None:
    """
    An underflowed MemFree, as in containers: free memory is unknown, everything else is fresh, and the node
    goes on beating without a traceback.
    """
    daemon = start_daemon("--proc-root", str(proc), "--set", "collector.period=0.1", "--node-id", "5")
    with daemon.connect() as line:
        line.ask("format json")
        until(line, "rmem", 20000000 * 1024)
        path = proc / "meminfo"
        path.write_text(re.sub(r"MemFree:\s+\d+", "MemFree: 18446744073708785356", path.read_text()))
        until(line, "rmem", None)
        [row] = line.ask("node").rows
        assert (row["mem"], row["tmem"], row["cpus"]) == (22000000 * 1024, 24684096 * 1024, 2)
        assert row["load"] is not None
        assert row["age"] < 5
        assert line.ask("get /proc/hpc/nodes/5/rmem").code == 404
        assert line.ask("mem").code >= 400
    assert "Traceback" not in daemon.log


def test_a_fast_node_says_its_true_speed(start_daemon: StartDaemon) -> None:
    """The verb and JSON say it; the tree and what writes to it end at 65535."""
    daemon = start_daemon("--set", "node.speed=131072", "--node-id", "5")
    with daemon.connect_unix() as line:
        assert line.ask("speed").text == "131072"
        for path in ("/proc/hpc/admin/speed", "/proc/hpc/nodes/5/speed"):
            assert line.ask(f"get {path}").block == ["65535"]
        assert line.ask("put /proc/hpc/admin/speed 65536").code == 400
        assert line.ask("setspeed 200000").code == 200
        assert line.ask("speed").text == "200000"
        assert line.ask("setspeed 131072").code == 200
        line.ask("format json")
        assert line.ask("speed").value == 131072
        assert value_of(line, "speed") == 131072


def test_a_thread_is_no_process(start_daemon: StartDaemon) -> None:
    """Whatever is done to the number of one is 404, with a sentence that says whose thread it is."""
    daemon = start_daemon()
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        number = thread.native_id
        with daemon.connect_unix() as line:
            for request in (
                f"ps {number}", f"where {number}", f"lock {number}", f"unlock {number}", f"signal {number} 0",
                f"signal {number} TERM", f"renice {number} 5", f"migrate {number} home", f"ls /proc/{number}",
                f"get /proc/{number}/stat", f"get /proc/{number}/where", f"put /proc/{number}/lock 1",
            ):  # fmt: skip
                reply = line.ask(request)
                if request.startswith("signal") and request.endswith(" 0"):
                    assert reply.code in (400, 404), (request, reply)
                    continue
                assert reply.code == 404, (request, reply)
                assert f"is a thread of process {os.getpid()}" in reply.text, (request, reply)
            assert line.ask(f"where {os.getpid()}").code == 200
    finally:
        done.set()
        thread.join()


def group_of_memory() -> tuple[Path, str]:
    """Return a directory in which groups of memory can be made, and the file of their limit; skip without."""
    if os.geteuid() != 0:
        pytest.skip("only root makes control groups")
    for place, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), "memory.max"),
    ):  # fmt: skip
        controllers = place / "cgroup.controllers"
        v2 = controllers.exists() and "memory" in controllers.read_text().split()
        if (place / limit).exists() or v2:
            return place, limit
    pytest.skip("this machine has no memory controller")


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A group of processes of 300 MiB, with one inside it that has no limit of its own."""
    place, limit = group_of_memory()
    outer = place / f"gomd-test-{os.getpid()}"
    inner = outer / "inner"
    outer.mkdir()
    try:
        if limit == "memory.max":
            (outer / "cgroup.subtree_control").write_text("+memory")
        (outer / limit).write_text(str(300 * MIB))
        inner.mkdir()
        yield inner
    finally:
        # What the daemon made for its jobs is there as well, when it was killed.
        for directory in [Path(path) for path, _names, _files in os.walk(outer, topdown=False)]:
            end = time.monotonic() + PATIENCE
            while directory.exists():
                try:
                    directory.rmdir()
                except OSError:  # the last process in it has just ended
                    assert time.monotonic() < end
                    time.sleep(0.05)


class GroupedDaemon(Daemon):
    """A daemon that is started in a control group."""

    group: Path

    def command(self) -> tuple[str, ...]:
        """What starts it: a shell that goes into the group first."""
        inside = (TWISTD, "-n", "--pidfile=", "gomd", *self._options)
        return ("/bin/sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', str(self.group), *inside)


def test_a_daemon_in_a_small_group_offers_no_more_than_it(small_group: Path, tmp_path: Path) -> None:
    """300 MiB of a machine with many: the node has them, and a job that needs 2 GiB is not taken."""
    daemon = GroupedDaemon(tmp_path / "daemon")
    daemon.group = small_group
    with daemon, daemon.connect_unix() as line:
        mem, rmem, tmem = map(int, line.ask("mem").text.split())
        assert tmem == 300 * MIB
        assert 0 < mem < 300 * MIB
        assert rmem <= mem
        refused = gom(daemon, "run", "--mem", "2G", "true")
        assert refused.returncode != 0, refused
        assert gom(daemon, "run", "--mem", "20M", "true").returncode == 0


def test_a_map_names_the_line_of_etc_hosts(tmp_path: Path) -> None:
    """Debian writes `127.0.1.1 HOST` into /etc/hosts: the start is refused with the line that does it."""
    if os.geteuid() != 0:
        pytest.skip("only root gives a process another /etc/hosts")
    hosts, nodes = tmp_path / "hosts", tmp_path / "map"
    hosts.write_text("127.0.0.1 localhost\n# Debian's own\n127.0.1.1\talpha.example alpha\n")
    nodes.write_text("1 alpha 1\n2 10.77.0.2 1\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / "gomd.ini").write_text(f"[peers]\nengine = map\nmap_file = {nodes}\ndiscovery = no\n")
    key = tmp_path / "key"
    subprocess.run([*GOM, "key", "new", str(key)], check=True, stdout=subprocess.DEVNULL)
    daemon = (
        TWISTD, "-n", "--pidfile=", "gomd", "--state-dir", str(home / "state"),
        "--telnet", "tcp:127.0.0.1:0", "--key-file", str(key), "--peers",
    )  # fmt: skip
    script = 'ip link set lo up; mount --bind "$0" /etc/hosts && exec "$@"'
    for address in ("10.77.0.1:5428", "127.0.0.1:5428"):
        inside = ("unshare", "--mount", "--net", "/bin/sh", "-c", script, str(hosts), *daemon, address)
        done = subprocess.run(inside, cwd=home, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 1
        assert (
            f"{nodes}: the host alpha of node 1 is 127.0.1.1 by line 3 of /etc/hosts, an address that no "
            "other machine reaches: write its address into the map" in done.stderr
        ), done.stderr
        assert "Traceback" not in done.stderr


class OddlyWiredDaemon(Daemon):
    """A daemon on a network of its own, whose interfaces have these names."""

    NAMES = (b"\xff", b"\xfe", b"x\x1cy", b"a\x1b[2J", "x\x85y".encode(), "x\u2028y".encode())

    def command(self) -> tuple[str, ...]:
        """What starts it: a shell that makes the interfaces, two and two."""
        names = [os.fsdecode(name) for name in self.NAMES]
        make = 'for _ in 1 2 3; do ip link add "$1" type veth peer name "$2" || exit 9; shift 2; done'
        inside = (TWISTD, "-n", "--pidfile=", "gomd", *self._options)
        script = f'ip link set lo up; {make}; exec "$@"'
        return ("unshare", "--net", "/bin/sh", "-c", script, "sh", *names, *inside)


def test_interfaces_of_any_name_are_all_there(tmp_path: Path) -> None:
    """The kernel takes nearly any byte in a name: /metrics has each as a label of its own, and no ESC."""
    if os.geteuid() != 0:
        pytest.skip("only root makes a network")
    with OddlyWiredDaemon(tmp_path / "daemon", "--http", "tcp:127.0.0.1:2980") as daemon:
        read = "import urllib.request as u; print(ascii(u.urlopen('http://127.0.0.1:2980/metrics').read()))"
        inside = ("nsenter", f"--target={daemon.process.pid}", "--net", sys.executable, "-c", read)
        page = subprocess.run(inside, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    labels = re.findall(r'gomd_network_sent_packets_total\{interface="(.*?)"\}', page)
    # Twice escaped: by the page's own rules, and by the `ascii` above.
    names = {label.replace("\\\\\\\\", "\\") for label in labels}
    assert names == {
        "lo", "\\xff", "\\xfe", "x\\x1cy", "a\\x1b[2J", "x\\xc2\\x85y", "x\\xe2\\x80\\xa8y",
    }  # fmt: skip
    assert len(labels) == len(names)
