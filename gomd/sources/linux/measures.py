"""All readers of measures, one after the other: one that fails does not stop the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

from twisted.logger import Logger

from gomd.sources.files import ProcRoot
from gomd.sources.linux.descriptors import read_descriptors, read_uptime
from gomd.sources.linux.disk_times import read_disk_times
from gomd.sources.linux.filesystems import FileSystems
from gomd.sources.linux.gpus import Gpus
from gomd.sources.linux.kernel_counts import read_kernel_counts
from gomd.sources.linux.links import read_links
from gomd.sources.linux.memory_use import read_memory_use
from gomd.sources.linux.pressure_totals import read_pressure_totals
from gomd.sources.linux.sockets import read_sockets
from gomd.sources.linux.temperatures import read_temperatures, read_throttling
from libgomd.errors import GomdError
from libgomd.model import Measure, Process


class Measures:
    """
    Reads the measures of a node.

    :param states: gives the processes of the last scan, to count them by state.
    :ivar gpus: reads the GPUs, and knows which process has how much of their memory.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, root: ProcRoot, sys_root: str, states: Callable[[], Iterable[Process]]) -> None:
        self._states = states
        self.gpus = Gpus()
        file_systems = FileSystems(root)
        self._readers: dict[str, Callable[[], Iterator[Measure]]] = {
            "file systems": file_systems.read,
            "kernel counts": lambda: read_kernel_counts(root),
            "uptime": lambda: read_uptime(root),
            "memory use": lambda: read_memory_use(root),
            "pressure": lambda: read_pressure_totals(root),
            "links": lambda: read_links(root, sys_root),
            "sockets": lambda: read_sockets(root),
            "disk times": lambda: read_disk_times(root),
            "temperatures": lambda: read_temperatures(sys_root),
            "throttling": lambda: read_throttling(sys_root),
            "descriptors": lambda: read_descriptors(root),
            "gpus": self.gpus.read,
            "process states": self._by_state,
        }
        self._trouble: dict[str, str] = {}

    def read(self) -> Sequence[Measure]:
        """Return all measures that can be read now. Blocks; a file system that hangs costs a second, once."""
        found: list[Measure] = []
        for name, reader in self._readers.items():
            try:
                found += reader()
            except (GomdError, OSError) as error:
                if self._trouble.get(name) != str(error):
                    self._trouble[name] = str(error)
                    self._log.warn("{name} cannot be read: {error}", name=name, error=error)
            else:
                self._trouble.pop(name, None)
        return found

    def _by_state(self) -> Iterator[Measure]:
        counts = Counter(process.state[:1] or "?" for process in self._states())
        if counts:
            total = float(sum(counts.values()))
            yield Measure("processes", total, text="processes at the last scan", kept=True)
        for state, count in sorted(counts.items()):
            yield Measure(
                "processes_by_state", float(count), {"state": state}, text="processes by the kernel's letter",
                kept=state in "DZ",
            )  # fmt: skip
