"""Reads from /proc what a job needs on another node, and what keeps it from moving. Blocks."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from gomd.jobs.checkpoint import (
    inherited_attributes,
    memory_advice,
    private_files,
    process_tree,
    shared_state,
    socket_contents,
    terminals,
    whole_process,
)
from gomd.jobs.checkpoint.content import MAX_WHOLE_BYTES, Budget
from gomd.jobs.checkpoint.file_facts import FileReader
from gomd.jobs.checkpoint.job_reader import MAX_OPEN, MAX_PROCESSES, JobReader
from gomd.jobs.checkpoint.node_reader import LIMITS, boot_id, read_flags, read_offer
from gomd.jobs.checkpoint.private_mounts import NOTHING_PRIVATE, PrivateView
from gomd.jobs.checkpoint.probes import ProbeNotes, Rights, make_probes, remove_probes
from gomd.jobs.checkpoint.process_status import parse_limits
from gomd.jobs.checkpoint.requirements import MAX_FILES, Requirements

__all__ = (
    "MAX_OPEN", "MAX_PROCESSES", "look", "look_for_stays", "open_files", "read_needs", "read_offer",
    "read_stays", "withdraw",
)  # fmt: skip
#: Seconds of reading files whole to compare them; what is beyond is sampled.
WHOLE_SECONDS: Final = 0.1
#: Descriptors of a job whose sockets are asked every few seconds; before a move all are.
OFTEN_LOOKED_AT: Final = 1000


def read_needs(
    pids: Iterable[int], user: str, own: frozenset[str] = frozenset(), proc: str = "/proc",
    supervisor: int = 0, prove: bool = False, view: PrivateView = NOTHING_PRIVATE, criu: str = "",
    notes: ProbeNotes | None = None,
) -> Requirements:  # fmt: skip
    """
    Read what the processes ``pids`` need; the first one's user and namespaces count for all. Blocks.

    :param user: the name of their user here.
    :param own: what the supervisor carries over itself: its pipes and terminal, as named in /proc/PID/fd.
    :param supervisor: its pid, 0 when there is none.
    :param prove: make the probes that are in it: call `withdraw` when they have been looked for.
    :param view: which temporary directories it has of its own; what is shown there of the machine's has to be
        on the other node, too.
    :param criu: the version of criu here, empty when it is not known. :param notes: about the probes.
    :raises OSError: the first one has ended.
    """
    job = JobReader(pids, own, proc, MAX_OPEN, named=True, supervisor=supervisor, criu=criu)
    job.read()
    job.add_shown(view.shown)
    found = [*job.stays, *job.watched()]
    pids, first = job.pids[:MAX_PROCESSES], job.first
    memory, huge = 0, 0
    for pid in pids:
        with suppress(OSError):
            memory += _resident(f"{proc}/{pid}")
            huge += _huge(f"{proc}/{pid}")
    files = job.files.describe(FileReader(Budget(MAX_WHOLE_BYTES, WHOLE_SECONDS)))
    system = os.uname()
    places = job.files.probe_places() if prove else ()
    probes = make_probes(places, "/", _rights(first, job.uid), notes)
    return Requirements(
        memory, system.machine, system.release, job.uid, user, read_flags(proc),
        tuple(job.directories)[:MAX_FILES], files, tuple(dict.fromkeys(found)),
        boot=boot_id(), probes=tuple(probes), gids=tuple(sorted(job.gids)),
        limits=tuple(sorted(_limits(first).items())), huge=huge,
        criu=criu, ports=job.ports,
    )  # fmt: skip


def withdraw(needs: Requirements, notes: ProbeNotes | None = None) -> None:
    """Remove the proofs that `read_needs` has made for a job. Blocks."""
    if needs.probes:
        gid = needs.gids[0] if needs.gids else needs.uid
        remove_probes(needs.probes, "/", Rights(needs.uid, gid, needs.gids), notes)


def read_stays(
    pids: Iterable[int], own: frozenset[str] = frozenset(), proc: str = "/proc", most: int = MAX_OPEN,
    supervisor: int = 0, criu: str = "",
) -> list[str]:  # fmt: skip
    """
    Read why the processes ``pids`` cannot move to any node, in words that everybody may see. Blocks.

    That is `Requirements.stays` without the names of files: the kernel shows these to their owner only.

    :param own: as in `read_needs`. :param most: descriptors that are read.
    :param supervisor: its pid, 0 when there is none. :param criu: as in `read_needs`.
    :raises OSError: the first one has ended.
    """
    job = JobReader(pids, own, proc, most, named=False, supervisor=supervisor, criu=criu)
    job.read()
    return list(dict.fromkeys([*job.stays, *job.watched()]))


def look(pid: int, supervisor: int, user: str, criu: str, notes: ProbeNotes | None = None) -> Requirements:
    """
    Read what a job needs, given its first process. Blocks. Call `withdraw` afterwards, if nothing is raised.

    :param criu: the version of criu here, empty when it is not known. :param notes: about the probes.
    :raises OSError: it has ended. :raises CannotMove: not all of its processes can be seen.
    """
    pids = process_tree.descendants(pid)
    process_tree.check_first_threads(pids)
    view = private_files.read_view(supervisor)
    needs = read_needs(
        pids,
        user,
        open_files(supervisor) | _own_terminals(pid),
        supervisor=supervisor,
        prove=True,
        view=view,
        criu=criu,
        notes=notes,
    )
    try:
        return _look_further(needs, pid, pids, supervisor, view)
    except BaseException:
        withdraw(needs, notes)
        raise


def _look_further(
    needs: Requirements, pid: int, pids: Collection[int], supervisor: int, view: PrivateView
) -> Requirements:
    private = private_files.measure_files(pids, supervisor, needs.uid, view)
    more = (
        *private.stays,
        *_strays(pid, supervisor),
        *inherited_attributes.reasons_to_stay(inherited_attributes.read(pids)),
        *shared_state.reasons_to_stay(list(pids)[:MAX_PROCESSES], supervisor),
        *socket_contents.reasons_to_stay(pids),
        *memory_advice.reasons_to_stay(pids, needs.criu),
        *_terminals_that_stay(pid, pids, supervisor),
    )
    return replace(
        needs,
        stays=(*needs.stays, *more),
        memory=needs.memory + private.in_memory,
        private_bytes=private.size,
        terminals=terminals.has_any(pids),
    )


def look_for_stays(pid: int, supervisor: int, criu: str) -> list[str]:
    """
    Read why a job cannot move to any node. Blocks.

    :param criu: the version of criu here, empty when it is not known. :raises OSError: it has ended.
    :raises CannotMove: not all of its processes can be seen.
    """
    pids = process_tree.descendants(pid)
    process_tree.check_first_threads(pids)
    own = open_files(supervisor) | _own_terminals(pid)
    found = read_stays(pids, own, supervisor=supervisor, criu=criu)
    found += [
        *shared_state.reasons_to_stay(pids[:MAX_PROCESSES], supervisor),
        *socket_contents.reasons_to_stay(pids, most=OFTEN_LOOKED_AT),
    ]
    return found + _strays(pid, supervisor) + _terminals_that_stay(pid, pids, supervisor)


def _own_terminals(pid: int) -> frozenset[str]:
    """Return the paths of terminals that can move, because the job has its own /dev/pts."""
    return terminals.MOVABLE if terminals.has_own(pid) else frozenset()


def _terminals_that_stay(pid: int, pids: Collection[int], supervisor: int) -> list[str]:
    if not terminals.has_own(pid):
        return []
    return terminals.reasons_to_stay(pids, terminals.has_any([supervisor]))


def _strays(pid: int, supervisor: int) -> list[str]:
    """Return why a job stays of which not every process descends from the first one."""
    others = [each for each in process_tree.strays(supervisor) if each != pid]
    unknown = [each for each in others if not process_tree.is_fork(each, supervisor)]
    return [process_tree.STRAYS] if any(map(process_tree.is_alive, unknown)) else []


def open_files(pid: int) -> frozenset[str]:
    """
    Return the targets of a process's descriptors, as in /proc/PID/fd. Blocks.

    :raises OSError: it has ended.
    """
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue
    return frozenset(found)


def _rights(first: str, uid: int) -> Rights:
    try:
        status = whole_process.read_status(first)
    except OSError:
        return Rights(uid, uid)
    return Rights(uid, min(status.gids), tuple(sorted(status.gids | status.groups)))


def _limits(first: str) -> dict[str, int]:
    try:
        with open(f"{first}/limits", encoding="ascii", errors="replace") as file:
            return {name: limit for name, limit in parse_limits(file.read(8192)).items() if name in LIMITS}
    except OSError:
        return {}


def _resident(here: str) -> int:
    with open(f"{here}/statm", encoding="ascii") as file:
        words = file.read().split()
    return (int(words[1]) - int(words[2])) * os.sysconf("SC_PAGE_SIZE")  # what is not of a file


def _huge(here: str) -> int:
    with open(f"{here}/status", encoding="ascii", errors="replace") as file:
        found = re.search(r"^HugetlbPages:\s*(\d+) kB", file.read(65536), re.MULTILINE)
    return int(found[1]) << 10 if found else 0
