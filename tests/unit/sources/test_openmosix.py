"""The openMosix source: the contract of every source, and every value of the captured trees."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.interfaces import INodeSource
from gomd.sources.openmosix.source import OpenMosixSource
from gomd.sources.openmosix.text import Guest
from libgomd.errors import NotAllowed, SourceUnavailable
from libgomd.model import Cpu, Disk, Load, Memory, Node, Paging, Part, Process, Status
from libgomd.wire.tree import TreePath
from tests.unit.sources import contract
from tests.unit.sources.captured import captured, copied, written_to
from tests.unit.sources.source_under_test import ADMIN, NOW

UP = Status.CONFIGURED | Status.UP


class OpenMosixSourceContractTests(contract.NodeSourceContract, SynchronousTestCase):
    kind = "openmosix"
    own_id = 1
    known_pid = 36

    root: Path

    def make_source(self) -> INodeSource:
        self.root = copied(self, "node1")
        return OpenMosixSource(str(self.root), "alpha")

    def make_lost_source(self) -> INodeSource:
        source = self.make_source()
        shutil.rmtree(self.root / "hpc")
        for file in self.root.iterdir():
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        return source

    def kernel_runs(self) -> None:
        """As in openMosix's kernel: `bring` leaves lstay, `expel` block; status shows the switches."""
        admin, own = self.root / "hpc/admin", self.root / "hpc/nodes/1"
        for order, left in (("bring", "lstay"), ("expel", "block")):
            if written_to(admin / order) == b"1\n":
                (admin / order).write_bytes(b"")
                (admin / left).write_bytes(b"1\n")
        bits = {"stay": 4, "lstay": 8, "block": 16, "quiet": 32}
        on = sum(bit for name, bit in bits.items() if (admin / name).read_bytes() == b"1\n")
        (own / "status").write_bytes(b"%d\n" % (3 + on))
        (own / "speed").write_bytes((admin / "speed").read_bytes())


class OldNameContractTests(OpenMosixSourceContractTests):
    """The same over a kernel up to 2.4.16, whose directory is /proc/mosix."""

    def make_source(self) -> INodeSource:
        source = super().make_source()
        (self.root / "hpc").rename(self.root / "mosix")
        return source

    def make_lost_source(self) -> INodeSource:
        source = self.make_source()
        shutil.rmtree(self.root / "mosix")
        return source

    def kernel_runs(self) -> None:
        (self.root / "hpc").symlink_to("mosix")
        super().kernel_runs()
        (self.root / "hpc").unlink()

    def test_a_lost_tree_is_unavailable_and_nothing_else(self) -> None:
        """Without the directory there is no openMosix, though /proc is there."""
        lost = self.make_lost_source()
        for call in (lost.nodes, lost.processes):
            with self.assertRaises(SourceUnavailable) as caught:
                call(NOW)
            self.assertIn("source = linux", str(caught.exception))


def process(pid: int, ticks: int, started: int, command: str, **more: object) -> Process:
    values: dict[str, object] = {
        "node": 1, "home": 1, "ppid": 1, "uid": 0, "user": "root", "state": "S", "nice": 0, "threads": None,
        "cpu_percent": None, "rss": 0, "vsize": 0, "where": 0, "nmigs": 0, "lock": False, "cantmove": "",
    }  # fmt: skip
    values |= {"name": command.strip("[]")} | more
    return Process(
        pid=pid, cpu_seconds=ticks / 100, start_time=1795341260 + started / 100, command=command,
        started=started, **values,  # type: ignore[arg-type]
    )  # fmt: skip


class CapturedValuesTests(SynchronousTestCase):
    """Expected values are written down from the captures by hand, not computed by the code under test."""

    def source(self, node: str) -> OpenMosixSource:
        return OpenMosixSource(str(captured(node)), "own")

    def test_the_nodes_that_node_1_saw(self) -> None:
        """`nodes` on node 1: itself, its neighbour, and node 3, configured but down."""
        self.assertEqual(
            self.source("node1").nodes(NOW),
            [
                Node(1, "own", "10.0.0.1", UP, 57, 36809, 1, 100, 123715584, 122605568, 134086656, 0.0),
                Node(2, "node2", "10.0.0.2", UP, 76, 38684, 1, 100, 124342272, 122867712, 134086656, 0.0),
                Node(3, "node3", "10.0.0.3", Status.CONFIGURED),
            ],
        )

    def test_the_nodes_that_node_2_saw(self) -> None:
        """`nodes` on node 2, a moment later."""
        self.assertEqual(
            self.source("node2").nodes(NOW),
            [
                Node(1, "node1", "10.0.0.1", UP, 41, 36809, 1, 100, 124317696, 122757120, 134086656, 0.0),
                Node(2, "own", "10.0.0.2", UP, 93, 38684, 1, 100, 123641856, 122720256, 134086656, 0.0),
                Node(3, "node3", "10.0.0.3", Status.CONFIGURED),
            ],
        )

    def test_the_processes_of_node_1(self) -> None:
        """`ps` on node 1: two of the three that it started run on node 2 and are still its own."""
        away = {"node": 2, "where": 2, "nmigs": 1, "rss": 11 * 4096, "vsize": 1249280}
        self.assertEqual(
            self.source("node1").processes(NOW).processes,
            (
                process(1, 548, 53, "sh", ppid=0, rss=161 * 4096, vsize=1814528, cantmove="system"),
                process(2, 0, 145, "[keventd]", cantmove="clone_vm"),
                process(36, 1011, 1488, "testapp", **away),
                process(37, 1249, 1488, "testapp", **away),
                process(38, 1621, 1493, "testapp", state="R", rss=55 * 4096, vsize=1249280),
            ),
        )

    def test_the_processes_of_node_2(self) -> None:
        """`ps` on node 2 has its own two; the guest is its home's to list."""
        own = {"node": 2, "home": 2}
        self.assertEqual(
            self.source("node2").processes(NOW).processes,
            (
                process(1, 578, 50, "sh", ppid=0, rss=161 * 4096, vsize=1814528, cantmove="system", **own),
                process(2, 1, 161, "[keventd]", cantmove="clone_vm", **own),
            ),
        )

    def test_the_guests(self) -> None:
        """Node 2 had process 36 of node 1 as its guest 32; node 1 had none."""
        guest = Guest(
            local_pid=32, home=1, home_address="10.0.0.1", pid=36, uid=0, gid=0, pgrp=0, session=0, nmigs=1,
            command="testapp", state="R", nice=0, cpu_seconds=11.43, vsize=1249280, rss=11,
        )  # fmt: skip
        self.assertEqual(self.source("node2").guests(), [guest])
        self.assertEqual(self.source("node1").guests(), [])

    def test_the_samples(self) -> None:
        """Each part: openMosix's own numbers, the rest from the classic files of a 2.4 kernel."""
        no_swap = {"swap_total": 0, "swap_free": 0}
        self.assertEqual(
            [self.source("node1").sample(part, NOW) for part in OpenMosixSource.parts],
            [
                Load(57, 2, (0.67, 0.16, 0.05)),
                Cpu(1, 36809, 100),
                Memory(123715584, 122605568, 134086656, **no_swap),
                Paging(0, 0),
                (Disk("3:0", 2554 * 512, 26 * 512),),
                (),
            ],
        )
        self.assertEqual(
            [self.source("node2").sample(part, NOW) for part in OpenMosixSource.parts],
            [
                Load(93, 1, (0.97, 0.24, 0.08)),
                Cpu(1, 38684, 100),
                Memory(123641856, 122720256, 134086656, **no_swap),
                Paging(0, 0),
                (Disk("3:0", 2478 * 512, 56 * 512),),
                (),
            ],
        )

    def test_every_file_of_the_tree_byte_for_byte(self) -> None:
        """Each captured file that is in the tree reads as it was; the others are refused, by name."""
        beside = {
            "config", "decayinterval", "dfsalinks", "fastdecay", "gateways", "mfscosts", "nomfs", "overheads",
            "slowdecay", "cpujob", "exec", "execonce", "fast", "inherit", "iojob", "own", "slow",
            "disclosure", "migfilter", "miggroup", "mignodes", "migpolicy", "selected", "sigmig",
            "hpc/remote/32/statm",
        }  # fmt: skip
        counts = {"read": 0, "refused": 0}
        for node in ("node1", "node2"):
            root, source = captured(node), self.source(node)
            for file in sorted(root.rglob("*")):
                if file.is_dir():
                    continue
                relative = str(file.relative_to(root))
                if file.name in beside or relative in beside:
                    self.assertRaises(NotAllowed, TreePath.parse, f"/proc/{relative}")
                    counts["refused"] += 1
                else:
                    path = TreePath.parse(f"/proc/{relative}")
                    self.assertEqual(source.read_file(path, ADMIN), file.read_bytes(), relative)
                    counts["read"] += 1
        self.assertEqual(sum(counts.values()), 219)
        self.assertEqual(counts, {"read": 135, "refused": 84})

    def test_listings(self) -> None:
        """`ls` shows what was captured of the tree, and /proc/hpc/remote also where nobody is."""
        for node, directory, names in (
            ("node1", "/proc", "1 2 36 37 38 cpuinfo hpc loadavg meminfo stat uptime version"),
            ("node1", "/proc/hpc", "admin nodes remote"),
            ("node1", "/proc/hpc/nodes", "1 2 3"),
            ("node1", "/proc/hpc/remote", ""),
            ("node2", "/proc/hpc/remote", "32"),
            ("node2", "/proc/hpc/remote/32", "from identity stats"),
            ("node1", "/proc/36", "cantmove cmdline lock nmigs stat statm status where"),
        ):
            found = self.source(node).list_directory(TreePath.parse(directory), ADMIN)
            self.assertEqual(list(found), names.split(), directory)


class OddCasesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = copied(self, "node1")
        self.hpc = self.root / "hpc"
        self.source = OpenMosixSource(str(self.root), "alpha")

    def assert_unavailable(self, *words: str) -> None:
        for call in (
            self.source.nodes,
            self.source.processes,
            lambda now: self.source.sample(Part.LOAD, now),
        ):
            with self.assertRaises(SourceUnavailable) as caught:
                call(NOW)
            for word in words:
                self.assertIn(word, str(caught.exception))

    def test_an_unconfigured_node_says_what_to_do(self) -> None:
        """`0` and `0 (1)` in mospe: run setpe, and the id it had before."""
        (self.hpc / "admin/mospe").write_text("0\n")
        self.assert_unavailable("not configured", "setpe")
        (self.hpc / "admin/mospe").write_text("0 (1)\n")
        self.assert_unavailable("not configured", "it was node 1", "setpe")

    def test_its_settings_can_still_be_read_and_set(self) -> None:
        """An unconfigured node can be told its id again."""
        (self.hpc / "admin/mospe").write_text("0 (1)\n")
        path = TreePath.parse("/proc/hpc/admin/mospe")
        self.assertEqual(self.source.read_file(path, ADMIN), b"0 (1)\n")
        self.source.write_file(path, "2")
        self.assertEqual(self.source.own_id(), 2)

    def test_linuxpmi_is_told_apart(self) -> None:
        """openMosix for 2.6 has three files and no values: the other source is the right one."""
        shutil.rmtree(self.hpc / "nodes")
        for file in (self.hpc / "admin").iterdir():
            if file.name not in ("bring", "expel", "version"):
                file.unlink()
        self.assert_unavailable("LinuxPMI", "source = linux")

    def test_a_gap_in_the_ids(self) -> None:
        """Nodes 1, 2 and 700 are those three; 700 is in no range of the map and has no address."""
        (self.hpc / "nodes/3").rename(self.hpc / "nodes/700")
        nodes = self.source.nodes(NOW)
        self.assertEqual([node.id for node in nodes], [1, 2, 700])
        self.assertEqual(nodes[2].address, "0.0.0.0")

    def test_a_node_that_dies_between_two_values_is_down(self) -> None:
        """Its status was still "up" when its memory could not be asked for any more."""
        (self.hpc / "nodes/2/tmem").write_text("-101\n")
        self.assertEqual(self.source.nodes(NOW)[1], Node(2, "node2", "10.0.0.2", Status.CONFIGURED))

    def test_status_bits_of_other_patches_are_left_out(self) -> None:
        """A kernel with the load-limit or the gossip patch sets bits that gomd has no word for."""
        (self.hpc / "nodes/2/status").write_text(f"{1 + 2 + 64 + 128 + 1024}\n")
        self.assertEqual(self.source.nodes(NOW)[1].status, UP | Status.NOMFS)

    def test_no_two_nodes_have_one_name(self) -> None:
        """A node that is called as another would be keeps its name; the other takes a longer one."""
        nodes = OpenMosixSource(str(self.root), "node2").nodes(NOW)
        self.assertEqual([node.name for node in nodes], ["node2", "openmosix2", "node3"])

    def test_a_broken_map_is_said(self) -> None:
        """A map that is cut short is no smaller cluster."""
        (self.hpc / "admin/config").write_bytes(b"\1" * 25)
        with self.assertRaises(SourceUnavailable) as caught:
            self.source.nodes(NOW)
        self.assertIn("25 bytes", str(caught.exception))

    def test_a_process_that_is_only_half_there_is_left_out(self) -> None:
        """Ended in mid-scan, a stat line cut short, nowhere: the others are still shown."""
        (self.root / "36/stat").unlink()
        (self.root / "37/stat").write_text("37 (testapp) R 1")
        (self.root / "2/where").write_text("-3\n")
        self.assertEqual([one.pid for one in self.source.processes(NOW).processes], [1, 38])

    def test_the_cpu_share_is_over_the_time_between_the_scans(self) -> None:
        """250 ticks of 1/100 s in 5 s are 50 %."""
        self.source.processes(NOW)
        stat = self.root / "38/stat"
        stat.write_text(stat.read_text().replace(" 1605 16 ", " 1805 66 "))
        table = self.source.processes(NOW + 5.0)
        self.assertEqual([one.cpu_percent for one in table.processes], [0.0, 0.0, 0.0, 0.0, 50.0])
        self.assertEqual(self.source.process(38, NOW + 6.0).cpu_percent, 50.0)

    def test_a_process_on_a_node_that_went_down_is_still_listed(self) -> None:
        """A process that went to node 3 before that went down is shown there."""
        (self.root / "36/where").write_text("3\n")
        self.assertEqual(self.source.process(36, NOW).node, 3)

    def test_a_guest_that_leaves_during_the_read_is_left_out(self) -> None:
        """A directory under remote/ without its files is a guest that has gone."""
        (self.hpc / "remote/40").mkdir(parents=True)
        self.assertEqual(self.source.guests(), [])
