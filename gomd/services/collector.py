"""Reads this node periodically, and keeps the newest sample and process table whatever fails."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import ICollector, INodeSource, ISampleLog, IThreads
from gomd.services.periodic_reads import Job, PeriodicReads, read_one, read_together
from gomd.services.processes import SharedScan
from libgomd.model import Counter, Node, Part, Process, ProcessTable, Sample
from libgomd.shared_wakeups import SharedWakeups
from libgomd.wallclock import Wall

#: Seconds that reading a sample may take, and one write to the sample log.
SAMPLE_TIMEOUT = 2.0
LOG_TIMEOUT = 10.0
#: Seconds, and at least ten periods, after which a value that cannot be read any more counts as unknown. The
#: load does not, because it is shown with its age.
MAX_VALUE_AGE = 60.0


def _as_scanned(table: ProcessTable) -> tuple[ProcessTable, frozenset[str]]:
    return table, frozenset()


@implementer(ICollector)
class Collector(Service):
    """
    Reads each part of the node's sample every ``period`` seconds and the processes every
    ``processes_period`` seconds, on threads.

    A part that fails keeps its last good value. A part that is still being read when the next round begins is
    left out of that round, so that a read that hangs occupies only one thread.

    :param source: reads the values. :param log: keeps every sample.
    :param wall: gives the time of stamps.
    :param placeholder: this node before its first sample; its id, name and address stay.
    :ivar sampled: fires after the first round, whether its reads succeeded or not.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        source: INodeSource,
        log: ISampleLog,
        threads: IThreads,
        clock: IReactorTime,
        placeholder: Node,
        wall: Wall,
        period: float = 1.0,
        processes_period: float = 5.0,
    ) -> None:
        self.latest = Sample(taken_at=wall())
        self.sampled: Deferred[None] = Deferred()
        self._begun = False
        self._source = source
        self._sample_log = log
        self._clock = clock
        self._wall = wall
        self._threads = threads
        self.own = placeholder
        self._aged = (placeholder, placeholder)
        self._said = placeholder  # this node as the source describes it, without its samples
        self._others: tuple[Node, ...] = ()
        self._reader = SharedScan(source, threads, clock, wall)
        self._parts: dict[Part, PeriodicReads[Any]] = {
            part: PeriodicReads(part.value) for part in source.parts
        }
        self._nodes: PeriodicReads[Sequence[Node]] = PeriodicReads("nodes")
        self._kept: PeriodicReads[None] = PeriodicReads("log")
        self._kept_tables: PeriodicReads[None] = PeriodicReads("process_log")
        self.periods = (period, processes_period)
        self._annotate: Callable[[ProcessTable], tuple[ProcessTable, frozenset[str]]] = _as_scanned
        self._loops = (LoopingCall(self._start, self.collect), LoopingCall(self._start, self._scan))
        for loop in self._loops:
            loop.clock = SharedWakeups(clock)

    def startService(self) -> None:
        """Read everything now, and periodically from now on."""
        super().startService()
        for loop, period in zip(self._loops, self.periods, strict=True):
            loop.start(period, now=True)

    def stopService(self) -> None:
        """Stop reading; reads under way end on their threads, and their results are dropped."""
        super().stopService()
        for loop in self._loops:
            if loop.running:
                loop.stop()

    def set_periods(self, period: float, processes_period: float) -> None:
        """Change the periods, in seconds, from now on."""
        self.periods = (period, processes_period)
        for loop, seconds in zip(self._loops, self.periods, strict=True):
            if loop.running and loop.interval != seconds:
                loop.stop()
                loop.start(seconds, now=False)

    def _start(self, job: Any) -> None:
        """Begin one round without waiting for it: a slow one must not delay the next. Never raises."""
        work: Coroutine[Any, Any, None] = job()
        Deferred.fromCoroutine(work).addErrback(
            lambda failure: self._log.failure("collecting failed", failure=failure)
        )

    async def collect(self) -> None:
        """Read every part that is not being read already, and log the sample. Never raises."""
        first, self._begun = not self._begun, True
        await self._read([*self._parts])
        if first:  # another round may have ended meanwhile without anything to read
            self.sampled.callback(None)
        if any(reading.read_at is not None for reading in self._parts.values()):
            nodes = self.known_nodes()
            if not self._sample_log.blocks:
                self._keep(nodes, self.latest)
                return
            now = self._clock.seconds()
            await read_one(self._kept, self._threads, LOG_TIMEOUT, now, self._keep, nodes, self.latest)

    async def _read(self, parts: Sequence[Part]) -> None:
        """Read the nodes that the source knows, and these parts of the sample."""
        now = self._clock.seconds()
        jobs: list[Job] = [(self._nodes, partial(self._source.nodes, now))]
        jobs += [(self._parts[part], partial(self._source.sample, part, now)) for part in parts]
        renewed = await read_together(self._threads, SAMPLE_TIMEOUT, now, jobs)
        # Each part has the name of its field of Sample.
        new = {part: reading for part, reading in self._parts.items() if reading in renewed}
        if new:
            values: dict[str, Any] = {part.value: reading.value for part, reading in new.items()}
            old = tuple((part, at) for part, at in self.latest.read_at if part not in new)
            read_at = (*old, *((part, now) for part in new))
            self.latest = replace(self.latest, taken_at=self._wall(), read_at=read_at, **values)
        if self._nodes in renewed:
            nodes = self._nodes.value or ()
            own = next((node for node in nodes if node.id == self.own.id), self._said)
            self._said = replace(
                own, name=self.own.name, address=self.own.address, addresses=self.own.addresses
            )
            self._others = tuple(node for node in nodes if node.id != self.own.id)
        self._update_own()

    def _keep(self, nodes: Sequence[Node], sample: Sample) -> None:
        """Write one line for each node that the source knows; only this one has a sample."""
        for node in nodes:
            own = node.id == self.own.id
            self._sample_log.write(node, sample if own else Sample(taken_at=sample.taken_at))

    async def refresh(self) -> None:
        """See `ICollector.refresh`."""
        for _ in range(100):  # a round that has begun may have read what was before the change
            if not self._nodes.busy:
                break
            await deferLater(self._clock, 0.02)
        await self._read([part for part in (Part.CPU,) if part in self._parts])

    def slept(self, seconds: float) -> None:
        """Count the seconds for which the machine slept towards the age of what was read."""
        moments = tuple((part, at - seconds) for part, at in self.latest.read_at)
        self.latest = replace(self.latest, read_at=moments)
        self._reader.slept(seconds)

    def _update_own(self) -> None:
        load, cpu, memory = self.latest.load, self.latest.cpu, self.latest.memory
        own = self._said
        if self._is_stale(Part.MEMORY):  # the node has the age of its load, so an old value would look new
            memory, own = None, replace(own, mem=None, rmem=None, tmem=None)
        if self._is_stale(Part.CPU):
            cpu, own = None, replace(own, util=None)
        self.own = replace(
            own,
            load=load.load if load else own.load,
            speed=cpu.speed if cpu else own.speed,
            cpus=cpu.cpus if cpu else own.cpus,
            util=cpu.util if cpu else own.util,
            mem=memory.mem if memory else own.mem,
            rmem=memory.rmem if memory else own.rmem,
            tmem=memory.tmem if memory else own.tmem,
        )

    def annotate_with(self, annotate: Callable[[ProcessTable], tuple[ProcessTable, frozenset[str]]]) -> None:
        """
        Have process tables annotated before the history gets them; until then they are kept as scanned.

        :param annotate: returns a table with its processes under their homes, and the identities of those
            that belong to jobs.
        """
        self._annotate = annotate

    def set_addresses(self, addresses: tuple[str, ...]) -> None:
        """Use other addresses of this node from now on: one or two, that of IPv4 first."""
        both = addresses if len(addresses) > 1 else ()
        self._said = replace(self._said, address=addresses[0], addresses=both)
        self.own = replace(self.own, address=addresses[0], addresses=both)

    def _is_stale(self, part: Part) -> bool:
        age = self.latest.age_of(part, self._clock.seconds())
        return age is not None and age > max(MAX_VALUE_AGE, 10 * self.periods[0])

    def own_node(self) -> Node:
        """See `ICollector.own_node`."""
        age = self.latest.age_of(Part.LOAD, self._clock.seconds())
        if age is None:
            return self.own
        of, aged = self._aged
        age = round(age, 2)
        if of is not self.own or aged.age != age:  # peers ask for it all the time
            aged = replace(self.own, age=age)
            self._aged = self.own, aged
        return aged

    def known_nodes(self) -> Sequence[Node]:
        """See `ICollector.known_nodes`."""
        return sorted((self.own_node(), *self._others), key=lambda node: node.id)

    async def _scan(self) -> None:
        # A scan right after that of a watch would make percentages over a few milliseconds.
        table = self._reader.young(self.periods[1] / 5) or await self._reader.scan()
        if table is None:
            return
        own, (table, in_jobs) = self.own_node(), self._annotate(table)
        write, hidden = self._sample_log.write_processes, bool(self._source.hides_others)
        if not self._sample_log.blocks:
            write(own, table, hidden, in_jobs)
            return
        now = self._clock.seconds()
        await read_one(
            self._kept_tables, self._threads, LOG_TIMEOUT, now, write, own, table, hidden, in_jobs
        )  # fmt: skip

    async def processes(self, max_age: float) -> ProcessTable:
        """See `ICollector.processes`."""
        return await self._reader.table(max_age)

    async def process(self, pid: int) -> Process:
        """See `ICollector.process`."""
        return await self._reader.process(pid)

    def counters(self) -> Iterable[Counter]:
        """See `ICollector.counters`."""
        now = self._clock.seconds()
        for part, reading in self._parts.items():
            yield from reading.counters()
            age = self.latest.age_of(part, now)
            yield Counter(
                f"{part.value}_age", -1 if age is None else round(age, 3), "seconds since it was read"
            )
        for reading in (self._nodes, self._kept, self._kept_tables):
            yield from reading.counters()
        yield from self._reader.counters()
