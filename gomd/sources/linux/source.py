"""The source for a stock Linux kernel: the values that openMosix defines, processes, and the tree."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from zope.interface import implementer

from gomd.interfaces import INodeSource
from gomd.sources.admin import AdminStore
from gomd.sources.files import ProcRoot
from gomd.sources.linux.cgroup import MemoryGroup
from gomd.sources.linux.devices import read_disks, read_network
from gomd.sources.linux.holdings import read_holdings
from gomd.sources.linux.kept_files import kept_files_of
from gomd.sources.linux.kernelstat import KernelStat, read_kernel_stat
from gomd.sources.linux.load import CpuShares, SmoothedLoad, current_load, parse_loadavg
from gomd.sources.linux.measures import Measures
from gomd.sources.linux.meminfo import read_memory, read_paging
from gomd.sources.linux.pressure import read_pressure
from gomd.sources.linux.scan import ProcessScanner
from gomd.sources.linux.speed import Speed
from gomd.sources.linux.sysfs import Stacking
from gomd.sources.linux.tree import LinuxTree
from gomd.sources.locks import ProcessLocks
from gomd.sources.settings import check_speed
from libgomd.errors import GomdError
from libgomd.model import (
    STANDARD_SPEED,
    Caller,
    Cpu,
    Holdings,
    Load,
    Measure,
    Memory,
    Node,
    Part,
    Process,
    ProcessTable,
)
from libgomd.wire.tree import Kind, TreePath

#: Files of a process that can be read while its exec hangs.
_NEVER_BLOCK: Final = frozenset({"status", "comm", "statm", "limits", "cgroup", "schedstat"})
#: Maximum age in seconds of a load or processor sample that `nodes` uses.
_MAX_SAMPLE_AGE: Final = 10.0


@implementer(INodeSource)
class LinuxSource:
    """
    `INodeSource` over the /proc of a kernel without openMosix, 2.4 and newer.

    :param node_id: id of this node; ``name`` and ``address`` are its name and address in `nodes`.
    :param proc_root: the tree, usually ``/proc``.
    :param state_dir: directory for settings and the measured speed.
    :param speed: speed of one processor; None to measure it. :param sspeed: the yardstick; None for 15000.
        A given value applies again after each restart and overrides those of `setspeed` and `setyard`.
    :param sys_root: the sysfs tree, for stacked disks and the memory limit of the daemon's control group;
        None for ``sys`` beside the proc root, which is ``/sys`` for ``/proc``.
    """

    kind = "linux"
    parts = (Part.LOAD, Part.CPU, Part.MEMORY, Part.PAGING, Part.DISKS, Part.NETWORK, Part.PRESSURE)

    def __init__(
        self,
        node_id: int,
        name: str,
        address: str,
        proc_root: str,
        state_dir: str,
        speed: int | None = None,
        sspeed: int | None = None,
        sys_root: str | None = None,
    ) -> None:
        self._id, self._name, self._address = node_id, name, address
        self._root = ProcRoot(proc_root)
        if sys_root is None:
            sys_root = os.path.join(os.path.dirname(self._root.path), "sys")
        self._stacking, self._group = Stacking(sys_root), MemoryGroup(self._root, sys_root)
        self._admin = AdminStore(state_dir, speed=speed, sspeed=sspeed)
        self._measured = Speed(self._root, state_dir)
        self._locks = ProcessLocks()
        is_root = os.geteuid() == 0
        self._scanner = ProcessScanner(
            self._root, node_id, self._locks.locked, kept=kept_files_of(self._root, is_root),
            forks_tell=is_root and self._root.is_kernel,
        )  # fmt: skip
        self._tree = LinuxTree(
            self._root, node_id, self._admin, self._locks, self.own_values, self.speed, self.yardstick
        )
        self._scanned: Sequence[Process] = ()
        self._measures = Measures(self._root, sys_root, lambda: self._scanned)
        self._reading = threading.Lock()
        self._load, self._shares = SmoothedLoad(), CpuShares()
        self._stat: tuple[float, KernelStat] | None = None
        self._memory: tuple[float, Memory] | None = None
        self._latest: dict[Part, tuple[float, Any]] = {}
        self._readers: dict[Part, Callable[[float], object]] = {
            Part.LOAD: self._read_load,
            Part.CPU: self._read_cpu,
            Part.MEMORY: self._read_memory,
            Part.PAGING: lambda now: read_paging(self._root),
            Part.DISKS: lambda now: read_disks(self._root, self._stacking),
            Part.NETWORK: lambda now: read_network(self._root),
            Part.PRESSURE: lambda now: read_pressure(self._root),
        }

    @property
    def hides_others(self) -> bool:
        """
        Whether the kernel hides the processes of other users (``hidepid`` of /proc).

        A caller then sees only their own processes; admins see all. Does not block.
        """
        return self._tree.hides_others

    def speed(self) -> int:
        """Return the speed of one processor. Blocks if it must be measured first."""
        return self._admin.state.speed or self._measured.value()

    def yardstick(self) -> int:
        """Return the speed of a standard machine. Does not block."""
        return self._admin.state.sspeed or STANDARD_SPEED

    # -- the node

    def sample(self, part: Part, now: float) -> object:
        """Read one part of the sample; see `INodeSource`."""
        value = self._readers[part](now)
        self._latest[part] = (now, value)
        return value

    def measures(self) -> Sequence[Measure]:
        """Read the measures; see `INodeSource`."""
        return self._measures.read()

    def nodes(self, now: float) -> Sequence[Node]:
        """Return only this node, since a stock kernel knows no other one."""
        measured_at, load = self._recent(Part.LOAD, now)
        _, cpu = self._recent(Part.CPU, now)
        memory = self._read_memory(now)
        self._memory = (now, memory)
        return [self._node(load, cpu, memory, now - measured_at)]

    def own_values(self) -> Node:
        """
        Return this node with the load and processor values of the newest sample. Blocks.

        :raises SourceUnavailable: there is no sample yet and none can be read.
        """
        return self._node(self._newest(Part.LOAD), self._newest(Part.CPU), self._read_memory(None), None)

    def _newest(self, part: Part) -> Any:
        known = self._latest.get(part)
        return known[1] if known else self._readers[part](0.0)

    def _node(self, load: Load, cpu: Cpu, memory: Memory, age: float | None) -> Node:
        return Node(
            id=self._id,
            name=self._name,
            address=self._address,
            status=self._admin.state.status,
            load=load.load,
            speed=self.speed(),
            cpus=cpu.cpus,
            util=cpu.util,
            mem=memory.mem,
            rmem=memory.rmem,
            tmem=memory.tmem,
            age=age,
        )

    def _recent(self, part: Part, now: float) -> tuple[float, Any]:
        known = self._latest.get(part)
        if known is None or now - known[0] > _MAX_SAMPLE_AGE:
            self.sample(part, now)
        return self._latest[part]

    def _read_load(self, now: float) -> Load:
        text = self._root.sample_text("loadavg")
        averages, runnable = parse_loadavg(text)
        stat = self._kernel_stat(now)
        if stat.runnable is not None:
            runnable = stat.runnable
        if runnable is None:
            return Load(None, None, averages)
        others = max(0, runnable - 1)  # this thread was running when it read that
        current = current_load(others, stat.cpus, self.speed(), self.yardstick())
        with self._reading:
            return Load(self._load.update(current, now), others, averages)

    def _read_memory(self, now: float | None) -> Memory:
        """Read the memory that this daemon may use, once for `nodes` and the sample of the same moment."""
        known = self._memory
        if known is not None and known[0] == now:
            self._memory = None
            return known[1]
        return self._group.within(read_memory(self._root))

    def _read_cpu(self, now: float) -> Cpu:
        stat, speed = self._kernel_stat(now), self.speed()
        with self._reading:
            return self._shares.update(stat, speed)

    def _kernel_stat(self, now: float) -> KernelStat:
        """Read /proc/stat once for both parts of a sample, because it is the longest file."""
        known = self._stat
        if known is not None and known[0] == now:
            self._stat = None
            return known[1]
        stat = read_kernel_stat(self._root)
        self._stat = (now, stat)
        return stat

    # -- processes

    def processes(self, now: float) -> ProcessTable:
        """Scan every process; see `INodeSource`."""
        self._tree.look_for_hiding()
        locked = self._locks.locked()
        found = self._scanner.scan(now)
        if locked:
            self._locks.drop(locked - {(process.pid, process.started) for process in found})
        self._scanned = found
        return ProcessTable(now, found)

    def process(self, pid: int, now: float) -> Process:
        """Read one process now; see `INodeSource`."""
        return self._scanner.read(pid, now)

    def holdings(self, processes: Sequence[tuple[int, int]]) -> Sequence[Holdings]:
        """Read what processes hold; see `INodeSource`."""
        return [self._holdings(pid, uid) for pid, uid in processes]

    def _holdings(self, pid: int, uid: int) -> Holdings:
        try:
            on_gpus = self._measures.gpus.memory_by_pid()
            return self._scanner.guard(pid, lambda: read_holdings(self._root, pid, uid, on_gpus))
        except (OSError, GomdError):  # it has ended, or its files block
            return Holdings()

    # -- the tree

    def list_directory(self, path: TreePath, caller: Caller) -> Sequence[str]:
        """List a directory of the tree; see `INodeSource`."""
        return self._tree.list_directory(path, caller)

    def read_file(self, path: TreePath, caller: Caller) -> bytes:
        """Read a file of the tree; see `INodeSource`."""
        if path.kind not in (Kind.PROCESS, Kind.CLUSTER) or path.name in _NEVER_BLOCK:
            return self._tree.read_file(path, caller)
        assert path.number is not None
        return self._scanner.guard(path.number, lambda: self._tree.read_file(path, caller))

    def write_file(self, path: TreePath, value: str) -> None:
        """Write a value of the tree; see `INodeSource`."""
        if path.kind is not Kind.CLUSTER:
            self._tree.write_file(path, value)
            return
        assert path.number is not None
        self._scanner.guard(path.number, lambda: self._tree.write_file(path, value))

    def set_speed(self, speed: int) -> None:
        """Set the speed; see `INodeSource`."""
        self._admin.change("speed", check_speed(speed))
