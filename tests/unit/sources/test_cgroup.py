"""The memory that a control group leaves the daemon, in both versions of the kernel's interface."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.files import ProcRoot
from gomd.sources.linux.cgroup import MemoryGroup, parse_group_mounts, parse_own_groups
from libgomd.model import Memory
from tests.unit.sources.linux_proc import copied, directory, source_over
from tests.unit.sources.source_under_test import NOW

MIB = 1 << 20
MACHINE = Memory(20000 * MIB, 18000 * MIB, 24000 * MIB, 7, 5)


class GroupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = directory(self)
        self.proc, self.sys = self.root / "proc", self.root / "sys"
        (self.proc / "self").mkdir(parents=True)

    def own(self, cgroup: str, *mounts: str) -> MemoryGroup:
        (self.proc / "self" / "cgroup").write_text(cgroup)
        (self.proc / "self" / "mountinfo").write_text("".join(f"{mount}\n" for mount in mounts))
        return MemoryGroup(ProcRoot(str(self.proc)), str(self.sys))

    def group(self, path: str, limit: object, usage: int, cache: int = 0, version: int = 2) -> None:
        place = Path(self.sys, "fs", "cgroup", path)
        place.mkdir(parents=True, exist_ok=True)
        names = ("memory.max", "memory.current") if version == 2 else (
            "memory.limit_in_bytes", "memory.usage_in_bytes"
        )  # fmt: skip
        for name, value in zip(names, (limit, usage), strict=True):
            (place / name).write_text(f"{value}\n")
        word = "inactive_file" if version == 2 else "total_inactive_file"
        (place / "memory.stat").write_text(f"anon 5\ninactive_anon 9\n{word} {cache}\nother 3\n")

    V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
    V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory"

    def test_a_limit_is_the_memory_there_is(self) -> None:
        """A service with MemoryMax=300M offers what is left of it, and the cache it can do without."""
        self.group("system.slice", "max", 900 * MIB)
        self.group("system.slice/gomd.service", 300 * MIB, 200 * MIB, 50 * MIB)
        found = self.own("0::/system.slice/gomd.service\n", self.V2).within(MACHINE)
        self.assertEqual(found, Memory(150 * MIB, 100 * MIB, 300 * MIB, 7, 5))

    def test_the_least_of_all_ancestors(self) -> None:
        """The tightest group decides, wherever it is, and for each value another one may."""
        self.group("a", 1000 * MIB, 990 * MIB)
        self.group("a/b", 300 * MIB, 100 * MIB)
        self.group("a/b/c", "max", 10 * MIB)
        found = self.own("0::/a/b/c\n", self.V2).within(MACHINE)
        self.assertEqual((found.mem, found.rmem, found.tmem), (10 * MIB, 10 * MIB, 300 * MIB))

    def test_version_1(self) -> None:
        """Its files have other names, and no limit is a huge number; a mixed machine has both versions."""
        self.group("memory/a", 9223372036854771712, 10 * MIB, version=1)
        self.group("memory/a/b", 300 * MIB, 250 * MIB, 30 * MIB, version=1)
        unified = self.V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
        own = "9:cpu,cpuacct:/x\n4:memory:/a/b\n0::/a/b\n"
        found = self.own(own, self.V1, unified).within(MACHINE)
        self.assertEqual((found.mem, found.rmem, found.tmem), (80 * MIB, 50 * MIB, 300 * MIB))

    def test_a_container_that_sees_its_own_group_as_the_root(self) -> None:
        """With a namespace of its own the path is `/`; without, the mount is a part of the tree."""
        self.group("", 300 * MIB, 100 * MIB)
        namespaced = self.own("0::/\n", self.V2).within(MACHINE)
        bound = self.own("0::/docker/4f3a\n", self.V2.replace(" / ", " /docker/4f3a ")).within(MACHINE)
        elsewhere = self.own("0::/../../other\n", self.V2).within(MACHINE)
        for found in (namespaced, bound, elsewhere):
            self.assertEqual((found.mem, found.tmem), (200 * MIB, 300 * MIB))
        self.group("inner", 100 * MIB, 0)
        inner = self.own("0::/docker/4f3a/inner\n", self.V2.replace(" / ", " /docker/4f3a ")).within(MACHINE)
        self.assertEqual(inner.tmem, 100 * MIB)

    def test_what_is_no_limit_changes_nothing(self) -> None:
        """None is set, it is more than the machine has, there are no groups, or no such files."""
        self.group("a", "max", 5)
        self.group("b", 30000 * MIB, 5)
        for own in ("0::/a\n", "0::/b\n", "0::/gone\n", "", "garbage\n:\n::\n", "9:cpu:/a\n"):
            self.assertIs(self.own(own, self.V2).within(MACHINE), MACHINE)
        self.assertIs(self.own("0::/a\n", "garbage", "1 2 - x").within(MACHINE), MACHINE)
        self.assertIs(MemoryGroup(ProcRoot(str(self.root)), str(self.sys)).within(MACHINE), MACHINE)

    def test_numbers_that_cannot_be(self) -> None:
        """More used than allowed leaves nothing; an unknown use leaves the limit; unknown memory has one."""
        self.group("a", 300 * MIB, 400 * MIB, 500 * MIB)
        group = self.own("0::/a\n", self.V2)
        self.assertEqual(group.within(MACHINE), Memory(300 * MIB, 0, 300 * MIB, 7, 5))
        Path(self.sys, "fs/cgroup/a/memory.current").write_text("18446744073708785356\n")
        self.assertEqual(group.within(MACHINE), Memory(300 * MIB, 300 * MIB, 300 * MIB, 7, 5))
        self.group("a", 300 * MIB, 100 * MIB)
        self.assertEqual(
            group.within(Memory(None, None, None)), Memory(*(each * MIB for each in (200, 200, 300)))
        )

    def test_a_limit_that_changes_is_seen_at_once(self) -> None:
        """The next sample has it."""
        self.group("a", 300 * MIB, 0)
        group = self.own("0::/a\n", self.V2)
        self.assertEqual(group.within(MACHINE).tmem, 300 * MIB)
        self.group("a", 200 * MIB, 0)
        self.assertEqual(group.within(MACHINE).tmem, 200 * MIB)

    def test_odd_paths(self) -> None:
        """A colon in a group's name; a mount point with a blank."""
        self.assertEqual(parse_own_groups(b"0::/a:b\n"), [(2, "/a:b")])
        mount = rb"1 2 0:3 /x\040y /sys/fs/c\134g rw - cgroup2 none rw"
        self.assertEqual(parse_group_mounts(mount, 2), [("/x y", "/sys/fs/c\\g")])


class SourceTests(SynchronousTestCase):
    def test_a_node_offers_what_its_group_has(self) -> None:
        """`nodes` and the tree say it, so that placement gives it no more."""
        proc = copied(self)
        (proc / "self").mkdir()
        (proc / "self" / "cgroup").write_text("0::/a\n")
        (proc / "self" / "mountinfo").write_text(f"{GroupTests.V2}\n")
        place = proc.parent / "sys" / "fs" / "cgroup" / "a"
        place.mkdir(parents=True)
        (place / "memory.max").write_text(f"{300 * MIB}\n")
        (place / "memory.current").write_text(f"{100 * MIB}\n")
        [node] = source_over(self, proc).nodes(NOW)
        self.assertEqual((node.mem, node.rmem, node.tmem), (200 * MIB, 200 * MIB, 300 * MIB))
