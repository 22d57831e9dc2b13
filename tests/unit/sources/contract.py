"""
What every INodeSource promises: one suite, run for the linux, the openMosix and the memory source.

Import this module, not the class (pytest would collect it by itself)::

    class LinuxSourceContractTests(contract.NodeSourceContract, SynchronousTestCase):
        own_id, known_pid, absent_pid = 1, 36, 99
        def make_source(self) -> INodeSource: ...
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gomd.interfaces import INodeSource
from libgomd.errors import RequestError, SourceUnavailable
from libgomd.wire.tree import ADMIN_FILES, CLUSTER_FILES, NODE_VALUES, PROCESS_FILES, TreePath
from tests.unit.sources.contract_tree import TreeContract
from tests.unit.sources.contract_values import ValuesContract
from tests.unit.sources.source_under_test import (
    ADMIN,
    NOW,
    READER,
)


class NodeSourceContract(ValuesContract, TreeContract):
    """The promises of `INodeSource`; a subclass says which source and what its tree holds."""

    # -- errors

    def test_only_named_errors_come_out(self) -> None:
        """Whatever is asked or written, the answer is a value or one clear sentence."""
        self._poke(self.make_source())

    def test_a_lost_tree_is_unavailable_and_nothing_else(self) -> None:
        """When /proc is not there (a wrong `proc_root`) each question says so; none is a traceback."""
        lost = self.make_lost_source()
        for part in lost.parts:
            self.assertRaises(SourceUnavailable, lost.sample, part, NOW)
        self.assertRaises(SourceUnavailable, lost.nodes, NOW)
        self.assertRaises(SourceUnavailable, lost.processes, NOW)
        self._poke(lost)

    def _poke(self, source: INodeSource) -> None:
        pids = (self.known_pid, self.absent_pid, 9_999_999_999)
        ids = (self.own_id, 65000, 9_999_999_999)
        paths = ["/proc", "/proc/hpc", "/proc/hpc/admin", "/proc/hpc/nodes", "/proc/hpc/remote"]
        paths += ["/proc/loadavg", "/proc/stat", "/proc/net", "/proc/net/dev", "/proc/pressure/cpu"]
        paths += [f"/proc/hpc/admin/{name}" for name in ADMIN_FILES]
        paths += [f"/proc/hpc/nodes/{node}/{name}" for node in ids for name in ("", *NODE_VALUES)]
        paths += [f"/proc/hpc/remote/{pid}/{name}" for pid in pids for name in ("", "from", "stats")]
        paths += [f"/proc/{pid}/{name}" for pid in pids for name in ("", *CLUSTER_FILES, *PROCESS_FILES)]
        calls: list[tuple[str, Callable[[], object]]] = []
        for text in paths:
            path = TreePath.parse(text)
            for caller in (ADMIN, READER):
                calls.append((f"ls {text}", partial(source.list_directory, path, caller)))
                calls.append((f"get {text}", partial(source.read_file, path, caller)))
            for value in ("", "x", "-1", "99999999999999999999", "no\nline", "\udce4", "\0"):
                calls.append((f"put {text} {value!r}", partial(source.write_file, path, value)))
        calls += [(f"process {pid}", partial(source.process, pid, NOW)) for pid in (0, -1, *pids)]
        for what, call in calls:
            try:
                call()
            except (RequestError, SourceUnavailable) as error:
                self.assertTrue(str(error), what)
                self.assertNotIn("\n", str(error), what)
            except Exception as error:
                raise AssertionError(f"{what}: {error!r}") from error
