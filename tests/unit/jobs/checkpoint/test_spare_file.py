"""Space that is taken for a job's memory before it comes, and what becomes of it."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from gomd.jobs.checkpoint import page_images, spare_file
from gomd.jobs.checkpoint.criu import TlsFiles
from gomd.jobs.checkpoint.page_images import COMPLETE, NO_PARENT
from gomd.jobs.checkpoint.page_receiver import PageReceiver
from gomd.jobs.migration.page_server import PageServers
from libgomd.model import Node, Status
from tests.unit.jobs.checkpoint.test_page_images import PAGE, Stream, header
from tests.unit.jobs.memory_parts import AtOnce, Listening

_MEGABYTE = 1 << 20
_SIZE = 32 * _MEGABYTE
#: A shell, and the program that it runs.
_SHELL, _PROGRAM = 300 << 8 | 1, 301 << 8 | 1


def test_it_is_as_large_as_the_job(tmp_path: Path) -> None:
    """A job that needs 32 MB finds a file of that size; nothing is made for a small one."""
    assert spare_file.make(str(tmp_path), spare_file.LEAST - 1) == 0
    assert os.listdir(tmp_path) == []
    assert spare_file.make(str(tmp_path), _SIZE) == _SIZE
    assert (tmp_path / spare_file.NAME).stat().st_size == _SIZE


def test_it_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    """On a slow disk it is as large as it has become in time."""
    times = iter([0.0, *(number / 4 for number in range(9))])
    made = spare_file.make(str(tmp_path), _SIZE, now=lambda: next(times))
    assert made == 4 * _MEGABYTE


def test_it_is_not_needed(tmp_path: Path) -> None:
    """Where it cannot be made, nothing is there, and nothing fails."""
    assert spare_file.make(str(tmp_path / "missing"), _SIZE) == 0
    assert spare_file.take(str(tmp_path), str(tmp_path / "pages-1.img"), 0) is None
    spare_file.remove(str(tmp_path))


@pytest.mark.parametrize("megabytes", [6, 36])
def test_the_memory_of_the_large_process_is_in_it(tmp_path: Path, megabytes: int) -> None:
    """The image has what came, in order and no more, whether the file was too large or too small for it."""
    assert spare_file.make(str(tmp_path), _SIZE)
    made = (tmp_path / spare_file.NAME).stat().st_ino
    small, page = b"s" * PAGE, _MEGABYTE // PAGE
    pieces = [bytes([number + 1]) * _MEGABYTE for number in range(megabytes)]
    requests = [
        header(32, page_images.OPEN2, memory=_SHELL),
        header(32, page_images.ADD_F, 4, 1, 0x10000, _SHELL) + small,
        header(32, page_images.OPEN2, memory=_PROGRAM),
        *(
            header(32, page_images.ADD_F, 4, page, number << 20, _PROGRAM) + data
            for number, data in enumerate(pieces)
        ),
        header(32, page_images.CLOSE),
    ]
    stream = Stream(b"".join(requests))
    PageReceiver(stream, str(tmp_path)).run()
    first, second = (
        tmp_path / page_images.pages_name(page_images.FIRST_NUMBER + number) for number in (0, 1)
    )
    assert first.read_bytes() == small
    assert second.read_bytes() == b"".join(pieces)
    assert second.stat().st_ino == made
    assert not (tmp_path / spare_file.NAME).exists()
    assert stream.sent == NO_PARENT * 2 + COMPLETE


def test_it_is_removed_when_nothing_needs_it(tmp_path: Path) -> None:
    """A job that has become small leaves none behind."""
    assert spare_file.make(str(tmp_path), _SIZE)
    PageReceiver(Stream(header(32, page_images.CLOSE)), str(tmp_path)).run()
    assert os.listdir(tmp_path) == []


class _FewBytes:
    """A file of which a write does only a part, as on a disk that is about to be full."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: memoryview) -> int:
        """Take three bytes; there is room for ten."""
        if len(self.data) >= 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.data += data[:3]
        return len(data[:3])


def test_what_was_in_the_small_file_is_written_whole() -> None:
    """Else what comes behind it would be at a wrong place of the job's memory."""
    file = _FewBytes()
    spare_file.write_whole(file, b"0123456789")
    assert file.data == b"0123456789"
    with pytest.raises(OSError, match="No space"):
        spare_file.write_whole(file, b"more")


def test_it_goes_when_nobody_comes(tmp_path: Path) -> None:
    """The source may send the memory on another way, or give up: the file does not stay for the restore."""
    made: list[bool] = []

    def accept(*_arguments: object) -> socket.socket:
        made.append((tmp_path / spare_file.NAME).exists())
        raise OSError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))

    servers = PageServers(AtOnce(), "10.0.0.1", listen=lambda _address: Listening([]), accept=accept)  # type: ignore[arg-type,return-value]
    failed: list[str] = []
    servers.open(Node(2, "b", "10.0.0.2", Status.UP)).start(
        str(tmp_path), TlsFiles("ca", "cert", "key"), failed.append, _SIZE
    )
    assert made == [True]
    assert len(failed) == 1
    assert os.listdir(tmp_path) == []
