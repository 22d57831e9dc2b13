"""
What every INodeSource promises: one suite, run for the linux, the openMosix and the memory source.

Import this module, not the class (pytest would collect it by itself)::

    class LinuxSourceContractTests(contract.NodeSourceContract, SynchronousTestCase):
        own_id, known_pid, absent_pid = 1, 36, 99
        def make_source(self) -> INodeSource: ...
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gomd.interfaces import INodeSource
from libgomd.errors import MalformedRequest, NotFound, NotPossible, RequestError, SourceUnavailable
from libgomd.model import (
    MAX_SPEED,
    Caller,
    Cpu,
    Disk,
    Interface,
    Load,
    Memory,
    Node,
    Paging,
    Part,
    Pressure,
    Process,
    ProcessTable,
    Role,
    Status,
)  # fmt: skip
from libgomd.wire.tree import ADMIN_FILES, CLUSTER_FILES, NODE_VALUES, PROCESS_FILES, Kind, TreePath
from tests.unit.sources.typed import assert_typed

if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    _Base = object

#: The moment of the first read in these tests.
NOW: Final = 1_800_000_000.0
ADMIN: Final = Caller(Role.ADMIN, "root", 0, "unix")
READER: Final = Caller(Role.READ, "", None, "tcp 127.0.0.1:40000")
#: What may be written in the tree but never read.
WRITE_ONLY: Final = frozenset({"bring", "expel", "goto", "migrate"})
SWITCHES: Final = {
    "stay": Status.STAY, "lstay": Status.LSTAY, "block": Status.BLOCK, "quiet": Status.QUIET,
}  # fmt: skip
#: Not a number as anybody means it; openMosix takes "1 2" for 1 and drops the rest without a word.
NO_NUMBERS: Final = ("", "x", "1 2", "1.5", "0x1", "\u0661", "1e0", "-", "9" * 40)
BAD_VALUES: Final = {
    **dict.fromkeys(SWITCHES, ("2", "-1", "65536", *NO_NUMBERS)),
    **dict.fromkeys(("speed", "sspeed"), ("0", "-1", "65536", "1000000", *NO_NUMBERS)),
    **dict.fromkeys(("bring", "expel"), ("0", "2", "-1", *NO_NUMBERS)),
}
_LIST_PARTS: Final = {Part.DISKS: Disk, Part.NETWORK: Interface}
_PARTS: Final = {
    Part.LOAD: Load, Part.CPU: Cpu, Part.MEMORY: Memory, Part.PAGING: Paging, Part.PRESSURE: Pressure,
}  # fmt: skip


class NodeSourceContract(_Base):
    """The promises of `INodeSource`; a subclass says which source and what its tree holds."""

    #: The name of the source in gomd.ini.
    kind: ClassVar[str]
    #: The id of the node in the tree, a process it has, and one it has not.
    own_id: ClassVar[int]
    known_pid: ClassVar[int]
    absent_pid: ClassVar[int] = 4_000_000
    #: Directories that must be in the tree besides those of openMosix's own, e.g. ``/proc/net``.
    directories: ClassVar[tuple[str, ...]] = ()
    #: Files of the kernel's own that must be there, ``{pid}`` for the known one.
    kernel_files: ClassVar[tuple[str, ...]] = ("/proc/loadavg", "/proc/{pid}/stat")

    def make_source(self) -> INodeSource:
        """Return a fresh source over a tree of this test's own, which it may write to."""
        raise NotImplementedError

    def make_lost_source(self) -> INodeSource:
        """Return a source whose tree is not there any more: nothing can be read."""
        raise NotImplementedError

    def kernel_runs(self) -> None:
        """
        Let the kernel behind the tree do what it does after a write; nothing for most.

        A copied openMosix tree has no kernel: its test does here what openMosix's kernel
        does (status follows the switches, `bring` leaves lstay), from what the source really wrote.
        """

    def write(self, source: INodeSource, path: str, value: str) -> None:
        source.write_file(TreePath.parse(path), value)
        self.kernel_runs()

    def read(self, source: INodeSource, path: str, caller: Caller = ADMIN) -> bytes:
        return source.read_file(TreePath.parse(path), caller)

    def own_node(self, source: INodeSource) -> Node:
        [own] = [node for node in source.nodes(NOW) if node.id == self.own_id]
        return own

    # -- the shape

    def test_it_provides_the_interface(self) -> None:
        """Whatever stands in gomd.ini as `source`, the daemon finds all it calls."""
        source = self.make_source()
        verifyObject(INodeSource, source)
        self.assertEqual(source.kind, self.kind)
        self.assertEqual(len(set(source.parts)), len(source.parts))
        self.assertLessEqual({Part.LOAD, Part.CPU, Part.MEMORY}, set(source.parts))

    # -- samples

    def test_every_part_is_of_its_type(self) -> None:
        """Each part of a sample is the value the model promises, at the first read and at the next."""
        source = self.make_source()
        for now in (NOW, NOW + 1.0):
            for part in source.parts:
                value = source.sample(part, now)
                if part in _LIST_PARTS:
                    assert isinstance(value, tuple)
                    for entry in value:
                        self.assertIsInstance(entry, _LIST_PARTS[part])
                        assert_typed(entry)
                else:
                    self.assertIsInstance(value, _PARTS[part])
                    assert_typed(value)

    def test_the_first_read_claims_no_rates(self) -> None:
        """A share of the time since the last read is unknown at the first read, never 0."""
        first = self.make_source().sample(Part.CPU, NOW)
        assert isinstance(first, Cpu)
        self.assertIsNone(first.busy_percent)
        self.assertIsNone(first.iowait_percent)

    def test_a_part_that_it_has_not_is_unavailable(self) -> None:
        """Asking for a part that the kernel does not have is an error with a sentence."""
        source = self.make_source()
        for part in set(Part) - set(source.parts):
            with self.assertRaises(SourceUnavailable) as caught:
                source.sample(part, NOW)
            self.assertTrue(str(caught.exception))

    # -- nodes

    def test_nodes_are_ordered_and_this_one_is_among_them(self) -> None:
        """`nodes` shows this node, up, in the order of the ids."""
        source = self.make_source()
        nodes = source.nodes(NOW)
        self.assertEqual([node.id for node in nodes], sorted({node.id for node in nodes}))
        own = self.own_node(source)
        self.assertTrue(own.up)
        self.assertIn(Status.CONFIGURED, own.status)
        for node in nodes:
            assert_typed(node)
            self.assertTrue(node.name)
            ipaddress.IPv4Address(node.address)
        self.assertEqual(len({node.name for node in nodes}), len(nodes))

    def test_a_node_reads_the_same_in_the_tree(self) -> None:
        """`node` and `get /proc/hpc/nodes/ID/...` tell the same."""
        source = self.make_source()
        for part in source.parts:
            source.sample(part, NOW)
        for node in source.nodes(NOW):
            directory = f"/proc/hpc/nodes/{node.id}"
            values = {name: self.read(source, f"{directory}/{name}", READER) for name in NODE_VALUES}
            for name, text in values.items():
                self.assertRegex(text, rb"\A-?[0-9]+\n\Z", name)
            self.assertEqual(int(values["status"]), int(node.status))
            for name in ("speed", "cpus", "tmem"):
                expected = getattr(node, name) if node.up else -101
                self.assertEqual(int(values[name]), expected, name)

    # -- processes

    def test_processes_are_typed_and_in_the_order_of_their_pids(self) -> None:
        """`ps` shows each process once, ordered, with every field what the model says."""
        source = self.make_source()
        table = source.processes(NOW)
        self.assertIsInstance(table, ProcessTable)
        self.assertEqual(table.taken_at, NOW)
        pids = [process.pid for process in table.processes]
        self.assertEqual(pids, sorted(set(pids)))
        self.assertIn(self.known_pid, pids)
        self.assertNotIn(self.absent_pid, pids)
        for process in table.processes:
            assert_typed(process)
            self.assertEqual(process.home, self.own_id)
            self.assertEqual(process.node, process.where or self.own_id)
            self.assertTrue(process.command)
            self.assertEqual(len(process.state), 1)

    def test_cpu_percent_is_over_the_time_since_the_last_scan(self) -> None:
        """A process seen for the first time has no cpu share; at the second scan it has one."""
        source = self.make_source()
        first = _find(source.processes(NOW), self.known_pid)
        second = _find(source.processes(NOW + 5.0), self.known_pid)
        self.assertIsNone(first.cpu_percent)
        assert second.cpu_percent is not None
        self.assertGreaterEqual(second.cpu_percent, 0.0)

    def test_one_process_agrees_with_the_table(self) -> None:
        """`ps PID` says what `ps` says."""
        source = self.make_source()
        table = source.processes(NOW)
        for process in table.processes:
            one = source.process(process.pid, NOW)
            assert_typed(one)
            self.assertEqual(_without_rates(one), _without_rates(process))

    def test_a_process_reads_the_same_in_the_tree(self) -> None:
        """`ps` and `get /proc/PID/where`, `nmigs`, `lock`, `cantmove` tell the same."""
        source = self.make_source()
        for process in source.processes(NOW).processes:
            texts = {
                name: self.read(source, f"/proc/{process.pid}/{name}", READER).decode().strip()
                for name in ("where", "nmigs", "lock", "cantmove")
            }
            self.assertEqual(
                texts,
                {
                    "where": str(process.where),
                    "nmigs": str(process.nmigs),
                    "lock": str(int(process.lock)),
                    "cantmove": process.cantmove,
                },
            )

    def test_an_absent_process_is_not_found(self) -> None:
        """A pid that nobody has gives 404, by every way."""
        source = self.make_source()
        pid = self.absent_pid
        self.assertRaises(NotFound, source.process, pid, NOW)
        self.assertRaises(NotFound, source.list_directory, TreePath.parse(f"/proc/{pid}"), ADMIN)
        for name in ("where", "lock", "stat"):
            self.assertRaises(NotFound, self.read, source, f"/proc/{pid}/{name}")
        self.assertRaises(NotFound, self.write, source, f"/proc/{pid}/lock", "1")

    # -- the tree

    def test_every_directory_lists_sorted_names_of_the_tree(self) -> None:
        """`ls` of every directory gives names that can be asked for, sorted, numbers by value."""
        source = self.make_source()
        expected = {"/proc", "/proc/hpc", "/proc/hpc/admin", "/proc/hpc/nodes", "/proc/hpc/remote"}
        expected |= {f"/proc/hpc/nodes/{self.own_id}", f"/proc/{self.known_pid}", *self.directories}
        found = {str(path): names for path, names in self._walk(source)}
        self.assertLessEqual(expected, set(found))
        for path, names in found.items():
            self.assertEqual(len(set(names)), len(names), path)
            numbers = [name for name in names if name.isdigit()]
            words = [name for name in names if not name.isdigit()]
            self.assertEqual(numbers, sorted(numbers, key=int), path)
            self.assertEqual(words, sorted(words), path)
        self.assertEqual(found["/proc/hpc"], ["admin", "nodes", "remote"])
        self.assertIn("hpc", found["/proc"])
        self.assertIn(str(self.known_pid), found["/proc"])
        self.assertIn(str(self.own_id), found["/proc/hpc/nodes"])
        self.assertEqual(found["/proc/hpc/admin"], sorted(ADMIN_FILES))
        self.assertEqual(found[f"/proc/hpc/nodes/{self.own_id}"], list(NODE_VALUES))
        process_names = set(found[f"/proc/{self.known_pid}"])
        self.assertLessEqual({"where", "nmigs", "lock", "cantmove"}, process_names)
        self.assertLessEqual(process_names, {*CLUSTER_FILES, *PROCESS_FILES})
        for file in self.kernel_files:
            directory, _, name = file.format(pid=self.known_pid).rpartition("/")
            self.assertIn(name, found[directory])

    def test_every_file_that_is_listed_can_be_read(self) -> None:
        """What `ls` names `get` gives to an admin, but for what can only be written: 405."""
        source = self.make_source()
        read = 0
        for directory, names in self._walk(source):
            for name in names:
                path = TreePath.parse(f"{directory}/{name}")
                if path.kind is Kind.DIRECTORY:
                    continue
                if name in WRITE_ONLY:
                    self.assertRaises(NotPossible, source.read_file, path, ADMIN)
                else:
                    self.assertIsInstance(source.read_file(path, ADMIN), bytes, str(path))
                    read += 1
        self.assertGreater(read, 20)

    def test_a_directory_is_no_file_and_a_file_no_directory(self) -> None:
        """`get` of a directory and `ls` of a file say so."""
        source = self.make_source()
        for directory in ("/proc", "/proc/hpc/admin", f"/proc/{self.known_pid}"):
            self.assertRaises(RequestError, self.read, source, directory)
            self.assertRaises(RequestError, self.write, source, directory, "1")
        for file in ("/proc/loadavg", "/proc/hpc/admin/stay", f"/proc/{self.known_pid}/where"):
            self.assertRaises(RequestError, source.list_directory, TreePath.parse(file), ADMIN)

    def test_an_absent_node_and_guest_are_not_found(self) -> None:
        """A node or guest that is not there gives 404."""
        source = self.make_source()
        for directory in ("/proc/hpc/nodes/65000", "/proc/hpc/remote/3999999"):
            self.assertRaises(NotFound, source.list_directory, TreePath.parse(directory), ADMIN)
        self.assertRaises(NotFound, self.read, source, "/proc/hpc/nodes/65000/load")
        self.assertRaises(NotFound, self.read, source, "/proc/hpc/remote/3999999/from")

    def _walk(self, source: INodeSource) -> Iterator[tuple[TreePath, list[str]]]:
        """Every directory below /proc with the names in it."""
        left = [TreePath.parse("/proc")]
        while left:
            directory = left.pop()
            names = list(source.list_directory(directory, ADMIN))
            yield directory, names
            children = (TreePath.parse(f"{directory}/{name}") for name in names)
            left += [child for child in children if child.kind is Kind.DIRECTORY]

    # -- writing

    def test_a_switch_reads_as_it_was_set_and_shows_in_the_status(self) -> None:
        """`stay`, `lstay`, `block`, `quiet` stay as set and are seen in `status`, each on its own."""
        source = self.make_source()
        for name, bit in SWITCHES.items():
            path = f"/proc/hpc/admin/{name}"
            self.assertEqual(self.read(source, path), b"0\n")
            self.write(source, path, "1")
            self.assertEqual(self.read(source, path), b"1\n")
            self.assertEqual(self.own_node(source).status, Status.CONFIGURED | Status.UP | bit)
            self.assertEqual(int(self.read(source, f"/proc/hpc/nodes/{self.own_id}/status")), 3 | int(bit))
            self.write(source, path, "0")
            self.assertEqual(self.read(source, path), b"0\n")
            self.assertEqual(self.own_node(source).status, Status.CONFIGURED | Status.UP)

    def test_speed_and_yardstick_read_as_they_were_set(self) -> None:
        """`setspeed` and `setyard` take 1 to 65535."""
        source = self.make_source()
        for name in ("speed", "sspeed"):
            for value in ("1", "14000", "65535"):
                self.write(source, f"/proc/hpc/admin/{name}", value)
                self.assertEqual(self.read(source, f"/proc/hpc/admin/{name}"), f"{value}\n".encode())
        cpu = source.sample(Part.CPU, NOW)
        assert isinstance(cpu, Cpu)
        self.assertEqual(cpu.speed, 65535)

    def test_a_speed_may_be_more_than_the_tree_can_say(self) -> None:
        """`setspeed` takes what `speed` says, where it is not openMosix that keeps it."""
        source = self.make_source()
        for wrong in (0, -1, MAX_SPEED + 1):
            self.assertRaises(MalformedRequest, source.set_speed, wrong)
        try:
            source.set_speed(131072)
        except MalformedRequest as error:
            self.assertEqual(source.kind, "openmosix")
            self.assertIn("65535", str(error))
            return
        cpu = source.sample(Part.CPU, NOW)
        assert isinstance(cpu, Cpu)
        self.assertEqual(cpu.speed, 131072)
        self.assertEqual(self.read(source, "/proc/hpc/admin/speed"), b"65535\n")
        self.assertEqual(self.read(source, f"/proc/hpc/nodes/{self.own_id}/speed"), b"65535\n")

    def test_bring_leaves_lstay_and_expel_leaves_block(self) -> None:
        """After `bring` no local process leaves, after `expel` no guest comes, until told otherwise."""
        for name, left in (("bring", "lstay"), ("expel", "block")):
            source = self.make_source()
            self.write(source, f"/proc/hpc/admin/{name}", "1")
            self.assertEqual(self.read(source, f"/proc/hpc/admin/{left}"), b"1\n")
            self.assertEqual(self.own_node(source).status, Status.CONFIGURED | Status.UP | SWITCHES[left])
            self.assertRaises(NotPossible, self.read, source, f"/proc/hpc/admin/{name}")

    def test_a_value_out_of_range_changes_nothing(self) -> None:
        """openMosix takes a bad number and ignores it without a word; gomd says what the range is."""
        source = self.make_source()
        before = self._settings(source)
        for name, values in BAD_VALUES.items():
            for value in values:
                with self.assertRaises(MalformedRequest, msg=f"{name} {value!r}") as caught:
                    self.write(source, f"/proc/hpc/admin/{name}", value)
                self.assertIn("1", str(caught.exception))
                self.assertNotIn("\n", str(caught.exception))
        for value in ("2", "-1", *NO_NUMBERS):
            self.assertRaises(MalformedRequest, self.write, source, f"/proc/{self.known_pid}/lock", value)
        self.assertEqual(self._settings(source), before)

    def test_a_lock_is_seen_in_ps(self) -> None:
        """`lock PID` and `unlock PID` show in the process's own line."""
        source = self.make_source()
        for value in ("1", "0"):
            self.write(source, f"/proc/{self.known_pid}/lock", value)
            self.assertEqual(source.process(self.known_pid, NOW).lock, value == "1")
            self.assertEqual(self.read(source, f"/proc/{self.known_pid}/lock"), f"{value}\n".encode())

    def test_what_can_only_be_read_is_not_written(self) -> None:
        """Writing a value that is measured, or a file of the kernel's own, is refused."""
        source = self.make_source()
        pid = self.known_pid
        paths = ["/proc/hpc/admin/version", f"/proc/hpc/nodes/{self.own_id}/load"]
        paths += [f"/proc/{pid}/{name}" for name in ("where", "nmigs", "cantmove")]
        for path in (*paths, *(file.format(pid=pid) for file in self.kernel_files)):
            before = self.read(source, path)
            self.assertRaises(NotPossible, self.write, source, path, "1")
            self.assertEqual(self.read(source, path), before)

    def _settings(self, source: INodeSource) -> list[bytes]:
        names = [name for name in ADMIN_FILES if name not in WRITE_ONLY]
        paths = [f"/proc/hpc/admin/{name}" for name in names] + [f"/proc/{self.known_pid}/lock"]
        return [self.read(source, path) for path in paths]

    # -- errors

    def test_only_named_errors_come_out(self) -> None:
        """Whatever is asked or written, the answer is a value or one clear sentence."""
        self._poke(self.make_source())

    def test_a_lost_tree_is_unavailable_and_nothing_else(self) -> None:
        """When /proc is not there (a wrong `proc_root`) each question says so; none is a traceback."""
        lost = self.make_lost_source()
        for part in lost.parts:
            self.assertRaises(SourceUnavailable, lost.sample, part, NOW)
        self.assertRaises(SourceUnavailable, lost.nodes, NOW)
        self.assertRaises(SourceUnavailable, lost.processes, NOW)
        self._poke(lost)

    def _poke(self, source: INodeSource) -> None:
        pids = (self.known_pid, self.absent_pid, 9_999_999_999)
        ids = (self.own_id, 65000, 9_999_999_999)
        paths = ["/proc", "/proc/hpc", "/proc/hpc/admin", "/proc/hpc/nodes", "/proc/hpc/remote"]
        paths += ["/proc/loadavg", "/proc/stat", "/proc/net", "/proc/net/dev", "/proc/pressure/cpu"]
        paths += [f"/proc/hpc/admin/{name}" for name in ADMIN_FILES]
        paths += [f"/proc/hpc/nodes/{node}/{name}" for node in ids for name in ("", *NODE_VALUES)]
        paths += [f"/proc/hpc/remote/{pid}/{name}" for pid in pids for name in ("", "from", "stats")]
        paths += [f"/proc/{pid}/{name}" for pid in pids for name in ("", *CLUSTER_FILES, *PROCESS_FILES)]
        calls: list[tuple[str, Callable[[], object]]] = []
        for text in paths:
            path = TreePath.parse(text)
            for caller in (ADMIN, READER):
                calls.append((f"ls {text}", partial(source.list_directory, path, caller)))
                calls.append((f"get {text}", partial(source.read_file, path, caller)))
            for value in ("", "x", "-1", "99999999999999999999", "no\nline", "\udce4", "\0"):
                calls.append((f"put {text} {value!r}", partial(source.write_file, path, value)))
        calls += [(f"process {pid}", partial(source.process, pid, NOW)) for pid in (0, -1, *pids)]
        for what, call in calls:
            try:
                call()
            except (RequestError, SourceUnavailable) as error:
                self.assertTrue(str(error), what)
                self.assertNotIn("\n", str(error), what)
            except Exception as error:
                raise AssertionError(f"{what}: {error!r}") from error


def _find(table: ProcessTable, pid: int) -> Process:
    [process] = [process for process in table.processes if process.pid == pid]
    return process


def _without_rates(process: Process) -> Process:
    return dataclasses.replace(process, cpu_percent=None, read_rate=None, write_rate=None)
