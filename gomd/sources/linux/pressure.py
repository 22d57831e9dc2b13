"""Reads /proc/pressure: how long tasks had to wait for processor, storage and memory."""

from __future__ import annotations

from gomd.sources.files import ProcRoot
from gomd.sources.linux.numbers import decimal
from libgomd.errors import GomdError, SourceUnavailable
from libgomd.model import Pressure


def read_pressure(root: ProcRoot) -> Pressure:
    """
    Read the three files of /proc/pressure. Blocks.

    Each number is None on a kernel without these files or started with psi=0 (opening one then fails). The
    numbers of a file that is not understood are None too, as long as another file is understood.

    :raises SourceUnavailable: no file that exists is understood, or /proc itself is missing.
    """
    averages: dict[str, dict[str, float | None]] = {}
    trouble: SourceUnavailable | None = None
    for name in ("cpu", "io", "memory"):
        try:
            averages[name] = parse_pressure(_text(root, name))
        except SourceUnavailable as error:
            averages[name], trouble = {}, error
    if not any(averages.values()):
        if trouble is not None:
            raise trouble
        root.sample_text("loadavg")  # no pressure is not the same as no /proc
    return Pressure(
        cpu_some=averages["cpu"].get("some"),
        io_some=averages["io"].get("some"),
        io_full=averages["io"].get("full"),
        memory_some=averages["memory"].get("some"),
        memory_full=averages["memory"].get("full"),
    )


def parse_pressure(text: str) -> dict[str, float | None]:
    """
    Return the ``avg10`` of the lines `some` and `full`, in percent.

    A value outside 0 to 100 is None. The result is empty for an empty file.

    :raises SourceUnavailable: a line has no ``avg10``.
    """
    averages: dict[str, float | None] = {}
    try:
        for line in text.removesuffix("\n").split("\n") if text else ():
            kind, average, *_ = line.split()
            name, _, value = average.partition("=")
            if name != "avg10":
                raise ValueError(f"{average} where avg10 should be")
            averages[kind] = decimal(value, 100.0)
    except ValueError as error:
        raise SourceUnavailable(f"/proc/pressure is not understood: {error}") from error
    return averages


def _text(root: ProcRoot, name: str) -> str:
    try:
        return root.read(f"pressure/{name}").decode("ascii", "replace")
    except GomdError:
        return ""
