"""The carried files of a job that moves: whether they can be on this node, fetching and removing them."""

from __future__ import annotations

import os

from twisted.internet.defer import DeferredLock

from gomd.jobs.lifecycle.carry_steps import CarrySteps
from gomd.jobs.supervisor.carried_names import FILES
from libgomd.errors import CannotMove, GomdError
from libgomd.model import Caller, Node, Role
from libgomd.wire.carry_messages import GIVE, PUT
from libgomd.wire.job_name import JobName


class CarriedMoves:
    """
    :param own_id: this node's id. :param where: this node as an error names it.
    """

    def __init__(self, steps: CarrySteps, own_id: int, where: str) -> None:
        self._steps = steps
        self._own_id = own_id
        self._where = where
        self._turns: dict[str, DeferredLock] = {}

    async def obstacles(self, paths: tuple[str, ...], uid: int, user: str) -> list[str]:
        """Return why the carried files of a job cannot appear on this node, a clause for each path."""
        try:
            account = await self._steps.account(_owner(user, uid))
        except GomdError as error:
            return [str(error)]
        gids = {account.gid, *account.groups}
        where = self._where

        def look() -> list[str]:
            from gomd.jobs.supervisor.carried_place import obstacle  # imported on the thread, when needed

            return [obstacle(path, uid, gids, where) for path in paths]

        found = await self._steps.look_up(uid, paths, look)
        return [why for why in found if why]

    async def pull(self, name: str, source: Node, uid: int, user: str) -> None:
        """
        Get the files of a job that moves here from the node where it is frozen.

        :raises CannotMove: they cannot be had.
        """
        owner = _owner(user, uid)
        turn = await self._turn(name)
        try:
            account = await self._steps.account(owner)
            there = await self._steps.start_there(source, name, GIVE, owner)
            await self._steps.transfer(there, await self._steps.start_here(PUT, name, account))
        except CannotMove:
            raise
        except GomdError as error:
            raise CannotMove(f"its carried files could not be fetched: {error}") from error
        finally:
            self._release(name, turn)

    async def left(self, name: str) -> None:
        """A job is not here, or not any more: remove its files, but not what its home has to remember."""
        only_files = JobName.parse(name).home == self._own_id
        turn = await self._turn(name)
        try:
            if await self._steps.on_disk(os.path.isdir, os.path.join(self._steps.directory(name), FILES)):
                await self._steps.remove(name, (FILES,) if only_files else ())
        finally:
            self._release(name, turn)

    async def _turn(self, name: str) -> DeferredLock:
        """Wait until no earlier step of a move is under way here for a job, which may come back at once."""
        turn = self._turns.setdefault(name, DeferredLock())
        await turn.acquire()
        return turn

    def _release(self, name: str, turn: DeferredLock) -> None:
        turn.release()
        if not turn.locked:
            self._turns.pop(name, None)


def _owner(user: str, uid: int) -> Caller:
    """Return the user of a job that moves, as a caller."""
    return Caller(Role.ADMIN if uid == 0 else Role.USER, user, uid, "migration")
