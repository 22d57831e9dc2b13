"""
Reads NVIDIA's GPUs, in a child process with a deadline.

The child is started only where the driver's device is, so nothing is loaded and no card is woken elsewhere. A
child that hangs is killed, and tried again minutes later.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from libgomd.errors import SourceUnavailable
from libgomd.installation import installation
from libgomd.model import Measure
from libgomd.wire.text import printable

#: The device that is there when the driver is loaded.
DEVICE: Final = "/dev/nvidiactl"
COMMAND: Final = (sys.executable, "-I", str(Path(__file__).with_name("nvml_child.py")))
#: Seconds that an answer may take; the first one loads the library.
DEADLINE: Final = 5.0
#: Reads that are left out after a failure: ten minutes, at one every 15 s.
LEFT_OUT: Final = 40
MAX_ANSWER_BYTES: Final = 1 << 20
_MAX_NUMBER: Final = 1 << 53
_MAX_NAME: Final = 128


class Card(NamedTuple):
    """One card. :ivar percent: of its time in use. None for what it does not tell."""

    number: int
    name: str
    uuid: str
    percent: int | None
    used: int | None
    total: int | None
    celsius: int | None
    milliwatts: int | None


class GpuReading(NamedTuple):
    """What the child answered. :ivar memory: bytes on all cards together, by process id."""

    cards: tuple[Card, ...]
    memory: Mapping[int, int]


def parse_answer(line: bytes) -> GpuReading:
    """
    Return what the child answered.

    :raises SourceUnavailable: it says why it cannot answer, or it is no answer.
    """
    try:
        told = json.loads(line)
        if "missing" in told:
            name = printable(str(told["missing"]))[:50]
            raise SourceUnavailable(
                f"the GPUs cannot be read: {name} is missing: {installation().libraries('gpu')}"
            )
        if "error" in told:
            raise SourceUnavailable(f"the GPUs cannot be read: {printable(str(told['error']))[:200]}")
        cards = tuple(
            Card(
                int(card["number"]), _name(card["name"]), _name(card["uuid"]), *(
                    _number(card[name]) for name in ("percent", "used", "total", "celsius", "milliwatts")
                ),
            )
            for card in told["cards"]
        )  # fmt: skip
        memory = {int(pid): used for pid, value in told["processes"] if (used := _number(value)) is not None}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceUnavailable("the GPUs cannot be read: the child answers nonsense") from error
    return GpuReading(cards, memory)


def _number(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("no number")
    return value if 0 <= value < _MAX_NUMBER else None


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return printable(value)[:_MAX_NAME].replace("\t", " ")


class Gpus:
    """
    The cards of this node. Not for several threads at once, but for `memory_by_pid`.

    :param device: the file without which there are none. :param command: that of the child.
    :param environment: of the child; empty unless it is a test.
    """

    def __init__(
        self,
        device: str = DEVICE,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        self._device = device
        self._command = tuple(command)
        self._environment = dict(environment or {})
        self._deadline = deadline
        self._child: subprocess.Popen[bytes] | None = None
        self._hanging: subprocess.Popen[bytes] | None = None
        self._left_out = 0
        self._why = ""
        self._memory: Mapping[int, int] = {}

    def memory_by_pid(self) -> Mapping[int, int]:
        """Return bytes of memory on all cards by process id, as of the last read. Does not block."""
        return self._memory

    def read(self) -> Iterator[Measure]:
        """
        Read all cards. Blocks, for `DEADLINE` at the most.

        :raises SourceUnavailable: they cannot be read; the text says why.
        """
        if not os.path.exists(self._device):
            self.close()
            self._memory = {}
            return
        if self._left_out:
            self._left_out -= 1
            raise SourceUnavailable(self._why)
        try:
            found = parse_answer(self._ask())
        except SourceUnavailable as error:
            self.close()
            self._left_out, self._why, self._memory = LEFT_OUT, str(error), {}
            raise
        self._memory = found.memory
        yield from measures_of(found.cards)

    def close(self) -> None:
        """End the child. One that hangs in the driver is not waited for; until it ends there is no other."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            child.wait(0.2)
        except subprocess.TimeoutExpired:
            self._hanging = child

    def _ask(self) -> bytes:
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = self._started()
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(b"\n")
            child.stdin.flush()
        except OSError as error:
            raise SourceUnavailable("the GPUs cannot be read: the child has ended") from error
        return self._line_of(child.stdout.fileno())

    def _started(self) -> subprocess.Popen[bytes]:
        if self._hanging is not None and self._hanging.poll() is None:
            raise SourceUnavailable("the GPUs cannot be read: the last child hangs in the driver")
        self._hanging = None
        try:
            return subprocess.Popen(  # noqa: S603 - the interpreter that runs gomd, and its own file
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                cwd="/", env=self._environment, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SourceUnavailable(f"the GPUs cannot be read: no child: {error.strerror}") from error

    def _line_of(self, descriptor: int) -> bytes:
        end = time.monotonic() + self._deadline
        found = b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not found.endswith(b"\n"):
                left = end - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise SourceUnavailable(f"the GPUs cannot be read: no answer within {self._deadline:g} s")
                piece = os.read(descriptor, 65536)
                if not piece:
                    raise SourceUnavailable("the GPUs cannot be read: the child has ended")
                found += piece
                if len(found) > MAX_ANSWER_BYTES:
                    raise SourceUnavailable("the GPUs cannot be read: the child answers too much")
        return found


def measures_of(cards: Sequence[Card]) -> Iterator[Measure]:
    """Yield the values of ``cards``, without those that they do not tell."""
    for card in cards:
        labels = {"gpu": str(card.number)}
        yield Measure("gpu_info", 1.0, {**labels, "name": card.name, "uuid": card.uuid}, text="always 1")
        for name, value, text, kept in (
            (
                "gpu_utilization_ratio",
                _scaled(card.percent, 100),
                "share of the time in which it worked",
                True,
            ),
            ("gpu_memory_used_bytes", card.used, "memory of a GPU in use", True),
            ("gpu_memory_total_bytes", card.total, "memory of a GPU", False),
            ("gpu_temperature_celsius", card.celsius, "temperature of a GPU", True),
            ("gpu_power_watts", _scaled(card.milliwatts, 1000), "electric power that a GPU takes", False),
        ):
            if value is not None:
                yield Measure(name, float(value), labels, text=text, kept=kept)


def _scaled(value: int | None, by: int) -> float | None:
    return None if value is None else value / by
