"""Names that the kernel takes from others: every byte of them is told, none of them acts on anything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse_text
from twisted.trial.unittest import SynchronousTestCase

from gomd.history.columns import SAMPLE_COLUMNS, sample_line
from gomd.sources.files import ProcRoot, unescaped
from gomd.sources.linux.details import CUT, MAX_COMMAND, parse_command
from gomd.sources.linux.devices import parse_net_dev, read_disks, read_network
from gomd.web.metrics import Snapshot, page
from libgomd.model import Disk, Interface, Node, Sample, Status
from libgomd.wire.text import printable_name
from tests.unit.sources.linux_proc import copied
from tests.unit.sources.source_under_test import NOW

HEADING = b"Inter-|\n face |\n"
COUNTERS = b": " + b"1 " * 16 + b"\n"
#: What Python's str.splitlines takes for the end of a line, and the kernel for a part of a name.
NAMES = {
    b"x\x1cy": "x\\x1cy", b"x\x1dy": "x\\x1dy", b"x\x1ey": "x\\x1ey", "x\x85y".encode(): "x\\xc2\\x85y",
    "x\u2028y".encode(): "x\\xe2\\x80\\xa8y", "x\u2029y".encode(): "x\\xe2\\x80\\xa9y",
    b"x\ry": "x\\x0dy", b"x\x0by": "x\\x0by", b"x\x0cy": "x\\x0cy",
    b"\x1b[2J": "\\x1b[2J", b"\xff": "\\xff", b"\xfe": "\\xfe", b"\\xff": "\\x5cxff", b"a\\b": "a\\b",
    "eth-ü".encode(): "eth-ü", b"\x1c\x1d": "\\x1c\\x1d",
}  # fmt: skip


class InterfaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = copied(self)
        (self.root / "net" / "dev").write_bytes(HEADING + b"".join(name + COUNTERS for name in NAMES))

    def test_each_interface_is_one_with_all_its_bytes(self) -> None:
        """The kernel ends lines with LF alone; nothing else ends one here."""
        found = read_network(ProcRoot(str(self.root)))
        self.assertEqual([one.name for one in found], list(NAMES.values()))
        self.assertEqual({one.sent_errors for one in found}, {1})

    def test_each_is_a_label_of_its_own(self) -> None:
        r"""`\xff` and `\xfe` stay two in /metrics, and no control byte goes through."""
        sample = Sample(NOW, network=read_network(ProcRoot(str(self.root))))
        for openmetrics in (False, True):
            text, _ = page(Snapshot(NOW, sample, (), ()), openmetrics)
            self.assertEqual([byte for byte in text if byte < 32 and byte != 10], [])
            self.assertNotIn(b"\x7f", text)
        [family] = [
            family
            for family in parse_text(page(Snapshot(NOW, sample, (), ()), False)[0].decode())
            if family.name == "gomd_network_received_bytes"
        ]
        labels = [sample.labels["interface"] for sample in family.samples]
        self.assertEqual(labels, list(NAMES.values()))

    def test_two_things_of_one_name_do_not_spoil_the_page(self) -> None:
        """A source that gives two disks one name: both are there, and a reader takes the page."""
        sample = Sample(NOW, disks=(Disk("sda", 1, 2), Disk("sda", 3, 4), Disk("sda", 5, 6)))
        families = parse_text(page(Snapshot(NOW, sample, (), ()), False)[0].decode())
        [family] = [family for family in families if family.name == "gomd_disk_read_bytes"]
        self.assertEqual(
            {sample.labels["device"]: sample.value for sample in family.samples},
            {"sda": 1, "sda#2": 3, "sda#3": 5},
        )

    def test_disks_too(self) -> None:
        """A disk named by bytes that are no text."""
        line = "8 0 %b 1 2 3 4 5 6 7 8 9 10 11\n"
        data = b"".join(line.encode().replace(b"%b", name) for name in (b"a\x1cb", b"\xff", b"\xfe"))
        (self.root / "diskstats").write_bytes(data)
        self.assertEqual([disk.name for disk in read_disks(ProcRoot(str(self.root)))],
                         ["a\\x1cb", "\\xff", "\\xfe"])  # fmt: skip


@given(st.binary(min_size=1).filter(lambda name: not set(name) & set(b" \n:/\0")))
def test_any_name_is_a_line_and_a_label(name: bytes) -> None:
    """Whatever an interface is called."""
    [found] = parse_net_dev((HEADING + name + COUNTERS).decode("utf-8", "surrogateescape"))
    assert found == Interface(printable_name(name), 1, 1, 1, 1, 1, 1)
    assert found.name.isprintable()


@given(st.binary(), st.binary())
def test_two_names_are_never_one_text(one: bytes, other: bytes) -> None:
    """A name in which a backslash stands for itself is told from one with the byte."""
    assert (printable_name(one) == printable_name(other)) == (one == other)
    assert printable_name(one).isprintable()


class SampleLogTests(SynchronousTestCase):
    def test_a_node_of_any_name_is_one_column(self) -> None:
        """The columns of a line are parted by blanks, whatever stands in them."""
        node = Node(7, "a b\x1b[2J\x1c\u2028\t", "10.0.0.7", Status(3))
        line = sample_line(node, Sample(NOW))
        self.assertEqual(len(line.split()), 1 + len(SAMPLE_COLUMNS))
        self.assertTrue(line.removesuffix("\n").isprintable(), line)


class CommandTests(SynchronousTestCase):
    def test_a_long_command_line_ends_in_a_mark(self) -> None:
        """4096 bytes of it, to the last whole character."""
        self.assertEqual(parse_command(b"x" * MAX_COMMAND + b"\0"), "x" * MAX_COMMAND)
        self.assertEqual(parse_command(b"x" * (MAX_COMMAND + 1)), "x" * MAX_COMMAND + CUT)
        for before in range(5):
            for char in ("é", "€", "\U0001f600"):
                data = (b"x" * (MAX_COMMAND - before) + (char * 4).encode())[: MAX_COMMAND + 1]
                found = parse_command(data)
                self.assertTrue(found.endswith(CUT))
                self.assertEqual(set(found) - {"x", char, CUT}, set(), found[-12:])

    def test_bytes_that_are_no_text_are_cut_too(self) -> None:
        """Nothing but continuation bytes is not looked through to its beginning."""
        found = parse_command(b"\x80" * (MAX_COMMAND + 1))
        self.assertTrue(found.endswith("\\x80" + CUT))


def test_a_mount_point_is_what_it_was_before_the_kernel_wrote_it() -> None:
    r"""Space, tab, LF and backslash stand as \040 \011 \012 \134 in /proc/mounts."""
    assert unescaped(rb"/a\040b\011c\012d\134e\0") == b"/a b\tc\nd\\e\\0"
    assert unescaped(rb"/plain\x20\9\400") == rb"/plain\x20\9\400"
