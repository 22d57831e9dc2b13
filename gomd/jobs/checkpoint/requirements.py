"""Compares what a process needs on the node it would move to with what that node has. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from gomd.jobs.checkpoint.build_id import build_id
from gomd.jobs.checkpoint.free_ports import NotFree
from gomd.jobs.checkpoint.inet_sockets import Port, version
from gomd.jobs.checkpoint.probes import DirectoryProbe
from gomd.jobs.checkpoint.same_file import FileRequirement, Views, difference

__all__ = (
    "MAX_FILES", "Capabilities", "FileRequirement", "Requirements", "build_id", "parse_flags", "reasons",
)  # fmt: skip
#: Number of files that are listed.
MAX_FILES: Final = 2000
#: How a limit is written that there is none of.
UNLIMITED: Final = (1 << 62) - 1
#: Those flags of the processor that programs ask for and then use.
_FLAG = re.compile(
    r"(avx|sse|ssse|bmi|fma|f16c|v?aes|v?pclmul|sha|popcnt|movbe|rdrand|rdseed|adx|xsave|amx|gfni|abm|rtm|hle|"
    r"fsgsbase|pku|asimd|sve|atomics|crc32)"
)


@dataclass(frozen=True, slots=True)
class Requirements:
    """
    What a node must have for a process to run there.

    :ivar memory: bytes that it occupies now. :ivar machine: as ``uname -m``. :ivar kernel: as ``uname -r``.
    :ivar flags: of the processor, those that programs use.
    :ivar stays: clauses that say why it cannot move to any node.
    :ivar memory_max: bytes it may have, None for no limit.
    :ivar node: what a message calls the node that it is on. :ivar boot: the boot id of that node's kernel.
    :ivar probes: proofs that the target node has to look for. :ivar gids: all groups of its processes.
    :ivar limits: by the names of /proc/PID/limits, the largest hard limit that one of them has.
    :ivar huge: bytes of huge pages. :ivar carried: paths whose files it brings along.
    :ivar criu: the version of criu that would dump it, empty when unknown.
    :ivar ports: that it has bound.
    :ivar private_bytes: of its own temporary files and System V memory; None when it can have none.
    :ivar terminals: it has a terminal, or one of its own making. Not sent: the other node says by itself
        whether it takes those.
    """

    memory: int
    machine: str
    kernel: str
    uid: int
    user: str
    flags: tuple[str, ...]
    directories: tuple[str, ...]
    files: tuple[FileRequirement, ...]
    stays: tuple[str, ...] = ()
    memory_max: int | None = None
    node: str = ""
    boot: str = ""
    probes: tuple[DirectoryProbe, ...] = ()
    gids: tuple[int, ...] = ()
    limits: tuple[tuple[str, int], ...] = ()
    huge: int = 0
    private_bytes: int | None = None
    criu: str = ""
    ports: tuple[Port, ...] = ()
    carried: tuple[str, ...] = ()
    terminals: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """
    Which of a process's requirements a node meets.

    :ivar memory: bytes free for it. :ivar room: bytes free for its images.
    :ivar user: name of the user with its uid there, empty when there is none.
    :ivar directories: those of its directories that exist there. :ivar files: its files as they are there.
    :ivar criu: what keeps criu from working there, empty when nothing does.
    :ivar no_limit: why the memory of a job cannot be limited there, empty when it can.
    :ivar boot: the boot id of the kernel there. :ivar probes: those that are seen there.
    :ivar gids: the groups of the user there; None when it is not known. :ivar huge: bytes of free huge pages.
    :ivar limits: the hard limits beyond which nobody there can give a process more.
    :ivar private_limit: bytes of its own temporary files that a job may bring along.
    :ivar criu_version: of criu there, empty when unknown. :ivar not_free: those of its ports it cannot have.
    """

    memory: int
    room: int
    machine: str
    kernel: str
    user: str
    flags: tuple[str, ...]
    directories: tuple[str, ...]
    files: tuple[FileRequirement, ...]
    criu: str = ""
    no_limit: str = ""
    boot: str = ""
    probes: tuple[DirectoryProbe, ...] = ()
    gids: tuple[int, ...] | None = None
    limits: tuple[tuple[str, int], ...] = ()
    huge: int = 0
    private_limit: int = 0
    criu_version: str = ""
    not_free: tuple[NotFree, ...] = ()


def reasons(needs: Requirements, offer: Capabilities, node: str) -> list[str]:
    """Return why the process cannot move to ``node``, a clause for each reason; empty when it can."""
    found = list(needs.stays)
    if offer.criu:
        found.append(f"{node}: {offer.criu}")
    elif needs.criu and offer.criu_version and version(offer.criu_version) < version(needs.criu):
        found.append(
            f"{node} has criu {offer.criu_version}, which cannot read images of the newer {needs.criu} here: "
            "get a newer one there (docs/migration.md)"
        )
    if needs.machine != offer.machine:
        found.append(f"{node} is {offer.machine}, it runs on {needs.machine}")
    elif missing := sorted(set(needs.flags) - set(offer.flags)):
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        found.append(f"the processor of {node} has no {', '.join(missing[:5])}{more}")
    if _version(offer.kernel) < _version(needs.kernel)[:1]:
        found.append(f"the kernel of {node} is {offer.kernel}, this one {needs.kernel}")
    if needs.user != offer.user:
        there = f"is {offer.user}" if offer.user else "is nobody"
        found.append(f"user {needs.uid} is {needs.user or 'nobody'} here and {there} on {node}")
    if needs.memory > offer.memory:
        found.append(f"it has {needs.memory >> 20} MB, {node} has {max(0, offer.memory) >> 20} MB free")
    if needs.memory_max is not None and offer.no_limit:
        found.append(f"{node} cannot limit its memory: {offer.no_limit}")
    if needs.memory > offer.room:
        found.append(f"{node} has no room for {needs.memory >> 20} MB of images: see [jobs] spool")
    if needs.huge > offer.huge:
        found.append(f"it has {needs.huge >> 20} MB of huge pages, {node} has {offer.huge >> 20} MB free")
    private = needs.private_bytes or 0
    if private > offer.private_limit:
        found.append(f"{node}: {too_many_files(private, offer.private_limit)}")
    elif private and needs.memory + 2 * private > offer.room:  # they come in one file, and are unpacked
        found.append(f"{node} has no room for {private >> 20} MB of temporary files: see [jobs] spool")
    found += _reasons_of_rights(needs, offer, node)
    found += [each.sentence(node) for each in offer.not_free]
    offered = {file.path: file for file in offer.files}
    told = {file.path for file in needs.files}
    found += [
        f"{node} has no directory {path}"
        for path in needs.directories
        if path not in offer.directories and path not in told
    ]
    views = Views(
        needs.node or "this node", node, needs.boot, offer.boot, needs.probes, offer.probes, needs.user
    )
    found += [why for file in needs.files if (why := difference(file, offered.get(file.path), views))]
    return [_printable(each) for each in found]


def _reasons_of_rights(needs: Requirements, offer: Capabilities, node: str) -> list[str]:
    """Return which groups and limits of the process its user has not on ``node``."""
    found = []
    if offer.gids is not None and needs.uid and needs.user == offer.user:
        found += [
            f"{needs.user or needs.uid} is not in group {gid} on {node}: add the user to it there"
            for gid in sorted(set(needs.gids) - set(offer.gids))
        ]
    most = dict(offer.limits)
    for name, limit in needs.limits:
        if name in most and limit > most[name]:
            found.append(
                f"its limit of {name} is {_limit(limit)}, {node} allows {_limit(most[name])}: "
                "raise that of its daemon"
            )
    return found


def _limit(number: int) -> str:
    return "unlimited" if number >= UNLIMITED else str(number)


def too_many_files(size: int, limit: int) -> str:
    """Return why a job stays that has more bytes of temporary files than may move, a clause."""
    found, most = size >> 20, limit >> 20
    return f"it has {found} MB of temporary files, at most {most} MB may move: see [jobs] private_tmp"


def without_carried(needs: Requirements, carried: tuple[str, ...]) -> Requirements:
    """Return the requirements without the files that the job carries along."""
    if not carried:
        return needs

    def lies_in(path: str) -> bool:
        return any(path == each or path.startswith(f"{each}/") for each in carried)

    files = tuple(file for file in needs.files if not lies_in(file.path))
    directories = tuple(path for path in needs.directories if not lies_in(path))
    return replace(needs, files=files, directories=directories, carried=carried)


def parse_flags(cpuinfo: str) -> tuple[str, ...]:
    """Return the flags that every processor in ``cpuinfo`` has and programs use, sorted."""
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    common = set.intersection(*(set(line.split()) for line in lines)) if lines else set()
    return tuple(sorted(flag for flag in common if _FLAG.match(flag)))


def _version(release: str) -> tuple[int, ...]:
    """Return the major number of a kernel; releases without a number count as equal."""
    found = re.match(r"(\d+)", release)
    return (int(found[1]),) if found else (0,)


def _printable(text: str) -> str:
    """Return text that does nothing to a terminal: the job chose the names in it."""
    return "".join(c if c.isprintable() else "?" for c in text)
