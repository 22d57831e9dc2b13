"""What every INodeSource promises of samples, nodes and processes."""

from __future__ import annotations

import ipaddress

from zope.interface.verify import verifyObject

from gomd.interfaces import INodeSource
from libgomd.errors import NotFound, SourceUnavailable
from libgomd.model import (
    Cpu,
    Part,
    ProcessTable,
    Status,
)  # fmt: skip
from libgomd.wire.tree import NODE_VALUES, TreePath
from tests.unit.sources.source_under_test import (
    ADMIN,
    LIST_PARTS,
    NOW,
    PARTS,
    READER,
    SourceUnderTest,
    find_process,
    without_rates,
)
from tests.unit.sources.typed import assert_typed


class ValuesContract(SourceUnderTest):
    """Values are typed, complete and the same wherever they are read."""

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
                if part in LIST_PARTS:
                    assert isinstance(value, tuple)
                    for entry in value:
                        self.assertIsInstance(entry, LIST_PARTS[part])
                        assert_typed(entry)
                else:
                    self.assertIsInstance(value, PARTS[part])
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
        first = find_process(source.processes(NOW), self.known_pid)
        second = find_process(source.processes(NOW + 5.0), self.known_pid)
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
            self.assertEqual(without_rates(one), without_rates(process))

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
