"""Output that is kept: every byte at its position, within bounds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gomd.jobs.supervisor.backlog import AUTOMATIC, Backlog, Spool, free_of
from libgomd.wire.frames import CHUNK, WINDOW


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=9), st.integers(0, 90), st.integers(0, 90))
def test_what_is_not_acknowledged_can_be_read_again(pieces: list[bytes], done: int, start: int) -> None:
    """From any position on, whatever pieces it came in."""
    backlog, whole = Backlog(), b"".join(pieces)
    for piece in pieces:
        backlog.append(piece)
    done = min(done, len(whole))
    backlog.acknowledge(done)
    assert backlog.base <= done
    start = min(max(start, done), len(whole))
    read, at = b"", start
    while data := backlog.read(at, 5):
        read += data
        at += len(data)
    assert read == whole[start:]


def test_the_window_bounds_it() -> None:
    """With a window's worth that nobody acknowledges the job has to wait."""
    backlog = Backlog()
    backlog.append(b"x" * WINDOW)
    assert backlog.room() == 0
    backlog.acknowledge(WINDOW)
    assert backlog.room() == WINDOW


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """An open directory."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_files_keep_the_newest(directory: int, tmp_path: Path) -> None:
    """The disk space is bounded, positions stay what they were, and another process can go on reading."""
    spool = Spool(directory, "stdout", 4 * CHUNK)
    piece = bytes(range(256)) * (CHUNK // 256)
    for number in range(20):
        spool.append(number.to_bytes(4, "big") + piece[4:])
    assert spool.end == 20 * CHUNK
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 6 * CHUNK
    assert spool.base > 0
    again = Spool(directory, "stdout", 4 * CHUNK)
    assert (again.base, again.end) == (spool.base, spool.end)
    assert again.read(19 * CHUNK, 4) == (19).to_bytes(4, "big")
    spool.append(b"more")
    again.refresh()
    assert again.read(20 * CHUNK, 100) == b"more"
    spool.close()
    again.close()


def test_a_full_disk_loses_and_counts(directory: int) -> None:
    """The job goes on; how much is gone is known."""
    spool = Spool(directory, "stdout", 4 * CHUNK)
    spool.append(b"one")
    full = os.open("/dev/full", os.O_WRONLY)
    kept = spool._files[-1]
    spool._files[-1] = (kept[0], full)
    spool.append(b"gone")
    spool._files[-1] = kept
    assert spool.lost == 4
    assert spool.read(0, 10) == b"one"
    os.close(full)
    spool.close()


@pytest.mark.parametrize("written", [3, 7, 20, 30])
def test_keeping_less(directory: int, tmp_path: Path, written: int) -> None:
    """What is beyond the new bound goes at once, the newest bytes stay where they were."""
    spool = Spool(directory, "stdout", 20 * CHUNK)
    for number in range(written):
        spool.append(bytes([number]) * CHUNK)
    spool.keep(4 * CHUNK)
    assert spool.end == written * CHUNK
    kept = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert kept == spool.end - spool.base
    assert 2 * CHUNK <= kept <= 4 * CHUNK
    assert spool.read(spool.end - 10, 20) == bytes([written - 1]) * 10
    assert spool.read(spool.base, 1) == bytes([spool.base // CHUNK])
    spool.append(b"more")
    again = Spool(directory, "stdout", 4 * CHUNK)
    assert (again.base, again.end) == (spool.base, spool.end)
    assert again.read(written * CHUNK, 10) == b"more"
    spool.close()
    again.close()


def test_below_the_reserve_the_oldest_makes_room(directory: int) -> None:
    """A disk that is nearly full is not filled up: the oldest of it goes, then the newest is lost."""
    spool = Spool(directory, "stdout", 4 * CHUNK)
    for number in range(4):
        spool.append(bytes([number]) * CHUNK)
    base = spool.base
    spool._reserve = 1 << 62  # more than any disk has
    spool.append(b"gone")
    assert spool.lost == 4
    assert spool.base > base
    assert spool.end == 4 * CHUNK
    spool._reserve = 0
    spool.append(b"kept")
    assert spool.read(4 * CHUNK, 10) == b"kept"
    spool.close()


def test_the_reserve_of_a_disk() -> None:
    """As configured; else 5 % of it, and 1 GiB at most."""

    def disk(blocks: int) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, blocks, 7, 5, 0, 0, 0, 0, 255))

    assert free_of(disk(1000), 12345) == (5 * 4096, 12345)
    assert free_of(disk(1000), AUTOMATIC) == (5 * 4096, 1000 * 4096 // 20)
    assert free_of(disk(1 << 40), AUTOMATIC) == (5 * 4096, 1 << 30)
