"""The cluster that the commands of the documentation are for: alpha, beta and gamma, with work under way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libgomd.keys import new_key_file
from tests.integration.cluster.asking import see, start
from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host, Network, child_of
from tests.integration.jobs import until

#: Where the nodes' files are: neither below what a machine has its own of, nor what the reader's shell has.
_HOMES = "/srv"
NAMES = ("alpha", "beta", "gamma")
#: What stands in the pages for a process and a job of the reader's.
PID, JOB = "4711", "7"
#: What every node of it has. `upgrade` of commands.md is one that changes nothing.
_MORE = """
[commands]
uptime = /usr/bin/uptime
kernel = uname -r
upgrade = /bin/echo nothing to upgrade
[http]
endpoint = tcp:127.0.0.1:2980
[jobs]
criu = {criu}
"""
#: Programs of the reader's, which the pages start.
_SIMULATE = '#!/bin/sh\necho "run $1"\n[ "$1" != 43 ] || exec sleep 60\n'
#: Starts the reader's shell: what is written into /etc, /var/lib and /run stays in a directory of the test.
#: /run is no overlay: a socket in one is reached through the same mount only, and each shell has its own.
_SHIELD = """
set -e
mount -t overlay -o "lowerdir=/etc,upperdir=$1/etc,workdir=$1/work-etc" overlay /etc
mount -t overlay -o "lowerdir=/var/lib,upperdir=$1/state,workdir=$1/work-state" overlay /var/lib
mount --bind "$1/run" /run
shift
exec "$@"
"""
_OWN = ("/tmp", "/var/tmp", "/dev/shm")


class DocsHost(Host):
    """A host that keeps a history, as nodes do."""

    def ini(self, **peers: str) -> str:
        """Return its gomd.ini."""
        return super().ini(**peers).replace("[history]\nkind = none", "[history]\nkind = sqlite")


class DocsNetwork(Network):
    """A network of them."""

    HOST = DocsHost


class DocsCluster:
    """
    The three nodes, and a directory in which a reader's files are.

    :ivar place: that directory. :ivar alpha: the node at which commands are typed.
    """

    def __init__(self, network: Network, place: Path, key: Path) -> None:
        self.alpha: Host = network.hosts[0]
        self.nodes = {host.name: host for host in network.hosts}
        self.place = place
        self._paths = {
            "/mnt/om": f"{place}/om",
            "/home/ann": f"{place}/ann",
        }
        self.token = ""
        self.endpoint = self.alpha.daemon.unix
        (place / "bin").mkdir()
        self._background: list[subprocess.Popen[str]] = []
        self.begin_page()
        (place / "work").mkdir()
        (place / "ann" / "runs").mkdir(parents=True)
        self.nodes["h2"].run("mount", "-t", "tmpfs", "none", str(place / "ann"))
        # the other machines, as scp sees them: the cluster's key is there
        self._program("scp", f'for to; do :; done\ncase $to in *:*) ;; *) cp {key} "$to" ;; esac\n')
        # a log of the system, and what writes to it
        for name in ("journalctl", "logger"):
            self._program(name, "")
        for name in ("simulate", "run-all", "work/run-all"):
            (place / name).write_text(_SIMULATE)
            (place / name).chmod(0o755)
        (place / "in.dat").write_text("1 2 3\n")
        (place / "Makefile").write_text("all:\n\t@echo made\n")

    def _program(self, name: str, text: str) -> None:
        """Put a program into the reader's PATH."""
        file = self.place / "bin" / name
        file.write_text(f"#!/bin/sh\n{text}")
        file.chmod(0o755)

    def begin_page(self) -> None:
        """Give the reader a machine on which nothing was configured yet, with the network of alpha."""
        shutil.rmtree(self.place / "machine", ignore_errors=True)
        for name in ("etc/gomd", "state", "work-etc", "work-state", "run"):
            (self.place / "machine" / name).mkdir(parents=True)

    def _command(self, script: str, *before: str) -> list[str]:
        """Return what runs a script as a reader would, on alpha, with `gom` of this environment."""
        for ours, theirs in self._paths.items():
            script = script.replace(ours, theirs)
        path = f"{self.place}/bin:{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        return self.alpha.command(
            (
                "unshare", "--mount", "--propagation=private", "sh", "-c", _SHIELD, "shield",
                str(self.place / "machine"), "env", "-i", f"PATH={path}", f"TOKEN={self.token}",
                f"GOMD_ENDPOINT={self.endpoint}", "LANG=C.UTF-8", "HOME=/nonexistent", *before,
                "bash", "-c", script,
            ),
            self.place,
        )  # fmt: skip

    def run_daemon(self, command: str) -> None:
        """Run a daemon of the reader's until the page ends, in the foreground of another terminal."""
        alone = "ip link set lo up; ip address add 10.0.0.1/32 dev lo; exec "
        process = subprocess.Popen(
            self._command(alone + command, "unshare", "--net"), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self._background.append(process)
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(r"the telnet line is at (?:.*, )?(unix:[^\s,]+)", line):
                self.endpoint = found[1]
                return
        raise AssertionError(f"{command!r} does not run: {said}")

    def run(self, script: str, seconds: float = PATIENCE * 2) -> subprocess.CompletedProcess[str]:
        """
        Run a script as a reader of the pages would, on alpha, with `gom` of this environment.

        A program that repeats until it is interrupted ends after ``seconds``, with status 124.
        """
        return subprocess.run(
            self._command(script, "timeout", str(seconds)), capture_output=True, text=True,
            timeout=seconds + PATIENCE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def as_shown(self, printed: str) -> str:
        """Return what is printed with the paths that the pages have."""
        for ours, theirs in self._paths.items():
            printed = printed.replace(theirs, ours)
        return printed

    def begin_job(self, directory: str = "/tmp") -> dict[str, str]:
        """
        Start a job on alpha. It can move anywhere; from /home/ann/runs not to beta, which has none.

        :returns: what its PID and its number are in the pages.
        """
        number = self.run(f"cd {directory}; gom run -n alpha --detach sleep 600").stdout.strip()

        def row() -> dict[str, object] | None:
            rows = [json.loads(line) for line in self.run("gom --json jobs").stdout.splitlines()]
            return next(
                (each for each in rows if str(each["job"]) == number and each["state"] == "running"), None
            )

        return {PID: str(until(row)["pid"]), JOB: number}

    def reset(self, has_job: bool, has_switched: bool) -> None:
        """End the daemons and jobs of a page, and undo what it switched on: `stay`, `block` and the like."""
        for process in self._background:
            os.kill(child_of(process.pid), signal.SIGKILL)  # nsenter itself only waits for it
            process.wait(PATIENCE)
            assert process.stdout is not None
            process.stdout.close()
        self._background.clear()
        self.endpoint = self.alpha.daemon.unix
        script = (
            "for job in $(gom jobs | awk '$5 == \"running\" { print $1 }'); do gom kill $job KILL; done\n"
        )
        undo = "".join(
            f"gom @{name} no{each}\n" for name in NAMES for each in ("stay", "lstay", "block", "quiet")
        )
        if has_job or has_switched:
            self.run(script + (undo if has_switched else ""))


@contextmanager
def docs_cluster(criu: str) -> Iterator[DocsCluster]:
    """Make it, started, each node knowing the others."""
    home = Path(tempfile.mkdtemp(prefix="gomd-docs-", dir=_HOMES))
    try:
        home.chmod(0o755)
        new_key_file(str(home / "key"))
        with DocsNetwork(home) as network:
            for name in NAMES:
                host = network.add(home / "key")
                host.run("hostname", name)
                host.more = _MORE.format(criu=criu)
                for place in _OWN:
                    host.run("mount", "-t", "tmpfs", "-o", "mode=1777", "none", place)
            start(network.hosts)
            see(network.hosts, frozenset(range(1, len(NAMES) + 1)))
            reader = home / "reader"
            reader.mkdir()
            cluster = DocsCluster(network, reader, home / "key")
            for host, name in zip(network.hosts, NAMES, strict=True):
                cluster.nodes[name] = host
            added = cluster.run(f"gom token add writer admin --file {network.hosts[0].daemon.state}/tokens")
            found = re.search(r"[0-9A-Za-z_-]{20,}", added.stdout)
            assert found, added
            cluster.token = found[0]
            yield cluster
    finally:
        shutil.rmtree(home, ignore_errors=True)
