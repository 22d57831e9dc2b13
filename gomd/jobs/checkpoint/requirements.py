"""Compares what a process needs on the node it would move to with what that node has. No I/O."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

#: Number of files that are listed.
MAX_FILES: Final = 2000
#: Those flags of the processor that programs ask for and then use.
_FLAG = re.compile(
    r"(avx|sse|ssse|bmi|fma|f16c|v?aes|v?pclmul|sha|popcnt|movbe|rdrand|rdseed|adx|xsave|amx|gfni|abm|rtm|hle|"
    r"fsgsbase|pku|asimd|sve|atomics|crc32)"
)


@dataclass(frozen=True, slots=True)
class FileRequirement:
    """
    A file that a process has open or mapped, and how it is recognised on another node.

    :ivar build_id: in hexadecimal digits, empty when it has none.
    :ivar inode: its number; file systems that nodes share show the same on all of them.
    :ivar written: it is open for writing, so that it has to be this very file, not an equal one.
    """

    path: str
    size: int
    build_id: str = ""
    inode: int = 0
    written: bool = False

    def is_same(self, other: FileRequirement) -> bool:
        """Whether ``other``, of the same path on another node, will do."""
        if self.written:
            return self.inode == other.inode
        if self.build_id:
            return self.build_id == other.build_id
        return self.size == other.size


@dataclass(frozen=True, slots=True)
class Requirements:
    """
    What a node must have for a process to run there.

    :ivar memory: bytes that it occupies now. :ivar machine: as ``uname -m``. :ivar kernel: as ``uname -r``.
    :ivar flags: of the processor, those that programs use.
    :ivar stays: clauses that say why it cannot move to any node.
    :ivar memory_max: bytes it may have, None for no limit.
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


def reasons(needs: Requirements, offer: Capabilities, node: str) -> list[str]:
    """Return why the process cannot move to ``node``, a clause for each reason; empty when it can."""
    found = list(needs.stays)
    if offer.criu:
        found.append(f"{node}: {offer.criu}")
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
    found += [
        f"{node} has no directory {path}" for path in needs.directories if path not in offer.directories
    ]
    files = {file.path: file for file in offer.files}
    for file in needs.files:
        other = files.get(file.path)
        if other is None:
            found.append(f"{node} has no {file.path}")
        elif not file.is_same(other):
            found.append(f"{file.path} is another one on {node}")
    return [_printable(each) for each in found]


def parse_flags(cpuinfo: str) -> tuple[str, ...]:
    """Return the flags that every processor in ``cpuinfo`` has and programs use, sorted."""
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    common = set.intersection(*(set(line.split()) for line in lines)) if lines else set()
    return tuple(sorted(flag for flag in common if _FLAG.match(flag)))


def build_id(head: bytes) -> str:
    """Return the GNU build id in the beginning ``head`` of an ELF file, empty when there is none."""
    if head[:4] != b"\x7fELF" or len(head) < 64 or head[4] not in (1, 2) or head[5] != 1:
        return ""
    wide = head[4] == 2
    table = struct.unpack_from("<Q" if wide else "<I", head, 32 if wide else 28)[0]
    size, count = struct.unpack_from("<HH", head, 54 if wide else 42)
    for place in range(table, min(table + size * count, len(head) - size + 1), size or 1):
        if struct.unpack_from("<I", head, place)[0] != 4:  # PT_NOTE
            continue
        offset = struct.unpack_from("<Q" if wide else "<I", head, place + (8 if wide else 4))[0]
        length = struct.unpack_from("<Q" if wide else "<I", head, place + (32 if wide else 16))[0]
        if found := _note(head[offset : offset + length]):
            return found
    return ""


def _note(notes: bytes) -> str:
    """Return the build id among ELF notes."""
    place = 0
    while place + 12 <= len(notes):
        name, data, kind = struct.unpack_from("<III", notes, place)
        begin = place + 12 + (name + 3 & ~3)
        if kind == 3 and notes[place + 12 : place + 16] == b"GNU\0" and data <= 64:
            return notes[begin : begin + data].hex()
        place = begin + (data + 3 & ~3)
    return ""


def _version(release: str) -> tuple[int, ...]:
    """Return the major number of a kernel; releases without a number count as equal."""
    found = re.match(r"(\d+)", release)
    return (int(found[1]),) if found else (0,)


def _printable(text: str) -> str:
    """Return text that does nothing to a terminal: the job chose the names in it."""
    return "".join(c if c.isprintable() else "?" for c in text)
