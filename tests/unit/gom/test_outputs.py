"""Our own output streams: pipes are used well, and nobody else's use of them changes."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator

import pytest

from gom.outputs import OutputDescriptor


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Yield both ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def drain(descriptor: int, size: int) -> bytes:
    """Read so many bytes."""
    read = b""
    while len(read) < size:
        read += os.read(descriptor, size - len(read))
    return read


def test_pieces_are_written_together_and_none_is_lost(pipe: tuple[int, int]) -> None:
    """A pipe that takes a part of them leaves the rest waiting, cut where it has to be."""
    output = OutputDescriptor(pipe[1])
    pieces = [bytes((number,)) * 50_000 for number in range(12)]
    output.waiting.extend(memoryview(piece) for piece in pieces)
    read = b""
    while output.waiting:
        read += drain(pipe[0], output.write())
    assert read == b"".join(pieces)
    os.close(output.descriptor)


def test_a_full_pipe_takes_nothing(pipe: tuple[int, int]) -> None:
    """Nothing is lost, and nothing blocks."""
    output = OutputDescriptor(pipe[1])
    output.waiting.append(bytes(1 << 20))
    first = output.write()
    assert output.write() == 0
    assert sum(map(len, output.waiting)) == (1 << 20) - first
    os.close(output.descriptor)


def test_a_pipe_is_widened_for_much_only(pipe: tuple[int, int]) -> None:
    """A few lines change nothing; and its other holders still block where they did."""
    output = OutputDescriptor(pipe[1])
    before = fcntl.fcntl(pipe[1], fcntl.F_GETPIPE_SZ)
    output.waiting.append(b"a line\n")
    output.write()
    assert fcntl.fcntl(pipe[1], fcntl.F_GETPIPE_SZ) == before
    output.waiting.append(bytes(before + 1))
    output.write()
    assert fcntl.fcntl(pipe[1], fcntl.F_GETPIPE_SZ) > before
    assert os.get_blocking(pipe[1])
    os.close(output.descriptor)


def test_a_pipe_that_is_wider_already_stays_so(pipe: tuple[int, int]) -> None:
    """Whoever reads from it has asked for that."""
    wide = fcntl.fcntl(pipe[0], fcntl.F_SETPIPE_SZ, 1 << 20)
    output = OutputDescriptor(pipe[1])
    output.waiting.append(bytes(100_000))
    output.write()
    assert fcntl.fcntl(pipe[1], fcntl.F_GETPIPE_SZ) == wide
    os.close(output.descriptor)


def test_nothing_is_written_too(pipe: tuple[int, int]) -> None:
    """A piece without bytes does not wait for ever, by itself or behind another one."""
    output = OutputDescriptor(pipe[1])
    for pieces in ([b""], [b"x", b""], [b"", b"y"]):
        output.waiting.extend(pieces)
        assert output.write() == len(b"".join(pieces))
        assert not output.waiting
    assert os.read(pipe[0], 10) == b"xy"
    os.close(output.descriptor)


def test_a_pipe_without_a_reader() -> None:
    """It is said, and what waits is counted as given up."""
    reading, writing = os.pipe()
    output = OutputDescriptor(writing)
    os.close(reading)
    output.waiting.extend((b"one", b"two"))
    with pytest.raises(BrokenPipeError):
        output.write()
    assert output.give_up() == 6
    os.close(output.descriptor)
    os.close(writing)


def test_a_file() -> None:
    """It takes all, in order."""
    with tempfile.TemporaryFile() as file:
        output = OutputDescriptor(file.fileno())
        output.waiting.extend((b"one", memoryview(b"two"), b"three"))
        while output.waiting:
            output.write()
        file.seek(0)
        assert file.read() == b"onetwothree"
