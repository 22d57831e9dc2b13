"""A machine with systemd as its process 1: namespaces and a cgroup of its own, gone when it is closed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.integration import hosts
from tests.integration.hosts import child_of, children_of
from tests.integration.systemd.tree import CHECKOUT

#: Seconds that anything may take; a start of the daemon takes many when the processors are busy.
PATIENCE = 120.0
#: What of the checkout is installed.
SOURCES = (
    "gom",
    "gomd",
    "libgomd",
    "contrib",
    "twisted",
    "setup.cfg",
    "pyproject.toml",
    "README.rst",
    "COPYING",
)
#: Where the units lie in the checkout.
CONTRIB = CHECKOUT / "contrib"

# $1: a directory of its own, $2: the tree, $3: what is copied to /src, $4: its host name
_INIT = """
set -eu
mount -t tmpfs -o mode=0755 machine "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay root
mkdir root/src
cp -r "$3/." root/src
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=0755 dev dev
mount -t tmpfs -o mode=0755 run run
mount -t tmpfs -o mode=1777 tmp tmp
for name in null zero full random urandom tty; do
    : >"dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
chmod 1777 dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
echo "$4" >etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$4" >etc/hosts
hostname "$4"
ip link set lo up
pivot_root . .
umount -l .
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 /usr/lib/systemd/systemd
"""


def missing() -> str:
    """Return why no machine can run here, empty when one can."""
    if not _unified():
        return "a system with systemd needs the unified hierarchy of cgroups"
    probe = Path(_unified(), f"gomd-test-{os.getpid()}")
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        return f"a system with systemd needs a cgroup of its own, and none can be made: {error}"
    return hosts.missing()  # namespaces


class Machine:
    """
    One machine, from `__enter__` to `__exit__`.

    :param home: a directory for it. :param tree: of `tests.integration.systemd.tree`.
    :param sources: what is copied to its /src; None: what of the checkout is installed.
    :param name: its host name.
    """

    def __init__(self, home: Path, tree: Path, sources: Path | None = None, name: str = "machine") -> None:
        self._home = home
        self._tree = tree
        self._sources = sources
        self.name = name
        self._cgroup = Path(_unified(), f"gomd-test-{os.getpid()}-{home.name}")
        self._outer: subprocess.Popen[bytes] | None = None
        self._cursor = ""
        self.init = 0

    def __enter__(self) -> Machine:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _start(self) -> None:
        sources, place = self._sources or _checkout(self._home / "sources"), self._home / "machine"
        place.mkdir()
        self._cgroup.mkdir()
        script = f'echo $$ >{self._cgroup}/cgroup.procs; exec unshare --cgroup -- sh -c "$0" init "$@"'
        outer = self._outer = subprocess.Popen(
            [
                "unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child",
                "--propagation=private", "--", "sh", "-c", script, _INIT,
                str(place), str(self._tree), str(sources), self.name,
            ],
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_until(lambda: outer.poll() is not None or bool(children_of(outer.pid)))
        assert outer.poll() is None, "no namespaces here"
        self.init = child_of(outer.pid)
        # Before that it is a shell with the mounts of this machine: nothing may be asked of its systemd.
        program = Path(f"/proc/{self.init}/comm")
        wait_until(lambda: outer.poll() is not None or program.read_text() == "systemd\n")
        assert outer.poll() is None, "the machine does not boot"
        wait_until(lambda: self._state() in ("running", "degraded"))

    def _state(self) -> str:
        """Return how far it has booted."""
        return self.run("systemctl", "is-system-running", check=False).strip()

    def close(self) -> None:
        """End everything that runs on it, and remove its cgroups."""
        if self._outer is not None:
            self._outer.kill()  # its child is killed with it, and all others with that one
            self._outer.wait()
        if self._cgroup.exists():
            wait_until(self._remove_cgroups)

    def _remove_cgroups(self) -> bool:
        """Remove them from below; False while the kernel still ends processes in one."""
        for directory, _names, _files in os.walk(self._cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        return not self._cgroup.exists()

    def command(self, *program: str) -> list[str]:
        """Return what runs a program on it, as root."""
        return [
            "nsenter",
            f"--target={self.init}",
            "--all",
            "--wd",
            "--",
            "env",
            "-i",
            f"PATH={_PATH}",
            *program,
        ]

    def try_(self, *program: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program on it to its end."""
        if user is not None:
            program = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *program)
        return subprocess.run(
            self.command(*program), capture_output=True, text=True, timeout=PATIENCE, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, *program: str, user: str | None = None, check: bool = True) -> str:
        """Run a program on it to its end; return what it printed."""
        done = self.try_(*program, user=user)
        assert not check or done.returncode == 0, f"{program}: {done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout

    def write(self, path: str, text: str, mode: str = "0644") -> None:
        """Write a file on it."""
        subprocess.run(
            self.command("install", "-D", "-m", mode, "/dev/stdin", path), input=text, text=True, check=True,
            timeout=PATIENCE,
        )  # fmt: skip

    def show(self, *properties: str, unit: str = "gomd.service") -> dict[str, str]:
        """Return properties of a unit, as `systemctl show` has them."""
        lines = self.run(
            "systemctl", "show", unit, *(f"--property={each}" for each in properties)
        ).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def mark(self) -> None:
        """Let `journal` begin here."""
        shown = self.run("journalctl", "--no-pager", "-q", "-n", "0", "--show-cursor")
        self._cursor = shown.rpartition("-- cursor: ")[2].strip()

    def journal(self, *options: str) -> str:
        """Return what the unit wrote to the journal since `mark`."""
        after = ("--after-cursor", self._cursor) if self._cursor else ()
        return self.run("journalctl", "--no-pager", "-q", "-u", "gomd.service", *after, *options, check=False)


_PATH = "/opt/gomd/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _checkout(sources: Path) -> Path:
    """Copy what of the checkout is installed to ``sources``, and return that."""
    sources.mkdir()
    for name in SOURCES:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, sources / name, ignore=shutil.ignore_patterns("__pycache__", "dropin*"))
        else:
            shutil.copy(source, sources / name)
    return sources


def wait_until(condition: object) -> None:
    """Wait until ``condition()`` is true."""
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)


def _unified() -> str:
    """Return where the unified hierarchy of cgroups is mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return place
    return ""
