"""Where the cgroups of jobs are, on machines with either kind and with none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gomd.jobs.supervisor.cgroups import (
    MEMORY,
    PLAIN,
    UNIFIED,
    Hierarchy,
    find_place,
    own_directory,
    parse_mounts,
    parse_own,
    sweep,
)
from gomd.jobs.supervisor.early_group import EarlyGroup, enter_early
from gomd.jobs.supervisor.job_group import JobGroup, NoLimit, group_of
from libgomd.wire.job_messages import SpawnSpec
from libgomd.wire.job_orders import AwaitOrder

_FILES = ("cgroup.procs", "cgroup.controllers", "cgroup.subtree_control")


class Machine:
    """A /proc and cgroups as plain files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc/self").mkdir(parents=True)
        self.mounts = ""
        self.own = ""

    def cgroup(self, path: str, controllers: str = "", type_: bool = True, procs: str = "") -> Path:
        directory = self.root / path
        directory.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            (directory / name).write_text("")
        (directory / "cgroup.controllers").write_text(controllers)
        (directory / "cgroup.procs").write_text(procs)
        if type_:
            (directory / "cgroup.type").write_text("domain\n")
        return directory

    def unified(self, own: str) -> None:
        self.mounts += f"30 25 0:26 / {self.root}/unified rw - cgroup2 cgroup2 rw\n"
        self.own += f"0::{own}\n"

    def memory(self, own: str) -> None:
        self.mounts += f"31 25 0:27 / {self.root}/memory rw,nosuid - cgroup cgroup rw,memory\n"
        self.own += f"4:memory:{own}\n"

    def write(self) -> str:
        (self.root / "proc/self/mountinfo").write_text(self.mounts)
        (self.root / "proc/self/cgroup").write_text(self.own)
        return str(self.root / "proc")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without any cgroups yet."""
    return Machine(tmp_path)


def test_own_paths() -> None:
    """A line for each hierarchy; a path may have colons in it."""
    text = "4:memory:/a\n3:cpu,cpuacct:/b:c\n0::/d\n"
    assert parse_own(text) == {"memory": "/a", "cpu": "/b:c", "cpuacct": "/b:c", "": "/d"}
    assert parse_own("junk\n") == {}


def test_mounts() -> None:
    """Both hierarchies, the root of the mount, and octal digits for what a line cannot have."""
    text = (
        "30 25 0:26 /inner /sys/fs/my\\040cgroup rw - cgroup2 cgroup2 rw\n"
        "31 25 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
        "32 25 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\njunk\n"
    )
    assert parse_mounts(text) == (
        Hierarchy("/sys/fs/my cgroup", "/inner"), Hierarchy("/sys/fs/cgroup/memory", "/")
    )  # fmt: skip


def test_a_delegated_service(machine: Machine) -> None:
    """The jobs are beside the daemon, with the memory controller handed on."""
    base = machine.cgroup("unified/gomd.service", "memory pids")
    machine.cgroup("unified/gomd.service/daemon")
    machine.cgroup("unified/gomd.service/jobs")
    machine.unified("/gomd.service/daemon")
    assert find_place(machine.write(), managed=True) == (str(base / "jobs"), UNIFIED, "")
    assert (base / "cgroup.subtree_control").read_text() == "+memory"
    assert (base / "jobs/cgroup.subtree_control").read_text() == "+memory"


def test_a_service_that_systemd_could_not_start_again(machine: Machine) -> None:
    """Without a cgroup beside its jobs it would be stuck at the next start: then there are no limits."""
    base = machine.cgroup("unified/gomd.service", "memory pids", procs=f"{os.getpid()}\n")
    machine.unified("/gomd.service")
    place = find_place(machine.write(), managed=True)
    assert (place.parent, place.kind) == (str(base / "gomd-jobs"), PLAIN)
    assert "DelegateSubgroup=daemon" in place.why_not
    assert (base / "cgroup.subtree_control").read_text() == ""


def test_alone_in_a_container(machine: Machine) -> None:
    """It moves aside by itself, when nobody else is there."""
    base = machine.cgroup("unified", "memory", procs=f"{os.getpid()}\n")
    machine.cgroup("unified/daemon")
    machine.cgroup("unified/jobs")
    machine.unified("/")
    assert find_place(machine.write(), managed=False) == (str(base / "jobs"), UNIFIED, "")
    assert (base / "daemon/cgroup.procs").read_text() == "0"


def test_with_others_in_its_cgroup(machine: Machine) -> None:
    """They are left where they are."""
    machine.cgroup("unified", "memory", procs=f"{os.getpid()}\n1\n")
    machine.unified("/")
    place = find_place(machine.write(), managed=False)
    assert "other processes" in place.why_not


def test_memory_of_version_one(machine: Machine) -> None:
    """Where the unified hierarchy has no memory controller, version 1's is used."""
    machine.cgroup("unified")
    base = machine.cgroup("memory/a")
    machine.unified("/")
    machine.memory("/a")
    assert find_place(machine.write(), managed=True) == (str(base / "gomd-jobs"), MEMORY, "")


def test_its_own_cgroup(machine: Machine) -> None:
    """It is found in the hierarchy that a place is in, and nowhere when that cannot be seen from here."""
    base = machine.cgroup("unified/a")
    older = machine.cgroup("memory/b")
    machine.unified("/a")
    proc = machine.write()
    assert own_directory(UNIFIED, proc) == own_directory(PLAIN, proc) == str(base)
    assert own_directory(MEMORY, proc) is None
    machine.memory("/b")
    assert own_directory(MEMORY, machine.write()) == str(older)


def test_a_supervisor_that_enters_early(tmp_path: Path) -> None:
    """It is in a cgroup without a limit, with all that it starts, and goes back where it came from."""
    back = tmp_path / "daemon"
    back.mkdir()
    (back / "tasks").write_text("")
    group = EarlyGroup((str(tmp_path / "jobs"), MEMORY), "1-7", str(back))
    group.make()
    [made] = (tmp_path / "jobs").iterdir()
    procs = made / "tasks"
    procs.write_text("")
    group.enter_early()
    assert not group.inside  # no kernel has put it there
    assert procs.read_text() == "0"
    group.inside = True
    procs.write_text("")
    group.enter()
    assert procs.read_text() == ""  # it is in it already
    group.leave()
    group.leave()
    assert (back / "tasks").read_text() == "0"
    procs.unlink()
    group.remove()
    assert not made.exists()


def test_nothing_is_entered_without_a_place() -> None:
    """The restore makes a cgroup then, where there can be one."""
    assert enter_early(AwaitOrder("1-7")) is None
    assert enter_early(AwaitOrder("1-7", ("", PLAIN))) is None


def test_no_cgroups(machine: Machine) -> None:
    """Neither mounted, nor seen from here: jobs have none, and no limit."""
    assert find_place(machine.write(), managed=False)[:2] == ("", PLAIN)
    machine.unified("/../outside")
    machine.memory("/not/there")
    place = find_place(machine.write(), managed=False)
    assert (place.parent, place.kind) == ("", PLAIN)
    assert "memory controller is not there" in place.why_not
    spec = SpawnSpec("1-1", "/spool/1-1", "node 1", 1 << 20, cgroup=(place.parent, place.kind))
    assert group_of(spec) is None
    with pytest.raises(NoLimit):
        group_of(spec._replace(memory_max=1 << 30))
    assert group_of(spec._replace(cgroup=None)) is None


def test_a_cgroup_that_cannot_be_made(tmp_path: Path) -> None:
    """A job without a limit goes without; one with a limit does not start."""
    (tmp_path / "file").write_text("")
    spec = SpawnSpec("1-1", "/spool/1-1", "node 1", 1 << 20, cgroup=(str(tmp_path / "file"), MEMORY))
    assert group_of(spec) is None
    with pytest.raises(NoLimit):
        group_of(spec._replace(memory_max=1 << 30))


@pytest.mark.parametrize(
    ("kind", "file", "text", "told"),
    [
        (UNIFIED, "memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n", "2 processes of it were"),
        (MEMORY, "memory.oom_control", "oom_kill_disable 0\noom_kill 1\n", "a process of it was"),
        (MEMORY, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", ""),
        (MEMORY, "memory.oom_control", "", ""),
        (PLAIN, "memory.events", "oom_kill 2\n", ""),
    ],
)
def test_what_was_killed(tmp_path: Path, kind: str, file: str, text: str, told: str) -> None:
    """The kernel counts what it ended."""
    group = JobGroup((str(tmp_path), kind), "1-1", None)
    group.make()
    [directory] = tmp_path.iterdir()
    (directory / file).write_text(text)
    assert (told in group.out_of_memory()) if told else group.out_of_memory() == ""


def test_what_is_left_is_swept(tmp_path: Path) -> None:
    """Only what is empty, and only cgroups."""
    for name in ("1-1.aa", "1-2.bb"):
        (tmp_path / name).mkdir()
    (tmp_path / "1-2.bb/process").write_text("")
    (tmp_path / "cgroup.procs").write_text("")
    assert sweep(str(tmp_path)) == 1
    assert sorted(os.listdir(tmp_path)) == ["1-2.bb", "cgroup.procs"]
    assert sweep(str(tmp_path / "gone")) == 0


@pytest.mark.parametrize("kind", [UNIFIED, MEMORY, PLAIN])
def test_a_fork_where_the_kernel_forks_into_no_cgroup(tmp_path: Path, kind: str) -> None:
    """As this directory is none: an ordinary fork, which says that the child has still to enter."""
    group = JobGroup((str(tmp_path), kind), "1-1", None)
    group.make()
    pid, inside = group.fork()
    if pid == 0:
        os._exit(7)
    assert not inside
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
