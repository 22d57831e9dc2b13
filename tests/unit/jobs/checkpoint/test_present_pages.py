"""The pages of a process: which ones are meant, and that they are read as they are."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

import pytest

from gomd.jobs.checkpoint import present_pages
from gomd.jobs.checkpoint.present_pages import PAGE, Run
from gomd.jobs.checkpoint.sent_copy import address_of

_MAPS = b"""\
55d0c0000000-55d0c0002000 r-xp 00000000 08:01 1234                       /usr/bin/simulate
55d0c0002000-55d0c0003000 rw-p 00002000 08:01 1234                       /usr/bin/simulate
7f0000000000-7f0000010000 rw-s 00000000 00:01 5                          /dev/zero (deleted)
7f0000010000-7f0000020000 ---p 00000000 00:00 0
7f0000020000-7f0000030000 rw-p 00000000 00:00 0                          [anon: a heap]
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
7ffc00100000-7ffc00104000 r--p 00000000 00:00 0                          [vvar]
7ffc00104000-7ffc00106000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def test_the_private_mappings() -> None:
    """Not what is shared, and not what the kernel itself has put there."""
    assert [start for start, _end in present_pages.private_mappings(_MAPS)] == [
        0x55D0C0000000, 0x55D0C0002000, 0x7F0000010000, 0x7F0000020000, 0x7FFC00000000
    ]  # fmt: skip


def test_the_pages_that_are_meant() -> None:
    """Those that are there and are no file's; not what is swapped out, or was never touched."""
    present, swapped, of_file, exclusive = 1 << 63, 1 << 62, 1 << 61, 1 << 56
    entries = [
        0, present, present | exclusive | 0x1234, present | of_file, swapped, present, 1 << 55, 0,
        present | swapped,
    ]  # fmt: skip
    data = b"".join(struct.pack("=Q", each) for each in entries)
    assert list(present_pages.meant(data)) == [(1, 2), (5, 1), (8, 1)]
    assert list(present_pages.meant(b"")) == []


def test_this_process() -> None:
    """What it has touched is found and read; a page that is gone ends the reading."""
    memory = mmap.mmap(-1, 8 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    place = address_of(memory)
    for number in (1, 2, 5):
        memory[number * PAGE] = 65 + number
    found = [
        run._replace(address=run.address - place)
        for run in present_pages.present(os.getpid())
        if place <= run.address < place + 8 * PAGE
    ]
    assert found == [Run(PAGE, 2), Run(5 * PAGE, 1)]
    view = memoryview(bytearray(2 * PAGE))
    assert present_pages.read(os.getpid(), place + PAGE, view) == 2
    assert (view[0], view[PAGE]) == (66, 67)
    assert present_pages.read(os.getpid(), 0, view) == 0


def test_a_process_that_has_ended(tmp_path: Path) -> None:
    """It has no pages, and may have had those of hugetlbfs."""
    assert list(present_pages.present(5, str(tmp_path))) == []
    assert present_pages.has_huge_pages(5, str(tmp_path))


@pytest.mark.parametrize(
    ("line", "huge"), [("HugetlbPages:\t       0 kB", False), ("HugetlbPages:\t2048 kB", True), ("", False)]
)
def test_pages_of_hugetlbfs(tmp_path: Path, line: str, huge: bool) -> None:
    """As the kernel says; one that has none does not name them."""
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "status").write_text(f"Name:\tsimulate\n{line}\nThreads:\t1\n")
    assert present_pages.has_huge_pages(5, str(tmp_path)) is huge
