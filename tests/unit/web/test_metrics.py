"""What Prometheus is told: names, kinds, units, and silence about what is not known."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as some
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from twisted.trial.unittest import SynchronousTestCase

from gomd.web.metrics import Snapshot, page, wants_openmetrics
from libgomd.model import (
    Counter,
    Cpu,
    Disk,
    Interface,
    Load,
    Measure,
    Memory,
    Node,
    Paging,
    Part,
    Pressure,
    Sample,
    Status,
)
from libgomd.wire.text import printable

NOW = 1_700_000_000.0
UP = Status.CONFIGURED | Status.UP
FULL = Sample(
    NOW,
    load=Load(44, 3, (0.5, 0.25, 0.125)),
    cpu=Cpu(4, 15000, 390, busy_percent=50.0, iowait_percent=None),
    memory=Memory(300, 200, 400, swap_total=None, swap_free=None),
    paging=Paging(1, 2, 3, None),
    disks=(Disk("sda", 512, 1024, 1500), Disk("sdb", 0, 0, None)),
    network=(Interface("eth0", 1, 2, 3, 4, 5, 6),),
    pressure=Pressure(cpu_some=25.0),
    read_at=((Part.LOAD, NOW - 2), (Part.CPU, NOW)),
)
NODES = (
    Node(1, "alpha", "10.0.0.1", UP, 44, 15000, 4, 400, 3, 2, 5, 0.5),
    Node(2, "beta", "10.0.0.2", Status.CONFIGURED),
)


def families(snapshot: Snapshot) -> dict[str, Metric]:
    """Return what a reader of OpenMetrics makes of the page, the older text having said the same."""
    text, media_type = page(snapshot, True)
    assert media_type.startswith("application/openmetrics-text; version=1.0.0")
    found = {family.name: family for family in parse_openmetrics(text.decode())}
    older, media_type = page(snapshot, False)
    assert media_type.startswith("text/plain; version=0.0.4")
    said = {sample[:3] for family in parse_text(older.decode()) for sample in flat(family)}
    assert said == {sample[:3] for family in found.values() for sample in flat(family)}
    return found


def flat(family: Metric) -> Iterator[tuple[str, frozenset[tuple[str, str]], float]]:
    """Return the samples of a family as values that can be compared."""
    for sample in family.samples:
        yield sample.name, frozenset(sample.labels.items()), sample.value


def value(found: dict[str, Metric], metric: str, **labels: str) -> float | None:
    """Return one value, None when it is absent."""
    for family in found.values():
        for sample in family.samples:
            if sample.name == f"gomd_{metric}" and sample.labels == labels:
                return float(sample.value)
    return None


class PageTests(SynchronousTestCase):
    """One page."""

    def setUp(self) -> None:
        self.found = families(Snapshot(NOW, FULL, NODES, (Counter("telnet_requests", 7, "requests so far"),)))

    def test_the_values_of_this_node(self) -> None:
        """Every part of the sample, in base units: bytes, seconds, ratios."""
        for name, labels, expected in (
            ("load", {}, 44), ("load_average", {"minutes": "5"}, 0.25), ("cpus", {}, 4),
            ("cpu_util", {}, 390), ("cpu_busy_ratio", {}, 0.5), ("memory_available_bytes", {}, 300),
            ("pages_swapped_out_total", {}, 2), ("disk_read_bytes_total", {"device": "sda"}, 512),
            ("disk_busy_seconds_total", {"device": "sda"}, 1.5),
            ("network_sent_packets_total", {"interface": "eth0"}, 5),
            ("pressure_waiting_ratio", {"resource": "cpu", "tasks": "some"}, 0.25),
            ("part_age_seconds", {"part": "load"}, 2),
        ):  # fmt: skip
            self.assertEqual(value(self.found, name, **labels), expected, name)

    def test_what_is_not_known_is_absent(self) -> None:
        """Not 0, which would be a value; and of a metric without any value there is no word."""
        for name, labels in (
            ("cpu_iowait_ratio", {}), ("swap_total_bytes", {}), ("page_major_faults_total", {}),
            ("disk_busy_seconds_total", {"device": "sdb"}), ("part_age_seconds", {"part": "memory"}),
            ("pressure_waiting_ratio", {"resource": "io", "tasks": "some"}),
            ("node_load", {"node": "2", "name": "beta"}),
        ):  # fmt: skip
            self.assertIsNone(value(self.found, name, **labels), name)
        self.assertNotIn("gomd_swap_total_bytes", self.found)
        nothing = families(Snapshot(NOW, Sample(NOW), (), ()))
        self.assertEqual(set(nothing), {"gomd_build_info"})

    def test_measures_have_their_labels(self) -> None:
        """All of one name are one metric; counters get their ending."""
        measures = (
            Measure("cpu_seconds", 1.5, {"cpu": "0", "mode": "user"}, "counter", "time"),
            Measure("cpu_seconds", 2.5, {"cpu": "1", "mode": "user"}, "counter", "time"),
            Measure("filesystem_free_bytes", 7.0, {"mountpoint": "/srv/my data"}, text="free"),
        )
        text, _ = page(Snapshot(NOW, Sample(NOW), (), (), measures), False)
        self.assertIn(b'gomd_cpu_seconds_total{cpu="1",mode="user"} 2.5', text)
        self.assertIn(b'gomd_filesystem_free_bytes{mountpoint="/srv/my data"} 7.0', text)
        self.assertEqual(text.count(b"# TYPE gomd_cpu_seconds_total counter"), 1)

    def test_every_node_is_up_or_down(self) -> None:
        """With its id and its name; its values while it is up."""
        self.assertEqual(value(self.found, "node_up", node="1", name="alpha"), 1)
        self.assertEqual(value(self.found, "node_up", node="2", name="beta"), 0)
        self.assertEqual(value(self.found, "node_memory_total_bytes", node="1", name="alpha"), 5)
        self.assertEqual(value(self.found, "node_age_seconds", node="1", name="alpha"), 0.5)

    def test_kinds_units_and_help(self) -> None:
        """What only grows is a counter; every metric is explained."""
        kinds = {name: (family.type, family.unit) for name, family in self.found.items()}
        self.assertEqual(kinds["gomd_load"], ("gauge", ""))
        self.assertEqual(kinds["gomd_memory_free_bytes"], ("gauge", "bytes"))
        self.assertEqual(kinds["gomd_disk_read_bytes"], ("counter", "bytes"))
        self.assertEqual(kinds["gomd_telnet_requests"], ("counter", ""))
        self.assertTrue(all(family.documentation for family in self.found.values()))


class CounterTests(SynchronousTestCase):
    """The numbers of `stats`."""

    def test_each_is_a_metric_of_its_own(self) -> None:
        """With the kind it has; one that nobody knows is of unknown kind, whatever its name."""
        found = families(
            Snapshot(
                NOW, Sample(NOW), (),
                (
                    Counter("telnet_connections", 2, "connections now"),
                    Counter("datagrams_dropped_not sealed", 3, "datagrams dropped"),
                    Counter("something_new", 1.5, "nobody knows"),
                    Counter("datagrams_sent_bytes", 9, "bytes in them"),
                ),
            )
        )  # fmt: skip
        self.assertEqual(
            {name: (family.type, family.samples[0].value) for name, family in found.items()},
            {
                "gomd_build_info": ("gauge", 1), "gomd_telnet_connections": ("gauge", 2),
                "gomd_datagrams_dropped_not_sealed": ("counter", 3), "gomd_something_new": ("unknown", 1.5),
                "gomd_datagrams_sent_bytes": ("counter", 9),
            },
        )  # fmt: skip

    def test_what_is_no_metric_is_left_out(self) -> None:
        """Texts, a name that was there already, and the ages of the parts, which never were -1 seconds."""
        counters = (
            Counter("trouble", "the disk is full", "text"),
            Counter("load_age", -1, "seconds since it was read"),
            Counter("processes", 5, "the first"),
            Counter("processes", 6, "the second"),
        )
        found = families(Snapshot(NOW, Sample(NOW), (), counters))
        self.assertEqual(set(found), {"gomd_build_info", "gomd_processes"})
        self.assertEqual(value(found, "processes"), 5)


@given(some.text(some.characters()), some.text(some.characters()))
def test_any_name_and_any_meaning_make_a_page_that_can_be_read(name: str, meaning: str) -> None:
    """Nodes, interfaces and counters are named by others; what is printable comes back as it was."""
    node = Node(7, name, "10.0.0.7", UP)
    text, _ = page(Snapshot(NOW, Sample(NOW), (node,), (Counter(name, 1, meaning),)), False)
    readable = printable(name).replace("\t", "\\x09")
    [up] = [family for family in parse_text(text.decode()) if family.name == "gomd_node_up"]
    assert up.samples[0].labels == {"node": "7", "name": readable}


def test_who_wants_openmetrics() -> None:
    """Clients that name it among the types they accept, as Prometheus does."""
    assert wants_openmetrics("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert wants_openmetrics("text/html , Application/OpenMetrics-Text; charset=utf-8")
    assert not wants_openmetrics("text/plain, application/openmetrics-text-not")
    assert not wants_openmetrics("")
