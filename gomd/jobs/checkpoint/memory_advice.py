"""
Detects marks on memory that criu, or older versions of it, lose.

Memory that is to be wiped in children (MADV_WIPEONFORK) holds the state of random number generators, the C
library's own among them. If the mark is lost, parent and child go on with the same random numbers.
Memory that is sealed (mseal) or has a protection key (pkey_mprotect) protects its program from its own faults
and from those who make use of them; the copy would have it open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint.inet_sockets import version

#: From this criu on the mark is carried.
_CRIU: Final = (4, 2)
_SEALED: Final = re.compile(rb"^VmFlags:.* sl(?: |$)", re.MULTILINE)
_KEYED: Final = re.compile(rb"^ProtectionKey:\s*[1-9]", re.MULTILINE)
#: Mappings of the kernel's own, which it may seal in every process and which criu makes anew.
_KERNELS: Final = (
    b"[vdso]",
    b"[vvar]",
    b"[vvar_vclock]",
    b"[uprobes]",
    b"[sigpage]",
    b"[vsyscall]",
    b"[vectors]",
)
_MAPPING: Final = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ [^\n]*$", re.MULTILINE)
_WIPED: Final = re.compile(rb"^VmFlags:.* wf ", re.MULTILINE)
#: Bytes that are read of a list of mappings.
_MAX_FILE_BYTES: Final = 1 << 26


def reasons_to_stay(pids: Iterable[int], criu: str, proc: str = "/proc") -> Iterator[str]:
    """
    Yield why the processes ``pids`` cannot move because of their memory. Blocks.

    :param criu: the version of criu, empty when it is not known.
    """
    found: dict[str, None] = {}
    for pid in pids:
        with suppress(OSError), open(f"{proc}/{pid}/smaps", "rb") as file:
            found |= dict.fromkeys(_reasons(file.read(_MAX_FILE_BYTES), criu))
    yield from found


def _reasons(smaps: bytes, criu: str) -> Iterator[str]:
    if version(criu) < _CRIU and _WIPED.search(smaps):
        here = f"criu {criu}" if criu else "this criu"
        yield (
            f"it has memory that is wiped when it forks, which {here} would not do: "
            "get a newer one (docs/migration.md)"
        )
    if _KEYED.search(smaps):
        yield "it has memory with a protection key (pkey_mprotect), which would be lost"
    if _SEALED.search(smaps) and _own_is_sealed(smaps):
        yield "it has sealed memory (mseal), which the copy would have unsealed"


def _own_is_sealed(smaps: bytes) -> bool:
    """Whether a mapping that is not the kernel's own is sealed."""
    name = b""
    for line in smaps.splitlines():
        if _MAPPING.fullmatch(line):
            name = line
        elif _SEALED.match(line) and not name.endswith(_KERNELS):
            return True
    return False
