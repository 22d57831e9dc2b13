"""What every INodeSource promises of its tree, and of what may be written there."""

from __future__ import annotations

from collections.abc import Iterator

from gomd.interfaces import INodeSource
from libgomd.errors import MalformedRequest, NotFound, NotPossible, RequestError
from libgomd.model import (
    MAX_SPEED,
    Cpu,
    Part,
    Status,
)  # fmt: skip
from libgomd.wire.tree import ADMIN_FILES, CLUSTER_FILES, NODE_VALUES, PROCESS_FILES, Kind, TreePath
from tests.unit.sources.source_under_test import (
    ADMIN,
    BAD_VALUES,
    NO_NUMBERS,
    NOW,
    SWITCHES,
    WRITE_ONLY,
    SourceUnderTest,
)


class TreeContract(SourceUnderTest):
    """The tree lists what can be read, and takes only what can be written."""

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
