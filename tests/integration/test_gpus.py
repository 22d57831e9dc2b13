"""GPUs are read in a child process: one that answers, is wrong, hangs. The library is one of the test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gomd.sources.linux import nvml_child
from gomd.sources.linux.gpus import LEFT_OUT, Gpus
from libgomd.errors import SourceUnavailable

#: As nvidia-ml-py has it: two cards, one of which tells little, and a process on both.
LIBRARY = """
import os, time
NVML_TEMPERATURE_GPU = 0
class NVMLError(Exception):
    def __str__(self):
        return "Driver/library version mismatch"
class Values:
    def __init__(self, **values):
        self.__dict__.update(values)
def nvmlInit():
    if os.environ.get("BROKEN"):
        raise NVMLError()
def nvmlDeviceGetCount():
    if os.environ.get("HANGS"):
        time.sleep(600)
    return 2
def nvmlDeviceGetHandleByIndex(number):
    return number
def nvmlDeviceGetName(card):
    return b"NVIDIA A100-SXM4" if card == 0 else "Old <b>\\x1b[2J"
def nvmlDeviceGetUUID(card):
    return f"GPU-{card}"
def nvmlDeviceGetUtilizationRates(card):
    if card:
        raise NVMLError()
    return Values(gpu=37, memory=5)
def nvmlDeviceGetMemoryInfo(card):
    return Values(total=80 << 30, used=3 << 30, free=77 << 30)
def nvmlDeviceGetTemperature(card, sensor):
    return 61
def nvmlDeviceGetPowerUsage(card):
    raise NVMLError()
def nvmlDeviceGetComputeRunningProcesses(card):
    return [Values(pid=42, usedGpuMemory=1 << 30), Values(pid=43, usedGpuMemory=None)]
def nvmlDeviceGetGraphicsRunningProcesses(card):
    return [Values(pid=42, usedGpuMemory=1 << 30)]
"""
CHILD = nvml_child.__file__


def gpus(home: Path, library: str | None = LIBRARY, deadline: float = 10.0, **environment: str) -> Gpus:
    """Return the cards of a machine with the driver."""
    device = home / "nvidiactl"
    device.touch()
    if library is not None:
        (home / "pynvml.py").write_text(library)
        environment["PYTHONPATH"] = str(home)
    isolated = () if library is not None else ("-I", "-S")
    return Gpus(str(device), (sys.executable, *isolated, str(CHILD)), environment, deadline)


def test_two_cards_and_their_processes(tmp_path: Path) -> None:
    """Each value in its base unit, what a card does not tell is left out, memory of both is added."""
    read = gpus(tmp_path)
    try:
        found = list(read.read())
        child = read._child
        again = list(read.read())
        assert read._child is child  # one child for all reads
    finally:
        read.close()
    assert [(each.name, each.value) for each in again] == [(each.name, each.value) for each in found]
    values = {(each.name, each.labels["gpu"]): each.value for each in found}
    assert values == {
        ("gpu_info", "0"): 1, ("gpu_utilization_ratio", "0"): 0.37, ("gpu_memory_used_bytes", "0"): 3 << 30,
        ("gpu_memory_total_bytes", "0"): 80 << 30, ("gpu_temperature_celsius", "0"): 61, ("gpu_info", "1"): 1,
        ("gpu_memory_used_bytes", "1"): 3 << 30, ("gpu_memory_total_bytes", "1"): 80 << 30,
        ("gpu_temperature_celsius", "1"): 61,
    }  # fmt: skip
    assert [each.labels["name"] for each in found if each.name == "gpu_info"] == [
        "NVIDIA A100-SXM4",
        r"Old <b>\x1b[2J",
    ]
    assert read.memory_by_pid() == {42: 2 << 30, 43: 0}
    assert child is not None
    assert child.poll() is not None  # nothing is left running


def test_without_the_driver_nothing_is_started(tmp_path: Path) -> None:
    """Neither a child nor the library; and a driver that goes takes its values with it."""
    none = Gpus(str(tmp_path / "none"), ("/does/not/exist",))
    assert list(none.read()) == []
    read = gpus(tmp_path)
    assert list(read.read())
    (tmp_path / "nvidiactl").unlink()
    assert list(read.read()) == []
    assert (read.memory_by_pid(), read._child) == ({}, None)


@pytest.mark.parametrize(("library", "environment", "text"), [
    (LIBRARY, {"BROKEN": "1"}, "Driver/library version mismatch"),
    (None, {}, "nvidia-ml-py is missing: .*pip install .*gpu"),
    ("import sys\nsys.exit(3)\n", {}, "the child has ended"),
    ("print('x')\n" + LIBRARY, {}, "answers nonsense"),
    ("print('x' * 3_000_000, end='')\n" + LIBRARY, {}, "answers too much"),
])  # fmt: skip
def test_what_goes_wrong_is_said_and_tried_again_later(
    tmp_path: Path, library: str | None, environment: dict[str, str], text: str
) -> None:
    """In a sentence; the next reads cost nothing until then."""
    read = gpus(tmp_path, library, **environment)  # type: ignore[arg-type]
    for _ in range(LEFT_OUT + 1):
        with pytest.raises(SourceUnavailable, match=text):
            list(read.read())
        assert read._child is None
    (tmp_path / "pynvml.py").write_text(LIBRARY)
    read._environment = {"PYTHONPATH": str(tmp_path)}
    read._command = (sys.executable, CHILD)
    assert list(read.read())
    read.close()


def test_a_driver_that_hangs_costs_its_deadline_once(tmp_path: Path) -> None:
    """The child is killed."""
    read = gpus(tmp_path, HANGS="1", deadline=0.5)
    with pytest.raises(SourceUnavailable, match=r"no answer within 0\.5 s"):
        list(read.read())
    with pytest.raises(SourceUnavailable, match="no answer"):
        list(read.read())  # at once
    assert read._child is None


def test_a_child_that_cannot_be_killed_stays_the_only_one(tmp_path: Path) -> None:
    """It hangs in the driver, where no signal reaches it: no second one is added to it."""
    read = gpus(tmp_path)

    class Unkillable(subprocess.Popen[bytes]):
        def poll(self) -> int | None:
            return None

    with Unkillable(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        read._hanging = child
        with pytest.raises(SourceUnavailable, match="hangs in the driver"):
            list(read.read())
        assert child.stdin is not None
        child.stdin.close()
