"""
Reads temperatures from /sys/class/hwmon, and throttling of processors.

Sensors of disks (``drivetemp``) are left out: asking some disks keeps them from sleeping or wakes them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from libgomd.model import Measure
from libgomd.wire.text import printable_name

_INPUT: Final = re.compile(r"temp([0-9]{1,3})_input")
_CPU: Final = re.compile(r"cpu([0-9]{1,5})")
#: Chips that are not asked, and the most of all that are.
ASLEEP: Final = frozenset({"drivetemp"})
MAX_SENSORS: Final = 128
#: Thousandths of a degree that a sensor may tell; others mean that nothing is connected.
_LEAST, _MOST = -100_000, 250_000


def read_temperatures(sys_root: str) -> Iterator[Measure]:
    """Read all sensors. Blocks. A kernel without them yields nothing."""
    chips = os.path.join(sys_root, "class", "hwmon")
    told = 0
    for chip in sorted(_names(chips)):
        name = _text(f"{chips}/{chip}/name") or chip
        if name in ASLEEP:
            continue
        for entry in sorted(_names(f"{chips}/{chip}")):
            found = _INPUT.fullmatch(entry)
            if found is None or told >= MAX_SENSORS:
                continue
            value = parse_temperature(_text(f"{chips}/{chip}/{entry}"))
            if value is not None:
                told += 1
                sensor = _text(f"{chips}/{chip}/temp{found[1]}_label") or f"temp{found[1]}"
                yield Measure(
                    "temperature_celsius", value, {"chip": _label(name), "sensor": _label(sensor)},
                    text="temperature of a sensor", kept=True,
                )  # fmt: skip


def read_throttling(sys_root: str) -> Iterator[Measure]:
    """Read how often each processor was slowed down because it was hot. Blocks."""
    place = os.path.join(sys_root, "devices", "system", "cpu")
    for name in sorted(_names(place)):
        found = _CPU.fullmatch(name)
        text = _text(f"{place}/{name}/thermal_throttle/core_throttle_count") if found else ""
        if found and text.isascii() and text.isdigit():
            yield Measure(
                "cpu_throttles", float(int(text[:18])), {"cpu": found[1]}, "counter",
                "times that a processor was slowed down because it was hot",
            )  # fmt: skip


def parse_temperature(text: str) -> float | None:
    """Return degrees Celsius; None for a text that is no temperature."""
    try:
        thousandths = int(text)
    except ValueError:
        return None
    return thousandths / 1000 if _LEAST <= thousandths <= _MOST else None


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _text(path: str) -> str:
    """Return the text of a small file; empty when it cannot be read, as a sensor that is off."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(64).strip()
    except OSError:
        return ""


def _label(text: str) -> str:
    return printable_name(text.encode())
