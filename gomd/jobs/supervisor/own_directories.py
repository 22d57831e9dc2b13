"""
Sets up the files that only one job sees: its temporary directories, and what it carries along.

Standard library only: this runs in the supervisor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gomd.jobs.supervisor.carried_mounts import look_up, mount_carried
from gomd.jobs.supervisor.named_paths import named_paths
from gomd.jobs.supervisor.private_dirs import PrivateDirectories
from gomd.jobs.supervisor.reach import reach
from gomd.jobs.supervisor.spawn import CannotStart, SupervisorEnvironment
from libgomd.errors import CannotMove
from libgomd.wire.job_messages import SpawnSpec


def own_directories(
    spec: SpawnSpec, environment: SupervisorEnvironment, job: int
) -> PrivateDirectories | None:
    """
    Return the directories of a job, mounted; None for one that shares those of the machine. Blocks.

    :param job: an open directory: the job's own. :raises CannotStart: there can be none.
    """
    if not (spec.private_tmp and environment.namespace):
        return None
    with _refusing(spec.where):
        return PrivateDirectories(job, spec.uid, spec.gid, spec.groups)


def show_named(private: PrivateDirectories, spec: SpawnSpec) -> None:
    """
    Let a job see there what its command line names of the machine's. Blocks, for `START_TIMEOUT` at the most.

    :raises CannotStart: it cannot be shown, or does not answer.
    """
    if named := named_paths(spec.argv, spec.cwd, spec.env):
        with _refusing(spec.where):
            if not private.are_near(named):  # a child costs milliseconds
                reach(lambda: private.reach(named), spec.where)
            private.show(named)


def show_carried(
    spec: SpawnSpec, environment: SupervisorEnvironment, carried: int, private: PrivateDirectories | None
) -> bool:
    """
    Let the files that a job carries along appear at their paths. Blocks, for `START_TIMEOUT` at the most.

    :param carried: their open directory, -1 where they are not.
    :returns: whether set-id programs must have no rights in the job: see `carried_mounts`.
    :raises CannotMove: they cannot appear.
    """
    if not spec.carry:
        return False
    if not environment.namespace:
        raise CannotMove(f"files cannot be carried on {spec.where}: {environment.why_not}")
    if carried < 0:
        raise CannotMove(f"its carried files are not on {spec.where}")
    places = () if private is None else private.places
    reach(lambda: look_up(spec.carry), spec.where)
    is_copied = mount_carried(spec.carry, carried, spec.uid, spec.gid, spec.groups, spec.where, places)
    return is_copied and spec.uid != 0


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotStart(
            500,
            f"it can have no temporary directories of its own on {where}: {error.strerror}: "
            "gom run --shared-tmp does without",
        ) from error
