"""Output that is kept in files: every byte at its position, within bounds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gomd.jobs.supervisor.file_store import AUTOMATIC, FileStore, free_of
from libgomd.wire.frames import CHUNK


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """An open directory."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_files_keep_the_newest(directory: int, tmp_path: Path) -> None:
    """The disk space is bounded, positions stay what they were, and another process can go on reading."""
    store = FileStore(directory, "stdout", 4 * CHUNK)
    piece = bytes(range(256)) * (CHUNK // 256)
    for number in range(20):
        store.append(number.to_bytes(4, "big") + piece[4:])
    assert store.end == 20 * CHUNK
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 6 * CHUNK
    assert store.base > 0
    again = FileStore(directory, "stdout", 4 * CHUNK)
    assert (again.base, again.end) == (store.base, store.end)
    assert again.read(19 * CHUNK, 4) == (19).to_bytes(4, "big")
    store.append(b"more")
    again.refresh()
    assert again.read(20 * CHUNK, 100) == b"more"
    store.close()
    again.close()


def test_a_full_disk_loses_and_counts(directory: int) -> None:
    """The job goes on; how much is gone is known."""
    store = FileStore(directory, "stdout", 4 * CHUNK)
    store.append(b"one")
    full = os.open("/dev/full", os.O_WRONLY)
    kept = store._files[-1]
    store._files[-1] = (kept[0], full)
    store.append(b"gone")
    store._files[-1] = kept
    assert store.lost == 4
    assert store.read(0, 10) == b"one"
    os.close(full)
    store.close()


@pytest.mark.parametrize("written", [3, 7, 20, 30])
def test_keeping_less(directory: int, tmp_path: Path, written: int) -> None:
    """What is beyond the new bound goes at once, the newest bytes stay where they were."""
    store = FileStore(directory, "stdout", 20 * CHUNK)
    for number in range(written):
        store.append(bytes([number]) * CHUNK)
    store.keep(4 * CHUNK)
    assert store.end == written * CHUNK
    kept = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert kept == store.end - store.base
    assert 2 * CHUNK <= kept <= 4 * CHUNK
    assert store.read(store.end - 10, 20) == bytes([written - 1]) * 10
    assert store.read(store.base, 1) == bytes([store.base // CHUNK])
    store.append(b"more")
    again = FileStore(directory, "stdout", 4 * CHUNK)
    assert (again.base, again.end) == (store.base, store.end)
    assert again.read(written * CHUNK, 10) == b"more"
    store.close()
    again.close()


def test_below_the_reserve_the_oldest_makes_room(directory: int) -> None:
    """A disk that is nearly full is not filled up: the oldest of it goes, then the newest is lost."""
    store = FileStore(directory, "stdout", 4 * CHUNK)
    for number in range(4):
        store.append(bytes([number]) * CHUNK)
    base = store.base
    store._reserve = 1 << 62  # more than any disk has
    store.append(b"gone")
    assert store.lost == 4
    assert store.base > base
    assert store.end == 4 * CHUNK
    store._reserve = 0
    store.append(b"kept")
    assert store.read(4 * CHUNK, 10) == b"kept"
    store.close()


def test_the_reserve_of_a_disk() -> None:
    """As configured; else 5 % of it, and 1 GiB at most."""

    def disk(blocks: int) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, blocks, 7, 5, 0, 0, 0, 0, 255))

    assert free_of(disk(1000), 12345) == (5 * 4096, 12345)
    assert free_of(disk(1000), AUTOMATIC) == (5 * 4096, 1000 * 4096 // 20)
    assert free_of(disk(1 << 40), AUTOMATIC) == (5 * 4096, 1 << 30)
