"""Reads the totals of /proc/pressure: for how long tasks have waited since the boot."""

from __future__ import annotations

from collections.abc import Iterator

from gomd.sources.files import ProcRoot
from gomd.sources.linux.numbers import whole
from libgomd.errors import GomdError, SourceUnavailable
from libgomd.model import Measure


def read_pressure_totals(root: ProcRoot) -> Iterator[Measure]:
    """Read the files of /proc/pressure. Blocks. :raises SourceUnavailable: one is not understood."""
    for resource in ("cpu", "io", "memory", "irq"):
        try:
            text = root.read(f"pressure/{resource}").decode("ascii", "replace")
        except GomdError:
            continue  # this kernel does not count it
        for tasks, seconds in parse_totals(text).items():
            yield Measure(
                "pressure_waiting_seconds", seconds, {"resource": resource, "tasks": tasks}, "counter",
                "time for which some, or all (full), tasks waited", kept=resource != "irq",
            )  # fmt: skip


def parse_totals(text: str) -> dict[str, float]:
    """Return the seconds of `some` and `full`. :raises SourceUnavailable: a line has no total."""
    found: dict[str, float] = {}
    try:
        for line in text.splitlines():
            kind, *words = line.split()
            [total] = [word for word in words if word.startswith("total=")]
            microseconds = whole(total.removeprefix("total="))
            if microseconds is not None:
                found[kind] = microseconds / 1e6
    except ValueError as error:
        raise SourceUnavailable(f"/proc/pressure is not understood: {error}") from error
    return found
