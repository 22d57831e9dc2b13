"""
Detects marks of madvise(2) on memory that older versions of criu lose.

Memory that is to be wiped in children (MADV_WIPEONFORK) holds the state of random number generators, the C
library's own among them. If the mark is lost, parent and child go on with the same random numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint.inet_sockets import version

#: From this criu on the mark is carried.
_CRIU: Final = (4, 2)
_WIPED: Final = re.compile(rb"^VmFlags:.* wf ", re.MULTILINE)
#: Bytes that are read of a list of mappings.
_MAX_FILE_BYTES: Final = 1 << 26


def reasons_to_stay(pids: Iterable[int], criu: str, proc: str = "/proc") -> Iterator[str]:
    """
    Yield why the processes ``pids`` cannot move because of their memory. Blocks, with an older criu.

    :param criu: the version of criu, empty when it is not known.
    """
    if version(criu) >= _CRIU:
        return
    for pid in pids:
        with suppress(OSError), open(f"{proc}/{pid}/smaps", "rb") as file:
            if _WIPED.search(file.read(_MAX_FILE_BYTES)):
                here = f"criu {criu}" if criu else "this criu"
                yield (
                    f"it has memory that is wiped when it forks, which {here} would not do: "
                    "get a newer one (docs/migration.md)"
                )
                return
