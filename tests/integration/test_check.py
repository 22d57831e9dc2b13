"""What `--check` calls good starts; what it refuses does not start either; and both say why in sentences."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from gomd.cluster.serf.agent_files import PORT_OFFSET
from tests.integration import hosts
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, QUIET, TWISTD, Daemon, run

#: Settings that cannot work here: what is set, and a word of the sentence that refuses it. Those that cannot
#: work anywhere are tried in tests/unit/config/test_refused.py, but for the first one.
REFUSED = [
    ("peers.seeds=[ff02::1]:5428", "single nodes"),
    ("peers.address=198.51.100.77 peers.key_file=key", "198.51.100.77"),
    ("peers.key_file=missing", "missing"),
    ("peers.key_file=directory", "directory"),
    ("peers.key_file=junk", "junk"),
    ("peers.engine=map peers.map_file=missing", "missing"),
    ("peers.engine=map peers.map_file=junk", "junk"),
    ("peers.engine=serf peers.serf_program=/none/serf", "apt install serf"),
    ("peers.engine=serf peers.serf_rpc=127.0.0.1:7373 peers.serf_auth_file=missing", "missing"),
    ("telnet.endpoints=tcp:198.51.100.77:2901", "198.51.100.77"),
    ("telnet.endpoints=tcp:name.invalid:2901", "name.invalid"),
    ("telnet.endpoints=tcp:[2001:db8::7]:2901", "2001:db8::7"),
    ("telnet.endpoints=unix:missing/deep/socket", "missing/deep"),
    ("telnet.endpoints=unix:junk", "socket"),
    ("http.endpoint=tcp:198.51.100.77:80", "198.51.100.77"),
    ("manhole.endpoint=tcp:127.0.0.1:0 manhole.authorized_keys=missing", "missing"),
    ("manhole.endpoint=tcp:127.0.0.1:0 manhole.authorized_keys=junk", "junk"),
    ("node.proc_root=missing", "no such directory"),
    ("node.proc_root=junk", "no such directory"),
    ("node.state_dir=junk", "not a directory"),
    ("node.state_dir=junk/state", "not a directory"),
    ("history.kind=flat history.path=junk", "not a directory"),
    ("jobs.spool=junk", "not a directory"),
    ("commands.x=missing-program", "missing-program"),
]
#: Settings at the edge of what is allowed.
GOOD = [
    "peers.seeds=localhost:5428,127.0.0.2:1,name.invalid:65535",
    "peers.seeds=localhost:65533,name.invalid:1 peers.engine=swim",
    "peers.seeds=localhost:65532,name.invalid:1 peers.engine=serf",
    "peers.seeds=localhost:5428 peers.engine=heartbeat,serf",
    "peers.seeds=" + ",".join(f"n{number}.invalid:1" for number in range(30)),
    "peers.heartbeat=0.1 peers.forget=1 peers.max_nodes=2",
    "peers.heartbeat=60 peers.forget=31536000 peers.max_nodes=65535",
    "peers.address=127.0.0.7",
    "telnet.idle_timeout=0.1 telnet.stall_timeout=0.1 telnet.max_line=512 telnet.max_connections=1",
    "telnet.max_connections=65536 telnet.max_line=65536 jobs.most=100000 jobs.output=1099511627776",
    "collector.period=0.1 collector.processes_period=3600",
    "history.kind=sqlite,flat history.keep=1000 history.path=new/deep/samples history.file=new/db",
    "jobs.criu=/missing/criu jobs.spool=new/spool",
    "node.id=65535 node.name=" + "n" * 63 + " node.speed=65535 node.sspeed=65535",
    "node.source=memory peers.admin_from_peers=no",
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with things that are not what a setting wants."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "junk").write_bytes(b"\x7fELF junk \xff\n")
    (tmp_path / "junk").chmod(0o600)
    (tmp_path / "key").write_text("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n")
    (tmp_path / "key").chmod(0o600)
    return tmp_path


def options(setting: str) -> list[str]:
    """Return the options of twistd for ``setting``, over those that keep a test to itself."""
    chosen = {"node.state_dir": "state", "telnet.endpoints": "tcp:127.0.0.1:0,unix:"}
    chosen |= dict(each.split("=", 1) for each in setting.split(" "))
    return [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]


def serf_port() -> int:
    """Return a peer port whose agent finds its own free: not one of those that connections get."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(lowest // 2, lowest - PORT_OFFSET), 100):
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram, suppress(OSError):
            for each in (stream, datagram):
                each.bind(("127.0.0.1", port + PORT_OFFSET))
            return port
    raise AssertionError("a hundred ports are all in use")


@pytest.mark.parametrize(("setting", "word"), REFUSED, ids=[each[0][:60] for each in REFUSED])
def test_what_cannot_work_is_refused(home: Path, setting: str, word: str) -> None:
    """By `--check` and by the start, in sentences that name the cause."""
    for more in (["--check"], []):
        outcome = run(home, *options(setting), *more)
        assert outcome.returncode == 1, (more, outcome)
        told = outcome.stderr.splitlines()
        assert told
        assert all(line.startswith("gomd: ") for line in told), told
        assert any(word in line for line in told), told
        assert "Traceback" not in outcome.stdout


@pytest.mark.parametrize("setting", GOOD, ids=[each[:60] for each in GOOD])
def test_what_is_called_good_starts(home: Path, start_daemon: StartDaemon, setting: str) -> None:
    """It answers, takes its configuration again, and ends, without a traceback."""
    if "swim" in setting:
        pytest.importorskip("kinship")
    if "serf" in setting:
        pytest.importorskip("msgpack")
        if not os.path.exists("/usr/bin/serf"):
            pytest.skip("serf is not installed (Debian package serf)")
        setting += f" peers.port={serf_port()}"
    checked = run(home, *options(setting), "--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert ("name.invalid cannot be looked up" in checked.stdout) == ("name.invalid" in setting)
    words = [word for word in options(setting) if word not in ("--set", "node.state_dir=state")]
    daemon = start_daemon(*(part for word in words for part in ("--set", word)), home=home)
    with daemon.connect_unix() as line:
        assert line.ask("nodes").code == 201
    seen = len(daemon.lines)
    daemon.signal(signal.SIGHUP)
    daemon.wait_for("configuration read again", seen)
    with daemon.connect_unix() as line:
        assert line.ask("events").code == 201
    assert daemon.stop() in (0, -signal.SIGTERM)
    assert not [text for text in daemon.lines if "Traceback" in text or "Unhandled" in text], daemon.log


def test_seeds_at_sighup(start_daemon: StartDaemon) -> None:
    """Bad ones change nothing and are said; names are looked up, and membership goes on."""
    daemon = start_daemon()
    for seeds, told in (
        ("[ff02::1]:5428", "the configuration stays as it was: .*single nodes"),
        ("239.192.0.1:5429", "the configuration stays as it was: .*single nodes"),
        ("localhost:5428, name.invalid:5428", "changed: peers.seeds"),
        ("localhost:1", "changed: peers.seeds"),
        ("", "changed: peers.seeds"),
    ):
        daemon.configure(f"seeds = {seeds}\n")  # behind the other lines of [peers]
        seen = len(daemon.lines)
        daemon.signal(signal.SIGHUP)
        daemon.wait_for(told, seen)
        if "name.invalid" in seeds:
            daemon.wait_for("the seed name.invalid cannot be looked up")
    with daemon.connect() as line:
        assert line.ask("nodes").code == 201
    assert not [text for text in daemon.lines if "Traceback" in text or "membership failed" in text]


@pytest.mark.parametrize("part", ["jobs", "jobs/migrations"])
def test_what_fails_when_services_start_is_one_sentence(tmp_path: Path, part: str) -> None:
    """A file where STATE needs a directory: found only when the part that uses it starts."""
    place = tmp_path / "state" / part
    place.parent.mkdir(parents=True, mode=0o700)
    os.chmod(tmp_path / "state", 0o700)
    place.touch()
    outcome = run(tmp_path, "--state-dir", "state", "--telnet", "tcp:127.0.0.1:0")
    assert outcome.returncode == 1
    assert outcome.stderr.splitlines() == [f"gomd: cannot start: {place}: Not a directory"]
    assert "Traceback" not in outcome.stdout


#: A name server that takes every question and answers none, in namespaces of its own; then what is to run.
_HANGING = """
ip link set lo up
mount --bind "$1" /etc/resolv.conf
python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.77", 53))
while True: s.recv(512)' </dev/null >/dev/null 2>&1 &
shift
exec "$@"
"""


class HangingNames(Daemon):
    """A daemon where no name server answers; everything there ends with it."""

    inside: tuple[str, ...] = ()

    def configure(self, ini: str) -> None:
        """Look one name up."""
        (self.home / "gomd.ini").write_text(f"{QUIET}seeds = hangs.example:5428\n")

    def command(self) -> Sequence[str]:
        """It runs where the name server does."""
        return [*self.inside, *super().command()]


def test_a_resolver_that_hangs_stops_nothing(tmp_path: Path) -> None:
    """No name server answers: `--check` ends in time, the daemon starts, answers, and ends at once."""
    if reason := hosts.missing():
        pytest.skip(reason)
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.77\noptions timeout:30 attempts:5\n")
    namespaces = ("--mount", "--net", "--pid", "--mount-proc", "--fork", "--kill-child")
    inside = ("unshare", *namespaces, "sh", "-c", _HANGING, "sh", str(conf))
    daemon = HangingNames(tmp_path / "daemon")
    daemon.inside = inside
    checked = subprocess.run(
        [*inside, TWISTD, "-n", "--pidfile=", "gomd", "--check", "--state-dir", "s"],
        cwd=daemon.home, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked
    assert "hangs.example cannot be looked up now (no answer in 5 s)" in checked.stdout
    daemon.start()
    with daemon.connect_unix() as line:
        daemon.wait_for("the seed hangs.example cannot be looked up")
        assert line.ask("load").code == 200
        began = time.monotonic()
        assert line.ask("shutdown").code == 200
    assert daemon.wait() == 0
    assert time.monotonic() - began < 5.0


def test_what_is_away_while_the_daemon_runs_is_a_warning(start_daemon: StartDaemon) -> None:
    """`systemctl reload` checks first: a name server that is away just then must not fail it."""
    daemon = start_daemon()
    options = ("--check", "--set", "http.endpoint=tcp:198.51.100.77:80", "--state-dir")
    (daemon.home / "other").mkdir()
    running = run(daemon.home / "other", *options, str(daemon.state))
    assert (running.returncode, running.stderr) == (0, "")
    assert "198.51.100.77" in running.stdout
    assert "the running daemon is not affected" in running.stdout
    assert run(daemon.home / "other", *options, str(daemon.home / "none")).returncode == 1
    with daemon.connect_unix() as line:
        assert line.ask("load").code == 200
