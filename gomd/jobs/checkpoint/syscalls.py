"""
Makes system calls for which the C library has no function; knows their numbers on Linux's architectures.

This module uses only the standard library, because it runs in the process of every job.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

#: The calls, in the order of the rows below; the kernel has a table of numbers for each architecture.
_NAMES: Final = (
    "keyctl", "ioprio_set", "set_mempolicy", "rt_sigaction", "ioprio_get", "sched_setattr", "sched_getattr",
    "rt_sigqueueinfo", "rt_tgsigqueueinfo", "kcmp",
)  # fmt: skip
_GENERIC: Final = (219, 30, 237, 134, 31, 274, 275, 138, 240, 272)
_ARM: Final = (311, 314, 321, 174, 315, 380, 381, 178, 363, 378)
_I386: Final = (288, 289, 276, 174, 290, 351, 352, 178, 335, 349)
_POWER: Final = (271, 273, 261, 173, 274, 355, 356, 177, 322, 354)
_S390: Final = (280, 282, 270, 174, 283, 345, 346, 178, 330, 343)
_MIPS: Final = (4282, 4314, 4269, 4194, 4315, 4349, 4350, 4198, 4332, 4347)
_TABLES: Final = {
    ("x86_64", 8): (250, 251, 238, 13, 252, 314, 315, 129, 297, 312),
    ("x86_64", 4): _I386,
    **{(f"i{number}86", 4): _I386 for number in (3, 4, 5, 6)},
    ("aarch64", 8): _GENERIC,
    ("aarch64", 4): _ARM,
    ("armv8l", 4): _ARM,
    ("armv7l", 4): _ARM,
    ("armv6l", 4): _ARM,
    ("armv5tel", 4): _ARM,
    ("riscv64", 8): _GENERIC,
    ("riscv32", 4): _GENERIC,
    ("loongarch64", 8): _GENERIC,
    ("ppc64le", 8): _POWER,
    ("ppc64", 8): _POWER,
    ("ppc64", 4): _POWER,
    ("ppc", 4): _POWER,
    ("mips64", 8): (5241, 5273, 5228, 5013, 5274, 5309, 5310, 5127, 5291, 5306),
    ("mips64", 4): _MIPS,
    ("mips", 4): _MIPS,
    ("s390x", 8): _S390,
    ("s390x", 4): _S390,
}

#: Calls from 424 on have one number on all architectures, but for the offsets of mips and alpha.
_OFFSETS: Final = {("mips", 4): 4000, ("mips64", 4): 4000, ("mips64", 8): 5000, ("alpha", 8): 110}

_libc = ctypes.CDLL(None, use_errno=True)


class UnknownMachine(OSError):
    """The system call numbers of this machine are not known."""


def numbers(machine: str, pointer: int) -> dict[str, int] | None:
    """
    Return the number of each call by its name; None for an unknown machine.

    :param machine: the output of ``uname -m``. :param pointer: size of a pointer in this process, in bytes.
    """
    found = _TABLES.get((machine, pointer))
    return None if found is None else dict(zip(_NAMES, found, strict=True))


_known = numbers(os.uname().machine, struct.calcsize("P"))


def common_number(number: int) -> int:
    """Return the number, on this machine, of a call that has ``number``, 424 or above, on most."""
    return number + _OFFSETS.get((os.uname().machine, struct.calcsize("P")), 0)


def is_known() -> bool:
    """Whether the system call numbers of this machine are known."""
    return _known is not None


def call(name: str, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """
    Make the system call ``name`` and return its result.

    :raises UnknownMachine: its number is not known. :raises OSError: the kernel refuses.
    """
    if _known is None:
        raise UnknownMachine(f"the system calls of {os.uname().machine} are not known to gomd")
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = int(_libc.syscall(ctypes.c_long(_known[name]), *words))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
