"""The messages between a daemon and the processes that carry a job's files; `job_messages` encodes them."""

from __future__ import annotations

from typing import Final, NamedTuple

#: What a `CarrySpec` can ask for: take the files at home, put them into the job's directory, give what is
#: there, merge it into the files at home, or remove it.
TAKE: Final = "take"
PUT: Final = "put"
GIVE: Final = "give"
MERGE: Final = "merge"
REMOVE: Final = "remove"
CARRY_STEPS: Final = (TAKE, PUT, GIVE, MERGE, REMOVE)


class CarrySpec(NamedTuple):
    """
    What a process is to do with the files that a job carries along (`gomd.jobs.supervisor.carrier`).

    :ivar step: what to do, one of `CARRY_STEPS`. :ivar directory: of the carried files, absolute.
    :ivar paths: where the job sees them. :ivar umask: for output files that are not there yet.
    :ivar entries: files and :ivar size_limit: bytes that may be carried.
    :ivar suffix: added to the names of files that stand beside changed ones.
    """

    step: str
    directory: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    paths: tuple[str, ...] = ()
    umask: int = 0o22
    entries: int = 0
    size_limit: int = 0
    suffix: str = ""


class CarryOutcome(NamedTuple):
    """
    What came of a `CarrySpec`.

    :ivar failed: why it could not be done, a clause; empty when it was.
    :ivar notes: what a person should know.
    """

    failed: str = ""
    notes: tuple[str, ...] = ()
