"""Serves the request ``carry`` of other daemons, each of which is a step with the files of a job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from gomd.jobs.lifecycle.carried_transfer import pass_through
from gomd.jobs.lifecycle.carry_permission import DROP, check_step
from gomd.jobs.lifecycle.carry_steps import CarrySteps
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.supervisor.carried_names import FILES
from libgomd.errors import GomdError, NotAllowed, NotFound, NotPossible
from libgomd.model import Caller
from libgomd.wire import job_messages
from libgomd.wire.carry_messages import PUT, REMOVE, CarryOutcome


class CarryServer:
    """
    :param own_id: this node's id. :param jobs: those under way here, by their names.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, steps: CarrySteps, supervisors: Supervisors, own_id: int, jobs: Mapping[str, TrackedJob]
    ) -> None:
        self._steps = steps
        self._supervisors = supervisors
        self._own_id = own_id
        self._jobs = jobs

    def check(self, caller: Caller, name: str, step: str, node: int) -> None:
        """See `IJobs.check_carry`."""
        tracked = self._jobs.get(name)
        leaves = tracked is not None and tracked.leaving and caller.owns(tracked.uid)
        check_step(self._own_id, name, step, node, tracked is not None, leaves)

    def serve(self, name: str, step: str, caller: Caller, stream: FrameStream) -> None:
        """
        Do a step for the daemon at ``stream``: ``put``, ``give`` or ``drop`` the files of a job.

        It has been checked that this daemon may ask for that.
        """

        async def work() -> None:
            account = await self._steps.account(caller)
            if step == PUT and not self._supervisors.namespaces:
                raise NotPossible(
                    f"jobs cannot have files of their own on {self._supervisors.where}: "
                    "gomd does not run as root there"
                )
            if step != PUT:
                await self._steps.on_disk(self._check_owner, name, account.uid)
            pass_through(
                stream, await self._steps.start_here(REMOVE if step == DROP else step, name, account)
            )

        def failed(failure: Failure) -> None:
            if failure.check(GomdError) is None:
                self._log.failure("carrying files failed", failure=failure)
            stream.pause_reading(False)
            stream.send(job_messages.encode(CarryOutcome(str(failure.value) or "it failed")))
            stream.close()

        stream.pause_reading(True)  # what comes before there is a process for it would be kept in memory
        Deferred.fromCoroutine(work()).addErrback(failed)

    def _check_owner(self, name: str, uid: int) -> None:
        try:
            found = os.stat(os.path.join(self._steps.directory(name), FILES), follow_symlinks=False)
        except OSError:
            raise NotFound(f"there are no carried files of job {name} here") from None
        if uid not in (0, found.st_uid):
            raise NotAllowed(f"the carried files of job {name} are not yours")
