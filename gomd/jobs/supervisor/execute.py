"""
Executes a job's program as a shell would: looks it up in PATH, and runs a script without ``#!`` by /bin/sh.

Standard library only: this runs between fork and exec of every job.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

#: Exit statuses of a shell for a program that cannot be started.
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
_SHELL: Final = "/bin/sh"
#: Bytes of a file in which a shell looks whether it is a script.
_SAMPLE: Final = 128
#: The kernel's limits of arguments and environment together, whatever the stack may have; in bytes.
_LEAST_ARGUMENTS: Final = 128 << 10
_MOST_ARGUMENTS: Final = 6 << 20
#: Pages that one argument may have, with the NUL that ends it.
_PAGES_OF_ONE: Final = 32
_POINTER_BYTES: Final = 8


class CannotExecute(Exception):
    """The program cannot be executed; the text says why. :ivar code: the exit status of a shell for that."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def execute(argv: tuple[str, ...], env: Mapping[str, str]) -> NoReturn:
    """Execute the program. :raises CannotExecute: it cannot be executed."""
    name = argv[0]
    places = [name] if "/" in name else [
        os.path.join(directory, name) for directory in (env.get("PATH") or os.defpath).split(":")
    ]  # fmt: skip
    refused = ""
    for place in places:
        try:
            os.execve(place, argv, env)  # noqa: S606 - it is what a job is
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise CannotExecute(NOT_EXECUTABLE, f"{name}: {too_long(argv, env)}") from None
            if error.errno == errno.ENOEXEC:
                _execute_script(place, argv, env)
            if os.path.lexists(place):  # a directory of PATH that is closed to the user counts as empty
                if error.errno in (errno.ENOENT, errno.ELOOP):
                    raise CannotExecute(NOT_FOUND, f"{place}: the interpreter it names is not here") from None
                refused = refused or f"{place}: {error.strerror}"
    if refused:
        raise CannotExecute(NOT_EXECUTABLE, refused)
    raise CannotExecute(NOT_FOUND, f"{name}: command not found")


def _execute_script(place: str, argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Execute a file that the kernel does not know as a program by the shell, if it is text."""
    try:
        with open(place, "rb", buffering=0) as file:
            sample = file.read(_SAMPLE)
        if is_binary(sample):
            raise CannotExecute(
                NOT_EXECUTABLE, f"{place}: Exec format error: it is no script, nor a program for this machine"
            )
        script = place if not place.startswith("-") else f"./{place}"
        os.execve(_SHELL, [_SHELL, script, *argv[1:]], env)  # noqa: S606 - as execvp(3) does
    except OSError as error:
        text = too_long(argv, env) if error.errno == errno.E2BIG else error.strerror
        raise CannotExecute(NOT_EXECUTABLE, f"{place}: {text}") from None


def is_binary(sample: bytes) -> bool:
    """Return whether a file that begins with ``sample`` is no script: its first line has a NUL."""
    return b"\0" in sample.partition(b"\n")[0]


def too_long(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Return why the kernel refuses these arguments, a clause that says what to do."""
    texts = [*argv, *(f"{key}={value}" for key, value in env.items())]
    sizes = [len(os.fsencode(text)) + 1 for text in texts]
    most_of_one = _PAGES_OF_ONE * os.sysconf("SC_PAGE_SIZE")
    if max(sizes) > most_of_one:
        return (
            f"Argument list too long: one argument or variable has {max(sizes) - 1} bytes, and the kernel "
            f"takes {most_of_one - 1}; put it into a file"
        )
    size = sum(sizes) + _POINTER_BYTES * len(sizes)
    soft = resource.getrlimit(resource.RLIMIT_STACK)[0]
    share = _MOST_ARGUMENTS if soft == resource.RLIM_INFINITY else min(_MOST_ARGUMENTS, soft // 4)
    return (
        f"Argument list too long: arguments and environment have {size} bytes, and the kernel takes "
        f"{max(share, _LEAST_ARGUMENTS)}, a quarter of the stack's limit (ulimit -s); "
        "put them into a file, or use xargs"
    )
