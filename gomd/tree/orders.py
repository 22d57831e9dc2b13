"""Values written into the tree that are orders: where a process goes, who comes home, who leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gomd.interfaces import IRelocation
from libgomd.model import Caller, Role
from libgomd.wire.tree import Kind, TreePath

#: What `IRelocation` calls the home of a process, openMosix's 0.
_HOME: Final = "home"
#: The tree is written as its admin.
_ADMIN: Final = Caller(Role.ADMIN, "root", 0, "put")


class WrittenOrders:
    """
    Does what a write into the tree asks for beyond the value itself.

    :param number: gives the number that a value sets at a path; raises what is wrong with it.
    """

    def __init__(self, relocation: IRelocation, number: Callable[[TreePath, str], int]) -> None:
        self._relocation = relocation
        self._number = number

    async def write_file(self, path: TreePath, value: str) -> bool:
        """
        Do it, and return whether there was anything to do: else the value is to be written as any other.

        Errors as in `ITree.write_file` and `IRelocation`.
        """
        if self._relocation.by_kernel:  # it does all of this by itself
            return False
        if path.kind is Kind.CLUSTER and path.number is not None and path.name in ("goto", "migrate", "lock"):
            number = self._number(path, value)
            if path.name == "lock":
                await self._relocation.lock(path.number, bool(number), _ADMIN)
            else:
                await self._relocation.migrate(path.number, str(number) if number else _HOME, _ADMIN)
            return True
        if path.kind is Kind.ADMIN and path.name in ("bring", "expel"):
            self._number(path, value)
            await (self._relocation.bring() if path.name == "bring" else self._relocation.expel())
            return True
        return False
