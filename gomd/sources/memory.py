"""The scripted source: plays a script instead of reading /proc, for tests and the demo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from zope.interface import implementer

from gomd.interfaces import INodeSource
from gomd.sources.memory_script import DemoScript, ListScript, Script
from gomd.sources.settings import HOME, check_speed, refuse_reading, written_number
from libgomd.errors import NotAllowed, NotFound, NotPossible, SourceUnavailable
from libgomd.model import (
    DOWN_VALUE,
    STANDARD_SPEED,
    Caller,
    Cpu,
    Holdings,
    Measure,
    Node,
    Part,
    Process,
    ProcessTable,
    Sample,
    Status,
)  # fmt: skip
from libgomd.wire.tree import ADMIN_FILES, MAX_TREE_SPEED, NODE_VALUES, Kind, TreePath, tree_value

_SWITCHES: Final = {
    "stay": Status.STAY, "lstay": Status.LSTAY, "block": Status.BLOCK, "quiet": Status.QUIET,
}  # fmt: skip
#: What `bring` and `expel` leave behind, as in openMosix.
_LEFT_BY: Final = {"bring": "lstay", "expel": "block"}
_PROCESS_VALUES: Final = ("cantmove", "goto", "lock", "migrate", "nmigs", "where")
_VERSION: Final = b"gomd memory source\n"


@implementer(INodeSource)
class MemorySource:
    """
    Plays a script. Nothing blocks.

    ``MemorySource([50, None])`` has load 50 at the first read of each part and fails from the second
    on. Each part counts its own reads, so that one round over all parts is one step.

    :param script: for each step a load, a whole `Sample`, or None for a read that fails; or an object that
        computes them.
    :param processes: for each scan the table, or None for a scan that fails. Where ``cpu_percent`` is
        None it is computed from ``cpu_seconds``, as every source does.
    :param files: the kernel's own files of the tree, by path, e.g. ``/proc/loadavg``.
    :param cycle: whether the lists start again after their last entry; otherwise the last entry is repeated.
    """

    kind = "memory"
    hides_others = False

    def __init__(
        self,
        script: Script | Sequence[int | Sample | None] = (0,),
        processes: Sequence[Sequence[Process] | None] = ((),),
        files: Mapping[str, bytes] | None = None,
        *,
        node_id: int = 1,
        name: str = "memory",
        address: str = "127.0.0.1",
        cycle: bool = False,
    ) -> None:
        self._script = ListScript(script, processes, cycle) if isinstance(script, Sequence) else script
        self._id, self._name, self._address = node_id, name, address
        self._files = dict(files or {})
        self._directories = _directories(self._files)
        self._settings = dict.fromkeys(_SWITCHES, 0) | {"speed": 0, "sspeed": STANDARD_SPEED}
        self._now = 0.0
        self._reads = dict.fromkeys(Part, 0)
        self._scans = 0
        self._used: dict[str, tuple[float, float]] = {}
        self._shares: dict[str, float] = {}
        self._changes: dict[str, dict[str, Any]] = {}
        self._ended: set[str] = set()
        self.parts = self._script.parts

    @classmethod
    def for_demo(
        cls,
        node_id: int = 1,
        name: str = "demo",
        address: str = "127.0.0.1",
        wall: Callable[[], float] | None = None,
    ) -> MemorySource:
        """
        Return a source of load and processes that change plausibly with the time, without end.

        :param wall: as of `DemoScript`.
        """
        files = {"/proc/version": b"No kernel: a demo of gomd\n"}
        return cls(DemoScript(node_id, wall), files=files, node_id=node_id, name=name, address=address)

    @property
    def now(self) -> float:
        """The time of the last call, in seconds of the caller's clock."""
        return self._now

    # -- values

    def sample(self, part: Part, now: float) -> object:
        """See `INodeSource.sample`."""
        self._now, step = now, self._reads[part]
        self._reads[part] += 1
        return self._part(part, step, now)

    def measures(self) -> Sequence[Measure]:
        """See `INodeSource.measures`: a script has none."""
        return ()

    def nodes(self, now: float) -> Sequence[Node]:
        """See `INodeSource.nodes`: only this node, with the values of the last read."""
        self._now = now
        load, cpu, memory = (
            self._part(part, max(0, self._reads[part] - 1), now)
            for part in (Part.LOAD, Part.CPU, Part.MEMORY)
        )
        return [
            Node(
                self._id, self._name, self._address, self._status(), load.load, cpu.speed, cpu.cpus, cpu.util,
                memory.mem, memory.rmem, memory.tmem, 0.0,
            )
        ]  # fmt: skip

    def _part(self, part: Part, step: int, now: float) -> Any:
        sample = self._script.sample(step, now)
        value = None if sample is None else getattr(sample, part.value)
        if value is None:
            raise SourceUnavailable(f"the script has no {part.value} for read {step + 1}")
        if isinstance(value, Cpu) and self._settings["speed"]:
            return replace(value, speed=self._settings["speed"])
        return value

    def _status(self) -> Status:
        status = Status.CONFIGURED | Status.UP
        for name, bit in _SWITCHES.items():
            status |= bit if self._settings[name] else Status(0)
        return status

    # -- processes

    def processes(self, now: float) -> ProcessTable:
        """See `INodeSource.processes`."""
        self._now = now
        self._scans += 1
        processes = self._table()
        self._shares = {}
        for one in processes:
            used, at = self._used.get(one.identity, (0.0, now))
            if now > at and one.cpu_seconds is not None:
                self._shares[one.identity] = max(0.0, 100.0 * (one.cpu_seconds - used) / (now - at))
        self._used = {one.identity: (one.cpu_seconds or 0.0, now) for one in processes}
        return ProcessTable(now, tuple(map(self._with_share, processes)))

    def process(self, pid: int, now: float) -> Process:
        """See `INodeSource.process`; its cpu share is that of the last scan."""
        self._now = now
        return self._with_share(self._find(pid))

    def holdings(self, processes: Sequence[tuple[int, int]]) -> Sequence[Holdings]:
        """See `INodeSource.holdings`: a scripted process holds three descriptors and no swap space."""
        there = {(one.pid, one.uid) for one in self._table()}
        held = Holdings(swap=0, descriptors=3, cgroup="/memory")
        return [held if each in there else Holdings() for each in processes]

    def _table(self) -> list[Process]:
        """Return the processes of the newest scan, with the changes made to them since."""
        found = self._script.processes(max(0, self._scans - 1), self._now)
        if found is None:
            raise SourceUnavailable(f"the script has no processes for scan {max(1, self._scans)}")
        changes = self._changes
        left = (replace(one, **changes[one.identity]) if one.identity in changes else one for one in found)
        return sorted((one for one in left if one.identity not in self._ended), key=lambda one: one.pid)

    def _find(self, pid: int) -> Process:
        for one in self._table():
            if one.pid == pid:
                return one
        raise NotFound(f"there is no process {pid} on this node now; `ps` lists what runs")

    def _with_share(self, process: Process) -> Process:
        if process.cpu_percent is not None:
            return process
        return replace(process, cpu_percent=self._shares.get(process.identity))

    def change(self, pid: int, **fields: Any) -> None:
        """
        Change fields of a process from now on, whatever the script says.

        :raises NotFound: there is no such process.
        """
        self._changes.setdefault(self._find(pid).identity, {}).update(fields)

    def end(self, pid: int) -> None:
        """
        Remove a process from now on.

        :raises NotFound: there is no such process.
        """
        self._ended.add(self._find(pid).identity)

    # -- the tree

    def list_directory(self, path: TreePath, caller: Caller) -> Sequence[str]:
        """See `INodeSource.list_directory`."""
        if path.kind is not Kind.DIRECTORY:
            raise NotPossible(f"{path} is a file; `get` shows what is in it")
        given = self._directories.get(str(path), set())
        if path.number is not None:
            return sorted(given.union(self._listed_names(path)))
        if not path.parts:
            names = given | {"hpc"} | {str(one.pid) for one in self._table()}
        elif path.parts == ("hpc",):
            names = {"admin", "nodes", "remote"}
        elif path.parts[0] == "hpc":
            names = {"admin": set(ADMIN_FILES), "nodes": {str(self._id)}, "remote": set()}[path.name]
        elif given:
            names = given
        else:
            raise NotFound(f"there is no {path} in this script")
        return sorted(names, key=lambda name: (0, int(name), "") if name.isdigit() else (1, 0, name))

    def _listed_names(self, path: TreePath) -> Sequence[str]:
        assert path.number is not None
        if path.parts[0] != "hpc":
            self._find(path.number)
            return _PROCESS_VALUES
        if path.parts[1] == "nodes" and path.number == self._id:
            return NODE_VALUES
        raise NotFound(f"there is no {path} in this script")

    def read_file(self, path: TreePath, caller: Caller) -> bytes:
        """See `INodeSource.read_file`."""
        refuse_reading(path)
        if path.kind is Kind.NODE_VALUE and path.number == self._id:
            [node] = self.nodes(self._now)
            value = int(self._status()) if path.name == "status" else getattr(node, path.name)
            value = tree_value(path.name, value)
            return _line(DOWN_VALUE if value is None else value)
        if path.kind is Kind.ADMIN:
            return self._read_setting(path.name)
        if path.kind is Kind.CLUSTER:
            assert path.number is not None
            value = getattr(self._find(path.number), path.name)
            return value.encode() if isinstance(value, str) else _line(int(value))
        if path.kind is Kind.PROCESS and path.number is not None:
            owner = self._find(path.number).uid
            if path.name == "io" and not caller.owns(owner):
                raise NotAllowed(f"{path} is shown to the owner of it and to admins")
        if str(path) in self._files:
            return self._files[str(path)]
        raise NotFound(f"there is no {path} in this script")

    def _read_setting(self, name: str) -> bytes:
        if name == "version":
            return _VERSION
        if name == "mospe":
            return _line(self._id)
        if name == "speed" and not self._settings["speed"]:
            speed = self._part(Part.CPU, max(0, self._reads[Part.CPU] - 1), self._now).speed
            return _line(min(speed, MAX_TREE_SPEED))
        return _line(min(self._settings[name], MAX_TREE_SPEED))

    def write_file(self, path: TreePath, value: str) -> None:
        """See `INodeSource.write_file`."""
        number = written_number(path, value)
        if path.kind is Kind.CLUSTER:
            assert path.number is not None
            process = self._find(path.number)
            if path.name == "lock":
                self.change(process.pid, lock=bool(number))
            elif number != HOME or process.where:
                raise NotPossible("the processes of a script do not move")
        elif path.name == "mospe":
            raise NotPossible("the id of a scripted node is fixed when it is made")
        else:
            self._settings[_LEFT_BY.get(path.name, path.name)] = number

    def set_speed(self, speed: int) -> None:
        """See `INodeSource.set_speed`."""
        self._settings["speed"] = check_speed(speed)


def _line(number: int) -> bytes:
    return b"%d\n" % number


def _directories(files: Mapping[str, bytes]) -> dict[str, set[str]]:
    """Return the names in each directory that the given files imply."""
    found: dict[str, set[str]] = {}
    for text in files:
        parts = TreePath.parse(text).parts
        for depth, name in enumerate(parts):
            found.setdefault("/".join(("/proc", *parts[:depth])), set()).add(name)
    return found
