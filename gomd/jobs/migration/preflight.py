"""
Answers whether a job of this node could move to another one: one answer for a dry run and for the migration.

There are two halves. What can be seen at the source node is read by `at_source`, before anything stops. The
other half is the target node's (`gomd.jobs.migration.refusals.reasons_to_refuse`): a dry run asks it with a
question that begins nothing, the migration with its offer; what it answers is found by the same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gomd.jobs.lifecycle.tracked import TrackedJob, own_obstacle
from gomd.jobs.migration.context import MigrationContext
from gomd.jobs.migration.refusals import ask_target

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.requirements import Requirements


@dataclass(frozen=True, slots=True)
class SourceFindings:
    """
    What the source node has found out about a job.

    :ivar requirements: what it needs on the target node. :ivar reasons: why it cannot leave, a clause each.
    """

    requirements: Requirements
    reasons: tuple[str, ...]


async def at_source(context: MigrationContext, job: TrackedJob) -> SourceFindings:
    """
    Find out what a job needs, and what keeps it on this node.

    It makes probes for the target node to look for (`gomd.jobs.checkpoint.probes`): call
    ``context.checks.withdraw`` when that one has answered.

    :raises NotFound: the job has ended. :raises TimedOut: its files do not answer.
    """
    found = list(supervisor_reasons(job))
    if problem := await context.checks.criu_problem():
        found.append(problem)
    requirements = await context.checks.requirements(job)
    return SourceFindings(requirements, tuple(dict.fromkeys([*found, *requirements.stays])))


async def reasons(context: MigrationContext, job: TrackedJob, target: int, question: str) -> Sequence[str]:
    """
    Return every reason why a job of this node could not move to node ``target``; empty when it could.

    :param question: an id for the question to the target, as for a migration.
    :raises GomdError: as `at_source` and `gomd.jobs.migration.refusals.ask_target` do.
    """
    here = await at_source(context, job)
    try:
        there: Sequence[str] = ()
        if target != context.own_id:
            there = await ask_target(context, question, target, here.requirements)
    finally:
        await context.checks.withdraw(job, here.requirements)
    return list(dict.fromkeys([*here.reasons, *there]))


def supervisor_reasons(job: TrackedJob) -> list[str]:
    """Return why a job cannot leave for any node, as far as its supervisor knows."""
    running = job.running
    if running is None:
        return []
    obstacle = own_obstacle(running)
    return [obstacle] if obstacle else []
