"""A job's memory as criu sends it, and the images that come of it: every version, and what is none."""

from __future__ import annotations

import resource
import struct
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomd.jobs.checkpoint import page_images
from gomd.jobs.checkpoint.page_images import ADD_F, CLOSE, FORCE_CLOSE, OPEN2, PARENT, Header
from gomd.jobs.checkpoint.page_receiver import PageReceiver
from libgomd.errors import CannotMove

PAGE = resource.getpagesize()
PROCESS, SHARED = 300 << 8 | 1, 7 << 8 | 2
WIDTHS = (24, 32)


def header(
    width: int, command: int, flags: int = 0, pages: int = 0, address: int = 0, memory: int = 0
) -> bytes:
    form = "=IIQQ" if width == 24 else "=IxxxxQQQ"
    return struct.pack(form, flags << 16 | command, pages, address, memory)


class Stream:
    """A connection that gives its bytes in pieces, and keeps what is sent."""

    def __init__(self, data: bytes, sizes: Iterable[int] = ()) -> None:
        self.sent = b""
        self._data = data
        self._sizes = iter(sizes)

    def recv_into(self, buffer: memoryview) -> int:
        size = min(len(buffer), max(1, next(self._sizes, len(buffer))), len(self._data))
        buffer[:size] = self._data[:size]
        self._data = self._data[size:]
        return size

    def sendall(self, data: bytes) -> None:
        self.sent += data


def memory(width: int) -> bytes:
    """Return what criu sends of a process with two pieces, one of them empty, and of shared memory."""
    return b"".join((
        header(width, OPEN2, memory=PROCESS),
        header(width, ADD_F, 4, 2, 0x10000, PROCESS), b"a" * PAGE + b"b" * PAGE,
        header(width, ADD_F, 1, 5, 0x20000, PROCESS),
        header(width, OPEN2, memory=SHARED),
        header(width, ADD_F, 4, 1, 0, SHARED), b"c" * PAGE,
        header(width, FORCE_CLOSE),
    ))  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
@given(sizes=st.lists(st.integers(1, 9000), max_size=40))
def test_memory_becomes_images(
    tmp_path_factory: pytest.TempPathFactory, width: int, sizes: list[int]
) -> None:
    """In whatever pieces it comes: the pages, and where they are, as every criu reads it."""
    path = tmp_path_factory.mktemp("images")
    stream = Stream(memory(width), sizes)
    receiver = PageReceiver(stream, str(path))
    receiver.run()
    assert receiver.received == 3 * PAGE
    assert stream.sent == b"\0" + b"\0" + bytes(4)
    assert {file.name for file in path.iterdir()} == {
        "pagemap-300.img", "pagemap-shmem-7.img", "pages-65536.img", "pages-65537.img"
    }  # fmt: skip
    assert (path / "pages-65536.img").read_bytes() == b"a" * PAGE + b"b" * PAGE
    assert (path / "pages-65537.img").read_bytes() == b"c" * PAGE
    magic = bytes.fromhex("1943565425400856")
    assert (path / "pagemap-300.img").read_bytes() == magic + (
        bytes.fromhex("04000000" "08808004") + bytes.fromhex("08000000" "08808004" "1002" "2004")
        + bytes.fromhex("08000000" "08808008" "1005" "2001")
    )  # fmt: skip
    assert (path / "pages-65536.img").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("width", WIDTHS)
@given(sizes=st.lists(st.integers(1, 9000), max_size=40))
def test_the_questions_are_found(width: int, sizes: list[int]) -> None:
    """criu asks twice, once for each memory, and what looks like a question in a page is none."""
    data = memory(width)[:-width]
    data += header(width, ADD_F, 4, 1, 0, SHARED) + header(width, OPEN2, memory=PROCESS).ljust(PAGE, b"d")
    reader, found, at = page_images.RequestReader(PAGE), 0, 0
    for size in [*sizes, len(data)]:
        found += reader.feed(memoryview(data)[at : at + size])
        at += size
    assert found == 2


@pytest.mark.parametrize("command", [CLOSE, FORCE_CLOSE])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_dump_that_failed_before_it_began(tmp_path: Path, width: int, command: int) -> None:
    """criu ends the connection in order, and waits for the answer."""
    stream = Stream(header(width, command))
    PageReceiver(stream, str(tmp_path)).run()
    assert stream.sent == bytes(4)
    assert not list(tmp_path.iterdir())


def test_an_earlier_dump_is_asked_for(tmp_path: Path) -> None:
    """There is none."""
    data = header(24, OPEN2, memory=PROCESS) + header(24, PARENT, memory=PROCESS) + header(24, CLOSE)
    stream = Stream(data)
    PageReceiver(stream, str(tmp_path)).run()
    assert stream.sent == b"\0" + bytes(8)


@pytest.mark.parametrize("data", [
    b"", b"x", header(24, OPEN2, memory=PROCESS), header(24, OPEN2, memory=PROCESS)[:-1], memory(24)[:-25],
    memory(24)[:200], memory(32)[:-33],
    header(24, 99, memory=PROCESS), header(24, OPEN2, memory=300 << 8 | 9),
    header(24, OPEN2, memory=1 << 60 | 1), header(24, ADD_F, 4, 1, 0, PROCESS) + b"a" * PAGE,
    header(32, OPEN2, memory=PROCESS) + header(32, ADD_F, 4, 1 << 40),
    header(24, OPEN2, memory=PROCESS) * 2 + header(24, CLOSE),
])  # fmt: skip
def test_what_is_no_memory(tmp_path: Path, data: bytes) -> None:
    """One error, whatever comes, and never an answer that all is here."""
    stream = Stream(data)
    with pytest.raises((CannotMove, FileExistsError)):
        PageReceiver(stream, str(tmp_path)).run()
    assert b"\0\0\0\0" not in stream.sent


@given(st.binary(min_size=24, max_size=24) | st.binary(min_size=32, max_size=32))
def test_any_bytes_are_a_header_or_one_error(data: bytes) -> None:
    """And what a header says is within its bounds."""
    try:
        found = page_images.parse(data)
    except CannotMove:
        return
    assert isinstance(found, Header)
    assert found.pages < 1 << 32
    assert page_images.entry(found)
