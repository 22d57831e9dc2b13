"""The source for an openMosix kernel: /proc/hpc, and the files that it adds to every /proc/PID."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final

from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import INodeSource
from gomd.sources.files import ProcRoot
from gomd.sources.linux.devices import read_disks, read_network
from gomd.sources.linux.kernelstat import read_kernel_stat
from gomd.sources.linux.load import CpuShares, parse_loadavg
from gomd.sources.linux.meminfo import read_memory, read_paging
from gomd.sources.linux.numbers import MAX_CPUS, MAX_LOAD, MAX_MEMORY, within
from gomd.sources.openmosix.node_map import KernelNodeRange, address_of, decode_map
from gomd.sources.openmosix.processes import TICKS_A_SECOND, OpenMosixProcesses
from gomd.sources.openmosix.text import Guest, parse_guest, parse_own_id
from gomd.sources.openmosix.tree import OpenMosixTree
from libgomd.errors import NotFound, RequestError, SourceUnavailable
from libgomd.model import (
    DOWN_VALUE,
    MAX_SPEED,
    STANDARD_SPEED,
    Caller,
    Holdings,
    Load,
    Measure,
    Memory,
    Node,
    Part,
    Process,
    ProcessTable,
    Status,
)  # fmt: skip
from libgomd.wire.tree import REMOTE_FILES, TreePath

#: The values of a node and what each is at most.
_HIGHEST: Final = {
    "load": MAX_LOAD, "speed": MAX_SPEED, "cpus": MAX_CPUS, "util": 100 * MAX_CPUS,
    "mem": MAX_MEMORY, "rmem": MAX_MEMORY, "tmem": MAX_MEMORY,
}  # fmt: skip
_VALUES: Final = tuple(_HIGHEST)
#: The bits that the model has a word for; kernels with other patches set more.
_KNOWN_STATUS: Final = sum(Status)
#: Shown where the map has no address for a node, as while it is being changed.
_NO_ADDRESS: Final = "0.0.0.0"


@implementer(INodeSource)
class OpenMosixSource:
    """
    Reads an openMosix 2.4 kernel: all configured nodes, and its own processes wherever they run.

    :param proc_root: directory of the tree, ``/proc`` or a copy of one.
    :param name: the name of this node; the kernel has none. Other nodes are ``node2``, ``node3``, ...
    """

    _log: ClassVar[Logger] = Logger()
    kind = "openmosix"
    hides_others = False
    parts = (Part.LOAD, Part.CPU, Part.MEMORY, Part.PAGING, Part.DISKS, Part.NETWORK)

    def __init__(self, proc_root: str, name: str) -> None:
        self._root = ProcRoot(proc_root)
        self._tree = OpenMosixTree(self._root)
        self._processes = OpenMosixProcesses(self._root)
        self._shares = CpuShares()
        self._name = name

    def own_id(self) -> int:
        """
        Return this node's current id from the kernel. Blocks.

        :raises SourceUnavailable: openMosix is missing or not configured; the text says what to do.
        """
        try:
            own = parse_own_id(self._root.read(f"{self._tree.hpc()}/admin/mospe"))
        except RequestError as error:
            raise SourceUnavailable(self._why_no_id(str(error))) from error
        if not own.current:
            before = f" (it was node {own.previous})" if own.previous else ""
            raise SourceUnavailable(
                f"openMosix is not configured on this node{before}: run `setpe -w -f /etc/openmosix.map`"
            )
        return own.current

    def _why_no_id(self, text: str) -> str:
        try:
            admin = self._root.names(f"{self._tree.hpc()}/admin")
        except RequestError:
            return f"there is no openMosix below {self._root.path}: set `source = linux` in gomd.ini"
        if "mospe" not in admin:
            return "this openMosix (2.6, LinuxPMI) keeps no values of nodes: set `source = linux` in gomd.ini"
        return text

    # -- samples

    def sample(self, part: Part, now: float) -> object:
        """See `INodeSource.sample`."""
        if part is Part.LOAD:
            [load] = self._own("load")
            averages, runnable = parse_loadavg(self._root.sample_text("loadavg"))
            others = None if runnable is None else max(0, runnable - 1)  # without the reader itself
            return Load(load, others, averages)
        if part is Part.CPU:
            cpus, speed, util = self._own("cpus", "speed", "util")
            shares = self._shares.update(read_kernel_stat(self._root), speed or STANDARD_SPEED)
            return replace(shares, cpus=cpus, speed=speed, util=util)
        if part is Part.MEMORY:
            mem, rmem, tmem = self._own("mem", "rmem", "tmem")
            swap = read_memory(self._root)
            return Memory(mem, rmem, tmem, swap.swap_total, swap.swap_free)
        if part is Part.PAGING:
            return read_paging(self._root)
        if part is Part.DISKS:
            return read_disks(self._root)
        if part is Part.NETWORK:
            return read_network(self._root)
        raise SourceUnavailable(f"an openMosix kernel does not tell the {part.value}")

    def _own(self, *names: str) -> list[int | None]:
        own = self.own_id()
        try:
            values = [self._value(own, name) for name in names]
        except RequestError as error:
            raise SourceUnavailable(str(error)) from error
        if DOWN_VALUE in values:
            raise SourceUnavailable(f"openMosix has no values for node {own} now: it is not up yet")
        return values

    def _value(self, node: int, name: str) -> int | None:
        """
        Return a value of a node: `DOWN_VALUE` if the node is down, None if the value is impossible.

        :raises RequestError: there is no such value.
        """
        try:
            value = self._tree.number(f"nodes/{node}/{name}")
        except SourceUnavailable:
            return None
        low = 1 if name in ("speed", "cpus", "tmem") else 0
        return value if value == DOWN_VALUE else within(value, low, _HIGHEST[name])

    # -- nodes

    def measures(self) -> Sequence[Measure]:
        """See `INodeSource.measures`: this source has none."""
        return ()

    def nodes(self, now: float) -> Sequence[Node]:
        """See `INodeSource.nodes`: all configured ones, asked by the kernel at this moment."""
        own = self.own_id()
        try:
            ranges = decode_map(self._root.read(f"{self._tree.hpc()}/admin/config"))
            ids = self._tree.numbered("nodes")
        except RequestError as error:
            raise SourceUnavailable(str(error)) from error
        nodes = []
        for one in ids:
            try:
                nodes.append(self._node(one, own, ranges))
            except NotFound:
                continue  # it was taken out of the map just now
            except RequestError as error:
                raise SourceUnavailable(str(error)) from error
        return nodes

    def _node(self, number: int, own: int, ranges: Sequence[KernelNodeRange]) -> Node:
        """Return one node. It is down if any of its values is -101, even if its status says up."""
        directory = f"nodes/{number}"
        try:
            status = self._tree.number(f"{directory}/status")
        except SourceUnavailable:
            status = int(Status.CONFIGURED)
        values = {value: self._value(number, value) for value in _VALUES}
        name = self._name if number == own else f"node{number}"
        if number != own and name == self._name:
            name = f"openmosix{number}"
        address = address_of(ranges, number) or _NO_ADDRESS
        if status < 0 or not status & Status.UP or DOWN_VALUE in values.values():
            return Node(number, name, address, Status.CONFIGURED)
        return Node(number, name, address, Status(status & _KNOWN_STATUS), age=0.0, **values)  # type: ignore[arg-type]

    # -- processes

    def processes(self, now: float) -> ProcessTable:
        """
        See `INodeSource.processes`: those whose home is this node, wherever they run.

        A guest is not among them: its home lists it, and `guests` shows it here.
        """
        return ProcessTable(now, self._processes.scan(now, self.own_id()))

    def holdings(self, processes: Sequence[tuple[int, int]]) -> Sequence[Holdings]:
        """See `INodeSource.holdings`: kernels with openMosix had neither control groups nor VmSwap."""
        return [Holdings() for _ in processes]

    def process(self, pid: int, now: float) -> Process:
        """See `INodeSource.process`."""
        return self._processes.read(pid, self.own_id(), now)

    def guests(self) -> Sequence[Guest]:
        """
        Return the processes of other nodes that run here, in the order of their local numbers. Blocks.

        :raises SourceUnavailable: they could not be read this time.
        """
        self.own_id()
        guests = []
        for pid in self._tree.numbered("remote"):
            directory = f"{self._tree.hpc()}/remote/{pid}"
            try:
                origin, identity, stats = (self._root.read(f"{directory}/{name}") for name in REMOTE_FILES)
            except NotFound:
                continue  # it has gone home, or ended
            except RequestError as error:
                raise SourceUnavailable(str(error)) from error
            try:
                guests.append(parse_guest(pid, origin, identity, stats, TICKS_A_SECOND))
            except SourceUnavailable as error:  # an unreadable guest must not hide the others
                self._log.debug("guest {pid} is left out: {error}", pid=pid, error=error)
        return guests

    # -- the tree

    def list_directory(self, path: TreePath, caller: Caller) -> Sequence[str]:
        """See `INodeSource.list_directory`."""
        return self._tree.list_directory(path, caller)

    def read_file(self, path: TreePath, caller: Caller) -> bytes:
        """See `INodeSource.read_file`."""
        return self._tree.read_file(path, caller)

    def write_file(self, path: TreePath, value: str) -> None:
        """See `INodeSource.write_file`."""
        self._tree.write_file(path, value)

    def set_speed(self, speed: int) -> None:
        """See `INodeSource.set_speed`: openMosix has 16 bits for it."""
        self._tree.write_file(TreePath.parse("/proc/hpc/admin/speed"), str(speed))
