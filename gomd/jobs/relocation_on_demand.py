"""Sends processes where callers want them, once somebody wants that: see `gomd.jobs.on_demand`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from zope.interface import implementer

from gomd.interfaces import IRelocation, IThreads, Moved
from gomd.jobs.on_demand import LOAD_TIMEOUT, load
from libgomd.model import Caller

if TYPE_CHECKING:
    from gomd.jobs.relocation import Relocation


@implementer(IRelocation)
class RelocationOnDemand:
    """
    :param threads: on which the code is loaded.
    :param load_code: imports it. Blocks; raises `GomdError` when it must not be loaded.
    :param make: returns what relocates, once the code is loaded.
    """

    def __init__(
        self,
        threads: IThreads,
        load_code: Callable[[], None],
        make: Callable[[], Relocation],
        by_kernel: bool = False,
    ) -> None:
        self._threads = threads
        self._load_code = load_code
        self._make = make
        self._made: Relocation | None = None
        self.by_kernel = by_kernel

    async def _ready(self) -> Relocation:
        if self._made is None:
            await self._threads.run(LOAD_TIMEOUT, load, self._load_code)
        if self._made is None:  # else another caller has made it meanwhile
            self._made = self._make()
        return self._made

    async def migrate(
        self, pid: int, target: str, caller: Caller, dry_run: bool = False, started: int | None = None
    ) -> Moved:
        """See `IRelocation.migrate`."""
        return await (await self._ready()).migrate(pid, target, caller, dry_run, started)

    async def lock(self, pid: int, lock: bool, caller: Caller, started: int | None = None) -> None:
        """See `IRelocation.lock`."""
        await (await self._ready()).lock(pid, lock, caller, started)

    async def bring(self) -> int:
        """See `IRelocation.bring`."""
        brought: Awaitable[int] = (await self._ready()).bring()
        return await brought

    async def expel(self) -> int:
        """See `IRelocation.expel`."""
        sent: Awaitable[int] = (await self._ready()).expel()
        return await sent
