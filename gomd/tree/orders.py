"""Files of the tree whose writing moves or locks processes: goto, migrate, lock, bring and expel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gomd.interfaces import IRelocation
from libgomd.model import Caller, Role
from libgomd.wire.tree import Kind, TreePath

#: The word of `IRelocation` for the home of a process, which is 0 in openMosix.
_HOME: Final = "home"
#: Only admins may write the tree, so its orders are given as an admin.
_ADMIN: Final = Caller(Role.ADMIN, "root", 0, "put")


class WrittenOrders:
    """
    Carries out writes that are orders and not values.

    :param number: returns the number that a value sets at a path; raises `RequestError` if it is not valid.
    """

    def __init__(self, relocation: IRelocation, number: Callable[[TreePath, str], int]) -> None:
        self._relocation = relocation
        self._number = number

    async def write_file(self, path: TreePath, value: str) -> bool:
        """
        Carry out the order and return True, or return False if ``path`` takes a value like any other file.

        Errors as in `ITree.write_file` and `IRelocation`.
        """
        if self._relocation.by_kernel:  # the kernel does all of this by itself
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
