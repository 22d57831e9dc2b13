"""Reads drops of network interfaces from /proc/net/dev, and whether each has a link from /sys/class/net."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.numbers import whole
from libgomd.errors import SourceUnavailable
from libgomd.model import Measure
from libgomd.wire.text import printable_name

_FIELDS: Final = 16
_RECEIVED_DROPS, _SENT_DROPS = 3, 11
_MAX_SPEED: Final = 10**9


def read_links(root: ProcRoot, sys_root: str) -> Iterator[Measure]:
    """Read both. Blocks. :raises SourceUnavailable: /proc/net/dev is missing or not understood."""
    data = root.sample_text("net/dev")
    for name, received, sent in parse_drops(data):
        labels = {"interface": printable_name(name.encode("utf-8", "surrogateescape"))}
        for way, drops in (("received", received), ("sent", sent)):
            if drops is not None:
                text = f"packets dropped that were to be {way}"
                yield Measure(f"network_{way}_dropped", float(drops), labels, "counter", text)
        yield from _state(os.path.join(sys_root, "class", "net", name), labels)


def parse_drops(text: str) -> Iterator[tuple[str, int | None, int | None]]:
    """Yield each interface with the packets dropped on the way in and out. :raises SourceUnavailable: cut."""
    try:
        for line in text.split("\n")[2:]:
            name, colon, rest = line.rpartition(":")
            if colon:
                fields = rest.split()
                if len(fields) < _FIELDS:
                    raise ValueError(f"{len(fields)} fields for {name.strip()}")
                yield name.strip(), whole(fields[_RECEIVED_DROPS]), whole(fields[_SENT_DROPS])
    except ValueError as error:
        raise SourceUnavailable(f"/proc/net/dev is not understood: {error}") from error


def _state(directory: str, labels: dict[str, str]) -> Iterator[Measure]:
    carrier = _number(f"{directory}/carrier")
    if carrier is not None:
        yield Measure("network_link_up", float(carrier), labels, text="1 for an interface with a link")
    megabits = _number(f"{directory}/speed")
    if megabits is not None and 0 < megabits < _MAX_SPEED:
        yield Measure(
            "network_speed_bytes", megabits * 125_000.0, labels, text="bytes a second that the link carries"
        )


def _number(path: str) -> int | None:
    """Return the number in a file of sysfs; None without one, as an interface that is down has no carrier."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return None
