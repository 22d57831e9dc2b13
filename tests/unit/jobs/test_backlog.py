"""Output that is kept: every byte at its position, within bounds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gomd.jobs.backlog import Backlog, Spool
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
