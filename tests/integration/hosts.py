"""
Several hosts on this machine, each a set of namespaces of its own, joined by a bridge.

A host has its own address (10.77.0.N), loopback, processes, mounts and host name. Everything it is made of
hangs on one process, its init, which ends when this process does, however that ends: nothing is left.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.integration.daemon import PATIENCE, TWISTD, Daemon

#: Hosts of one network, at most.
MOST = 8
PORT = 5428
_NEEDED = ("ip", "nsenter", "unshare")


def missing() -> str:
    """Return why there can be no hosts here, empty when there can."""
    if os.geteuid() != 0:
        return "hosts of namespaces need root"
    absent = [program for program in _NEEDED if shutil.which(program) is None]
    if absent:
        return f"hosts of namespaces need {', '.join(absent)} (Debian packages iproute2 and util-linux)"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--uts", "--mount-proc", "ip", "link"],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


class _Namespaces:
    """Namespaces that exist as long as their init does; it ends when its input, our pipe, does."""

    def __init__(self, *kinds: str) -> None:
        command = ["unshare", *kinds, "--fork", "--kill-child", "--", "sh", "-c", "echo up; exec cat"]
        self._outer = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._outer.stdout is not None
        assert self._outer.stdout.readline() == "up\n", "no namespaces"
        self.init = child_of(self._outer.pid)

    def close(self) -> None:
        """End everything that runs in them, and them."""
        assert self._outer.stdin is not None
        assert self._outer.stdout is not None
        self._outer.kill()  # its child, the init, is killed with it, and all others with that one
        self._outer.wait()
        self._outer.stdin.close()
        self._outer.stdout.close()


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def child_of(pid: int) -> int:
    """Return the one child of a process."""
    [child] = children_of(pid)
    return child


class HostDaemon(Daemon):
    """The daemon of a host: signals reach itself, not the programs that put it there."""

    def __init__(self, host: Host, home: Path, *options: str, ini: str = "") -> None:
        self._host = host
        #: Programs that run the daemon, with their arguments, such as faketime.
        self.under: tuple[str, ...] = ()
        super().__init__(home, *options, ini=ini)
        self._options = ("--state-dir", str(self.state), *options)

    def configure(self, ini: str) -> None:
        """Write gomd.ini, whole."""
        (self.home / "gomd.ini").write_text(ini)

    def command(self) -> Sequence[str]:
        """What starts it: twistd, in the host's namespaces."""
        inside = (*self.under, TWISTD, "-n", "--pidfile=", "gomd", *self._options)
        return self._host.command(inside, self.home)

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
        return hasattr(self, "process") and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id out here."""
        return child_of(self.process.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it without a word."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()


class Host:
    """
    One host. :ivar number: 1 and up; ``address`` its address on the network.

    :ivar node: the id its daemon is configured with, its number at first.
    :ivar daemon: its daemon, running or not.
    """

    #: Its namespaces besides that of its mounts, as options of unshare and nsenter.
    KINDS: tuple[str, ...] = ("--net", "--pid", "--uts")

    def __init__(self, number: int, home: Path, key_file: Path) -> None:
        self.number = self.node = number
        self.name = f"h{number}"
        self.address = f"10.77.0.{number}"
        self.home = home
        self.key_file = key_file
        self._namespaces = _Namespaces(*self.KINDS, "--mount-proc")
        self.init = self._namespaces.init
        self.ip(["link set lo up"])
        self.run("hostname", self.name)
        home.mkdir()
        home.chmod(0o755)
        self.configuration: dict[str, str] = {
            "address": self.address, "port": str(PORT), "key_file": str(key_file)
        }  # fmt: skip
        #: More sections of its gomd.ini.
        self.more = ""
        #: Where its telnet line listens.
        self.telnet = f"tcp:127.0.0.1:0, unix:{home / 'gomd.sock'}, unix:"
        self.daemon = HostDaemon(self, home, ini=self.ini())

    def ini(self, **peers: str) -> str:
        """Return a gomd.ini, with other settings of [peers] where they are given."""
        self.configuration |= peers
        settings = "".join(f"{key} = {value}\n" for key, value in self.configuration.items())
        return (
            f"[node]\nid = {self.node}\n[telnet]\nendpoints = {self.telnet}\n"
            f"[peers]\n{settings}[history]\nkind = none\n{self.more}"
        )

    def command(self, program: Iterable[str], directory: Path | str = "/") -> list[str]:
        """Return what runs ``program`` on this host."""
        enter = ("nsenter", f"--target={self.init}", *self.KINDS, "--mount")
        return [*enter, f"--wd={directory}", "--", *program]

    def run(self, *program: str, text: str = "", check: bool = True, user: str | None = None) -> str:
        """Run a program on this host to its end; return what it printed."""
        if user is not None:
            program = ("setpriv", f"--reuid={user}", "--clear-groups", "--", *program)
        done = subprocess.run(
            self.command(program), input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert not check or done.returncode == 0, f"{program}: {done.stderr}"
        return done.stdout

    def popen(self, *program: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program on this host; it ends with the host at the latest."""
        return subprocess.Popen(self.command(program), text=True, **options)

    def ip(self, lines: Sequence[str]) -> None:
        """Give ``ip`` some lines of work in this host."""
        _ip(self.init, lines)

    def connect(self) -> None:
        """Set its network up."""
        self.ip([f"addr add {self.address}/24 dev eth0", "link set eth0 up", "route add default dev eth0"])

    def readdress(self, address: str) -> None:
        """Give it another address instead of the one it has."""
        self.ip([f"addr del {self.address}/24 dev eth0"])
        self.address = address
        self.connect()

    def start(self) -> Host:
        """Start its daemon and wait until it listens."""
        self.daemon.configure(self.ini())
        self.daemon.start()
        return self

    def close(self) -> None:
        """End everything on it."""
        self._namespaces.close()
        if hasattr(self.daemon, "process"):
            self.daemon.wait()


class Network:
    """
    A bridge and the hosts at it. A context manager.

    :param home: a directory for the hosts' files.
    """

    #: What its hosts are.
    HOST: type[Host] = Host

    def __init__(self, home: Path) -> None:
        self._home = home
        home.chmod(0o755)
        self.hosts: list[Host] = []
        self._lan = _Namespaces("--net")
        self._bridges = 0
        self._bridge()

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End all hosts and the network."""
        for host in self.hosts:
            host.close()
        self._lan.close()

    def add(self, key_file: Path) -> Host:
        """Make a host and plug it in. Its daemon is not started."""
        number = len(self.hosts) + 1
        assert number <= MOST, f"at most {MOST} hosts"
        host = self.HOST(number, self._home / f"h{number}", key_file)
        self.hosts.append(host)
        _ip(self._lan.init, [f"link add {host.name} type veth peer name eth0 netns {host.init}"])
        host.connect()
        self.join(host)
        return host

    # -- the cables

    def _bridge(self) -> str:
        """Make one more bridge."""
        name = f"lan{self._bridges}"
        self._bridges += 1
        kind = "type bridge forward_delay 0 stp_state 0 mcast_snooping 0"
        _ip(self._lan.init, [f"link add {name} {kind}", f"link set {name} up"])
        return name

    def join(self, *hosts: Host) -> None:
        """Plug these hosts in at the first bridge."""
        self._plug(hosts, "master lan0")

    def cut_off(self, *hosts: Host) -> None:
        """Pull the plugs of these hosts; they themselves see no change of their link."""
        self._plug(hosts, "nomaster")

    def split(self, *groups: Sequence[Host]) -> None:
        """Cut the network into groups: hosts that are in none stay where they are."""
        for group in groups:
            self._plug(group, f"master {self._bridge()}")

    def heal(self) -> None:
        """Make it whole again."""
        self.join(*self.hosts)

    def limit(self, mtu: int, *hosts: Host) -> None:
        """Drop larger packets on the cables to and from these hosts, which notice nothing of it."""
        _ip(self._lan.init, [f"link set {host.name} mtu {mtu}" for host in hosts])

    def _plug(self, hosts: Sequence[Host], where: str) -> None:
        _ip(self._lan.init, [f"link set {host.name} {where} up" for host in hosts])


def _ip(init: int, lines: Sequence[str]) -> None:
    done = subprocess.run(
        ["nsenter", f"--target={init}", "--net", "--", "ip", "-batch", "-"],
        input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"ip {lines}: {done.stderr}"
