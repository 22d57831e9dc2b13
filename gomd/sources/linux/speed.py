"""
Measures the speed of one processor on openMosix's scale.

openMosix measured a processor when it started. A standard machine (a Pentium 4 with 1500 MHz) has 15000; a
core of 2.6 GHz had 31000 to 39000. gomd measures the time that libbzip2 needs for a fixed text. That is
integer work and branches over data that fits into the caches, with the same code on every distribution
since 2010, whereas zlib and OpenSSL are built with different algorithms and special instructions. The scale
is fixed by 8.0 ms on a 2.5 GHz Xeon of 2019, which has 33700 in openMosix: speed = 270 / seconds.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from typing import ClassVar, Final

from twisted.logger import Logger

from gomd.sources.files import ProcRoot
from gomd.sources.statefile import load_state, store_state
from libgomd.errors import SourceUnavailable
from libgomd.model import MAX_SPEED, STANDARD_SPEED
from libgomd.wire.text import printable

#: Name of the file in STATE.
SPEED_STATE: Final = "speed.json"
#: Increment it when the benchmark or its scale changes, so that every node measures again.
_VERSION: Final = 2
_SCALE: Final = 270.0
_SIZE: Final = 64 * 1024
_ROUNDS: Final = 10
#: Names in /proc/cpuinfo, in lower case, that identify the first processor and the whole machine, on x86;
#: ARM; RISC-V; PowerPC, s390; MIPS and LoongArch. MHz and BogoMIPS are left out because they vary.
_IDENTITY: Final = frozenset({
    "vendor_id", "cpu family", "model", "model name", "stepping", "cpu",
    "cpu implementer", "cpu architecture", "cpu variant", "cpu part", "cpu revision", "hardware",
    "isa", "uarch", "mvendorid", "marchid", "mimpid",
    "revision", "platform", "machine",
    "system type", "cpu model", "cpu type",
})  # fmt: skip
#: On s390, beside a serial number that says nothing about how fast it is.
_S390: Final = re.compile(r"^processor \d+: version = (\w+),.*? machine = (\w+)", re.MULTILINE)
#: Names that occur only in a block about one processor.
_PROCESSOR: Final = frozenset({"processor", "cpu number", "hart"})
_MAX_VALUE: Final = 100


class Speed:
    """
    The speed of this node's processors, measured once for a machine and kept in STATE.

    :param cpu_time: seconds of processor time this thread has used.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, root: ProcRoot, state_dir: str, cpu_time: Callable[[], float] = time.thread_time
    ) -> None:
        self._root = root
        self._path = os.path.join(os.path.abspath(state_dir), SPEED_STATE)
        self._cpu_time = cpu_time
        self._lock = threading.Lock()
        self._value: int | None = None

    def value(self) -> int:
        """
        Return the speed, 1..`MAX_SPEED`.

        Blocks; on a new machine the first call measures for up to 0.1 s.
        """
        if self._value is None:
            with self._lock:
                if self._value is None:
                    self._value = self._find()
        return self._value

    def _find(self) -> int:
        try:
            machine = machine_identity(self._root.sample_text("cpuinfo"))
        except SourceUnavailable:
            machine = machine_identity("")
        kept = self._load(machine)
        if kept is not None:
            return kept
        try:
            speed = measure_speed(self._cpu_time)
        except ImportError:  # a Python that was built without libbzip2
            self._log.warn(
                "the speed of this node cannot be measured without Python's bz2: {speed} is assumed; "
                "set speed in [node] of gomd.ini",
                speed=STANDARD_SPEED,
            )
            return STANDARD_SPEED
        self._log.info("measured the speed of this node: {speed}", speed=speed)
        try:
            store_state(self._path, {"version": _VERSION, "machine": machine, "speed": speed})
        except OSError as error:
            self._log.warn("the measured speed is not kept in {path}: {error}", path=self._path, error=error)
        return speed

    def _load(self, machine: str) -> int | None:
        try:
            found = load_state(self._path)
        except (OSError, ValueError):
            return None
        speed = found.get("speed")
        if found.get("version") != _VERSION or found.get("machine") != machine:
            return None
        return speed if type(speed) is int and 1 <= speed <= MAX_SPEED else None


def measure_speed(cpu_time: Callable[[], float]) -> int:
    """
    Return the speed of the processor that this runs on, 1..`MAX_SPEED`. Blocks for about 80 ms.

    It takes the best of several rounds, in processor time, which other processes disturb least.

    :raises ImportError: this Python has no bz2.
    """
    from bz2 import compress  # only here: a node whose speed is known never loads it

    text = benchmark_text()
    best = float("inf")
    for _ in range(_ROUNDS):
        before = cpu_time()
        compress(text, 1)
        best = min(best, cpu_time() - before)
    return max(1, min(MAX_SPEED, round(_SCALE / max(best, 1e-6))))


def benchmark_text() -> bytes:
    """Return the text to compress: always the same, and as compressible as a log file."""
    number, text = 12345, bytearray()
    while len(text) < _SIZE:
        number = (number * 1103515245 + 12345) & 0x7FFFFFFF
        text += b"%d " % (number >> 16)
    return bytes(text[:_SIZE])


def machine_identity(cpuinfo: str) -> str:
    """Return one line that identifies the type of machine."""
    blocks = [block for block in cpuinfo.split("\n\n") if block.strip()]
    processors = [block for block in blocks if _names(block) & _PROCESSOR]
    # What is said of the whole machine stands before the processors (LoongArch) or behind them (PowerPC).
    whole = [block for block in blocks if not _names(block) & _PROCESSOR]
    values = []
    for block in (*processors[:1], *whole):
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name.strip().lower() in _IDENTITY:
                values.append(printable(value.strip())[:_MAX_VALUE])
    if found := _S390.search(cpuinfo):
        values.extend(found.groups())
    return " / ".join([os.uname().machine, *values])[:500]


def _names(block: str) -> set[str]:
    return {line.partition(":")[0].strip().lower() for line in block.split("\n")}
