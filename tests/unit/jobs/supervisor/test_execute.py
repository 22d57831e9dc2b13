"""What is said of a program that cannot be executed."""

from __future__ import annotations

import os

import pytest

from gomd.jobs.supervisor.execute import CannotExecute, execute, is_binary, too_long


@pytest.mark.parametrize(
    ("sample", "binary"),
    [
        (b"", False),
        (b"echo hello\n", False),
        (b"\x7fELF\x02\x01\x01\0", True),
        (b"echo\n\0\0", False),
        (b"a\0b\n", True),
    ],
)
def test_which_file_is_a_script(sample: bytes, binary: bool) -> None:
    """As a shell decides: text up to the end of its first line."""
    assert is_binary(sample) is binary


def test_one_argument_that_is_too_long() -> None:
    """The kernel takes 32 pages with the NUL, whatever the stack may have."""
    most = 32 * os.sysconf("SC_PAGE_SIZE") - 1
    text = too_long(["cat", "x" * (most + 1)], {})
    assert f"one argument or variable has {most + 1} bytes, and the kernel takes {most}" in text
    assert "one argument" in too_long(["cat"], {"A": "x" * most})


def test_arguments_that_are_too_many() -> None:
    """Counted as the kernel counts: with the NULs and a pointer each."""
    assert "arguments and environment have 21 bytes, and the kernel takes" in too_long(["a"], {"B": ""})


def test_a_program_that_is_not_there() -> None:
    """127, as a shell has it."""
    with pytest.raises(CannotExecute, match="no-such-program-here: command not found") as refused:
        execute(("no-such-program-here",), {"PATH": "/nowhere:/usr/bin"})
    assert refused.value.code == 127
