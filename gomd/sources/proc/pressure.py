"""/proc/pressure: how long tasks had to wait for processor, storage and memory."""

from __future__ import annotations

import math

from gomd.sources.files import ProcRoot
from libgomd.errors import GomdError, SourceUnavailable
from libgomd.model import Pressure


def read_pressure(root: ProcRoot) -> Pressure:
    """
    Read the three files of /proc/pressure. Blocks.

    A kernel without them, or started with psi=0 (opening one then fails), has None for each number.

    :raises SourceUnavailable: they are there and not understood, or /proc itself is not there.
    """
    averages = {name: parse_pressure(_text(root, name)) for name in ("cpu", "io", "memory")}
    if not any(averages.values()):
        root.sample_text("loadavg")  # no pressure is not the same as no /proc
    return Pressure(
        cpu_some=averages["cpu"].get("some"),
        io_some=averages["io"].get("some"),
        io_full=averages["io"].get("full"),
        memory_some=averages["memory"].get("some"),
        memory_full=averages["memory"].get("full"),
    )


def parse_pressure(text: str) -> dict[str, float]:
    """
    Return the ``avg10`` of the lines `some` and `full` in percent; empty for an empty file.

    :raises SourceUnavailable: a line has none.
    """
    averages: dict[str, float] = {}
    try:
        for line in text.splitlines():
            kind, average, *_ = line.split()
            name, _, value = average.partition("=")
            averages[kind] = float(value)
            if name != "avg10" or not math.isfinite(averages[kind]):
                raise ValueError(f"{average} where avg10 should be")
    except ValueError as error:
        raise SourceUnavailable(f"/proc/pressure is not understood: {error}") from error
    return averages


def _text(root: ProcRoot, name: str) -> str:
    try:
        return root.read(f"pressure/{name}").decode("ascii", "replace")
    except GomdError:
        return ""
