"""
Makes Prometheus metrics of what the daemon knows: names, kinds, units. Does no I/O.

docs/http.md lists the names. An unknown value is left out, never shown as 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition
from prometheus_client.registry import Collector, CollectorRegistry

from gomd.web.metric_kinds import kind_of
from libgomd.model import Counter, Measure, Node, Part, Sample
from libgomd.version import VERSION
from libgomd.wire.text import printable

#: The media type of OpenMetrics; clients that do not accept it get the older text format.
OPENMETRICS: Final = "application/openmetrics-text"
PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"
_KINDS: Final[Mapping[str, Any]] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "unknown": UnknownMetricFamily,
}
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_]")
_UNITS: Final = ("bytes", "seconds", "ratio")
_PART_AGES: Final = frozenset(f"{part.value}_age" for part in Part)

Number = int | float | None
Labels = dict[str, str]
#: One metric: its name without ``_total``, its kind, its description, and its values.
Row = tuple[str, str, str, Iterable[tuple[Labels, Number]]]


class Snapshot(NamedTuple):
    """
    The values for one page, all of one moment.

    :ivar now: seconds of the clock with which ``sample`` was read. :ivar sample: of this node.
    :ivar nodes: of the cluster.
    """

    now: float
    sample: Sample
    nodes: Sequence[Node]
    counters: Sequence[Counter]
    measures: Sequence[Measure] = ()


def wants_openmetrics(accept: str) -> bool:
    """Return whether a client with the header ``Accept: accept`` accepts OpenMetrics."""
    return any(each.partition(";")[0].strip().lower() == OPENMETRICS for each in accept.split(","))


def page(snapshot: Snapshot, openmetrics: bool) -> tuple[bytes, str]:
    """
    Return the page, as OpenMetrics or in the older text format, and its media type.

    Takes about ten microseconds a value, so with a thousand nodes it is too slow for the reactor.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Values(snapshot))
    if openmetrics:
        return exposition.generate_latest(registry), exposition.CONTENT_TYPE_LATEST
    return generate_latest(registry), PLAIN


class _Values(Collector):
    """A snapshot as a collector of the registry."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that has a value; of two with the same name, the first."""
        seen = set()
        for name, kind, text, values in _rows(self._snapshot):
            known = [(labels, value) for labels, value in values if value is not None]
            if not known or name in seen:
                continue
            seen.add(name)
            unit = name.rpartition("_")[2]
            metric = _KINDS[kind](
                f"gomd_{name}", _valid(text), labels=list(known[0][0]), unit=unit if unit in _UNITS else ""
            )
            told: set[tuple[str, ...]] = set()
            for labels, value in known:
                words = _unlike(tuple(labels.values()), told)
                told.add(words)
                metric.add_metric(words, float(value))
            yield metric


def _rows(snapshot: Snapshot) -> Iterator[Row]:
    yield "build_info", "gauge", "always 1, labelled with the version of gomd", [({"version": VERSION}, 1)]
    yield from _of_sample(snapshot.sample)
    ages = [({"part": part.value}, snapshot.sample.age_of(part, snapshot.now)) for part in Part]
    yield "part_age_seconds", "gauge", "time since a part of the sample was read", ages
    yield from _of_measures(snapshot.measures)
    yield from _of_nodes(snapshot.nodes)
    yield from _of_counters(snapshot.counters)


def _one(value: Number) -> list[tuple[Labels, Number]]:
    return [({}, value)]


def _share(percent: Number) -> Number:
    return None if percent is None else percent / 100


def _of_sample(sample: Sample) -> Iterator[Row]:
    load, cpu, memory, paging = sample.load, sample.cpu, sample.memory, sample.paging
    if load:
        yield "load", "gauge", "100 is one always runnable process on a standard CPU", _one(load.load)
        yield "runnable_tasks", "gauge", "tasks that run or could", _one(load.runnable)
        averages = zip(("1", "5", "15"), load.averages or (), strict=False)
        of_kernel = [({"minutes": minutes}, value) for minutes, value in averages]
        yield "load_average", "gauge", "load average of the kernel, in tasks", of_kernel
    if cpu:
        yield "cpus", "gauge", "CPUs that are online", _one(cpu.cpus)
        yield "cpu_speed", "gauge", "speed of one CPU: a standard one has 15000", _one(cpu.speed)
        yield "cpu_util", "gauge", "usable share of the CPUs: 100 for each", _one(cpu.util)
        yield "cpu_busy_ratio", "gauge", "share of all CPUs in use", _one(_share(cpu.busy_percent))
        yield (
            "cpu_iowait_ratio",
            "gauge",
            "share of the time waited for storage",
            _one(_share(cpu.iowait_percent)),
        )
    if memory:
        yield "memory_available_bytes", "gauge", "memory a new process could get", _one(memory.mem)
        yield "memory_free_bytes", "gauge", "memory nothing uses", _one(memory.rmem)
        yield "memory_total_bytes", "gauge", "all memory", _one(memory.tmem)
        yield "swap_total_bytes", "gauge", "all swap space", _one(memory.swap_total)
        yield "swap_free_bytes", "gauge", "swap space nothing uses", _one(memory.swap_free)
    if paging:
        yield "pages_swapped_in", "counter", "pages swapped in", _one(paging.swapped_in)
        yield "pages_swapped_out", "counter", "pages swapped out", _one(paging.swapped_out)
        yield "page_faults", "counter", "page faults", _one(paging.faults)
        yield "page_major_faults", "counter", "page faults that read storage", _one(paging.major_faults)
    yield from _of_devices(sample)
    yield from _of_pressure(sample)


def _of_devices(sample: Sample) -> Iterator[Row]:
    disks = [(_labels(device=disk.name), disk) for disk in sample.disks or ()]
    yield "disk_read_bytes", "counter", "read from a disk", [(of, disk.read_bytes) for of, disk in disks]
    written = [(of, disk.written_bytes) for of, disk in disks]
    yield "disk_written_bytes", "counter", "written to a disk", written
    busy = [(of, None if disk.busy_ms is None else disk.busy_ms / 1000) for of, disk in disks]
    yield "disk_busy_seconds", "counter", "time a disk was busy", busy
    links = [(_labels(interface=link.name), link) for link in sample.network or ()]
    for way in ("received", "sent"):
        for what in ("bytes", "packets", "errors"):
            values = [(of, getattr(link, f"{way}_{what}")) for of, link in links]
            yield f"network_{way}_{what}", "counter", f"{what} {way} by a network interface", values


def _of_pressure(sample: Sample) -> Iterator[Row]:
    pressure = sample.pressure
    if pressure:
        values = [
            ({"resource": resource, "tasks": tasks}, _share(value))
            for resource, tasks, value in (
                ("cpu", "some", pressure.cpu_some),
                ("io", "some", pressure.io_some),
                ("io", "full", pressure.io_full),
                ("memory", "some", pressure.memory_some),
                ("memory", "full", pressure.memory_full),
            )
        ]
        text = "share of the last ten seconds in which some, or all (full), tasks waited"
        yield "pressure_waiting_ratio", "gauge", text, values


def _of_measures(measures: Sequence[Measure]) -> Iterator[Row]:
    by_name: dict[str, list[Measure]] = {}
    for measure in measures:
        by_name.setdefault(measure.name, []).append(measure)
    for name, same in by_name.items():
        values = [(_labels(**each.labels), each.value) for each in same]
        yield name, same[0].kind, same[0].text, values


def _of_nodes(nodes: Sequence[Node]) -> Iterator[Row]:
    named = [(_labels(node=str(node.id), name=node.name), node) for node in nodes]
    yield (
        "node_up",
        "gauge",
        "1 for a node that is up, 0 for one that is down",
        [(of, int(node.up)) for of, node in named],
    )
    for name, field, text in (
        ("status", "status", "status bits, as openMosix numbers them"),
        ("load", "load", "100 is one always runnable process on a standard CPU"),
        ("speed", "speed", "speed of one CPU: a standard one has 15000"),
        ("cpus", "cpus", "CPUs that are online"),
        ("util", "util", "usable share of the CPUs: 100 for each"),
        ("memory_available_bytes", "mem", "memory a new process could get"),
        ("memory_free_bytes", "rmem", "memory nothing uses"),
        ("memory_total_bytes", "tmem", "all memory"),
        ("age_seconds", "age", "time since the values of a node were measured"),
    ):
        yield f"node_{name}", "gauge", text, [(of, getattr(node, field)) for of, node in named]


def _of_counters(counters: Sequence[Counter]) -> Iterator[Row]:
    """Yield the numbers of `stats`, without the ages of the parts, which are a metric of their own."""
    for counter in counters:
        if isinstance(counter.value, (int, float)) and counter.name not in _PART_AGES:
            name = _NOT_IN_NAMES.sub("_", counter.name)
            yield name, kind_of(counter.name), counter.meaning, _one(counter.value)


def _labels(**labels: str) -> Labels:
    return {key: _valid(value) for key, value in labels.items()}


def _valid(text: str) -> str:
    """Return ``text`` with escapes: the name of an interface or of a file may have any bytes."""
    return printable(text).replace("\t", "\\x09")


def _unlike(words: tuple[str, ...], told: set[tuple[str, ...]]) -> tuple[str, ...]:
    """
    Return ``words``, the values of labels, changed if they were used before.

    Prometheus refuses a whole page that has the same labels twice. Sources never give two things one name, so
    this only limits the harm of a mistake.
    """
    number, unlike = 1, words
    while unlike in told:
        number += 1
        unlike = (f"{words[0]}#{number}", *words[1:]) if words else (str(number),)
    return unlike
