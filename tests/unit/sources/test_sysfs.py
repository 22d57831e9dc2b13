"""What lies on what: bytes that are written once are counted once, as captured trees of /sys show."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.history.columns import SAMPLE_COLUMNS, sample_line
from gomd.sources.linux.source import LinuxSource
from gomd.sources.linux.sysfs import Stacking, is_stacked_name
from libgomd.model import Node, Part, Sample, Status
from tests.unit.sources.linux_proc import copied, directory
from tests.unit.sources.source_under_test import NOW

#: Two disks in a RAID 1, on it LVM, on that an encrypted volume, as a Debian 13 has it.
RAID = {
    "vda": (), "vdb": (), "md127": ("vda1", "vdb1"), "dm-0": ("md127",), "dm-1": ("dm-0",), "loop0": (),
}  # fmt: skip
RAID_PARTS = ("vda1", "vdb1")


def make_sys(root: Path, slaves: dict[str, tuple[str, ...]], parts: tuple[str, ...] = ()) -> Path:
    """Make a tree of sysfs with these whole devices, what each lies on, and these partitions."""
    for name, below in slaves.items():
        (root / "block" / name.replace("/", "!") / "slaves").mkdir(parents=True)
        for one in below:
            (root / "block" / name.replace("/", "!") / "slaves" / one).touch()
    for name in parts:
        (root / "class" / "block" / name).mkdir(parents=True)
        (root / "class" / "block" / name / "partition").write_text("1\n")
    return root


def stats(*written: tuple[str, int]) -> str:
    """Return a /proc/diskstats of devices that so many bytes were written to."""
    return "".join(
        f"8 {at} {name} 0 0 0 0 9 9 {size // 512} 9 0 9 9 0 0 0\n" for at, (name, size) in enumerate(written)
    )


class StackingTests(SynchronousTestCase):
    def test_only_what_nothing_lies_below_is_counted(self) -> None:
        """md, dm and their like are left out, also where a driver gives them another name."""
        found = Stacking(str(make_sys(directory(self), RAID | {"odd0": ("vda",)}, RAID_PARTS)))
        names = ["vda", "vda1", "vdb", "vdb1", "md127", "dm-0", "dm-1", "odd0", "gone0"]
        self.assertEqual(set(names) - set(found.look(names)), {"vda", "vdb", "gone0"})

    def test_a_change_is_seen(self) -> None:
        """A disk that becomes a member later, and other disks."""
        root = make_sys(directory(self), {"vda": (), "odd0": ()})
        stacking = Stacking(str(root))
        self.assertEqual(set(stacking.look(["vda", "odd0"])), set())
        (root / "block" / "odd0" / "slaves" / "vda").touch()
        self.assertEqual(set(stacking.look(["vda", "odd0", "vdb"])), {"odd0"})
        (root / "block" / "odd0" / "slaves" / "vda").unlink()
        looks = [set(stacking.look(["vda", "odd0", "vdb"])) for _ in range(100)]
        self.assertEqual(looks[-1], set())

    def test_without_sysfs_the_names_say_it(self) -> None:
        """A captured /proc, or a container that has none."""
        names = ["sda", "md0", "md_d1", "dm-3", "bcache0", "drbd1", "zd16", "loop1", "ram0", "zram0",
                 "nvme0n1", "nvme0c0n1", "mmcblk0", "nbd0", "cciss/c0d0", "mdadm", "ramses"]  # fmt: skip
        found = Stacking("/nonexistent").look(names)
        counted = {"sda", "nvme0n1", "mmcblk0", "nbd0", "cciss/c0d0", "mdadm", "ramses"}
        self.assertEqual(set(names) - set(found), counted)
        self.assertTrue(is_stacked_name("nvme1c3n2"))

    def test_a_name_with_a_slash(self) -> None:
        """cciss/c0d0 is cciss!c0d0 in /sys/block."""
        root = make_sys(directory(self), {"cciss/c0d0": (), "odd/0": ("cciss/c0d0".replace("/", "!"),)})
        self.assertEqual(set(Stacking(str(root)).look(["cciss/c0d0", "odd/0"])), {"odd/0"})


class SumTests(SynchronousTestCase):
    def test_what_was_written_once_is_counted_once(self) -> None:
        """204,800,000 bytes on two disks were 512,000,000 with the RAID and the volumes on them."""
        each = 102_400_000
        proc = copied(self)
        make_sys(proc.parent / "sys", RAID, RAID_PARTS)
        devices = ("vda", "vda1", "vdb", "vdb1", "md127", "dm-0", "dm-1")
        (proc / "diskstats").write_text(stats(*((name, each) for name in devices)))
        source = LinuxSource(1, "alpha", "10.0.0.1", str(proc), str(directory(self)), speed=15000)
        disks = source.sample(Part.DISKS, NOW)
        assert isinstance(disks, tuple)
        self.assertEqual([disk.name for disk in disks], ["vda", "vdb", "md127", "dm-0", "dm-1"])
        line = sample_line(Node(1, "alpha", "10.0.0.1", Status(3)), Sample(NOW, disks=disks)).split()[1:]
        named = dict(zip(SAMPLE_COLUMNS, line, strict=True))
        self.assertEqual(named["disk_written_bytes"], str(2 * each))
